// Writes the weights of a source as a safetensors file, as F32, BF16 or F16.
#pragma once

#include <bit>
#include <cstdint>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "shape.hpp"
#include "weights.hpp"

namespace torch_server {

class SafetensorsWriter {
 public:
  struct Tensor {
    std::string name;
    std::vector<std::int64_t> shape;
  };

  // All tensors of a decoder, in their order.
  static std::vector<Tensor> tensors(const Shape& shape) {
    std::vector<Tensor> list{{"model.embed_tokens.weight", {shape.vocabulary, shape.hidden}}};
    for (std::int64_t i = 0; i < shape.layers; ++i) {
      const std::string at = "model.layers." + std::to_string(i) + ".";
      list.push_back({at + "input_layernorm.weight", {shape.hidden}});
      list.push_back({at + "self_attn.q_proj.weight", {shape.query_width(), shape.hidden}});
      list.push_back({at + "self_attn.k_proj.weight", {shape.kv_width(), shape.hidden}});
      list.push_back({at + "self_attn.v_proj.weight", {shape.kv_width(), shape.hidden}});
      list.push_back({at + "self_attn.o_proj.weight", {shape.hidden, shape.query_width()}});
      list.push_back({at + "post_attention_layernorm.weight", {shape.hidden}});
      list.push_back({at + "mlp.gate_proj.weight", {shape.feed_forward, shape.hidden}});
      list.push_back({at + "mlp.up_proj.weight", {shape.feed_forward, shape.hidden}});
      list.push_back({at + "mlp.down_proj.weight", {shape.hidden, shape.feed_forward}});
    }
    list.push_back({"model.norm.weight", {shape.hidden}});
    if (!shape.tied) list.push_back({"lm_head.weight", {shape.vocabulary, shape.hidden}});
    return list;
  }

  // `type`: F32, BF16 (cut off) or F16 (of numbers that it has).
  static void write(const std::string& path, const std::vector<Tensor>& list, WeightSource& source,
                    const std::string& type) {
    std::string header = "{", data;
    for (const Tensor& tensor : list) {
      const std::int64_t columns = tensor.shape.back();
      const std::int64_t rows = tensor.shape.size() == 1 ? 1 : tensor.shape.front();
      std::vector<float> values(static_cast<std::size_t>(rows * columns));
      if (!source.read(tensor.name, rows, columns, 0, values)) std::abort();
      const std::size_t from = data.size();
      for (const float value : values) {
        const auto bits = std::bit_cast<std::uint32_t>(value);
        std::uint32_t out = bits;
        if (type == "BF16") out = bits >> 16;
        if (type == "F16") out = half(bits);
        for (std::size_t i = 0; i < (type == "F32" ? 4U : 2U); ++i) {
          data.push_back(static_cast<char>(out >> (8 * i)));
        }
      }
      std::string sizes;
      for (const std::int64_t size : tensor.shape) {
        sizes += (sizes.empty() ? "" : ",") + std::to_string(size);
      }
      header += (header.size() > 1 ? ",\"" : "\"") + tensor.name + "\":{\"dtype\":\"" + type +
                "\",\"shape\":[" + sizes + "],\"data_offsets\":[" + std::to_string(from) + "," +
                std::to_string(data.size()) + "]}";
    }
    header += "}";
    std::ofstream out(path, std::ios::binary);
    const std::uint64_t length = header.size();
    for (int i = 0; i < 8; ++i) out.put(static_cast<char>(length >> (8 * i)));
    out << header << data;
  }

  // Rounds towards zero; what is too small becomes zero, what is too large infinite.
  static std::uint32_t half(std::uint32_t bits) {
    const std::uint32_t sign = bits >> 16 & 0x8000U;
    const int exponent = static_cast<int>(bits >> 23 & 0xFFU) - 112;
    if (exponent <= 0) return sign;
    if (exponent >= 31) return sign | 0x7C00U;
    return sign | static_cast<std::uint32_t>(exponent) << 10 | (bits >> 13 & 0x3FFU);
  }
};

}  // namespace torch_server
