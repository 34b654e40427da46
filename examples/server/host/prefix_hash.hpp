// Names the blocks of a prompt, so that equal names mean equal prefixes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine.hpp"
#include "mais/request.hpp"

namespace server {

// One hash for each whole block of `block` tokens, of the block and all before it. `key` keeps
// people from making two prompts whose hashes agree: take it at random and keep it to the process.
// The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) over a chain, once a token.
inline std::vector<mais::BlockHash> prefix_hashes(std::span<const Token> prompt, std::int64_t block,
                                                  std::uint64_t key) {
  std::vector<mais::BlockHash> hashes;
  if (block <= 0) return hashes;
  const auto mixed = [](std::uint64_t bits) {
    bits += 0x9e3779b97f4a7c15ULL;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ULL;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebULL;
    return bits ^ (bits >> 31);
  };
  const auto whole = prompt.size() / static_cast<std::size_t>(block);
  std::uint64_t state = mixed(key);
  for (std::size_t i = 0; i < whole * static_cast<std::size_t>(block); ++i) {
    state = mixed(state ^ mixed(key + static_cast<std::uint64_t>(prompt[i])));
    if ((i + 1) % static_cast<std::size_t>(block) == 0) hashes.push_back(state);
  }
  return hashes;
}

}  // namespace server
