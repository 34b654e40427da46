// Limits, guarantees and capacities that change at run time.
#include <gmock/gmock.h>

#include "mais/core/ledger.hpp"
#include "mais/core/ledger_audit.hpp"

namespace mais::core {
namespace {

using namespace mais::literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LedgerBoundsTest : public ::testing::Test {
 protected:
  Ledger ledger;
  SpaceId gpu = ledger.add_space("gpu", 100_B);
  AccountId root = ledger.root(gpu);
  AccountId a = *ledger.add_account(root, {.name = "a", .guarantee = 40_B});
  AccountId c = *ledger.add_account(root, {.name = "c"});

  ~LedgerBoundsTest() override { EXPECT_THAT(audit(ledger.snapshot()), IsEmpty()); }
};

TEST_F(LedgerBoundsTest, ALimitAboveUseAppliesAtOnce) {
  ASSERT_TRUE(ledger.try_reserve(c, 20_B));
  EXPECT_TRUE(ledger.set_limit(c, 30_B)->applied());
  EXPECT_EQ(ledger.headroom(c), 10_B);
  EXPECT_TRUE(ledger.set_limit(c, std::nullopt)->applied());
  EXPECT_EQ(ledger.limit(c), std::nullopt);
  EXPECT_EQ(ledger.headroom(c), 40_B);
}

TEST_F(LedgerBoundsTest, ALimitBelowUseIsDeferredAndBlocksUntilUseFellBelow) {
  const ReservationId id = *ledger.reserve(c, 40_B);
  const Adjustment answer = *ledger.set_limit(c, 30_B);
  EXPECT_EQ(answer.effect, Adjustment::Effect::deferred);
  EXPECT_EQ(answer.over_used, 10_B);
  EXPECT_TRUE(ledger.settling(c));
  EXPECT_FALSE(ledger.settling(root));
  EXPECT_FALSE(ledger.try_grow(id, 1_B));
  EXPECT_FALSE(ledger.try_reserve(c, 1_B, Hold::revocable));
  EXPECT_TRUE(ledger.try_reserve(a, 1_B));  // others go on
  ledger.shrink(id, 10_B);
  EXPECT_FALSE(ledger.settling(c));
  EXPECT_FALSE(ledger.try_grow(id, 1_B));
  ledger.shrink(id, 1_B);
  EXPECT_TRUE(ledger.try_grow(id, 1_B));
}

TEST_F(LedgerBoundsTest, AReclaimOfZeroBytesSaysHowToSettle) {
  const ReservationId firm = *ledger.reserve(c, 30_B);
  const ReservationId cache = *ledger.reserve(c, 25_B, Hold::revocable);
  ASSERT_FALSE(ledger.set_limit(c, 20_B)->applied());
  const ReclaimPlan plan = ledger.plan_reclaim(c, 0_B);
  ASSERT_EQ(plan.steps.size(), 1u);
  EXPECT_EQ(plan.steps[0].reservation, cache);
  EXPECT_EQ(plan.total, 25_B);
  EXPECT_EQ(plan.shortfall, 10_B);  // only the holder can give these back
  ledger.release(cache);
  ledger.shrink(firm, 10_B);
  EXPECT_FALSE(ledger.settling(c));
}

TEST_F(LedgerBoundsTest, ACapacityThatShrinksIsDeferredAndNamesWhatMustGo) {
  const ReservationId cache = *ledger.reserve(c, 90_B, Hold::revocable);
  const Adjustment answer = *ledger.set_capacity(gpu, 70_B);
  EXPECT_EQ(answer.over_used, 20_B);
  EXPECT_EQ(answer.over_committed, 0_B);
  const ReclaimPlan plan = ledger.plan_reclaim(root, 0_B);
  EXPECT_EQ(plan.total, 20_B);
  EXPECT_TRUE(plan.fits());
  ledger.shrink(cache, 20_B);
  EXPECT_FALSE(ledger.settling(root));
  EXPECT_EQ(ledger.plan_reclaim(a, 40_B).total, 40_B);
}

TEST_F(LedgerBoundsTest, ACapacityBelowTheGuaranteesIsRefused) {
  const auto refused = ledger.set_capacity(gpu, 39_B);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::over_capacity);
  EXPECT_THAT(refused.error().message, HasSubstr("\"gpu\" guarantees 40 B"));
  EXPECT_EQ(ledger.limit(root), 100_B);
  EXPECT_EQ(ledger.set_limit(a, 39_B).error().code, ErrorCode::over_limit);
  EXPECT_EQ(ledger.set_limit(root, 39_B).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(ledger.set_guarantee(root, 39_B).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(ledger.set_guarantee(c, 61_B).error().code, ErrorCode::over_capacity);
  EXPECT_EQ(ledger.set_weight(c, -1).error().code, ErrorCode::invalid_argument);
}

TEST_F(LedgerBoundsTest, AGuaranteeIsRaisedAsFirmBytesReturn) {
  const ReservationId other = *ledger.reserve(c, 60_B);
  const Adjustment answer = *ledger.set_guarantee(a, 70_B);
  EXPECT_FALSE(answer.applied());
  EXPECT_EQ(answer.over_committed, 30_B);
  EXPECT_TRUE(ledger.settling(root));
  EXPECT_FALSE(ledger.try_grow(other, 1_B));
  EXPECT_EQ(ledger.headroom(a), 40_B);  // within its guarantee, as far as there is memory
  ledger.shrink(other, 29_B);
  EXPECT_TRUE(ledger.settling(root));
  ledger.shrink(other, 1_B);
  EXPECT_FALSE(ledger.settling(root));
  EXPECT_EQ(ledger.headroom(a), 70_B);
}

TEST_F(LedgerBoundsTest, ALoweredGuaranteeFreesMemoryForOthers) {
  EXPECT_TRUE(ledger.set_guarantee(a, 10_B)->applied());
  EXPECT_EQ(ledger.headroom(c), 90_B);
}

TEST_F(LedgerBoundsTest, WhileSettlingRevocableBytesGoEvenWithinAGuarantee) {
  ASSERT_TRUE(ledger.try_reserve(c, 60_B));
  const ReservationId cache = *ledger.reserve(a, 40_B, Hold::revocable);
  EXPECT_EQ(ledger.set_capacity(gpu, 80_B)->over_committed, 20_B);
  const ReclaimPlan plan = ledger.plan_reclaim(root, 0_B);
  ASSERT_EQ(plan.steps.size(), 1u);
  EXPECT_EQ(plan.steps[0], (ReclaimStep{cache, a, 20_B, 0}));
}

}  // namespace
}  // namespace mais::core
