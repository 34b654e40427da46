#include "mais/graph/arena.hpp"

#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include <gmock/gmock.h>

#include "naive_arena.hpp"
#include "packed_arena.hpp"

namespace mais::graph {
namespace {

using namespace mais::literals;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

#ifdef MAIS_LONG_TESTS
constexpr int kScale = 20;
#else
constexpr int kScale = 1;
#endif

std::vector<Buffer> random_buffers(std::mt19937_64& random, std::size_t most, bool aligned) {
  std::vector<Buffer> buffers(random() % (most + 1));
  for (Buffer& buffer : buffers) {
    buffer.lower = static_cast<std::int64_t>(random() % 10);
    buffer.upper = buffer.lower + 1 + static_cast<std::int64_t>(random() % 6);
    buffer.size = Bytes(static_cast<std::int64_t>(random() % 12));
    if (aligned) buffer.alignment = Bytes(std::int64_t{1} << (random() % 4));
  }
  return buffers;
}

TEST(Arena, MinimisingFindsTheOptimumOfSmallProblemsAndProvesIt) {
  const std::uint64_t seed = 11;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 1500 * kScale; ++i) {
    const ArenaProblem problem{random_buffers(random, 6, i % 2 == 1), std::nullopt};
    const Result<ArenaPlan> plan = plan_arena(problem);
    ASSERT_TRUE(plan) << plan.error().message;
    const std::int64_t lowest = naive::lowest_height(problem.buffers);
    ASSERT_THAT(validate(problem, *plan), IsEmpty()) << "problem " << i;
    ASSERT_EQ(plan->height.count(), lowest) << "problem " << i;
    // With one alignment the proof is complete; with several, granules may leave a gap.
    ASSERT_LE(plan->lower_bound, plan->height);
    ASSERT_TRUE(i % 2 == 1 || plan->optimal()) << "problem " << i;
  }
}

TEST(Arena, ACapacityIsMetExactlyWhenSomePlanMeetsIt) {
  const std::uint64_t seed = 12;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 1000 * kScale; ++i) {
    ArenaProblem problem{random_buffers(random, 6, false), std::nullopt};
    const std::int64_t lowest = naive::lowest_height(problem.buffers);
    problem.capacity = Bytes(lowest);
    const Result<ArenaPlan> plan = plan_arena(problem);
    ASSERT_TRUE(plan) << plan.error().message;
    ASSERT_THAT(validate(problem, *plan), IsEmpty());
    if (lowest == 0) continue;
    problem.capacity = Bytes(lowest - 1);
    const Result<ArenaPlan> none = plan_arena(problem);
    ASSERT_FALSE(none) << "problem " << i;
    ASSERT_EQ(none.error().code, ErrorCode::over_capacity);
    ASSERT_THAT(none.error().message, testing::AnyOf(HasSubstr("every placement was searched"),
                                                     HasSubstr("alive in one step")));
  }
}

TEST(Arena, TheLoadBoundIsTheLargestSumOfAStep) {
  const std::uint64_t seed = 13;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 300; ++i) {
    const std::vector<Buffer> buffers = random_buffers(random, 40, false);
    EXPECT_EQ(load_bound(buffers).value().count(), naive::load(buffers));
  }
}

TEST(Arena, TheLoadBoundCountsAlignedSizes) {
  const std::vector<Buffer> buffers = {{0, 2, 100_B, 64_B}, {0, 2, 1_B, 64_B}};
  EXPECT_EQ(load_bound(buffers).value(), 192_B);
  const ArenaPlan plan = plan_arena({buffers, std::nullopt}).value();
  EXPECT_EQ(plan.height, 192_B);
}

TEST(Arena, PlansOfMediumProblemsAreValidAndAboveTheBound) {
  const std::uint64_t seed = 14;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 60 * kScale; ++i) {
    ArenaProblem problem{random_buffers(random, 60, i % 2 == 1), std::nullopt};
    const ArenaPlan plan = plan_arena(problem, {.max_nodes = 20'000, .max_rounds = 50}).value();
    EXPECT_THAT(validate(problem, plan), IsEmpty());
    EXPECT_GE(plan.height, plan.lower_bound);
    EXPECT_GE(plan.lower_bound, load_bound(problem.buffers).value());
  }
}

TEST(Arena, TheSameProblemGivesTheSamePlan) {
  std::mt19937_64 random(15);
  const ArenaProblem problem{pack({.buffers = 60}, random), std::nullopt};
  const ArenaOptions options{.max_nodes = 20'000, .max_rounds = 50};
  EXPECT_EQ(plan_arena(problem, options)->offsets, plan_arena(problem, options)->offsets);
}

TEST(Arena, FullyPackedArenasAreSolvedAtTheirHeight) {
  const std::uint64_t seed = 16;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10 * kScale; ++i) {
    const ArenaProblem problem{pack({.buffers = 80}, random), Bytes(1024 * 1024)};
    const Result<ArenaPlan> plan = plan_arena(problem);
    ASSERT_TRUE(plan) << "problem " << i << ": " << plan.error().message;
    EXPECT_THAT(validate(problem, *plan), IsEmpty());
  }
}

TEST(Arena, AnEmptyProblemNeedsNothing) {
  EXPECT_EQ(plan_arena({})->height, 0_B);
  EXPECT_EQ(plan_arena({{{0, 1, 0_B}}, 0_B})->height, 0_B);
}

TEST(Arena, WrongBuffersAreNamed) {
  const auto message = [](Buffer buffer) {
    const Result<ArenaPlan> plan = plan_arena({{{0, 1, 1_B}, buffer}, std::nullopt});
    return plan ? std::string() : plan.error().message;
  };
  EXPECT_THAT(message({3, 3, 1_B}), HasSubstr("buffer 1: it lives in steps [3, 3)"));
  EXPECT_THAT(message({0, 1, -(5_B)}), HasSubstr("its size is -5 bytes"));
  EXPECT_THAT(message({0, 1, 1_B, 3_B}), HasSubstr("must be a power of two"));
  EXPECT_THAT(message({0, 1, 1_B, 0_B}), HasSubstr("must be a power of two"));
  EXPECT_THAT(message({0, 1, Bytes::max()}), HasSubstr("2^62"));
  EXPECT_THAT(message({INT64_MIN, INT64_MAX, 1_B}), IsEmpty());
}

TEST(Arena, ARefusalGivesTheBestHeightKnown) {
  const Result<ArenaPlan> plan = plan_arena({{{0, 2, 10_B}, {1, 3, 10_B}}, 15_B});
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().asked, 20);
  EXPECT_EQ(plan.error().available, 15);
}

