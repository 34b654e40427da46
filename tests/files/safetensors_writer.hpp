// Safetensors files made in tests: a header, and data of zeros.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mais::files {

class SafetensorsWriter {
 public:
  SafetensorsWriter& tensor(std::string_view name, std::string_view type,
                            const std::vector<std::int64_t>& shape, std::uint64_t bytes) {
    std::string lengths;
    for (const std::int64_t length : shape) {
      lengths += (lengths.empty() ? "" : ",") + std::to_string(length);
    }
    return raw("\"" + std::string(name) + "\":{\"dtype\":\"" + std::string(type) +
               "\",\"shape\":[" + lengths + "],\"data_offsets\":[" + std::to_string(data_) + "," +
               std::to_string(data_ + bytes) + "]}")
        .data(bytes);
  }
  SafetensorsWriter& metadata(std::string_view key, std::string_view value) {
    return raw("\"__metadata__\":{\"" + std::string(key) + "\":\"" + std::string(value) + "\"}");
  }
  // A member of the header as it is.
  SafetensorsWriter& raw(const std::string& member) {
    members_ += (members_.empty() ? "" : ",") + member;
    return *this;
  }
  SafetensorsWriter& data(std::uint64_t bytes) {
    data_ += bytes;
    return *this;
  }
  std::string header() const { return with_length("{" + members_ + "}"); }
  std::uint64_t data_bytes() const { return data_; }
  std::string bytes() const { return header() + std::string(data_, '\0'); }

  // Any text as the header of a file.
  static std::string with_length(const std::string& text) {
    std::string bytes;
    for (unsigned i = 0; i < 8; ++i) {
      bytes += static_cast<char>((text.size() >> (8 * i)) & 0xff);
    }
    return bytes + text;
  }

 private:
  std::string members_;
  std::uint64_t data_ = 0;
};

inline SafetensorsWriter small_safetensors() {
  SafetensorsWriter writer;
  writer.metadata("format", "pt");
  writer.tensor("model.embed_tokens.weight", "BF16", {32, 64}, 4096);
  writer.tensor("model.layers.0.self_attn.q_proj.weight", "BF16", {64, 64}, 8192);
  writer.tensor("model.layers.0.mlp.up_proj.weight", "F8_E4M3", {128, 64}, 8192);
  writer.tensor("model.norm.weight", "F32", {64}, 256);
  writer.tensor("scale", "F32", {}, 4);
  return writer;
}

}  // namespace mais::files
