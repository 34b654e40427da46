// Writes models for llama.cpp:
//   write_gguf <file> <seed> <type>   a small one with random weights
//   write_gguf <folder>               published ones with holes in the place of weights
#include <cstdlib>
#include <filesystem>

#include "published_shapes.hpp"
#include "random_gguf.hpp"

namespace {

int write_published(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  for (const llama_server::PublishedShape& shape : llama_server::published_shapes()) {
    const llama_server::PublishedFile file(shape);
    const std::filesystem::path path = folder / (std::string(shape.name) + ".gguf");
    std::ofstream(path, std::ios::binary) << file.header();
    std::filesystem::resize_file(path, file.header().size() + file.data_bytes());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2) return write_published(argv[1]);
  if (argc != 4) return 2;
  const auto type = mais::files::element_type_named(argv[3]);
  if (!type) return 2;
  llama_server::RandomGgufFile({.seed = std::strtoull(argv[2], nullptr, 10),
                                .type = *type,
                                .layers = 4,
                                .width = 128,
                                .inner = 384,
                                .context = 2048})
      .write(argv[1]);
  return 0;
}