TEST(Arena, AStopEndsTheSearchWithAValidPlan) {
  std::mt19937_64 random(17);
  const ArenaProblem problem{pack({.buffers = 300, .dropped_percent = 0}, random), std::nullopt};
  int asked = 0;
  ArenaOptions options;
  options.control.stop = [&] { return ++asked > 12; };
  const ArenaPlan plan = plan_arena(problem, options).value();
  EXPECT_THAT(validate(problem, plan), IsEmpty());
  EXPECT_LE(asked, 13);
}

TEST(Arena, ProgressReportsARangeThatNarrows) {
  std::mt19937_64 random(18);
  const ArenaProblem problem{pack({.buffers = 120}, random), std::nullopt};
  Progress last{Bytes::max(), 0_B, 0};
  ArenaOptions options{.max_nodes = 50'000, .max_rounds = 20};
  options.control.progress = [&](const Progress& now) {
    EXPECT_LE(now.best, last.best);
    EXPECT_GE(now.bound, last.bound);
    EXPECT_LE(now.bound, now.best);
    last = now;
  };
  const ArenaPlan plan = plan_arena(problem, options).value();
  EXPECT_LE(plan.height, last.best);
}

// The validator must see each kind of fault: here they are planted.
TEST(ArenaValidator, FindsPlantedFaults) {
  const ArenaProblem problem{{{0, 3, 8_B, 4_B}, {2, 4, 8_B, 4_B}, {3, 5, 8_B, 4_B}}, 16_B};
  const ArenaPlan good{{0_B, 8_B, 0_B}, 16_B, 16_B};
  EXPECT_THAT(validate(problem, good), IsEmpty());
  const auto faults = [&](std::vector<Bytes> offsets, Bytes height) {
    return to_string(validate(problem, {std::move(offsets), height, 0_B}));
  };
  EXPECT_THAT(faults({0_B, 4_B, 16_B}, 24_B), HasSubstr("shares bytes with buffer 0 from step 2"));
  EXPECT_THAT(faults({0_B, 8_B, 12_B}, 24_B), HasSubstr("shares bytes with buffer 1"));
  EXPECT_THAT(faults({0_B, 8_B, 1_B}, 16_B), HasSubstr("not aligned"));
  EXPECT_THAT(faults({-(4_B), 8_B, 0_B}, 16_B), HasSubstr("negative"));
  EXPECT_THAT(faults({0_B, 12_B, 0_B}, 20_B), HasSubstr("at most 16"));
  EXPECT_THAT(faults({0_B, 8_B, 0_B}, 12_B), HasSubstr("above the stated height"));
  EXPECT_THAT(faults({0_B}, 16_B), HasSubstr("1 offsets for 3 buffers"));
}

#ifdef MAIS_SHARED_DATA
std::vector<Buffer> read_minimalloc(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  std::vector<Buffer> buffers;
  long long id = 0;
  long long lower = 0;
  long long upper = 0;
  long long size = 0;
  while (std::getline(in, line)) {
    if (std::sscanf(line.c_str(), "%lld,%lld,%lld,%lld", &id, &lower, &upper, &size) == 4) {
      buffers.push_back({lower, upper, Bytes(size)});
    }
  }
  return buffers;
}
#endif

TEST(Arena, TheChallengingInstancesFitIntoTheirCapacity) {
#ifdef MAIS_SHARED_DATA
  const std::filesystem::path folder = std::filesystem::path(MAIS_SHARED_DATA) / "minimalloc";
  if (std::filesystem::exists(folder)) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const ArenaProblem problem{read_minimalloc(entry.path()), 1_MiB};
      ASSERT_THAT(problem.buffers, testing::Not(IsEmpty())) << entry.path();
      const Result<ArenaPlan> plan = plan_arena(problem);
      ASSERT_TRUE(plan) << entry.path() << ": " << plan.error().message;
      EXPECT_THAT(validate(problem, *plan), IsEmpty()) << entry.path();
    }
    return;
  }
#endif
  GTEST_SKIP()
      << "the instances are not there; set MAIS_SHARED_DATA to the folder of evaluation data";
}

}  // namespace
}  // namespace mais::graph
