// llama_memory: what GGUF files let expect of llama.cpp's memory, beside what llama.cpp says.
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "../command_line.hpp"
#include "../plain_formatter.hpp"
#include "forecast.hpp"

namespace {

using namespace llama_server;
using mais::Bytes;

constexpr const char* kAbout =
    R"(Says what GGUF models will take in llama.cpp, from their headers alone, beside
what llama.cpp says that it takes: a table in Markdown, in MiB. Buffers are not
allocated unless --load asks for it.

  llama_memory model.gguf --cells 32768 --step-tokens 512 --sequences 16)";

std::string mebibytes(Bytes bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", static_cast<double>(bytes.count()) / (1 << 20));
  return text;
}

// "112.53 (+0.0 %)": what was expected, and by how much that is more than what is said. Within half
// of the last digit that is said there is no difference.
std::string beside(Bytes expected, Bytes said) {
  const double off = static_cast<double>((expected - said).count());
  const bool seen = std::abs(off) > static_cast<double>((at_most(said) - said).count());
  const auto base = static_cast<double>(said.count());
  const double percent = seen && base > 0 ? 100 * off / base : 0;
  char text[64];
  std::snprintf(text, sizeof text, "%s | %s | %+.1f %%", mebibytes(expected).c_str(),
                mebibytes(said).c_str(), percent);
  return text;
}

mais::Result<std::string> row_of(const Settings& settings, Extent extent) {
  const auto expected = forecast(settings);
  if (!expected) return tl::unexpected<mais::Error>(expected.error());
  const auto loaded = LoadedModel::load(settings, extent);
  if (!loaded) return tl::unexpected<mais::Error>(loaded.error());
  BufferSizes said = loaded->sizes();
  if (extent == Extent::rehearsal) said.weights = tensor_bytes(*loaded);
  return "| " + std::filesystem::path(settings.path).stem().string() + " | " +
         beside(expected->weights, said.weights) + " | " + beside(expected->state, said.state) +
         " | " + beside(expected->compute, said.compute) + " | " +
         beside(expected->output, said.output) + " |";
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  std::vector<std::string> files;
  std::string kv_type(to_string(settings.kv_type));
  std::int64_t step = 512;
  bool plain = false, load = false;
  settings.sequences = 16;
  CLI::App app(kAbout);
  app.name("llama_memory");
  app.formatter(std::make_shared<example::PlainFormatter>());
  app.add_option("FILE", files, "GGUF models")->required();
  app.add_option("--cells", settings.cells, "Tokens that the cache holds (default 4096)")
      ->check(CLI::Range(kCellBlock, std::int64_t{1} << 30));
  app.add_option("--step-tokens", step, "Computed at once (default 512)")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--sequences", settings.sequences, "With state at once (default 16)")
      ->check(CLI::Range(1, 256));
  app.add_option("--kv-type", kv_type, "Of keys and values (default f16)")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0", "q4_0"}));
  app.add_flag("--plain-attention", plain, "With scores in memory");
  app.add_flag("--load", load, "Loads the models, one after another");
  if (const auto status = example::read_arguments(app, "llama_memory", argc, argv)) return *status;
  settings.step_tokens = mais::Tokens(step);
  settings.kv_type = *mais::files::element_type_named(kv_type);
  settings.fused_attention = !plain;
  if (settings.cells % kCellBlock != 0 || settings.sequences > step) {
    return example::wrong_usage(
        "llama_memory", "--cells is a multiple of 256, and --sequences at most --step-tokens");
  }
  std::cout << "| model | weights | said | | keys, values | said | | compute | said | | logits | "
               "said | |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
  int status = 0;
  for (const std::string& file : files) {
    settings.path = file;
    const auto row = row_of(settings, load ? Extent::whole : Extent::rehearsal);
    if (row) {
      std::cout << *row << std::endl;
    } else {
      std::cerr << "llama_memory: " << row.error().message << std::endl;
      status = 1;
    }
  }
  return status;
}
