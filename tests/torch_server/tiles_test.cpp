#include "tiles.hpp"

#include <gtest/gtest.h>

namespace torch_server {
namespace {

TEST(TileLadder, TilesCoverTheRowsInOrderAndAreSizesOfTheLadder) {
  for (const std::int64_t quantum : {1, 4, 8}) {
    for (std::int64_t largest = quantum; largest <= 128; largest *= 2) {
      const TileLadder ladder(quantum, largest);
      std::vector<Tile> tiles;
      for (std::int64_t rows = 0; rows < 300; ++rows) {
        ladder.cut(rows, tiles);
        std::int64_t end = 0;
        std::int64_t before = largest;
        for (const Tile& tile : tiles) {
          EXPECT_EQ(tile.first, end);
          EXPECT_LE(tile.rows, before);
          EXPECT_EQ(tile.rows % quantum, 0);
          EXPECT_EQ(largest % tile.rows, 0) << "a power of two below the largest";
          before = tile.rows;
          end += tile.rows;
        }
        EXPECT_EQ(end, ladder.padded(rows));
        EXPECT_GE(end, rows);
        EXPECT_LT(end - rows, quantum);
      }
    }
  }
}

}  // namespace
}  // namespace torch_server
