// GGUF files of published models with holes in the place of weights: dimensions from their public
// configuration files, tensors and keys as llama.cpp wants them. For rehearsals, which read none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gguf_writer.hpp"
#include "mais/files/element_type.hpp"

namespace llama_server {

struct PublishedShape {
  const char* name;
  const char* family;
  std::uint32_t layers, width, heads, kv_heads, head, inner, words, context;
  mais::files::ElementType type;
  std::uint32_t experts = 0, experts_used = 0;  // then `inner` is of each
};

// clang-format off
inline const std::vector<PublishedShape>& published_shapes() {
  using enum mais::files::ElementType;
  static const std::vector<PublishedShape> shapes{
      {"Llama 2 7B", "llama", 32, 4096, 32, 32, 128, 11008, 32000, 4096, q4_0},
      {"Llama 3.1 8B", "llama", 32, 4096, 32, 8, 128, 14336, 128256, 131072, q4_k},
      {"Llama 3.2 1B", "llama", 16, 2048, 32, 8, 64, 8192, 128256, 131072, f16},
      {"Mixtral 8x7B", "llama", 32, 4096, 32, 8, 128, 14336, 32000, 32768, q4_0, 8, 2},
      {"Qwen2.5 7B", "qwen2", 28, 3584, 28, 4, 128, 18944, 152064, 32768, q8_0},
      {"Qwen3 30B-A3B", "qwen3moe", 48, 2048, 32, 4, 128, 768, 151936, 40960, q4_k, 128, 8},
      {"Gemma 2 9B", "gemma2", 42, 3584, 16, 8, 256, 14336, 256000, 8192, q8_0},
      {"Phi-3 mini", "phi3", 32, 3072, 32, 32, 96, 8192, 32064, 4096, f16}};
  return shapes;
}
// clang-format on

class PublishedFile {
 public:
  explicit PublishedFile(const PublishedShape& shape) : shape_(shape) {
    const std::string family = shape.family;
    const auto number = [&](const char* key, std::uint32_t value) {
      writer_.u32(family + "." + key, value);
    };
    writer_.text("general.architecture", family).text("general.name", shape.name);
    number("block_count", shape.layers);
    number("context_length", shape.context);
    number("embedding_length", shape.width);
    number("feed_forward_length", shape.inner);
    number("vocab_size", shape.words);
    number("attention.head_count", shape.heads);
    number("attention.head_count_kv", shape.kv_heads);
    number("attention.key_length", shape.head);
    number("attention.value_length", shape.head);
    number("rope.dimension_count", shape.head);
    writer_.f32(family + ".attention.layer_norm_rms_epsilon", 1e-5F);
    if (shape.experts > 0) {
      number("expert_count", shape.experts);
      number("expert_used_count", shape.experts_used);
      number("expert_feed_forward_length", shape.inner);
    }
    if (family == "gemma2") number("attention.sliding_window", 4096);
    // No words: for a rehearsal they are numbers.
    writer_.text("tokenizer.ggml.model", "no_vocab")
        .texts("tokenizer.ggml.tokens", shape.words, "");
    matrix("token_embd.weight", shape.width, shape.words);
    for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
      add_layer("blk." + std::to_string(layer) + ".", family);
    }
    vector("output_norm.weight", shape.width);
    const bool tied = family == "gemma2" || shape.width == 2048;
    if (!tied || shape.experts > 0) matrix("output.weight", shape.width, shape.words);
  }

  std::string header() const { return writer_.header(); }
  std::uint64_t data_bytes() const { return writer_.data_bytes(); }

 private:
  void add_layer(const std::string& at, const std::string& family) {
    const std::uint32_t width = shape_.width, inner = shape_.inner;
    const std::uint32_t query = shape_.heads * shape_.head, kv = shape_.kv_heads * shape_.head;
    vector(at + "attn_norm.weight", width);
    vector(at + "ffn_norm.weight", width);
    if (family == "phi3") {
      matrix(at + "attn_qkv.weight", width, query + 2 * kv);
    } else {
      matrix(at + "attn_q.weight", width, query);
      matrix(at + "attn_k.weight", width, kv);
      matrix(at + "attn_v.weight", width, kv);
    }
    matrix(at + "attn_output.weight", query, width);
    if (family == "qwen2") {
      vector(at + "attn_q.bias", query);
      vector(at + "attn_k.bias", kv);
      vector(at + "attn_v.bias", kv);
    }
    if (family == "qwen3moe") {
      vector(at + "attn_q_norm.weight", shape_.head);
      vector(at + "attn_k_norm.weight", shape_.head);
    }
    if (family == "gemma2") {
      vector(at + "post_attention_norm.weight", width);
      vector(at + "post_ffw_norm.weight", width);
    }
    if (shape_.experts > 0) {
      tensor(at + "ffn_gate_inp.weight", {width, shape_.experts}, mais::files::ElementType::f32);
      tensor(at + "ffn_gate_exps.weight", {width, inner, shape_.experts}, shape_.type);
      tensor(at + "ffn_down_exps.weight", {inner, width, shape_.experts}, shape_.type);
      tensor(at + "ffn_up_exps.weight", {width, inner, shape_.experts}, shape_.type);
      return;
    }
    if (family != "phi3") matrix(at + "ffn_gate.weight", width, inner);
    matrix(at + "ffn_up.weight", width, family == "phi3" ? 2 * inner : inner);
    matrix(at + "ffn_down.weight", inner, width);
  }
  void vector(const std::string& name, std::uint32_t length) {
    tensor(name, {length}, mais::files::ElementType::f32);
  }
  void matrix(const std::string& name, std::uint32_t row, std::uint32_t rows) {
    tensor(name, {row, rows}, shape_.type);
  }
  void tensor(const std::string& name, const std::vector<std::uint64_t>& lengths,
              mais::files::ElementType type) {
    using enum mais::files::ElementType;
    std::int64_t rows = 1;
    for (std::size_t i = 1; i < lengths.size(); ++i) rows *= static_cast<std::int64_t>(lengths[i]);
    const std::uint32_t number = type == f32    ? 0
                                 : type == f16  ? 1
                                 : type == q4_0 ? 2
                                 : type == q8_0 ? 8
                                                : 12;
    const auto bytes =
        mais::files::bytes_of(type, static_cast<std::int64_t>(lengths.front()), rows).count();
    writer_.tensor(name, lengths, number, static_cast<std::uint64_t>(bytes));
  }

  const PublishedShape shape_;
  mais::files::GgufWriter writer_;
};

}  // namespace llama_server
