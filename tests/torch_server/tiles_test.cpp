#include "tiles.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace torch_server {
namespace {

TEST(TileLadder, TilesCoverTheRowsInOrderAndAreSizesOfTheLadder) {
  for (const std::int64_t quantum : {1, 4, 8}) {
    for (std::int64_t largest = quantum; largest <= 128; largest *= 2) {
      const TileLadder ladder(quantum, largest);
      std::vector<Tile> tiles;
      std::int64_t padded_before = 0;
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
        EXPECT_LE(end - rows, std::max<std::int64_t>(quantum - 1, 32));
        EXPECT_LE(padded_before, end) << "fewer for more";
        padded_before = end;
      }
    }
  }
}

TEST(TileLadder, ARestIsPaddedWhereThatIsCheaperThanATileMore) {
  const TileLadder ladder(8, 128);
  const auto sizes = [&](std::int64_t rows) {
    std::vector<Tile> tiles;
    ladder.cut(rows, tiles);
    std::vector<std::int64_t> result;
    for (const Tile& tile : tiles) result.push_back(tile.rows);
    return result;
  };
  EXPECT_EQ(sizes(1), (std::vector<std::int64_t>{8}));
  EXPECT_EQ(sizes(48), (std::vector<std::int64_t>{64}));
  EXPECT_EQ(sizes(72), (std::vector<std::int64_t>{64, 8}));
  EXPECT_EQ(sizes(100), (std::vector<std::int64_t>{128}));
  EXPECT_EQ(sizes(300), (std::vector<std::int64_t>{128, 128, 64}));
}

}  // namespace
}  // namespace torch_server
