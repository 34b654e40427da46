#include "mais/memory/block_pool.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <thread>

#include <gmock/gmock.h>

#include "mais/memory/host_source.hpp"
#include "small_budget.hpp"

namespace mais::memory {
namespace {

using namespace mais::literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A source that refuses when told to, in front of host memory.
class Moody final : public MemorySource {
 public:
  std::string name() const override { return "moody"; }
  Bytes granularity() const override { return host_.granularity(); }
  Reach reach() const override { return host_.reach(); }
  int commits_left = 1'000'000;
  bool takes_back = true;

 private:
  class Slabs final : public Backing {
   public:
    Slabs(Moody& moody, Region region) : moody_(moody), region_(std::move(region)) {}
    std::byte* base() const noexcept override { return region_.base(); }
    Result<std::byte*> commit(std::size_t slab) override {
      if (moody_.commits_left-- <= 0) return fail(ErrorCode::over_capacity, "moody: not today");
      if (auto done = region_.commit(slab); !done) return tl::unexpected(done.error());
      return region_.address(slab);
    }
    Result<void> decommit(std::size_t slab) override {
      if (!moody_.takes_back) return fail(ErrorCode::unavailable, "moody: keep it");
      return region_.decommit(slab);
    }

   private:
    Moody& moody_;
    Region region_;
  };
  Result<std::unique_ptr<Backing>> open(std::size_t size, std::size_t count) override {
    return std::make_unique<Slabs>(*this,
                                   *host_.reserve(Bytes(static_cast<std::int64_t>(size)), count));
  }
  HostSource host_;
};

// Slabs of four blocks of 4 KiB, unless a test says otherwise.
class BlockPoolTest : public ::testing::Test {
 protected:
  static constexpr Bytes kSlab = Bytes(16 << 10);
  BlockPool make(BlockOptions options = {.block = 4_KiB, .blocks = 40, .slab = kSlab}) {
    Result<BlockPool> pool = BlockPool::create(source, budget.gate(), options);
    EXPECT_TRUE(pool) << pool.error().message;
    return *std::move(pool);
  }
  std::vector<BlockId> take(BlockPool& pool, std::size_t count) {
    std::vector<BlockId> blocks(count);
    const Result<void> done = pool.acquire(blocks);
    EXPECT_TRUE(done) << done.error().message;
    return blocks;
  }

