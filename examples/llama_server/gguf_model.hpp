// A model as a command line names it: NAME=FILE, a GGUF file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine_maker.hpp"
#include "mais/files/element_type.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"

namespace llama_server {

struct GgufModelOptions {
  mais::Tokens max_context{4096};  // of a request, where the model was trained for more
  mais::files::ElementType kv_type = mais::files::ElementType::f16;
  bool fused_attention = true;
  std::int32_t threads = 1;  // of each model
};

// invalid_argument: the text names no model. What is in the file is seen when the engine is made.
mais::Result<server::EngineMaker> gguf_model(std::string_view text,
                                             const GgufModelOptions& options);

}  // namespace llama_server
