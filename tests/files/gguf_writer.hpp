// GGUF files made in tests: headers as a converter writes them, and data of zeros.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mais::files {

class GgufWriter {
 public:
  explicit GgufWriter(std::uint32_t version = 3, bool big_endian = false)
      : version_(version), big_endian_(big_endian) {}

  GgufWriter& text(std::string_view key, std::string_view value) {
    return entry(key, 8, string(value));
  }
  GgufWriter& u32(std::string_view key, std::uint32_t value) {
    return entry(key, 4, number(value));
  }
  GgufWriter& i32(std::string_view key, std::int32_t value) {
    return entry(key, 5, number(static_cast<std::uint32_t>(value)));
  }
  GgufWriter& u16(std::string_view key, std::uint16_t value) {
    return entry(key, 2, number(value));
  }
  GgufWriter& u64(std::string_view key, std::uint64_t value) {
    return entry(key, 10, number(value));
  }
  GgufWriter& f32(std::string_view key, float value) {
    return entry(key, 6, number(std::bit_cast<std::uint32_t>(value)));
  }
  GgufWriter& flag(std::string_view key, bool value) {
    return entry(key, 7, std::string(1, value ? '\1' : '\0'));
  }
  GgufWriter& i32s(std::string_view key, const std::vector<std::int32_t>& values) {
    std::string bytes = number(std::uint32_t{5}) + number(std::uint64_t{values.size()});
    for (const std::int32_t value : values) bytes += number(static_cast<std::uint32_t>(value));
    return entry(key, 9, bytes);
  }
  GgufWriter& texts(std::string_view key, std::size_t count, std::string_view each = "tok") {
    std::string bytes = number(std::uint32_t{8}) + number(std::uint64_t{count});
    for (std::size_t i = 0; i < count; ++i) bytes += string(each);
    return entry(key, 9, bytes);
  }
  // Any bytes as a value of that kind.
  GgufWriter& entry(std::string_view key, std::uint32_t kind, const std::string& bytes) {
    metadata_ += string(key) + number(kind) + bytes;
    ++entries_;
    return *this;
  }
  // Innermost length first, as in the file; `bytes` of data follow the ones before.
  GgufWriter& tensor(std::string_view name, const std::vector<std::uint64_t>& lengths,
                     std::uint32_t type, std::uint64_t bytes) {
    return tensor_at(name, lengths, type, data_).pad(bytes);
  }
  GgufWriter& tensor_at(std::string_view name, const std::vector<std::uint64_t>& lengths,
                        std::uint32_t type, std::uint64_t offset) {
    tensors_ += string(name) + number(static_cast<std::uint32_t>(lengths.size()));
    for (const std::uint64_t length : lengths) tensors_ += number(length);
    tensors_ += number(type) + number(offset);
    ++count_;
    return *this;
  }

  std::string number(std::unsigned_integral auto value) const {
    std::string bytes;
    for (std::size_t i = 0; i < sizeof value; ++i) {
      const std::size_t shift = 8 * (big_endian_ ? sizeof value - 1 - i : i);
      bytes += static_cast<char>((static_cast<std::uint64_t>(value) >> shift) & 0xff);
    }
    return bytes;
  }
  std::string string(std::string_view text) const {
    return number(std::uint64_t{text.size()}) + std::string(text);
  }

  std::string header() const {
    std::string bytes =
        "GGUF" + number(version_) + number(count_) + number(entries_) + metadata_ + tensors_;
    while (bytes.size() % 32 != 0) bytes += '\0';
    return bytes;
  }
  std::uint64_t data_bytes() const { return data_; }
  std::string bytes() const { return header() + std::string(data_, '\0'); }

 private:
  GgufWriter& pad(std::uint64_t bytes) {
    data_ += (bytes + 31) / 32 * 32;
    return *this;
  }

  std::uint32_t version_;
  bool big_endian_;
  std::uint64_t entries_ = 0, count_ = 0, data_ = 0;
  std::string metadata_, tensors_;
};

// A llama of two layers with everything that one has.
inline GgufWriter small_gguf(std::uint32_t version = 3, bool big_endian = false) {
  GgufWriter writer(version, big_endian);
  writer.text("general.architecture", "llama").text("general.name", "small");
  writer.u32("llama.block_count", 2).u32("llama.context_length", 2048);
  writer.u32("llama.embedding_length", 64).u32("llama.feed_forward_length", 128);
  writer.u32("llama.attention.head_count", 4).u32("llama.attention.head_count_kv", 2);
  writer.f32("llama.rope.freq_base", 10000).flag("tokenizer.ggml.add_bos_token", true);
  writer.texts("tokenizer.ggml.tokens", 32);
  writer.tensor("token_embd.weight", {64, 32}, 8, 32 * 64 / 32 * 34);
  for (const char* block : {"blk.0.", "blk.1."}) {
    const std::string at = block;
    writer.tensor(at + "attn_norm.weight", {64}, 0, 256);
    writer.tensor(at + "attn_q.weight", {64, 64}, 2, 64 * 64 / 32 * 18);
    writer.tensor(at + "attn_k.weight", {64, 32}, 2, 32 * 64 / 32 * 18);
    writer.tensor(at + "attn_v.weight", {64, 32}, 2, 32 * 64 / 32 * 18);
    writer.tensor(at + "attn_output.weight", {64, 64}, 2, 64 * 64 / 32 * 18);
    writer.tensor(at + "ffn_norm.weight", {64}, 0, 256);
    writer.tensor(at + "ffn_gate.weight", {64, 128}, 2, 128 * 64 / 32 * 18);
    writer.tensor(at + "ffn_up.weight", {64, 128}, 2, 128 * 64 / 32 * 18);
    writer.tensor(at + "ffn_down.weight", {128, 64}, 2, 128 * 64 / 32 * 18);
  }
  writer.tensor("output_norm.weight", {64}, 0, 256);
  writer.tensor("output.weight", {64, 32}, 1, 32 * 64 * 2);
  return writer;
}

}  // namespace mais::files
