// Safetensors, the format of Hugging Face: one file, or shards with an index.
// Source: the format's section of the safetensors README, and its Dtype.
#pragma once

#include <string>
#include <string_view>

#include "mais/files/model_file.hpp"

namespace mais::files {

// The model at `path`: a .safetensors file, or an index ("model.safetensors.index.json") with all
// the files that it names, which lie beside it. ModelFile::architecture stays empty: config.json
// has it (hf_config.hpp). Errors: not_found, io_error (path); parse_error (file, byte or line, what
// would be right): a header that is not JSON, nested too deep or longer than the file, offsets that
// do not fit the type and shape, gaps and overlaps, a tensor that its file does not have, more than
// `limits`. O(bytes of the headers).
Result<ModelFile> read_safetensors(const std::string& path, const ReadLimits& limits = {});

// The same for one file that lies in memory.
Result<ModelFile> parse_safetensors(std::string_view bytes, std::string_view origin,
                                    const ReadLimits& limits = {});

}  // namespace mais::files
