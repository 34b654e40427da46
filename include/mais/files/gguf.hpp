// GGUF, the file format of llama.cpp: versions 2 and 3, little and big endian, whole and split.
// Source: docs/gguf.md of ggml, and the numbers of its types in ggml.h.
#pragma once

#include <string>
#include <string_view>

#include "mais/files/model_file.hpp"

namespace mais::files {

// The model that the file at `path` holds, or is a part of: the other parts of a split are found by
// its name ("x-00002-of-00005.gguf"), and all must be there. Errors: not_found, io_error (path);
// parse_error (file, byte, what would be right): no GGUF, a version that is not read, counts,
// lengths or offsets beyond the file, tensors that overlap or end behind it, names given twice,
// parts that do not belong together, more than `limits`. O(bytes of the headers).
Result<ModelFile> read_gguf(const std::string& path, const ReadLimits& limits = {});

// The same for one file that lies in memory; a part of a split gives what it holds.
Result<ModelFile> parse_gguf(std::string_view bytes, std::string_view origin,
                             const ReadLimits& limits = {});

}  // namespace mais::files
