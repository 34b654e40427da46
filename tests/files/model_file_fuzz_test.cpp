// The fuzzers' checks on a fixed set of inputs: cut at every byte, and every byte changed.
#include "model_file_fuzz.hpp"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "gguf_writer.hpp"
#include "onnx_writer.hpp"
#include "published_models.hpp"
#include "safetensors_writer.hpp"

namespace mais::files {
namespace {

#ifdef MAIS_LONG_TESTS
constexpr int kMutants = 300'000;
#else
constexpr int kMutants = 1'500;
#endif

using Check = void (*)(std::string_view);

// The header of a file whose data is all there: changes of data change nothing.
void cut_at_every_byte(const std::string& bytes, std::size_t header, Check check) {
  for (std::size_t length = 0; length <= header; ++length) check({bytes.data(), length});
}

void change_every_byte(std::string bytes, std::size_t header, Check check) {
  for (std::size_t i = 0; i < header; ++i) {
    for (const unsigned mask : {0xffU, 0x01U, 0x80U}) {
      const char before = bytes[i];
      bytes[i] = static_cast<char>(static_cast<unsigned char>(before) ^ mask);
      check(bytes);
      bytes[i] = before;
    }
  }
}

void mutate(const std::vector<std::string>& seeds, std::vector<std::string> pieces, Check check) {
  std::mt19937_64 random(6);
  for (int i = 0; i < kMutants; ++i) {
    std::string bytes = seeds[random() % seeds.size()];
    for (std::uint64_t n = 1 + random() % 4; n > 0; --n) {
      const std::size_t at =
          bytes.empty() ? 0 : random() % std::min<std::size_t>(bytes.size(), 4096);
      const std::string& piece = pieces[random() % pieces.size()];
      if (random() % 2 == 0) {
        bytes.replace(at, piece.size(), piece);
      } else if (random() % 2 == 0) {
        bytes.insert(at, piece);
      } else {
        bytes.erase(at, random() % 16);
      }
    }
    check(bytes);
  }
}

std::vector<std::string> configs() {
  std::vector<std::string> all;
  for (const PublishedModel& model : kPublishedModels) {
    all.push_back(quoted(model.config));
  }
  return all;
}

TEST(ModelFileFuzz, AGgufCutOrChangedAtAnyByteGivesAModelOrOneError) {
  const GgufWriter writer = small_gguf();
  cut_at_every_byte(writer.bytes(), writer.header().size(), fuzz_gguf);
  change_every_byte(writer.bytes(), writer.header().size(), fuzz_gguf);
  mutate({writer.bytes(), small_gguf(2).bytes(), small_gguf(3, true).bytes()},
         {std::string(8, '\xff'), std::string(4, '\0'), std::string("\0\0\0\x80", 4), "\x9\0\0\0",
          std::string("\xff\xff\xff\xff\xff\xff\xff\x7f", 8), "GGUF"},
         fuzz_gguf);
}

TEST(ModelFileFuzz, ASafetensorsCutOrChangedAtAnyByteGivesAModelOrOneError) {
  const SafetensorsWriter writer = small_safetensors();
  cut_at_every_byte(writer.bytes(), writer.header().size(), fuzz_safetensors);
  change_every_byte(writer.bytes(), writer.header().size(), fuzz_safetensors);
  mutate({writer.bytes()},
         {"[", "{", "]", "}", ":", ",", "\"", "-1", "9223372036854775807", "1e99", "null",
          "\\u0000", "\"shape\":[", "\"dtype\":\"F4\"", "\"data_offsets\":[0,0]"},
         fuzz_safetensors);
}

TEST(ModelFileFuzz, AnOnnxModelCutOrChangedAtAnyByteGivesAModelOrOneError) {
  const std::string bytes = small_onnx();
  const std::string outside =
      onnx_model(onnx_graph({onnx_external("t", {8}, "m.data", "32", "32")}));
  for (const std::string& seed : {bytes, outside}) {
    cut_at_every_byte(seed, seed.size(), fuzz_onnx_model);
    change_every_byte(seed, seed.size(), fuzz_onnx_model);
  }
  mutate({bytes, outside},
         {std::string(9, '\xff') + "\1", "\x3a\x7f", "\x2a", std::string("\x0a\x00", 2), "\x08\x00",
          "\x10\x17", "\x6a"},
         fuzz_onnx_model);
}

TEST(ModelFileFuzz, AConfigurationCutOrChangedGivesAnArchitectureOrOneError) {
  for (const std::string& json : {configs().front(), configs().back()}) {
    cut_at_every_byte(json, json.size(), fuzz_hf_config);
    change_every_byte(json, json.size(), fuzz_hf_config);
  }
  mutate(configs(),
         {"[", "{", "}", "\"", "-1", "0", "16777216", "16777217", "null", "true", "1e9",
          "\"llama\"", "\"text_config\":{", "Infinity", "9223372036854775807"},
         fuzz_hf_config);
}

}  // namespace
}  // namespace mais::files
