// Writes the seeds of the fuzzers: write_seeds <folder> makes
// <folder>/{gguf,hf_config,...}.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "gguf_writer.hpp"
#include "onnx_writer.hpp"
#include "published_models.hpp"
#include "safetensors_writer.hpp"

namespace {

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const std::filesystem::path folder = arguments[1];
  write(folder / "gguf/v2", mais::files::small_gguf(2).bytes());
  write(folder / "gguf/v3", mais::files::small_gguf().bytes());
  write(folder / "gguf/big_endian", mais::files::small_gguf(3, true).bytes());
  write(folder / "safetensors/small", mais::files::small_safetensors().bytes());
  write(folder / "onnx_model/small", mais::files::small_onnx());
  write(folder / "onnx_model/external",
        mais::files::onnx_model(
            mais::files::onnx_graph({mais::files::onnx_external("t", {8}, "m.data", "32", "32")})));
  int number = 0;
  for (const mais::files::PublishedModel& model : mais::files::kPublishedModels) {
    write(folder / "hf_config" / std::to_string(number++), mais::files::quoted(model.config));
  }
}
