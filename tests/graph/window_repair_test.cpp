#include "graph/window_repair.hpp"

#include <random>
#include <string>

#include <gmock/gmock.h>

#include "mais/graph/arena.hpp"
#include "packed_arena.hpp"

namespace mais::graph {
namespace {

ArenaPlan plan_of(const Sections& cut, const Placement& placement) {
  ArenaPlan plan{{}, Bytes(placement.height * cut.granule), Bytes(0)};
  for (const std::int64_t offset : placement.offsets) {
    plan.offsets.emplace_back(offset * cut.granule);
  }
  return plan;
}

TEST(WindowRepair, KeepsPlansValidAndNeverRaisesThem) {
  const std::uint64_t seed = 91;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  int lowered = 0;
  for (int i = 0; i < 60; ++i) {
    PackedArena shape;
    shape.buffers = 20 + random() % 300;
    std::vector<Buffer> buffers = pack(shape, random);
    if (i % 2 == 1) {
      for (Buffer& buffer : buffers) buffer.alignment = Bytes(1024 << (random() % 3));
    }
    const Sections cut = cut_into_sections(buffers);
    FreeIndex index(cut.count);
    Placement placement = first_fit(cut, ranked_order(cut, {Rank::first}), index);
    const std::int64_t before = placement.height;
    WindowRepair(cut, seed).run(placement, cut.bound, 200'000, [] { return false; });
    EXPECT_THAT(validate({buffers, {}}, plan_of(cut, placement)), testing::IsEmpty()) << i;
    EXPECT_LE(placement.height, before);
    EXPECT_GE(placement.height, cut.bound);
    lowered += placement.height < before ? 1 : 0;
  }
  EXPECT_GT(lowered, 30);
}

TEST(WindowRepair, LowersWhatStandsOnNothing) {
  // The three short ones stand higher than they need.
  const std::vector<Buffer> buffers = {
      {0, 1000, Bytes(8)}, {500, 502, Bytes(4)}, {502, 504, Bytes(4)}, {500, 504, Bytes(2)}};
  const Sections cut = cut_into_sections(buffers);
  const std::int64_t unit = cut.granule;
  Placement placement{{0, 12 / unit, 8 / unit, 16 / unit}, 18 / unit};
  WindowRepair(cut, 1).run(placement, cut.bound, 1000, [] { return false; });
  EXPECT_EQ(placement.height, cut.bound);
  EXPECT_THAT(validate({buffers, {}}, plan_of(cut, placement)), testing::IsEmpty());
}

}  // namespace
}  // namespace mais::graph
