#include "mais/memory/budgeted_resource.hpp"

#include <chrono>
#include <list>
#include <map>
#include <memory_resource>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "small_budget.hpp"

namespace mais::memory {
namespace {

using namespace mais::literals;
using Cause = AllocationFailure::Cause;

// An upstream that counts, and fails when told to.
class Upstream final : public std::pmr::memory_resource {
 public:
  std::atomic<std::int64_t> bytes{0};
  std::atomic<int> calls{0};
  std::function<bool()> fails;  // asked at each allocation

 private:
  void* do_allocate(std::size_t size, std::size_t alignment) override {
    ++calls;
    if (fails && fails()) throw std::bad_alloc();
    void* const pointer = std::pmr::new_delete_resource()->allocate(size, alignment);
    bytes += static_cast<std::int64_t>(size);
    return pointer;
  }
  void do_deallocate(void* pointer, std::size_t size, std::size_t alignment) override {
    bytes -= static_cast<std::int64_t>(size);
    std::pmr::new_delete_resource()->deallocate(pointer, size, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

class BudgetedResourceTest : public ::testing::Test {
 protected:
  SmallBudget budget{1000_B, 16_B};
  Upstream upstream;
};

TEST_F(BudgetedResourceTest, ChargesWhatIsAllocatedAndGivesItBack) {
  BudgetedResource resource(budget.gate(), {}, &upstream);
  {
    std::pmr::vector<std::byte> data(300, &resource);
    EXPECT_EQ(budget.used(), 300_B);
    EXPECT_EQ(resource.counters().current, 300_B);
    EXPECT_EQ(upstream.bytes, 300);
  }
  EXPECT_EQ(budget.used(), 0_B);
  EXPECT_EQ(resource.counters().current, 0_B);
  EXPECT_EQ(resource.counters().peak, 300_B);
  EXPECT_EQ(resource.counters().allocations, 1U);
  EXPECT_EQ(upstream.bytes, 0);
}

TEST_F(BudgetedResourceTest, RefusesBeyondTheAccountToTheByteAndAsksNoUpstream) {
  BudgetedResource resource(budget.gate(), {}, &upstream);
  void* const all = resource.allocate(1000, 1);
  const int calls = upstream.calls;
  EXPECT_THROW(static_cast<void>(resource.allocate(1, 1)), std::bad_alloc);
  EXPECT_EQ(resource.try_allocate(1, 1), nullptr);
  EXPECT_EQ(upstream.calls, calls);
  EXPECT_EQ(resource.counters().refusals, 2U);
  resource.deallocate(all, 1000, 1);
  void* const again = resource.try_allocate(1000, 1);
  EXPECT_NE(again, nullptr);
  resource.deallocate(again, 1000, 1);
}

TEST_F(BudgetedResourceTest, AnAbsurdSizeIsARefusalAndNotAnOverflow) {
  BudgetedResource resource(budget.gate(), {}, &upstream);
  for (const std::size_t size :
       {std::size_t{1} << 62, (std::size_t{1} << 63) - 1, std::size_t{1} << 63, ~std::size_t{0}}) {
    EXPECT_EQ(resource.try_allocate(size), nullptr) << size;
  }
  EXPECT_EQ(resource.counters().refusals, 4U);
  EXPECT_EQ(budget.used(), 0_B);
}

TEST_F(BudgetedResourceTest, ZeroBytesAreMemoryOfTheirOwnAndCountAsOne) {
  BudgetedResource resource(budget.gate(), {}, &upstream);
  void* const one = resource.allocate(0);
  void* const other = resource.allocate(0);
  EXPECT_NE(one, nullptr);
  EXPECT_NE(one, other);
  EXPECT_EQ(budget.used(), 2_B);
  resource.deallocate(one, 0);
  resource.deallocate(other, 0);
  EXPECT_EQ(budget.used(), 0_B);
}

TEST_F(BudgetedResourceTest, EveryPowerOfTwoIsAnAlignment) {
  BudgetedResource resource(budget.gate(), {}, &upstream);
  for (std::size_t alignment = 1; alignment <= 4096; alignment *= 2) {
    void* const pointer = resource.allocate(10, alignment);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pointer) % alignment, 0U);
    resource.deallocate(pointer, 10, alignment);
  }
  EXPECT_EQ(budget.used(), 0_B);
}

TEST_F(BudgetedResourceTest, AFailureOfTheUpstreamReturnsTheCharge) {
  BudgetedResource resource(budget.gate(), {}, &upstream);
  upstream.fails = [] { return true; };
  EXPECT_THROW(static_cast<void>(resource.allocate(500)), std::bad_alloc);
  EXPECT_EQ(budget.used(), 0_B);
  EXPECT_EQ(resource.counters().upstream_failures, 1U);
  EXPECT_EQ(resource.counters().refusals, 0U);
  EXPECT_EQ(resource.counters().allocations, 0U);
  EXPECT_EQ(resource.counters().peak, 0_B);
}

TEST_F(BudgetedResourceTest, TheCallbackMayFreeThroughTheResourceAndTheAllocationGoesOn) {
  std::vector<void*> cache;
  BudgetedResource* self = nullptr;
  std::vector<AllocationFailure> seen;
  BudgetedResource resource(budget.gate(),
                            {.on_failure =
                                 [&](const AllocationFailure& failure) {
                                   seen.push_back(failure);
                                   if (cache.empty()) return false;
                                   self->deallocate(cache.back(), 400);
                                   cache.pop_back();
                                   return true;
                                 }},
                            &upstream);
  self = &resource;
  cache = {resource.allocate(400), resource.allocate(400)};
  void* const large = resource.allocate(900);
  EXPECT_TRUE(cache.empty());
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].cause, Cause::budget);
  EXPECT_EQ(seen[0].asked, 900_B);
  EXPECT_EQ(seen[1].attempt, 1U);
  EXPECT_EQ(resource.counters().retries, 2U);
  EXPECT_EQ(resource.counters().refusals, 0U);
  resource.deallocate(large, 900);
}

TEST_F(BudgetedResourceTest, RetriesAreBounded) {
  int asked = 0;
  BudgetedResource resource(
      budget.gate(),
      {.on_failure = [&](const AllocationFailure&) { return ++asked > 0; }, .max_retries = 5},
      &upstream);
  EXPECT_EQ(resource.try_allocate(2000), nullptr);
  EXPECT_EQ(asked, 5);
  EXPECT_EQ(resource.counters().refusals, 1U);
}

TEST_F(BudgetedResourceTest, TheCallbackIsNotCalledForItsOwnAllocationsAndMayThrow) {
  int depth = 0;
  BudgetedResource* self = nullptr;
  BudgetedResource resource(budget.gate(), {.on_failure = [&](const AllocationFailure&) -> bool {
                              ++depth;
                              EXPECT_EQ(self->try_allocate(5000), nullptr);
                              throw std::runtime_error("no idea");
                            }},
                            &upstream);
  self = &resource;
  EXPECT_EQ(resource.try_allocate(5000), nullptr);
  EXPECT_EQ(depth, 1);
  EXPECT_EQ(resource.try_allocate(5000), nullptr);
  EXPECT_EQ(depth, 2) << "a callback that threw is called again";
}

TEST_F(BudgetedResourceTest, TheUpstreamsFailureReachesTheCallbackToo) {
  int failures = 2;
  std::vector<Cause> causes;
  upstream.fails = [&] { return failures-- > 0; };
  BudgetedResource resource(budget.gate(),
                            {.on_failure =
                                 [&](const AllocationFailure& failure) {
                                   causes.push_back(failure.cause);
                                   return true;
                                 }},
                            &upstream);
  void* const pointer = resource.allocate(10);
  EXPECT_THAT(causes, ::testing::ElementsAre(Cause::upstream, Cause::upstream));
  resource.deallocate(pointer, 10);
}

TEST_F(BudgetedResourceTest, OnlyEqualToItself) {
  BudgetedResource one(budget.gate(), {}, &upstream), other(budget.gate(), {}, &upstream);
  EXPECT_EQ(one, one);
  EXPECT_NE(one, other);
}

using BudgetedResourceDeathTest = BudgetedResourceTest;

TEST_F(BudgetedResourceDeathTest, AnAlignmentThatIsNoPowerOfTwoAborts) {
  BudgetedResource resource(budget.gate(), {}, &upstream);
  EXPECT_DEATH(static_cast<void>(resource.try_allocate(8, 24)), "power of two");
}

TEST_F(BudgetedResourceDeathTest, DestroyingItWithMemoryStillOutAborts) {
  EXPECT_DEATH(
      {
        BudgetedResource resource(budget.gate(), {}, &upstream);
        static_cast<void>(resource.allocate(8));
      },
      "still allocated through it");
}

// Random allocations and failures against a model that adds up.
TEST_F(BudgetedResourceTest, AgreesWithANaiveModel) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 dice(seed);
  bool fail = false;
  upstream.fails = [&] { return fail; };
  BudgetedResource resource(budget.gate(), {}, &upstream);
  std::map<void*, std::size_t> live;
  std::size_t used = 0, peak = 0;
  std::uint64_t refusals = 0, failures = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (dice() % 2 == 0 && !live.empty()) {
      const auto victim = std::next(live.begin(), static_cast<long>(dice() % live.size()));
      resource.deallocate(victim->first, victim->second);
      used -= victim->second;
      live.erase(victim);
    } else {
      const std::size_t size = 1 + dice() % 400;
      fail = dice() % 10 == 0;
      void* const pointer = resource.try_allocate(size);
      const bool fits = used + size <= 1000;
      ASSERT_EQ(pointer != nullptr, fits && !fail);
      refusals += !fits;
      failures += fits && fail;
      if (pointer != nullptr) {
        live[pointer] = size;
        used += size;
        peak = std::max(peak, used);
      }
    }
    ASSERT_EQ(resource.counters().current, Bytes(static_cast<std::int64_t>(used)));
    ASSERT_EQ(upstream.bytes, static_cast<std::int64_t>(used));
  }
  EXPECT_EQ(resource.counters().peak, Bytes(static_cast<std::int64_t>(peak)));
  EXPECT_EQ(resource.counters().refusals, refusals);
  EXPECT_EQ(resource.counters().upstream_failures, failures);
  EXPECT_EQ(budget.used(), Bytes(static_cast<std::int64_t>(used)));
  for (const auto& [pointer, size] : live) resource.deallocate(pointer, size);
  EXPECT_EQ(budget.used(), 0_B);
}

