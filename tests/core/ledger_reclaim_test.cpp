// Whom a reclaim plan takes from, and from whom not.
#include <gmock/gmock.h>

#include "mais/core/ledger.hpp"

namespace mais::core {
namespace {

using namespace mais::literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LedgerReclaimTest : public ::testing::Test {
 protected:
  Ledger ledger;
  SpaceId gpu = ledger.add_space("gpu", 100_B);
  AccountId root = ledger.root(gpu);
  AccountId a = *ledger.add_account(root, {.name = "a", .guarantee = 40_B});
  AccountId b = *ledger.add_account(root, {.name = "b", .guarantee = 20_B});
  AccountId c = *ledger.add_account(root, {.name = "c"});

  ReservationId cache(AccountId account, Bytes bytes, double cost = 0) {
    return *ledger.reserve(account, bytes, Hold::revocable, cost);
  }
};

TEST_F(LedgerReclaimTest, TheLargestOverageAndTheCheapestVictimGoFirst) {
  const ReservationId dear = cache(c, 30_B, 5);
  const ReservationId cheap = cache(c, 30_B, 1);
  cache(b, 40_B, 0);  // the cheapest of all, but 20 of it are b's own
  const ReclaimPlan plan = ledger.plan_reclaim(a, 35_B);
  EXPECT_TRUE(plan.fits());
  EXPECT_EQ(plan.total, 35_B);
  EXPECT_EQ(plan.cost, 55);
  EXPECT_THAT(plan.steps,
              ElementsAre(ReclaimStep{cheap, c, 30_B, 30}, ReclaimStep{dear, c, 5_B, 25}));
  for (const ReclaimStep& step : plan.steps) ledger.shrink(step.reservation, step.bytes);
  EXPECT_TRUE(ledger.try_reserve(a, 35_B));
}

TEST_F(LedgerReclaimTest, OveragesAreEvenedOut) {
  const ReservationId of_b = cache(b, 50_B);  // 30 over
  const ReservationId first = cache(c, 25_B, 1);
  const ReservationId second = cache(c, 25_B, 2);  // 50 over
  const ReclaimPlan plan = ledger.plan_reclaim(a, 40_B);
  EXPECT_THAT(plan.steps,
              ElementsAre(ReclaimStep{first, c, 25_B, 25}, ReclaimStep{of_b, b, 15_B, 0}));
  (void)second;
}

TEST_F(LedgerReclaimTest, AHeavierAccountGivesBackLater) {
  const ReservationId of_b = cache(b, 50_B);
  cache(c, 50_B);
  ASSERT_TRUE(ledger.set_weight(c, 2));  // 50 / 2 is less than 30 / 1
  EXPECT_THAT(ledger.plan_reclaim(a, 10_B).steps, ElementsAre(ReclaimStep{of_b, b, 10_B, 0}));
}

TEST_F(LedgerReclaimTest, NobodyIsPushedBelowItsGuarantee) {
  const ReservationId of_b = cache(b, 30_B);
  ASSERT_TRUE(ledger.try_reserve(c, 40_B));
  const ReservationId of_a = cache(a, 30_B);
  const ReclaimPlan plan = ledger.plan_reclaim(a, 40_B);
  EXPECT_TRUE(plan.fits());
  EXPECT_THAT(plan.steps,
              ElementsAre(ReclaimStep{of_a, a, 30_B, 0}, ReclaimStep{of_b, b, 10_B, 0}));
}

TEST_F(LedgerReclaimTest, NothingIsTakenInVain) {
  cache(c, 100_B);
  const ReclaimPlan plan = ledger.plan_reclaim(a, 90_B);
  EXPECT_THAT(plan.steps, IsEmpty());
  EXPECT_EQ(plan.shortfall, 10_B);
}

TEST_F(LedgerReclaimTest, NothingIsTakenWhenTheRequestFits) {
  cache(c, 60_B);
  const ReclaimPlan plan = ledger.plan_reclaim(a, 40_B);
  EXPECT_THAT(plan.steps, IsEmpty());
  EXPECT_TRUE(plan.fits());
}

// A tight limit low in the tree is met from below it, and what goes there counts further up.
TEST_F(LedgerReclaimTest, WhatIsTakenLowInTheTreeCountsFurtherUp) {
  const AccountId x = *ledger.add_account(c, {.name = "x", .limit = 30_B});
  const ReservationId inside = cache(x, 30_B);
  const ReservationId outside = cache(b, 70_B);
  const ReclaimPlan plan = ledger.plan_reclaim(x, 20_B);
  EXPECT_THAT(plan.steps, ElementsAre(ReclaimStep{inside, x, 20_B, 0}));
  (void)outside;
}

// Two tenants share a guarantee; a third borrowed most. The first tenant's request takes from the
// third, not from its sibling.
TEST_F(LedgerReclaimTest, ASiblingWithinTheCommonGuaranteeIsSpared) {
  const AccountId x = *ledger.add_account(a, {.name = "x"});
  const AccountId y = *ledger.add_account(a, {.name = "y"});
  cache(y, 20_B);
  const ReservationId borrowed = cache(c, 80_B);
  EXPECT_THAT(ledger.plan_reclaim(x, 20_B).steps, ElementsAre(ReclaimStep{borrowed, c, 20_B, 0}));
}

TEST_F(LedgerReclaimTest, AFirmRequestWithinItsGuaranteeAlwaysFitsAfterReclaim) {
  cache(c, 45_B);
  cache(b, 30_B);
  cache(root, 25_B);
  for (const AccountId account : {a, b}) {
    const Bytes guarantee = ledger.guarantee(account);
    const ReclaimPlan plan = ledger.plan_reclaim(account, guarantee);
    ASSERT_TRUE(plan.fits());
    for (const ReclaimStep& step : plan.steps) ledger.shrink(step.reservation, step.bytes);
    ASSERT_TRUE(ledger.try_reserve(account, guarantee));
  }
  EXPECT_LE(ledger.used(root), 100_B);
}

}  // namespace
}  // namespace mais::core
