#include "graph/arena_search.hpp"

#include <algorithm>
#include <numeric>
#include <random>
#include <string>

#include <gmock/gmock.h>

#include "naive_arena.hpp"
#include "packed_arena.hpp"

namespace mais::graph {
namespace {

#ifdef MAIS_LONG_TESTS
constexpr int kScale = 20;
#else
constexpr int kScale = 1;
#endif

std::vector<Buffer> few_buffers(std::mt19937_64& random, bool aligned) {
  std::vector<Buffer> buffers(1 + random() % 7);
  for (Buffer& buffer : buffers) {
    buffer.lower = static_cast<std::int64_t>(random() % 8);
    buffer.upper = buffer.lower + 1 + static_cast<std::int64_t>(random() % 5);
    buffer.size = Bytes(static_cast<std::int64_t>(1 + random() % 12));
    if (aligned) buffer.alignment = Bytes(std::int64_t{1} << (random() % 4));
  }
  return buffers;
}

// The search alone, without the greedy placements that would hide a plan it misses.
TEST(SkylineSearch, FindsAPlanExactlyWhereOneExists) {
  const std::uint64_t seed = 81;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 1500 * kScale; ++i) {
    const std::vector<Buffer> buffers = few_buffers(random, i % 3 == 2);
    const Sections cut = cut_into_sections(buffers);
    const std::int64_t lowest = naive::lowest_height(buffers);
    std::vector<std::int32_t> rank(buffers.size());
    std::iota(rank.begin(), rank.end(), 0);
    std::shuffle(rank.begin(), rank.end(), random);
    SkylineSearch search(cut);
    for (const auto pick : {SkylineSearch::Pick::fullest, SkylineSearch::Pick::fail_first}) {
      // Twice, the second time with the failures of the first in mind.
      for (const std::int64_t height : {lowest, lowest - 1, lowest - 1, lowest, lowest + 3}) {
        search.set_capacity(height / cut.granule);
        const SearchEnd end = search.run(rank, pick, 1'000'000, [] { return false; });
        ASSERT_EQ(end, height >= lowest ? SearchEnd::found : SearchEnd::impossible)
            << "problem " << i << ", height " << height << " of " << lowest;
        if (end != SearchEnd::found) continue;
        ArenaPlan plan{{}, Bytes(height), Bytes(0)};
        for (const std::int64_t offset : search.offsets()) {
          plan.offsets.emplace_back(offset * cut.granule);
        }
        ASSERT_THAT(validate({buffers, Bytes(height)}, plan), testing::IsEmpty())
            << "problem " << i;
      }
    }
  }
}

// With no slack at all, every inference of the search is at work; the plan is known to exist.
TEST(SkylineSearch, NeverCallsAPackedArenaImpossible) {
  const std::uint64_t seed = 82;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 150 * kScale; ++i) {
    const PackedArena shape{64, 40, 10 + random() % 40, static_cast<int>(random() % 3)};
    const Sections cut = cut_into_sections(pack(shape, random));
    std::vector<std::int32_t> rank(cut.spans.size());
    std::iota(rank.begin(), rank.end(), 0);
    std::shuffle(rank.begin(), rank.end(), random);
    SkylineSearch search(cut);
    search.set_capacity(64 * 1024 / cut.granule);
    const auto pick = i % 2 == 0 ? SkylineSearch::Pick::fullest : SkylineSearch::Pick::fail_first;
    ASSERT_NE(search.run(rank, pick, 20'000, [] { return false; }), SearchEnd::impossible)
        << "problem " << i;
  }
}

}  // namespace
}  // namespace mais::graph
