// A lease: what it holds, and that it gives it back exactly once.
#include "mais/lease.hpp"

#include <optional>
#include <type_traits>
#include <utility>

#include <gmock/gmock.h>

#include "mais/scheduler.hpp"
#include "shell/small_machine.hpp"

namespace mais {
namespace {

using ::testing::HasSubstr;

static_assert(!std::is_copy_constructible_v<Lease> && !std::is_copy_assignable_v<Lease>);
static_assert(std::is_nothrow_move_constructible_v<Lease>);
static_assert(std::is_nothrow_move_assignable_v<Lease>);
static_assert(std::is_nothrow_destructible_v<Lease>);

Request lease_of(Bytes bytes) {
  return {.space = kPool, .bytes = bytes};
}

Bytes used(Scheduler& scheduler) {
  return scheduler.snapshot().ledger.accounts.front().used;
}

TEST(Lease, TellsWhatItHolds) {
  Scheduler scheduler = make_scheduler();
  const auto lease = scheduler.acquire(lease_of(300_MiB));
  ASSERT_TRUE(lease);
  EXPECT_TRUE(lease->held());
  EXPECT_EQ(lease->bytes(), 300_MiB);
  EXPECT_EQ(lease->space(), kPool);
  EXPECT_EQ(used(scheduler), 300_MiB);
}

TEST(Lease, GivesBackAtTheEndOfItsScope) {
  Scheduler scheduler = make_scheduler();
  {
    const auto lease = scheduler.acquire(lease_of(300_MiB));
    ASSERT_TRUE(lease);
  }
  EXPECT_EQ(used(scheduler), 0_B);
}

TEST(Lease, ReleasedTwiceGivesBackOnce) {
  Scheduler scheduler = make_scheduler();
  auto kept = scheduler.acquire(lease_of(100_MiB));
  auto lease = scheduler.acquire(lease_of(300_MiB));
  lease->release();
  lease->release();
  EXPECT_FALSE(lease->held());
  EXPECT_EQ(used(scheduler), 100_MiB);
}

TEST(Lease, MovedLeaseGivesBackOnceAtItsNewPlace) {
  Scheduler scheduler = make_scheduler();
  std::optional<Lease> outer;
  {
    auto lease = scheduler.acquire(lease_of(300_MiB));
    outer = std::move(*lease);
    EXPECT_FALSE(lease->held());
  }
  EXPECT_EQ(used(scheduler), 300_MiB);
  outer.reset();
  EXPECT_EQ(used(scheduler), 0_B);
}

TEST(Lease, AssigningGivesBackWhatWasHeld) {
  Scheduler scheduler = make_scheduler();
  Lease lease = *scheduler.acquire(lease_of(300_MiB));
  lease = *scheduler.acquire(lease_of(100_MiB));
  EXPECT_EQ(used(scheduler), 100_MiB);
  Lease& itself = lease;
  lease = std::move(itself);
  EXPECT_EQ(used(scheduler), 100_MiB);
  lease = Lease();
  EXPECT_EQ(used(scheduler), 0_B);
}

TEST(Lease, MayOutliveItsScheduler) {
  std::optional<Scheduler> scheduler(make_scheduler());
  Lease early = *scheduler->acquire(lease_of(300_MiB));
  Lease late = *scheduler->acquire(lease_of(300_MiB));
  early.release();  // not collected by any later call
  scheduler.reset();
  EXPECT_EQ(late.bytes(), 300_MiB);
}

TEST(LeaseDeathTest, AskingAnEmptyLeaseAborts) {
  const Lease lease;
  EXPECT_DEATH(lease.bytes(), "the lease holds nothing");
  EXPECT_DEATH(lease.space(), "the lease holds nothing");
  EXPECT_DEATH(lease.request(), "the lease holds nothing");
}

}  // namespace
}  // namespace mais
