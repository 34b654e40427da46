// Problems with a known plan: an arena cut into buffers until none is left to cut, so that the load
// is full nearly everywhere, as in the challenging instances of the MiniMalloc paper.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "mais/graph/arena.hpp"

namespace mais::graph {

struct PackedArena {
  std::int64_t height = 1024;  // in units of 1 KiB
  std::int64_t steps = 400;
  std::size_t buffers = 200;
  int dropped_percent = 5;  // of the pieces, so that there is some slack
};

inline std::vector<Buffer> pack(const PackedArena& shape, std::mt19937_64& random) {
  struct Piece {
    std::int64_t lower, upper, bottom, top;
  };
  const auto below = [&random](std::int64_t bound) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(bound));
  };
  std::vector<Piece> pieces{{0, shape.steps, 0, shape.height}};
  for (int tries = 0; pieces.size() < shape.buffers && tries < 100'000; ++tries) {
    std::size_t pick = static_cast<std::size_t>(below(static_cast<std::int64_t>(pieces.size())));
    for (int k = 0; k < 2; ++k) {  // prefer large pieces
      const auto other = static_cast<std::size_t>(below(static_cast<std::int64_t>(pieces.size())));
      const auto area = [](const Piece& p) { return (p.upper - p.lower) * (p.top - p.bottom); };
      if (area(pieces[other]) > area(pieces[pick])) pick = other;
    }
    Piece piece = pieces[pick];
    Piece rest = piece;
    if (below(2) == 0) {
      if (piece.upper - piece.lower < 4) continue;
      piece.upper = rest.lower = piece.lower + 1 + below(piece.upper - piece.lower - 1);
    } else {
      if (piece.top - piece.bottom < 2) continue;
      piece.top = rest.bottom = piece.bottom + 1 + below(piece.top - piece.bottom - 1);
    }
    pieces[pick] = piece;
    pieces.push_back(rest);
  }
  std::shuffle(pieces.begin(), pieces.end(), random);
  std::vector<Buffer> buffers;
  for (const Piece& piece : pieces) {
    if (below(100) < shape.dropped_percent) continue;
    buffers.push_back({piece.lower, piece.upper, Bytes(1024 * (piece.top - piece.bottom))});
  }
  return buffers;
}

}  // namespace mais::graph
