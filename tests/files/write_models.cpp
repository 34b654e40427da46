// Writes models as people have them, with holes in the place of weights: write_models <folder>
// makes llama8b.gguf (split in two), llama70b-q4_k.gguf and -q8_0.gguf, llama8b/ (sharded
// safetensors), qwen/ (a config.json alone).
#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "gguf_writer.hpp"
#include "safetensors_writer.hpp"

namespace {

using namespace mais::files;

// Llama 3 and 3.1.
struct Shape {
  std::int64_t layers, width, kv, inner, heads;
};
constexpr Shape k8b{32, 4096, 1024, 14336, 32}, k70b{80, 8192, 1024, 28672, 64};
constexpr std::int64_t kWords = 128256;
constexpr std::int64_t kLayers = k8b.layers, kWidth = k8b.width;

// A type of ggml: so many bytes for a block of so many weights.
struct Type {
  std::uint32_t number;
  std::int64_t block, bytes;
};
constexpr Type kQ4_0{2, 32, 18}, kQ8_0{8, 32, 34}, kQ4_K{12, 256, 144};

using Matrix = std::pair<const char*, std::pair<std::int64_t, std::int64_t>>;  // name; rows, row
std::array<Matrix, 7> matrices(const Shape& s) {
  return {{{"attn_q", {s.width, s.width}},
           {"attn_k", {s.kv, s.width}},
           {"attn_v", {s.kv, s.width}},
           {"attn_output", {s.width, s.width}},
           {"ffn_gate", {s.inner, s.width}},
           {"ffn_up", {s.inner, s.width}},
           {"ffn_down", {s.width, s.inner}}}};
}
constexpr const char* kHf[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                               "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                               "mlp.down_proj"};

void write(const std::filesystem::path& path, const std::string& header, std::uint64_t holes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << header;
  if (holes > 0) std::filesystem::resize_file(path, header.size() + holes);
}

// Matrices in blocks and norms in f32, as llama.cpp writes them.
void matrix(GgufWriter& writer, const std::string& name, std::int64_t rows, std::int64_t row,
            const Type& type) {
  writer.tensor(name, {static_cast<std::uint64_t>(row), static_cast<std::uint64_t>(rows)},
                type.number, static_cast<std::uint64_t>(rows * row / type.block * type.bytes));
}
void norm(GgufWriter& writer, const std::string& name, std::int64_t width) {
  writer.tensor(name, {static_cast<std::uint64_t>(width)}, 0,
                static_cast<std::uint64_t>(4 * width));
}

// In one file, or in two.
void write_gguf(const std::vector<std::filesystem::path>& files, const std::string& name,
                const Shape& shape, const Type& type) {
  const auto u32 = [](std::int64_t n) { return static_cast<std::uint32_t>(n); };
  std::vector<GgufWriter> parts(files.size());
  parts[0].text("general.architecture", "llama").text("general.name", name);
  parts[0].u32("llama.block_count", u32(shape.layers)).u32("llama.context_length", 131072);
  parts[0].u32("llama.embedding_length", u32(shape.width));
  parts[0].u32("llama.feed_forward_length", u32(shape.inner));
  parts[0].u32("llama.attention.head_count", u32(shape.heads));
  parts[0].u32("llama.attention.head_count_kv", 8);
  parts[0].texts("tokenizer.ggml.tokens", kWords);
  if (files.size() > 1) {
    parts[0].i32("split.tensors.count", static_cast<std::int32_t>(3 + 9 * shape.layers));
    for (std::size_t i = 0; i < files.size(); ++i) {
      parts[i].u16("split.no", static_cast<std::uint16_t>(i));
      parts[i].u16("split.count", static_cast<std::uint16_t>(files.size()));
    }
  }
  matrix(parts[0], "token_embd.weight", kWords, shape.width, type);
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    GgufWriter& writer = layer < shape.layers / 2 ? parts.front() : parts.back();
    const std::string at = "blk." + std::to_string(layer) + ".";
    norm(writer, at + "attn_norm.weight", shape.width);
    norm(writer, at + "ffn_norm.weight", shape.width);
    const auto all = matrices(shape);
    for (const auto& [part, sides] : all) {
      matrix(writer, at + part + ".weight", sides.first, sides.second, type);
    }
  }
  norm(parts.back(), "output_norm.weight", shape.width);
  matrix(parts.back(), "output.weight", kWords, shape.width, type);
  for (std::size_t i = 0; i < files.size(); ++i) {
    write(files[i], parts[i].header(), parts[i].data_bytes());
  }
}

void write_safetensors(const std::filesystem::path& folder) {
  SafetensorsWriter shards[2];
  std::string map;
  const auto add = [&](int shard, const std::string& name, std::vector<std::int64_t> shape) {
    std::int64_t bytes = 2;
    for (const std::int64_t length : shape) bytes *= length;
    shards[shard].tensor(name, "BF16", shape, static_cast<std::uint64_t>(bytes));
    map += (map.empty() ? "\"" : ",\"") + name + "\":\"model-" + std::to_string(shard) +
           ".safetensors\"";
  };
  add(0, "model.embed_tokens.weight", {kWords, kWidth});
  for (std::int64_t layer = 0; layer < kLayers; ++layer) {
    const int shard = layer < kLayers / 2 ? 0 : 1;
    const std::string at = "model.layers." + std::to_string(layer) + ".";
    add(shard, at + "input_layernorm.weight", {kWidth});
    add(shard, at + "post_attention_layernorm.weight", {kWidth});
    for (std::size_t i = 0; i < std::size(kHf); ++i) {
      const auto sides = matrices(k8b)[i].second;
      add(shard, at + kHf[i] + ".weight", {sides.first, sides.second});
    }
  }
  add(1, "model.norm.weight", {kWidth});
  add(1, "lm_head.weight", {kWords, kWidth});
  for (int i = 0; i < 2; ++i) {
    write(folder / ("model-" + std::to_string(i) + ".safetensors"), shards[i].header(),
          shards[i].data_bytes());
  }
  write(folder / "model.safetensors.index.json", "{\"weight_map\":{" + map + "}}", 0);
  write(folder / "config.json",
        R"({"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
 "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
 "vocab_size": 128256, "max_position_embeddings": 131072, "torch_dtype": "bfloat16"})",
        0);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const std::filesystem::path folder = arguments[1];
  write_gguf({folder / "llama8b-00001-of-00002.gguf", folder / "llama8b-00002-of-00002.gguf"},
             "Llama 3.1 8B Instruct", k8b, kQ4_0);
  write_gguf({folder / "llama70b-q4_k.gguf"}, "Llama 3.1 70B Instruct", k70b, kQ4_K);
  write_gguf({folder / "llama70b-q8_0.gguf"}, "Llama 3.1 70B Instruct", k70b, kQ8_0);
  write_safetensors(folder / "llama8b");
  write(folder / "qwen/config.json",
        R"({"model_type": "qwen3_moe", "hidden_size": 2048, "intermediate_size": 6144,
 "moe_intermediate_size": 768, "num_hidden_layers": 48, "num_attention_heads": 32,
 "num_key_value_heads": 4, "head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8,
 "vocab_size": 151936, "max_position_embeddings": 40960, "torch_dtype": "bfloat16"})",
        0);
}
