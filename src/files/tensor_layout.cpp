#include "tensor_layout.hpp"

#include <algorithm>

namespace mais::files {

std::optional<std::string> size_tensor(TensorEntry& tensor) {
  const auto about = [&](const std::string& problem) {
    return "the tensor '" + shown(tensor.name) + "' " + problem;
  };
  // Zero lengths first: [2^62, 2^62, 0] is empty, not too large.
  const bool empty = std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end();
  const std::int64_t elements = empty ? 0 : tensor.elements();
  if (elements >= detail::kCountMax / 16) return about("has 2^59 elements or more");
  const ElementLayout& form = layout(tensor.type);
  const std::int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  if (is_block_quantised(tensor.type) && row % form.block_elements != 0) {
    return about("has rows of " + std::to_string(row) + " elements; " + std::string(form.name) +
                 " needs a multiple of " + std::to_string(form.block_elements));
  }
  // Types below a byte are packed over the whole tensor.
  tensor.bytes = bytes_of(tensor.type, elements);
  return std::nullopt;
}

Result<void> check_layout(const ModelFile& file, std::uint32_t part, const ByteSource& source,
                          std::uint64_t begin, bool dense) {
  std::vector<const TensorEntry*> order;
  for (const TensorEntry& tensor : file.tensors) {
    if (tensor.part == part) order.push_back(&tensor);
  }
  std::stable_sort(order.begin(), order.end(), [](const TensorEntry* a, const TensorEntry* b) {
    return a->offset < b->offset || (a->offset == b->offset && a->bytes < b->bytes);
  });
  std::uint64_t end = begin;
  for (const TensorEntry* tensor : order) {
    const std::string name = "the tensor '" + shown(tensor->name) + "'";
    const auto bytes = static_cast<std::uint64_t>(tensor->bytes.count());
    if (tensor->offset < end) {
      return source.wrong(
          tensor->offset,
          name + " overlaps the one before it, which ends at byte " + std::to_string(end));
    }
    if (dense && tensor->offset > end) {
      return source.wrong(end, "nothing says what lies here, before " + name + " at byte " +
                                   std::to_string(tensor->offset));
    }
    if (tensor->offset > source.size() || bytes > source.size() - tensor->offset) {
      return source.wrong(tensor->offset, name + " takes " + std::to_string(bytes) +
                                              " bytes, but the file ends at byte " +
                                              std::to_string(source.size()) +
                                              "; it is cut short or damaged");
    }
    end = tensor->offset + bytes;
  }
  if (dense && end != source.size()) {
    return source.wrong(end, "the last tensor ends here, but the file goes on to byte " +
                                 std::to_string(source.size()));
  }
  return {};
}

}  // namespace mais::files
