#include "safetensors_weights.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "mais/files/safetensors.hpp"

namespace torch_server {

namespace {

using mais::files::ElementType;
using mais::files::TensorEntry;

// IEEE 754 binary16.
float from_half(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits & 0x8000U} << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1FU;
  const std::uint32_t fraction = bits & 0x3FFU;
  if (exponent == 0) {  // zero, and numbers below 2^-14
    const float small = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -small : small;
  }
  const std::uint32_t wide = exponent == 0x1FU ? 0xFFU : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

float from_brain(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(size);
  }
  return text + "]";
}

class SafetensorsWeights final : public WeightSource {
 public:
  SafetensorsWeights(std::string path, mais::files::ModelFile file)
      : path_(std::move(path)), file_(std::move(file)), streams_(file_.parts.size()) {
    for (const TensorEntry& tensor : file_.tensors) tensors_.emplace(tensor.name, &tensor);
  }

  std::string describe() const override { return path_; }

  mais::Result<void> read(std::string_view name, std::int64_t rows, std::int64_t columns,
                          std::int64_t first, std::span<float> values) override {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      return mais::fail(mais::ErrorCode::not_found,
                        path_ + ": there is no tensor " + std::string(name));
    }
    const TensorEntry& tensor = *found->second;
    const std::vector<std::int64_t> matrix{rows, columns}, vector{columns};
    if (tensor.shape != matrix && !(rows == 1 && tensor.shape == vector)) {
      return mais::fail(mais::ErrorCode::invalid_argument,
                        path_ + ": " + tensor.name + " is " + shape_text(tensor.shape) +
                            "; the configuration makes it " +
                            shape_text(rows == 1 ? vector : matrix));
    }
    const bool wide = tensor.type == ElementType::f32;
    if (!wide && tensor.type != ElementType::f16 && tensor.type != ElementType::bf16) {
      return mais::fail(mais::ErrorCode::invalid_argument,
                        path_ + ": " + tensor.name + " is stored as " +
                            std::string(to_string(tensor.type)) + "; f32, f16 and bf16 are read");
    }
    const std::size_t size = wide ? 4 : 2;
    bytes_.resize(values.size() * size);
    const auto offset =
        tensor.offset + static_cast<std::uint64_t>(first * columns) * std::uint64_t{size};
    if (!fetch(tensor.part, offset)) {
      return mais::fail(mais::ErrorCode::io_error, file_.parts[tensor.part].path + ": reading " +
                                                       tensor.name + " failed at byte " +
                                                       std::to_string(offset));
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (wide) {
        std::memcpy(&values[i], bytes_.data() + 4 * i, 4);
      } else {
        std::uint16_t bits = 0;
        std::memcpy(&bits, bytes_.data() + 2 * i, 2);
        values[i] = tensor.type == ElementType::f16 ? from_half(bits) : from_brain(bits);
      }
    }
    return {};
  }

 private:
  bool fetch(std::uint32_t part, std::uint64_t offset) {
    std::ifstream& stream = streams_[part];
    if (!stream.is_open()) stream.open(file_.parts[part].path, std::ios::binary);
    stream.clear();
    stream.seekg(static_cast<std::streamoff>(offset));
    stream.read(bytes_.data(), static_cast<std::streamsize>(bytes_.size()));
    return stream.good();
  }

  std::string path_;
  mais::files::ModelFile file_;
  std::map<std::string, const TensorEntry*, std::less<>> tensors_;
  std::vector<std::ifstream> streams_;  // of the parts
  std::vector<char> bytes_;             // kept for its room
};

}  // namespace

mais::Result<std::unique_ptr<WeightSource>> safetensors_weights(const std::string& path) {
  namespace fs = std::filesystem;
  std::string file = path;
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    file = (fs::path(path) / "model.safetensors.index.json").string();
    if (!fs::exists(file, ignored)) file = (fs::path(path) / "model.safetensors").string();
  }
  auto read = mais::files::read_safetensors(file);
  if (!read) return tl::unexpected<mais::Error>(std::move(read.error()));
  return std::make_unique<SafetensorsWeights>(file, std::move(*read));
}

}  // namespace torch_server
