// What every format has in common about where the data of tensors lies.
#pragma once

#include <optional>
#include <string>

#include "byte_source.hpp"
#include "mais/files/model_file.hpp"

namespace mais::files {

// Sets tensor.bytes from its type and shape; what is wrong with them otherwise: lengths that
// multiply to 2^63 or more, rows that are not whole blocks.
std::optional<std::string> size_tensor(TensorEntry& tensor);

// Every tensor of `part` begins at `begin` or later, ends in the file, and overlaps no other; with
// `dense`, no byte from `begin` to the end of the file belongs to none. O(tensors log tensors).
Result<void> check_layout(const ModelFile& file, std::uint32_t part, const ByteSource& source,
                          std::uint64_t begin, bool dense);

}  // namespace mais::files