  SmallBudget budget{10 * kSlab};
  Moody source;
};

TEST_F(BlockPoolTest, MapsAndChargesWholeSlabsAsBlocksAreWanted) {
  BlockPool pool = make();
  EXPECT_EQ(budget.used(), 0_B);
  EXPECT_EQ(pool.acquire(), BlockId{0});
  EXPECT_EQ(budget.used(), kSlab);
  EXPECT_EQ(pool.available(), 3U);
  EXPECT_THAT(take(pool, 4), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(budget.used(), 2 * kSlab);
  EXPECT_EQ(pool.backing().mapped(), 2 * kSlab);
}

TEST_F(BlockPoolTest, BlocksAreDistinctMemoryAtTheirPlaceFromTheBase) {
  BlockPool pool = make();
  const auto blocks = take(pool, 40);
  ASSERT_NE(pool.base(), nullptr);
  for (const BlockId block : blocks) {
    EXPECT_EQ(pool.address(block), pool.base() + std::ptrdiff_t{block} * 4096);
    std::memset(pool.address(block), static_cast<int>(block), 4096);
  }
  for (const BlockId block : blocks) {
    const auto* const bytes = static_cast<const unsigned char*>(pool.address(block));
    EXPECT_TRUE(std::all_of(bytes, bytes + 4096, [&](unsigned char b) { return b == block; }));
    EXPECT_EQ(pool.block_at(bytes), block);
    EXPECT_EQ(pool.block_at(bytes + 4095), block);
  }
  EXPECT_EQ(pool.block_at(&pool), std::nullopt);
  EXPECT_EQ(pool.block_at(pool.base() - 1), std::nullopt);
  EXPECT_EQ(pool.block_at(pool.base() + 40 * 4096), std::nullopt);
}

TEST_F(BlockPoolTest, AFullPoolAndAFullAccountRefuseAndChangeNothing) {
  BlockPool pool = make();
  take(pool, 40);
  const Result<BlockId> none = pool.try_acquire();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::over_limit);
  EXPECT_EQ(pool.acquire(), std::nullopt);

  BlockPool second = make();
  const Result<BlockId> poor = second.try_acquire();
  ASSERT_FALSE(poor);
  EXPECT_THAT(poor.error().message, HasSubstr("memory"));  // the account's name
  EXPECT_EQ(second.backing().mapped(), 0_B);
  pool.release(std::vector<BlockId>{0, 1, 2, 3});
  EXPECT_EQ(pool.trim(), kSlab);
  EXPECT_TRUE(second.acquire());
}

TEST_F(BlockPoolTest, AllOfManyBlocksOrNone) {
  budget.set_limit(3 * kSlab);
  BlockPool pool = make();
  take(pool, 2);
  std::vector<BlockId> many(14, 77);
  const Result<void> refused = pool.acquire(many);
  ASSERT_FALSE(refused);
  EXPECT_EQ(pool.used(), 2U);
  EXPECT_EQ(budget.used(), kSlab) << "what was mapped for it went back";
  EXPECT_THAT(many, ::testing::Each(77));
  EXPECT_THAT(take(pool, 10), SizeIs(10));
}

TEST_F(BlockPoolTest, AFailureOfTheSourceReturnsTheCharge) {
  BlockPool pool = make();
  source.commits_left = 2;
  std::vector<BlockId> many(12);
  const Result<void> refused = pool.acquire(many);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("not today"));
  EXPECT_EQ(budget.used(), 0_B);
  source.commits_left = 100;
  EXPECT_TRUE(pool.acquire(many));
}

TEST_F(BlockPoolTest, ShrinkingUnmapsEmptySlabsAtOnceAndBusyOnesWhenTheyAreEmpty) {
  BlockPool pool = make();
  auto blocks = take(pool, 20);                                   // five slabs
  pool.release(std::vector<BlockId>{5, 6, 7, 8, 9, 10, 11, 13});  // slab 2 empty, 1: one, 3: three
  const SlabsReturned first = pool.resize(2);
  EXPECT_EQ(first.returned, kSlab);
  ASSERT_THAT(first.busy, SizeIs(2));
  EXPECT_EQ(first.busy[0].slab, 1U);
  EXPECT_EQ(first.busy[0].used, 1U);
  EXPECT_EQ(first.busy[1].slab, 3U);
  EXPECT_EQ(first.busy[1].used, 3U);
  EXPECT_EQ(budget.used(), 4 * kSlab);
  EXPECT_EQ(pool.acquire(), std::nullopt) << "slabs that are to go hand out nothing";
  EXPECT_NE(pool.address(4), nullptr) << "and what is in use in them stays where it is";
  pool.release(4);
  EXPECT_EQ(budget.used(), 3 * kSlab);
  pool.release(std::vector<BlockId>{12, 14, 15});
  EXPECT_EQ(budget.used(), 2 * kSlab);
  EXPECT_EQ(pool.resize(2).busy.size(), 0U);
}

TEST_F(BlockPoolTest, GrowingAgainKeepsSlabsThatWereToGo) {
  BlockPool pool = make();
  take(pool, 8);
  pool.release(std::vector<BlockId>{6, 7});
  EXPECT_THAT(pool.resize(1).busy, SizeIs(1));
  EXPECT_EQ(pool.available(), 0U);
  EXPECT_THAT(pool.resize(10).busy, IsEmpty());
  EXPECT_EQ(pool.available(), 2U);
  EXPECT_EQ(pool.acquire(), BlockId{7});
}

TEST_F(BlockPoolTest, OnePoolsMemoryBecomesAnothers) {
  budget.set_limit(6 * kSlab);
  BlockPool a = make(), b = make();
  take(a, 24);
  EXPECT_EQ(b.acquire(), std::nullopt);
  std::vector<BlockId> tail(12);
  for (BlockId i = 0; i < 12; ++i) tail[i] = 12 + i;
  a.release(tail);
  EXPECT_EQ(a.resize(3).returned, 3 * kSlab);
  EXPECT_THAT(take(b, 12), SizeIs(12));
  EXPECT_EQ(budget.used(), 6 * kSlab);
}

TEST_F(BlockPoolTest, BlocksComeFromTheLowestSlabSoThatTheOthersRunEmpty) {
  BlockPool pool = make();
  take(pool, 40);
  for (const BlockId block : {38U, 2U, 21U, 3U}) pool.release(block);
  EXPECT_EQ(pool.acquire(), BlockId{3});
  EXPECT_EQ(pool.acquire(), BlockId{2});
  EXPECT_EQ(pool.acquire(), BlockId{21});
}

TEST_F(BlockPoolTest, ASlabThatTheSystemKeepsStaysChargedAndIsTriedAgain) {
  BlockPool pool = make();
  const auto blocks = take(pool, 8);
  pool.release(std::vector<BlockId>{4, 5, 6, 7});
  source.takes_back = false;
  EXPECT_EQ(pool.trim(), 0_B);
  EXPECT_EQ(budget.used(), 2 * kSlab);
  EXPECT_THAT(pool.resize(1).busy, SizeIs(1));
  EXPECT_EQ(pool.available(), 0U);
  source.takes_back = true;
  EXPECT_EQ(pool.trim(), kSlab);
  EXPECT_EQ(budget.used(), kSlab);
}

TEST_F(BlockPoolTest, BlocksThatDoNotDivideAPageHaveSlabsOfACommonMultiple) {
  for (const std::int64_t size : {1, 3, 1000, 4095, 4097, 24 * 1024, 100'000}) {
    SCOPED_TRACE(size);
    BlockPool pool = make({.block = Bytes(size), .blocks = 30, .slab = kSlab});
    const BlockBacking& backing = pool.backing();
    EXPECT_EQ(backing.slab_size() % source.granularity(), 0_B);
    if (backing.slabs() > 1) {
      EXPECT_EQ(backing.slab_size() % Bytes(size), 0_B);
    }
    EXPECT_GE(std::int64_t{backing.slabs()} * backing.blocks_per_slab(), 30);
    if (backing.slab_size() * backing.slabs() >
        budget.shared.exclusively([&](core::Ledger& l) { return *l.limit(budget.account); })) {
      continue;
    }
    for (const BlockId block : take(pool, 30)) {
      EXPECT_EQ(pool.address(block), pool.base() + std::int64_t{block} * size);
      std::memset(pool.address(block), 1, static_cast<std::size_t>(size));
    }
    EXPECT_EQ(pool.acquire(), std::nullopt);
  }
}

TEST_F(BlockPoolTest, WrongOptionsAreRefused) {
  for (const BlockOptions& options :
       {BlockOptions{.block = 0_B, .blocks = 1}, BlockOptions{.block = 1_KiB, .blocks = 0},
        BlockOptions{.block = 1_KiB, .blocks = 1, .slab = Bytes(-1)},
        BlockOptions{.block = Bytes::max(), .blocks = 2}}) {
    const auto pool = BlockPool::create(source, budget.gate(), options);
    ASSERT_FALSE(pool);
    EXPECT_EQ(pool.error().code, ErrorCode::invalid_argument);
  }
}

TEST_F(BlockPoolTest, TheBackingMapsWhatAPlannerChoseAndReturnsWhatItHasFree) {
  auto backing =
      *BlockBacking::create(source, budget.gate(), {.block = 4_KiB, .blocks = 40, .slab = kSlab});
  ASSERT_TRUE(backing.back(std::vector<BlockId>{0, 17, 39, 17}));
  EXPECT_EQ(backing.mapped(), 3 * kSlab);
  EXPECT_EQ(budget.used(), 3 * kSlab);
  std::memset(backing.address(17), 1, 4096);
  ASSERT_TRUE(backing.back(std::vector<BlockId>{16}));
  EXPECT_EQ(backing.mapped(), 3 * kSlab);

  std::vector<BlockId> free;
  for (BlockId block = 0; block < 40; ++block) {
    if (block != 17) free.push_back(block);
  }
  EXPECT_EQ(backing.unback(free), 2 * kSlab);
  EXPECT_TRUE(backing.is_mapped(4));
  EXPECT_EQ(backing.unback(free), 0_B);
  free.push_back(17);
  EXPECT_EQ(backing.unback(free), kSlab);
  EXPECT_EQ(budget.used(), 0_B);

  budget.set_limit(2 * kSlab);
  ASSERT_TRUE(backing.back(std::vector<BlockId>{8}));
  ASSERT_FALSE(backing.back(std::vector<BlockId>{0, 9, 4, 20}));
  EXPECT_EQ(backing.mapped(), kSlab) << "all, or none newly";
  EXPECT_EQ(budget.used(), kSlab);
}

TEST_F(BlockPoolTest, AMovedPoolIsTheSamePool) {
  BlockPool pool = make();
  const BlockId block = *pool.acquire();
  BlockPool moved = std::move(pool);
  EXPECT_TRUE(moved.in_use(block));
  moved = make();
  EXPECT_EQ(budget.used(), 0_B);
}

TEST_F(BlockPoolTest, APoisonedPoolFillsWhatIsGivenBack) {
  BlockPool pool = make({.block = 4_KiB, .blocks = 40, .slab = kSlab, .poison = true});
  const BlockId block = *pool.acquire();
  auto* const bytes = static_cast<unsigned char*>(pool.address(block));
  bytes[100] = 1;
  pool.release(block);
  EXPECT_EQ(bytes[100], 0xdb);
  EXPECT_EQ(pool.acquire(), block);
}

using BlockPoolDeathTest = BlockPoolTest;

TEST_F(BlockPoolDeathTest, DoubleFreeForeignAndUnmappedBlocksAbortAndAreNamed) {
  BlockPool pool = make();
  take(pool, 6);
  pool.release(3);
  EXPECT_DEATH(pool.release(3), "block 3 is given back and was not in use");
  EXPECT_DEATH(pool.release(30), "block 30 is given back and was not in use");
  EXPECT_DEATH(pool.release(40), "block 40 is not one of this pool, which has 0 ... 39");
  EXPECT_DEATH(pool.address(40), "block 40 is not one of this pool");
  EXPECT_DEATH(pool.address(39), "block 39 has no memory");
  EXPECT_DEATH(static_cast<void>(pool.in_use(1000)), "block 1000 is not one");
}

TEST_F(BlockPoolDeathTest, AWriteToAFreeBlockIsFoundInAPoisonedPool) {
  BlockPool pool = make({.block = 4_KiB, .blocks = 40, .slab = kSlab, .poison = true});
  const BlockId block = *pool.acquire();
  auto* const bytes = static_cast<unsigned char*>(pool.address(block));
  pool.release(block);
  bytes[4095] = 0;
  EXPECT_DEATH(static_cast<void>(pool.acquire()), "block 0 was written after it was given back");
}

TEST_F(BlockPoolDeathTest, AListOfFreeBlocksWithADuplicateAborts) {
  auto backing =
      *BlockBacking::create(source, budget.gate(), {.block = 4_KiB, .blocks = 4, .slab = kSlab});
  EXPECT_DEATH(backing.unback(std::vector<BlockId>{1, 1, 2, 3, 0}), "names one twice");
  EXPECT_DEATH(static_cast<void>(backing.back(std::vector<BlockId>{4})), "block 4 is not one");
}

// Random work on a pool against a model that keeps a set of blocks for each slab.
TEST_F(BlockPoolTest, AgreesWithANaiveModel) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 dice(seed);
  constexpr std::uint32_t kBlocks = 38, kPerSlab = 4, kSlabs = 10;  // the last slab holds two
  BlockPool pool = make({.block = 4_KiB, .blocks = kBlocks, .slab = kSlab});
  std::set<BlockId> used;
  std::set<std::uint32_t> mapped, leaving;
  std::uint32_t size = kSlabs, budget_slabs = 10;
  const auto used_in = [&](std::uint32_t slab) {
    return static_cast<std::uint32_t>(
        std::count_if(used.begin(), used.end(), [&](BlockId b) { return b / kPerSlab == slab; }));
  };
  const auto held = [&](std::uint32_t slab) {
    return std::min(kPerSlab, kBlocks - slab * kPerSlab);
  };
  for (int i = 0; i < 30'000; ++i) {
    const auto action = dice() % 100;
    if (action < 48) {
      std::optional<std::uint32_t> slab;  // that must serve
      for (std::uint32_t s = 0; s < kSlabs && !slab; ++s) {
        if (mapped.contains(s) && !leaving.contains(s) && used_in(s) < held(s)) slab = s;
      }
      if (!slab && mapped.size() - leaving.size() < size && mapped.size() < budget_slabs) {
        for (std::uint32_t s = 0; s < kSlabs && !slab; ++s) {
          if (!mapped.contains(s)) slab = s;
        }
      }
      const std::optional<BlockId> block = pool.acquire();
      ASSERT_EQ(block.has_value(), slab.has_value());
      if (!block) continue;
      ASSERT_EQ(*block / kPerSlab, *slab);
      ASSERT_TRUE(used.insert(*block).second) << "a block was handed out twice";
      mapped.insert(*slab);
    } else if (action < 96) {
      if (used.empty()) continue;
      const BlockId block = *std::next(used.begin(), static_cast<long>(dice() % used.size()));
      pool.release(block);
      used.erase(block);
      const std::uint32_t slab = block / kPerSlab;
      if (leaving.contains(slab) && used_in(slab) == 0) leaving.erase(slab), mapped.erase(slab);
    } else if (action < 98) {
      size = static_cast<std::uint32_t>(dice() % (kSlabs + 1));
      std::vector<std::uint32_t> order(mapped.begin(), mapped.end());
      std::stable_sort(order.begin(), order.end(),
                       [&](auto a, auto b) { return used_in(a) > used_in(b); });
      const std::size_t before = mapped.size();
      leaving.clear();
      for (std::size_t k = size; k < order.size(); ++k) {
        if (used_in(order[k]) == 0)
          mapped.erase(order[k]);
        else
          leaving.insert(order[k]);
      }
      const SlabsReturned result = pool.resize(size);
      ASSERT_EQ(result.returned, kSlab * (before - mapped.size()));
      ASSERT_EQ(result.busy.size(), leaving.size());
      for (const BusySlab& busy : result.busy) {
        ASSERT_TRUE(leaving.contains(busy.slab));
        ASSERT_EQ(busy.used, used_in(busy.slab));
      }
    } else if (action < 99) {
      pool.trim();
      std::erase_if(mapped, [&](std::uint32_t slab) { return used_in(slab) == 0; });
    } else {
      budget_slabs = static_cast<std::uint32_t>(std::max<std::size_t>(dice() % 11, mapped.size()));
      budget.set_limit(kSlab * budget_slabs);
    }
    std::uint32_t available = 0;
    for (const std::uint32_t slab : mapped) {
      ASSERT_TRUE(pool.backing().is_mapped(slab));
      if (!leaving.contains(slab)) available += held(slab) - used_in(slab);
    }
    ASSERT_EQ(pool.used(), used.size());
    ASSERT_EQ(pool.available(), available);
    ASSERT_EQ(pool.backing().mapped_slabs(), mapped.size());
    if (i % 100 == 0) {
      ASSERT_EQ(budget.used(), kSlab * mapped.size());
    }
  }
}

TEST_F(BlockPoolTest, ManyThreadsShareItAndEachBlockHasOneOwner) {
  BlockPool pool = make();
  {
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < 5; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 dice(t);
        std::vector<BlockId> mine;
        const auto end = std::chrono::steady_clock::now() + 500ms;
        for (int i = 0; i < 3'000 && std::chrono::steady_clock::now() < end; ++i) {
          if (t == 0 && i % 50 == 0) pool.resize(static_cast<std::uint32_t>(5 + dice() % 6));
          if (t == 1 && i % 50 == 0) pool.trim();
          if (const auto block = pool.acquire()) {
            // ThreadSanitizer sees it where two threads hold one block.
            *static_cast<volatile unsigned*>(pool.address(*block)) = t;
            mine.push_back(*block);
          }
          while (mine.size() > dice() % 8) {
            EXPECT_EQ(*static_cast<volatile unsigned*>(pool.address(mine.back())), t);
            pool.release(mine.back());
            mine.pop_back();
          }
        }
        pool.release(mine);
      });
    }
  }
  EXPECT_EQ(pool.used(), 0U);
  pool.trim();
  EXPECT_EQ(budget.used(), 0_B);
}

}  // namespace
}  // namespace mais::memory
