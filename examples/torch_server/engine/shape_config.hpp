// The shape of a model from the config.json that lies beside its weights.
#pragma once

#include <string>
#include <string_view>

#include "mais/result.hpp"
#include "shape.hpp"

namespace torch_server {

// Takes what these engines compute and no more: model_type "llama", or "mistral" without a sliding
// window; no biases, no scaled rotary angles, "silu". parse_error: not JSON, or a field is missing
// or of another kind; invalid_argument: a model that would be computed wrongly, with the field and
// what would be right.
mais::Result<Shape> parse_shape(std::string_view json, std::string_view origin);
// The same from a file; io_error too.
mais::Result<Shape> read_shape(const std::string& path);

}  // namespace torch_server
