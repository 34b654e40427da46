// GGUF files of small models of the llama family that llama.cpp can run: seeded random weights and
// a vocabulary of the 256 bytes and the space. What they say means nothing, but every token depends
// on all before it.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "gguf_writer.hpp"
#include "mais/files/element_type.hpp"

namespace llama_server {

struct RandomGguf {
  std::uint64_t seed = 1;
  // Of all matrices: f32, f16, q8_0 or q4_0. Vectors are f32, as converters write them.
  mais::files::ElementType type = mais::files::ElementType::f32;
  std::uint32_t layers = 2, width = 64, heads = 4, kv_heads = 2, inner = 128, context = 512;
  // A random model ends its texts at random: off, its end of text is never the likeliest token.
  bool ends_text = false;
  std::string chat_template{};  // empty: it knows no chats
};

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
class GgufNumbers {
 public:
  explicit GgufNumbers(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // About normal, with mean 0 and deviation 1: the sum of four even ones.
  float normal() {
    double sum = 0;
    for (int i = 0; i < 4; ++i) sum += static_cast<double>(next() >> 11) * 0x1p-53 - 0.5;
    return static_cast<float>(sum * std::sqrt(3.0));
  }

 private:
  std::uint64_t state_;
};

// To the nearest half, ties to even; for numbers between 2^-14 and 65504 and for 0.
inline std::uint16_t half_of(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000);
  const std::uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude < 0x38800000) return sign;  // below the normal ones: 0
  const std::uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
  return static_cast<std::uint16_t>(sign | ((rounded >> 13) - (112U << 10)));
}

class RandomGgufFile {
 public:
  static constexpr std::uint32_t kBegin = 1, kEnd = 2, kFirstByte = 3;
  static constexpr std::uint32_t kSpace = kFirstByte + 256, kVocabulary = kSpace + 1;

  explicit RandomGgufFile(const RandomGguf& model) : model_(model), numbers_(model.seed) {
    const std::uint32_t head = model.width / model.heads, kv = head * model.kv_heads;
    writer_.text("general.architecture", "llama").text("general.name", "random");
    writer_.u32("llama.block_count", model.layers).u32("llama.context_length", model.context);
    writer_.u32("llama.embedding_length", model.width).u32("llama.vocab_size", kVocabulary);
    writer_.u32("llama.feed_forward_length", model.inner);
    writer_.u32("llama.attention.head_count", model.heads);
    writer_.u32("llama.attention.head_count_kv", model.kv_heads);
    writer_.u32("llama.rope.dimension_count", head).f32("llama.rope.freq_base", 10000);
    writer_.f32("llama.attention.layer_norm_rms_epsilon", 1e-5F);
    add_vocabulary();
    matrix("token_embd.weight", kVocabulary, model.width, 1);
    const float spread = 1 / std::sqrt(static_cast<float>(model.width));
    for (std::uint32_t layer = 0; layer < model.layers; ++layer) {
      const std::string at = "blk." + std::to_string(layer) + ".";
      ones(at + "attn_norm.weight");
      // Queries and keys far from 0, so that attention looks at some tokens more than at others.
      matrix(at + "attn_q.weight", model.width, model.width, 2 * spread);
      matrix(at + "attn_k.weight", kv, model.width, 2 * spread);
      matrix(at + "attn_v.weight", kv, model.width, 2 * spread);
      matrix(at + "attn_output.weight", model.width, model.width, 2 * spread);
      ones(at + "ffn_norm.weight");
      matrix(at + "ffn_gate.weight", model.inner, model.width, spread);
      matrix(at + "ffn_up.weight", model.inner, model.width, spread);
      matrix(at + "ffn_down.weight", model.width, model.inner, spread);
    }
    ones("output_norm.weight");
    matrix("output.weight", kVocabulary, model.width, spread);
  }

  std::string bytes() const { return writer_.header() + data_; }
  void write(const std::string& path) const {
    std::ofstream(path, std::ios::binary) << writer_.header() << data_;
  }

