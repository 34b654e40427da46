// Weights from safetensors files, with the tensor names of the Llama family.
#pragma once

#include <memory>
#include <string>

#include "weights.hpp"

namespace torch_server {

// The weights at `path`: a .safetensors file, an index of shards, or a folder with
// model.safetensors or model.safetensors.index.json. Reads headers only; tensors are read when they
// are asked for. Types: F32, F16, BF16. Errors as mais::files::read_safetensors.
mais::Result<std::unique_ptr<WeightSource>> safetensors_weights(const std::string& path);

}  // namespace torch_server
