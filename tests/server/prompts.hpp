// Prompts for tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tokenizer.hpp"

namespace server {

// Prompts that differ from their first token on.
inline std::vector<Token> prompt_of(std::size_t length, std::uint64_t seed) {
  std::vector<Token> tokens;
  std::uint64_t bits = seed * 2654435761U + 1;
  for (std::size_t i = 0; i < length; ++i) {
    bits = bits * 6364136223846793005ULL + 1442695040888963407ULL;
    tokens.push_back(static_cast<Token>((bits >> 33) % 256));
  }
  return tokens;
}

}  // namespace server
