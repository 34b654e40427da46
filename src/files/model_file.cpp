#include "mais/files/model_file.hpp"

#include <cmath>

namespace mais::files {

std::string_view to_string(ModelFormat format) noexcept {
  switch (format) {
    case ModelFormat::gguf:
      return "GGUF";
    case ModelFormat::safetensors:
      return "safetensors";
    case ModelFormat::onnx:
      return "ONNX";
  }
  return "unknown";
}

std::int64_t TensorEntry::elements() const noexcept {
  std::int64_t product = 1;
  for (const std::int64_t length : shape) product = detail::saturating_multiply(product, length);
  return product;
}

Bytes ModelFile::weight_bytes() const noexcept {
  Bytes sum;
  for (const TensorEntry& tensor : tensors) sum += tensor.bytes;
  return sum;
}

std::int64_t ModelFile::parameters() const noexcept {
  std::int64_t sum = 0;
  for (const TensorEntry& tensor : tensors) sum = detail::saturating_add(sum, tensor.elements());
  return sum;
}

Bytes ModelFile::file_bytes() const noexcept {
  Bytes sum;
  for (const FilePart& part : parts) sum += part.size;
  return sum;
}

std::optional<std::int64_t> ModelFile::integer(std::string_view key) const {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return std::nullopt;
  if (const auto* whole = std::get_if<std::int64_t>(&found->second)) return *whole;
  if (const auto* real = std::get_if<double>(&found->second)) {
    if (std::trunc(*real) == *real && std::abs(*real) < 9e15) {
      return static_cast<std::int64_t>(*real);
    }
  }
  return std::nullopt;
}

std::optional<std::string> ModelFile::text(std::string_view key) const {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return std::nullopt;
  const auto* text = std::get_if<std::string>(&found->second);
  return text == nullptr ? std::nullopt : std::optional(*text);
}

std::optional<std::int64_t> ModelFile::list_size(std::string_view key) const {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return std::nullopt;
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(&found->second)) {
    return static_cast<std::int64_t>(list->size());
  }
  if (const auto* list = std::get_if<std::vector<double>>(&found->second)) {
    return static_cast<std::int64_t>(list->size());
  }
  if (const auto* list = std::get_if<OmittedList>(&found->second)) return list->count;
  return std::nullopt;
}

}  // namespace mais::files
