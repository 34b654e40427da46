// Architectures from the metadata of GGUF files.
// Keys: docs/gguf.md of ggml, and the constants of its `gguf-py`.
#pragma once

#include "mais/files/architecture.hpp"
#include "mais/files/hf_config.hpp"
#include "mais/files/model_file.hpp"

namespace mais::files {

// What `general.architecture` and its keys say. Errors: parse_error (file, key, what would be
// right); not_found for an architecture that is not known, with those that are, unless a guess is
// asked for. O(metadata + layers).
Result<Architecture> gguf_architecture(const ModelFile& file, const ConfigOptions& options = {});

// Every architecture that is known.
std::vector<std::string> gguf_architectures();

}  // namespace mais::files