TEST_F(BudgetedResourceTest, ManyThreadsNeverGoOverAndLeaveNothing) {
  std::atomic<std::int64_t> most{0};
  BudgetedResource resource(budget.gate(), {}, &upstream);
  {
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 dice(t);
        const auto end = std::chrono::steady_clock::now() + 500ms;
        std::vector<std::pair<void*, std::size_t>> mine;
        for (int i = 0; i < 5'000 && std::chrono::steady_clock::now() < end; ++i) {
          const std::size_t size = 1 + dice() % 200;
          if (void* const pointer = resource.try_allocate(size)) {
            mine.emplace_back(pointer, size);
            std::int64_t now = upstream.bytes, seen = most;
            while (now > seen && !most.compare_exchange_weak(seen, now)) {
            }
          }
          if (mine.size() > dice() % 4) {
            resource.deallocate(mine.back().first, mine.back().second);
            mine.pop_back();
          }
        }
        for (const auto& [pointer, size] : mine) resource.deallocate(pointer, size);
      });
    }
  }
  EXPECT_LE(most, 1000);
  EXPECT_GT(most, 0);
  EXPECT_LE(resource.counters().peak, 1000_B);
  EXPECT_EQ(resource.counters().current, 0_B);
  EXPECT_EQ(upstream.bytes, 0);
  EXPECT_EQ(budget.used(), 0_B);
}

}  // namespace
}  // namespace mais::memory
