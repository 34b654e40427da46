// How the rows of a batch are cut into the few sizes whose arithmetic was found to be the same.
//
// A matrix product may add in another order when it has another number of rows, or for another row
// of the same product. So that the same tokens give the same bits in every batch, products are only
// ever made of sizes in a ladder {q, 2q, 4q, ...} that a probe has found to agree (see
// probe_tiles() in tensors.hpp); rows that are missing are padded.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace torch_server {

struct Tile {
  std::int64_t first = 0;
  std::int64_t rows = 0;
};

class TileLadder {
 public:
  // Sizes `quantum` x 2^i up to `largest`, which is one of them.
  TileLadder() = default;
  TileLadder(std::int64_t quantum, std::int64_t largest) : quantum_(quantum), largest_(largest) {}

  std::int64_t quantum() const { return quantum_; }
  std::int64_t largest() const { return largest_; }
  // Rows after padding; never fewer for more rows.
  std::int64_t padded(std::int64_t rows) const {
    std::int64_t end = 0;
    while (end < rows) end += next(rows - end);
    return end;
  }
  // Tiles that cover padded(rows), none larger than the one before. Overwrites `tiles`.
  void cut(std::int64_t rows, std::vector<Tile>& tiles) const {
    tiles.clear();
    for (std::int64_t first = 0; first < rows; first += tiles.back().rows) {
      tiles.push_back({.first = first, .rows = next(rows - first)});
    }
  }

 private:
  // A product reads a whole matrix, which takes as long as computing so many rows more
  // (bench/torch_server/product_bench): up to that, padding is cheaper than one tile more.
  static constexpr std::int64_t kRowsOfATile = 32;

  std::int64_t next(std::int64_t rows) const {
    std::int64_t size = largest_;
    while (size > quantum_ && (size / 2 >= rows || size - rows > kRowsOfATile)) size /= 2;
    return size;
  }

  std::int64_t quantum_ = 1;
  std::int64_t largest_ = 1;
};

// For people.
inline std::string describe_ladder(const TileLadder& ladder) {
  return "products of " + std::to_string(ladder.quantum()) + " to " +
         std::to_string(ladder.largest()) + " rows agree bit for bit";
}

}  // namespace torch_server
