// Writes models as people have them, with holes in the place of weights: write_models <folder>
// makes llama8b.gguf (split in two), llama8b/ (sharded safetensors), qwen/ (a config.json alone).
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "gguf_writer.hpp"
#include "safetensors_writer.hpp"

namespace {

using namespace mais::files;

constexpr std::int64_t kLayers = 32, kWidth = 4096, kKv = 1024, kInner = 14336, kWords = 128256;

constexpr std::pair<const char*, std::pair<std::int64_t, std::int64_t>> kGguf[] = {
    {"attn_q", {kWidth, kWidth}},      {"attn_k", {kKv, kWidth}},      {"attn_v", {kKv, kWidth}},
    {"attn_output", {kWidth, kWidth}}, {"ffn_gate", {kInner, kWidth}}, {"ffn_up", {kInner, kWidth}},
    {"ffn_down", {kWidth, kInner}}};
constexpr const char* kHf[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                               "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                               "mlp.down_proj"};

void write(const std::filesystem::path& path, const std::string& header, std::uint64_t holes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << header;
  if (holes > 0) std::filesystem::resize_file(path, header.size() + holes);
}

// Q4_0 with f32 norms, as llama.cpp writes it.
void q4_0(GgufWriter& writer, const std::string& name, std::int64_t rows, std::int64_t row) {
  writer.tensor(name, {static_cast<std::uint64_t>(row), static_cast<std::uint64_t>(rows)}, 2,
                static_cast<std::uint64_t>(rows * row / 32 * 18));
}
void norm(GgufWriter& writer, const std::string& name) {
  writer.tensor(name, {kWidth}, 0, 4 * kWidth);
}

void write_gguf(const std::filesystem::path& folder) {
  GgufWriter parts[2];
  parts[0].text("general.architecture", "llama").text("general.name", "Llama 3.1 8B Instruct");
  parts[0].u32("llama.block_count", kLayers).u32("llama.context_length", 131072);
  parts[0].u32("llama.embedding_length", kWidth).u32("llama.feed_forward_length", kInner);
  parts[0].u32("llama.attention.head_count", 32).u32("llama.attention.head_count_kv", 8);
  parts[0].texts("tokenizer.ggml.tokens", kWords).i32("split.tensors.count", 3 + 9 * kLayers);
  for (std::uint16_t i = 0; i < 2; ++i) parts[i].u16("split.no", i).u16("split.count", 2);
  q4_0(parts[0], "token_embd.weight", kWords, kWidth);
  for (std::int64_t layer = 0; layer < kLayers; ++layer) {
    GgufWriter& writer = parts[layer < kLayers / 2 ? 0 : 1];
    const std::string at = "blk." + std::to_string(layer) + ".";
    norm(writer, at + "attn_norm.weight");
    norm(writer, at + "ffn_norm.weight");
    for (const auto& [name, shape] : kGguf) {
      q4_0(writer, at + name + ".weight", shape.first, shape.second);
    }
  }
  norm(parts[1], "output_norm.weight");
  q4_0(parts[1], "output.weight", kWords, kWidth);
  write(folder / "llama8b-00001-of-00002.gguf", parts[0].header(), parts[0].data_bytes());
  write(folder / "llama8b-00002-of-00002.gguf", parts[1].header(), parts[1].data_bytes());
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
      add(shard, at + kHf[i] + ".weight", {kGguf[i].second.first, kGguf[i].second.second});
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
  write_gguf(folder);
  write_safetensors(folder / "llama8b");
  write(folder / "qwen/config.json",
        R"({"model_type": "qwen3_moe", "hidden_size": 2048, "intermediate_size": 6144,
 "moe_intermediate_size": 768, "num_hidden_layers": 48, "num_attention_heads": 32,
 "num_key_value_heads": 4, "head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8,
 "vocab_size": 151936, "max_position_embeddings": 40960, "torch_dtype": "bfloat16"})",
        0);
}
