// What the planner promises when things go wrong or change under way: cancellation, failed
// allocations, lost instances, bounds that move; and what batches and leases get.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/small_world.hpp"
#include "mais/core/audit.hpp"
#include "mais/core/ledger.hpp"

namespace mais::core {
namespace {

using ::testing::IsEmpty;

void expect_right(const Table& table) {
  EXPECT_THAT(table.host.breaches(), IsEmpty());
  EXPECT_THAT(audit(table.planner.view(), *table.config), IsEmpty());
}

bool granted(const Table& table, RequestId id) {
  const auto found = table.host.live().find(id);
  return found != table.host.live().end() && found->second.leased;
}

std::size_t free_pages(const Table& table, std::uint32_t instance = 0) {
  return table.planner.view().instances[instance].free_pages.size();
}

Bytes limit_of(const Table& table, std::uint32_t instance = 0) {
  return table.planner.view().instances[instance].state_limit;
}

Bytes guarantee_of(const Table& table, const std::string& path) {
  for (const AccountSnapshot& account : table.planner.view().ledger.accounts) {
    if (table.planner.ledger().path(account.id) == path) return account.guarantee;
  }
  ADD_FAILURE() << "no account " << path;
  return {};
}

// --- Cancellation -------------------------------------------------------------------------------

TEST(Cancellation, EndsAWaitingRequestAtOnce) {
  Table table(small_world(Policy::optimistic()));
  const RequestId id = table.submit(prompt_of(2, 2));
  table.cancel(id);
  EXPECT_EQ(table.said(id)->kind, ActionKind::cancelled);
  EXPECT_FALSE(table.look(id));
  table.cancel(id);  // a moment too late: ignored
  EXPECT_THAT(table.out.list, IsEmpty());
  expect_right(table);
}

TEST(Cancellation, InAStepEndsAtOnceAndReturnsMemoryWithTheReport) {
  Table table(small_world(Policy::optimistic()));
  const RequestId id = table.submit(prompt_of(4, 2));
  ASSERT_TRUE(table.next());
  table.cancel(id);
  EXPECT_EQ(table.said(id)->kind, ActionKind::cancelled);
  EXPECT_EQ(table.look(id)->phase, RequestPhase::ended);
  EXPECT_EQ(free_pages(table), 2U);
  expect_right(table);
  table.cancel(id);
  EXPECT_THAT(table.out.list, IsEmpty());
  table.done();
  EXPECT_THAT(table.out.list, IsEmpty());
  EXPECT_FALSE(table.look(id));
  EXPECT_EQ(free_pages(table), 5U);
  expect_right(table);
}

TEST(Cancellation, BesideAStepLeavesThoseInItTheirPlaces) {
  Config config = small_world(Policy::optimistic(), 8);
  config.instances[0].max_step_tokens = 2_tok;
  Table table(config);
  table.submit(prompt_of(1, 8));
  const RequestId second = table.submit(prompt_of(1, 8));
  ASSERT_TRUE(table.turn());
  Request urgent = prompt_of(1, 8);
  urgent.deadlines.tpot = 1ms;
  const RequestId third = table.submit(urgent);
  for (int i = 0; i < 8 && (!table.look(third) || table.look(third)->generated < 1_tok); ++i) {
    ASSERT_TRUE(table.turn());
    if (table.host.live().at(second).generated > 2) break;
  }
  // Three decode, two fit a step: the urgent one and the oldest.
  ASSERT_TRUE(table.next());
  if (!table.look(second)->in_step) {
    table.cancel(second);
    expect_right(table);
  }
  table.done();
  expect_right(table);
  while (!table.host.live().empty()) ASSERT_TRUE(table.turn());
  expect_right(table);
}

// --- Failed allocations -------------------------------------------------------------------------

TEST(AllocationFailure, LowersTheLimitGoesOnAndRecovers) {
  Table table(small_world(Policy::optimistic()));
  const RequestId id = table.submit(prompt_of(4, 4));
  ASSERT_TRUE(table.next());
  table.failed();
  EXPECT_LT(limit_of(table), 40_B);
  EXPECT_TRUE(table.look(id));
  while (!table.host.live().empty()) {
    table.now += 1ms;
    ASSERT_TRUE(table.turn());
  }
  EXPECT_EQ(table.host.count(ActionKind::finished), 1U);
  for (int i = 0; i < 400; ++i) {
    if (table.host.live().empty()) table.submit(prompt_of(1, 4));
    table.turn();
  }
  EXPECT_EQ(limit_of(table), 40_B);
  expect_right(table);
}

TEST(AllocationFailure, ThreeTimesAloneRefusesTheRequest) {
  Table table(small_world(Policy::optimistic()));
  const RequestId id = table.submit(prompt_of(4, 4));
  for (int i = 0; i < 10 && table.host.live().contains(id); ++i) {
    ASSERT_TRUE(table.next());
    table.failed();
  }
  EXPECT_EQ(table.host.count(ActionKind::refused), 1U);
  EXPECT_EQ(free_pages(table), 5U);
  expect_right(table);
}

// --- Lost instances -----------------------------------------------------------------------------

Config lending(std::int64_t pages) {
  Config config = shared_world(Policy::optimistic());
  for (std::size_t i = 0; i < 2; ++i) config.instances[i].state = 8_B * pages;
  config.tenants[0].guarantee = 8_B;
  // All weights, one workspace, and as much state as one may borrow.
  config.machine.spaces[0].capacity = std::max(130_B, 25_B + 20_B + 8_B * pages);
  return config;
}

TEST(LostInstance, RequeuesElsewhereWhatItHad) {
  Table table(lending(4));
  const RequestId id = table.submit(prompt_of(3, 3));
  ASSERT_TRUE(table.turn(0));
  ASSERT_TRUE(table.next(0));
  table.host.lost(InstanceId(0));
  table.tell([&](Planner& p) { p.instance_lost(table.now, InstanceId(0), table.out); });
  ASSERT_NE(table.said(id), nullptr);
  EXPECT_EQ(table.said(id)->kind, ActionKind::requeued);
  EXPECT_EQ(table.said(id)->instance, InstanceId(1));
  expect_right(table);
  while (!table.host.live().empty()) ASSERT_TRUE(table.turn(1));
  EXPECT_EQ(table.host.count(ActionKind::finished), 1U);
  expect_right(table);
}

TEST(LostInstance, RefusesWhatNoOtherRuns) {
  Table table(small_world(Policy::optimistic()));
  const RequestId id = table.submit(prompt_of(3, 3));
  ASSERT_TRUE(table.turn());
  table.tell([&](Planner& p) { p.instance_lost(table.now, InstanceId(0), table.out); });
  EXPECT_EQ(table.said(id)->kind, ActionKind::refused);
  EXPECT_EQ(table.said(id)->refusal.reason, RefusalReason::instance_lost);
  expect_right(table);
}

TEST(LostInstance, ALateReportOfItsStepIsIgnored) {
  Table table(small_world(Policy::optimistic()));
  table.submit(prompt_of(3, 3));
  ASSERT_TRUE(table.next());
  const StepReport late{.step = table.step.id};
  table.host.lost(InstanceId(0));
  table.tell([&](Planner& p) { p.instance_lost(table.now, InstanceId(0), table.out); });
  table.tell([&](Planner& p) { p.report(table.now, late, table.out); });
  EXPECT_THAT(table.out.list, IsEmpty());
  expect_right(table);
}

TEST(LostInstance, ComesBackThoughOthersBorrowedItsMemory) {
  Table table(lending(12));
  table.tell([&](Planner& p) { p.instance_lost(table.now, InstanceId(0), table.out); });
  table.submit(prompt_of(22, 2));  // all of the other's twelve pages, far beyond its guarantee
  while (table.planner.load(InstanceId(1)).prompt_tokens == 0) ASSERT_TRUE(table.turn(1));
  table.submit(lease_of(28_B));
  EXPECT_LT(
      table.planner.ledger().headroom(table.planner.ledger().root(SpaceId(0)), Hold::revocable),
      10_B);
  table.tell([&](Planner& p) { p.instance_back(table.now, InstanceId(0), table.out); });
  EXPECT_FALSE(table.planner.view().instances[0].lost);
  expect_right(table);
}

// --- Bounds that move ---------------------------------------------------------------------------

TEST(Bounds, ATenantsGuaranteeComesBackWithItsLimit) {
  Table table(small_world(Policy::projected()));
  const auto set = [&](std::optional<Bytes> limit) {
    table.tell(
        [&](Planner& p) { p.tenant_limit_changed(table.now, TenantId(0), limit, table.out); });
  };
  set(8_B);
  EXPECT_EQ(guarantee_of(table, "gpu/one/state/a"), 8_B);
  set(std::nullopt);
  EXPECT_EQ(guarantee_of(table, "gpu/one/state/a"), 16_B);
  expect_right(table);
}

TEST(Bounds, FallTogetherWhenOthersHoldTheMemoryAndRiseAgain) {
  Table table(lending(4));
  for (const Bytes foreign : {60_B, 10_B, 40_B, 0_B}) {
    table.tell([&](Planner& p) { p.memory_measured(table.now, SpaceId(0), foreign, table.out); });
    expect_right(table);
  }
  EXPECT_EQ(limit_of(table, 0), 32_B);
  EXPECT_EQ(limit_of(table, 1), 32_B);
  EXPECT_EQ(guarantee_of(table, "gpu/one/state"), 16_B);
}

TEST(Bounds, ALimitThatFallsTakesPagesBackWithTheNextStep) {
  Table table(small_world(Policy::optimistic()));
  table.submit(prompt_of(3, 6));
  table.submit(prompt_of(3, 6));
  ASSERT_TRUE(table.turn());
  table.tell([&](Planner& p) { p.limit_changed(table.now, InstanceId(0), 16_B, table.out); });
  expect_right(table);
  table.turn();
  EXPECT_LE(table.planner.load(InstanceId(0)).state_used, 16_B);
  expect_right(table);
}

TEST(Bounds, WhatIsGuaranteedAndLentComesBackForTheNextStep) {
  Table table(lending(12));
  table.submit(prompt_of(22, 2));  // twelve pages on the first
  ASSERT_TRUE(table.turn(0));
  const RequestId needy = table.submit(prompt_of(3, 2));
  const std::uint32_t where = table.look(needy)->instance->value();
  EXPECT_EQ(where, 1U);
  EXPECT_TRUE(table.next(where));
  expect_right(table);
}

// --- Request batching ---------------------------------------------------------------------------

Request item(std::int64_t length, std::optional<Duration> completion = std::nullopt) {
  return {.model = ModelId(1), .prompt = Tokens(length), .deadlines = {.completion = completion}};
}

TEST(RequestBatch, IsTheLargestThatTheWorkspaceHolds) {
  Table table(shared_world(Policy::projected()));
  for (int i = 0; i < 5; ++i) table.submit(item(3));
  ASSERT_TRUE(table.next(2));
  EXPECT_EQ(table.step.entries.size(), 4U);
  EXPECT_EQ(table.step.padded, 4_tok);
  EXPECT_EQ(table.step.workspace, 16_B);
  expect_right(table);
  table.done(2);
  EXPECT_EQ(table.host.count(ActionKind::finished), 4U);
  expect_right(table);
}

TEST(RequestBatch, IsPaddedToTheBucketOfItsLongest) {
  Table table(shared_world(Policy::projected()));
  table.submit(item(3));
  table.submit(item(5));
  ASSERT_TRUE(table.next(2));
  EXPECT_EQ(table.step.padded, 8_tok);
  EXPECT_EQ(table.step.entries.size(), 2U);
}

TEST(RequestBatch, EndsBeforeItsEarliestDeadline) {
  Table table(shared_world(Policy::projected()));
  for (int i = 0; i < 4; ++i) table.submit(item(3, 9ms));  // four milliseconds each, padded
  ASSERT_TRUE(table.next(2));
  EXPECT_EQ(table.step.entries.size(), 2U);
}

TEST(RequestBatch, WaitsForMoreButNotForLong) {
  Table table(shared_world(Policy::projected()));
  table.submit(item(3));
  EXPECT_FALSE(table.next(2));
  ASSERT_TRUE(table.out.wake_at);
  EXPECT_EQ(*table.out.wake_at, Time(10ms));
  table.now = *table.out.wake_at;
  ASSERT_TRUE(table.next(2));
  EXPECT_EQ(table.step.entries.size(), 1U);
}

TEST(RequestBatch, TooLongForAnyBucketIsRefused) {
  Table table(shared_world(Policy::projected()));
  const RequestId id = table.submit(item(9));
  EXPECT_EQ(table.said(id)->refusal.reason, RefusalReason::can_never_fit);
}

TEST(RequestBatch, AFailedAllocationMakesTheNextBatchSmaller) {
  Table table(shared_world(Policy::projected()));
  for (int i = 0; i < 4; ++i) table.submit(item(3));
  ASSERT_TRUE(table.next(2));
  EXPECT_EQ(table.step.entries.size(), 4U);
  table.failed(2);
  ASSERT_TRUE(table.next(2));
  EXPECT_EQ(table.step.entries.size(), 3U);
  table.done(2);
  expect_right(table);
}

// --- Leases -------------------------------------------------------------------------------------

TEST(Leases, AreGrantedInOrderAsMemoryReturns) {
  Table table(small_world(Policy::projected()));  // 30 bytes are promised to no instance
  const RequestId first = table.submit(lease_of(20_B));
  const RequestId second = table.submit(lease_of(20_B));
  const RequestId third = table.submit(lease_of(20_B));
  EXPECT_TRUE(granted(table, first));
  EXPECT_FALSE(granted(table, second));
  table.tell([&](Planner& p) { p.give_back(table.now, first, table.out); });
  EXPECT_TRUE(granted(table, second));
  EXPECT_FALSE(granted(table, third));
  expect_right(table);
}

TEST(Leases, ABlockedOneIsPassedABoundedNumberOfTimes) {
  Config config = small_world(Policy::projected());
  config.queue.max_bypass = 2;
  Table table(config);
  table.submit(lease_of(20_B));
  const RequestId blocked = table.submit(lease_of(20_B));
  std::vector<RequestId> passing;
  for (int i = 0; i < 4; ++i) passing.push_back(table.submit(lease_of(1_B)));
  EXPECT_FALSE(granted(table, blocked));
  const auto passed = std::count_if(passing.begin(), passing.end(),
                                    [&](RequestId id) { return granted(table, id); });
  EXPECT_EQ(passed, 2);
  expect_right(table);
}

TEST(Leases, TakeBackWhatInstancesBorrowed) {
  Config config = lending(12);  // 28 bytes are promised to no instance
  config.tenants[1].limit.reset();
  Table table(config);
  table.submit(prompt_of(22, 2));
  ASSERT_TRUE(table.turn(0));
  EXPECT_LT(
      table.planner.ledger().headroom(table.planner.ledger().root(SpaceId(0)), Hold::revocable),
      28_B);
  const RequestId lease = table.submit(lease_of(28_B, 1));
  EXPECT_TRUE(granted(table, lease));
  expect_right(table);
}

TEST(Leases, AreRefusedWhenTheirTenantsLimitFallsBelowThem) {
  Table table(small_world(Policy::optimistic()));
  const RequestId held = table.submit(lease_of(20_B, 1));
  const RequestId waiting = table.submit(lease_of(22_B, 1));
  ASSERT_TRUE(granted(table, held));
  table.tell([&](Planner& p) { p.tenant_limit_changed(table.now, TenantId(1), 21_B, table.out); });
  ASSERT_NE(table.said(waiting), nullptr);
  EXPECT_EQ(table.said(waiting)->kind, ActionKind::refused);
  EXPECT_EQ(table.said(waiting)->refusal.reason, RefusalReason::tenant_over_limit);
  EXPECT_EQ(table.said(waiting)->refusal.available, 21);
  EXPECT_TRUE(granted(table, held));
  expect_right(table);
}

TEST(Leases, ExpireWhenTheyAreNotGrantedInTime) {
  Table table(small_world(Policy::projected()));
  table.submit(lease_of(20_B));
  Request request = lease_of(20_B);
  request.give_up = 5ms;
  const RequestId id = table.submit(request);
  ASSERT_TRUE(table.planner.next_timer());
  table.now = *table.planner.next_timer();
  table.tell([&](Planner& p) { p.tick(table.now, table.out); });
  table.now += 1ms;
  if (table.host.live().contains(id)) {
    table.tell([&](Planner& p) { p.tick(table.now, table.out); });
  }
  EXPECT_FALSE(table.host.live().contains(id));
  EXPECT_EQ(table.host.count(ActionKind::expired), 1U);
  expect_right(table);
}

}  // namespace
}  // namespace mais::core