 private:
  // A list of texts: kind 9 of elements of kind 8.
  void add_vocabulary() {
    constexpr char kDigits[] = "0123456789ABCDEF";
    std::string tokens =
        writer_.number(std::uint32_t{8}) + writer_.number(std::uint64_t{kVocabulary});
    std::string scores =
        writer_.number(std::uint32_t{6}) + writer_.number(std::uint64_t{kVocabulary});
    std::vector<std::int32_t> kinds;
    for (std::uint32_t i = 0; i < kVocabulary; ++i) {
      const std::uint32_t byte = i - kFirstByte;
      const std::string name =
          i == 0        ? "<unk>"
          : i == kBegin ? "<s>"
          : i == kEnd   ? "</s>"
          : i == kSpace ? "\xe2\x96\x81"  // as such vocabularies write it
                        : std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">";
      tokens += writer_.string(name);
      scores += writer_.number(std::bit_cast<std::uint32_t>(0.0F));
      constexpr std::int32_t kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6;
      kinds.push_back(i == 0           ? kUnknown
                      : i < kFirstByte ? kControl
                      : i == kSpace    ? kNormal
                                       : kByte);
    }
    writer_.text("tokenizer.ggml.model", "llama");
    writer_.entry("tokenizer.ggml.tokens", 9, tokens).entry("tokenizer.ggml.scores", 9, scores);
    writer_.i32s("tokenizer.ggml.token_type", kinds);
    writer_.u32("tokenizer.ggml.unknown_token_id", 0);
    writer_.u32("tokenizer.ggml.bos_token_id", kBegin).u32("tokenizer.ggml.eos_token_id", kEnd);
    writer_.flag("tokenizer.ggml.add_bos_token", true);
    writer_.flag("tokenizer.ggml.add_space_prefix", false);
    if (!model_.chat_template.empty()) {
      writer_.text("tokenizer.chat_template", model_.chat_template);
    }
  }

  void ones(const std::string& name) {
    writer_.tensor(name, {model_.width}, 0, 4 * model_.width);
    for (std::uint32_t i = 0; i < model_.width; ++i) put(1.0F);
    pad();
  }
  void matrix(const std::string& name, std::uint32_t rows, std::uint32_t row, float spread) {
    using Type = mais::files::ElementType;
    const auto bytes = mais::files::bytes_of(model_.type, row, rows).count();
    const std::uint32_t number = model_.type == Type::f32    ? 0
                                 : model_.type == Type::f16  ? 1
                                 : model_.type == Type::q4_0 ? 2
                                                             : 8;
    writer_.tensor(name, {row, rows}, number, static_cast<std::uint64_t>(bytes));
    // Tokens that are no bytes are never emitted: their row of the output is 0, others' are not.
    const std::uint32_t silent = name == "output.weight" && !model_.ends_text ? kFirstByte : 0;
    for (std::uint32_t i = 0; i < rows; ++i) add_row(row, i < silent ? 0 : spread);
    pad();
  }
  void add_row(std::uint32_t row, float spread) {
    using Type = mais::files::ElementType;
    if (model_.type == Type::f32 || model_.type == Type::f16) {
      for (std::uint32_t i = 0; i < row; ++i) {
        const float value = spread * numbers_.normal();
        model_.type == Type::f32 ? put(value) : put(half_of(value));
      }
      return;
    }
    // Blocks of 32 whole numbers with a scale: -127 ... 127 as they are, -8 ... 7 two in a byte.
    const bool four = model_.type == Type::q4_0;
    for (std::uint32_t block = 0; block < row / 32; ++block) {
      put(half_of(spread * (four ? 0.35F : 0.025F)));
      std::int32_t values[32];
      for (std::int32_t& value : values) {
        const float one = numbers_.normal() / (four ? 0.35F : 0.025F);
        value = std::clamp(static_cast<std::int32_t>(std::lround(one)), four ? -8 : -127,
                           four ? 7 : 127);
      }
      for (int i = 0; i < (four ? 16 : 32); ++i) {
        data_ += static_cast<char>(four ? (values[i] + 8) | (values[i + 16] + 8) << 4 : values[i]);
      }
    }
  }
  void put(float value) { data_ += writer_.number(std::bit_cast<std::uint32_t>(value)); }
  void put(std::uint16_t value) { data_ += writer_.number(value); }
  void pad() { data_.resize((data_.size() + 31) / 32 * 32); }

  const RandomGguf model_;
  GgufNumbers numbers_;
  mais::files::GgufWriter writer_;
  std::string data_;
};

}  // namespace llama_server
