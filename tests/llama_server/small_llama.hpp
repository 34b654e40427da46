// Engines on small models with random weights.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "llama_engine.hpp"
#include "random_gguf.hpp"
#include "scratch_folder.hpp"
#include "server/small_budgets.hpp"

namespace llama_server {

using server::SmallBudgets;
using Tokens32 = std::vector<Token>;

inline Settings small_settings(std::string path) {
  return {.path = std::move(path),
          .cells = 512,
          .step_tokens = mais::Tokens(64),
          .sequences = 16,
          .step_sequences = 12,
          .kv_type = mais::files::ElementType::f32};
}

// Bytes of a text, as the vocabulary of random_gguf.hpp has them.
inline Tokens32 prompt_of(std::size_t length, std::uint64_t seed) {
  GgufNumbers numbers(seed + 1000);
  Tokens32 prompt{RandomGgufFile::kBegin};
  while (prompt.size() < length) {
    prompt.push_back(static_cast<std::int32_t>(RandomGgufFile::kFirstByte + numbers.next() % 256));
  }
  return prompt;
}

}  // namespace llama_server
