// How a GGUF model is run.
#pragma once

#include <cstdint>
#include <string>

#include "mais/files/element_type.hpp"
#include "mais/units.hpp"

namespace llama_server {

// llama.cpp makes caches of so many cells, and multiples.
inline constexpr std::int64_t kCellBlock = 256;

struct Settings {
  std::string path{};                // a GGUF file; of a split, the first
  std::int64_t cells = 4096;         // of the cache, shared by all sequences; whole blocks
  mais::Tokens step_tokens{256};     // computed at once; a larger step is cut
  std::int32_t sequences = 40;       // with state at once
  std::int32_t step_sequences = 32;  // that emit a token in one step
  mais::files::ElementType kv_type = mais::files::ElementType::f16;  // or f32, bf16, q8_0, q4_0
  // Attention without a matrix of scores in memory (flash attention). Its sums are rounded to 16
  // bits here and there, so that they depend more on the batch.
  bool fused_attention = true;
  std::int32_t threads = 1;
};

}  // namespace llama_server
