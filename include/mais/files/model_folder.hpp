// A model as people have it on disk: a GGUF file, a safetensors file, or a folder of them with a
// config.json; also a config.json alone.
#pragma once

#include <optional>
#include <string>

#include "mais/files/architecture.hpp"
#include "mais/files/hf_config.hpp"
#include "mais/files/model_file.hpp"

namespace mais::files {

struct ModelOnDisk {
  Architecture architecture{};
  std::optional<ModelFile> file{};  // none: only the configuration is there
};

// Reads headers and configuration. In a folder: the index of shards, else model.safetensors, else
// the only .safetensors file, else the only GGUF model, else config.json alone. Errors: those of
// the readers; not_found with what a folder would need; invalid_argument where a folder holds
// several models, or a file is of no kind that is read.
Result<ModelOnDisk> open_model(const std::string& path, const ConfigOptions& options = {},
                               const ReadLimits& limits = {});

}  // namespace mais::files
