#include "mais/core/ledger.hpp"

#include <gmock/gmock.h>

namespace mais::core {
namespace {

using namespace mais::literals;
using ::testing::HasSubstr;

// gpu 100, a: guarantee 40, b: guarantee 20 and limit 60, c: neither.
class LedgerTest : public ::testing::Test {
 protected:
  Ledger ledger;
  SpaceId gpu = ledger.add_space("gpu", 100_B);
  AccountId root = ledger.root(gpu);
  AccountId a = *ledger.add_account(root, {.name = "a", .guarantee = 40_B});
  AccountId b = *ledger.add_account(root, {.name = "b", .guarantee = 20_B, .limit = 60_B});
  AccountId c = *ledger.add_account(root, {.name = "c"});
};

TEST_F(LedgerTest, ReleaseReturnsEveryByte) {
  const LedgerSnapshot empty = ledger.snapshot();
  const ReservationId one = *ledger.reserve(a, 30_B);
  const ReservationId two = *ledger.reserve(c, 25_B, Hold::revocable);
  EXPECT_EQ(ledger.used(root), 55_B);
  EXPECT_EQ(ledger.firm(root), 30_B);
  EXPECT_EQ(ledger.revocable(root), 25_B);
  ledger.release(one);
  ledger.release(two);
  EXPECT_EQ(ledger.used(root), 0_B);
  EXPECT_EQ(ledger.reservation_count(), 0u);
  EXPECT_EQ(ledger.peak(root), 55_B);
  for (const AccountId id : {root, a, b, c}) ledger.reset_peak(id);
  EXPECT_EQ(ledger.snapshot(), empty);
}

TEST_F(LedgerTest, FirmLeavesWhatOthersAreGuaranteed) {
  EXPECT_EQ(ledger.headroom(c), 40_B);
  EXPECT_EQ(ledger.headroom(a), 80_B);
  EXPECT_EQ(ledger.headroom(b), 60_B);
  ASSERT_TRUE(ledger.try_reserve(c, 40_B));
  EXPECT_FALSE(ledger.try_reserve(c, 1_B));
  EXPECT_TRUE(ledger.try_reserve(a, 40_B));
  EXPECT_TRUE(ledger.try_reserve(b, 20_B));
}

TEST_F(LedgerTest, RevocableBorrowsWhatOthersDoNotUse) {
  EXPECT_EQ(ledger.headroom(c, Hold::revocable), 100_B);
  ASSERT_TRUE(ledger.try_reserve(c, 100_B, Hold::revocable));
  EXPECT_EQ(ledger.lent(root), 60_B);
  EXPECT_EQ(ledger.borrowed(c), 100_B);
  EXPECT_EQ(ledger.headroom(a), 0_B);
  EXPECT_EQ(ledger.headroom_after_reclaim(a), 80_B);
}

TEST_F(LedgerTest, ARefusalNamesTheBoundAndTheNumbers) {
  const Result<ReservationId> refused = ledger.reserve(b, 61_B);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::over_limit);
  EXPECT_EQ(refused.error().asked, 61);
  EXPECT_EQ(refused.error().available, 60);
  EXPECT_THAT(refused.error().message, HasSubstr("\"gpu/b\" is limited to 60 B"));
}

TEST_F(LedgerTest, ARefusalSaysWhetherReclaimWouldHelp) {
  ASSERT_TRUE(ledger.try_reserve(c, 90_B, Hold::revocable));
  const auto full = ledger.reserve(a, 30_B);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::over_capacity);
  EXPECT_EQ(full.error().message,
            "30 B asked, 10 B available: \"gpu\" has 100 B and uses 90 B; it fits once revocable "
            "bytes are reclaimed");
  const auto promised = ledger.reserve(c, 50_B);
  ASSERT_FALSE(promised);
  EXPECT_THAT(promised.error().message, HasSubstr("with reclaim 40 B would fit"));
}

TEST_F(LedgerTest, ARefusalForTheSakeOfGuaranteesSaysSo) {
  const auto refused = ledger.reserve(c, 41_B);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::over_capacity);
  EXPECT_EQ(refused.error().message,
            "41 B asked, 40 B available: \"gpu\" has 100 B, of which 60 B are held firmly or "
            "guaranteed to others");
  const Misfit why = *ledger.explain(c, 41_B);
  EXPECT_EQ(why.bound, Misfit::Bound::guarantees);
  EXPECT_EQ(why.account, root);
}

TEST_F(LedgerTest, AnAbsurdRequestIsRefusedNotWrapped) {
  ASSERT_TRUE(ledger.try_reserve(a, 10_B));
  EXPECT_FALSE(ledger.try_reserve(a, Bytes::max()));
  EXPECT_FALSE(ledger.try_reserve(a, Bytes::max(), Hold::revocable));
  EXPECT_EQ(ledger.plan_reclaim(a, Bytes::max()).shortfall, Bytes::max() - 70_B);

  Ledger huge;
  const AccountId disk = huge.root(huge.add_space("disk", Bytes::max()));
  const AccountId one = *huge.add_account(disk, {.name = "one", .guarantee = Bytes::max() / 4});
  const AccountId two = *huge.add_account(disk, {.name = "two"});
  const Bytes most = huge.headroom(two);
  const ReservationId all = *huge.reserve(two, most);
  EXPECT_EQ(huge.headroom(two), 0_B);
  EXPECT_EQ(huge.headroom(one), Bytes::max() / 4);
  huge.release(all);
  EXPECT_EQ(huge.headroom(two), most);
}

TEST_F(LedgerTest, ZeroBytesAreAlwaysGranted) {
  ASSERT_TRUE(ledger.try_reserve(c, 100_B, Hold::revocable));
  const auto empty = ledger.try_reserve(c, 0_B);
  ASSERT_TRUE(empty);
  EXPECT_EQ(ledger.size(*empty), 0_B);
  EXPECT_FALSE(ledger.try_grow(*empty, 1_B));
  EXPECT_TRUE(ledger.try_grow(*empty, 0_B));
}

TEST_F(LedgerTest, GrowAndShrinkChargeEveryAccountAbove) {
  const ReservationId id = *ledger.reserve(b, 10_B);
  ASSERT_TRUE(ledger.grow(id, 50_B));
  EXPECT_EQ(ledger.used(b), 60_B);
  EXPECT_EQ(ledger.used(root), 60_B);
  const Result<void> refused = ledger.grow(id, 1_B);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::over_limit);
  ledger.shrink(id, 60_B);
  EXPECT_EQ(ledger.used(root), 0_B);
  EXPECT_TRUE(ledger.alive(id));
}

TEST_F(LedgerTest, PeakIsTheMostUsedAtOnce) {
  const ReservationId one = *ledger.reserve(b, 30_B);
  ledger.release(*ledger.reserve(b, 20_B, Hold::revocable));
  ledger.shrink(one, 20_B);
  EXPECT_EQ(ledger.peak(b), 50_B);
  EXPECT_EQ(ledger.peak(root), 50_B);
  EXPECT_EQ(ledger.peak(a), 0_B);
  ledger.reset_peak(b);
  EXPECT_EQ(ledger.peak(b), 10_B);
}

TEST_F(LedgerTest, ASplitPartGoesItsOwnWay) {
  const ReservationId whole = *ledger.reserve(b, 30_B, Hold::revocable, 2.5);
  const LedgerSnapshot before = ledger.snapshot();
  const ReservationId part = ledger.split(whole, 12_B);
  EXPECT_EQ(ledger.snapshot().accounts, before.accounts);
  EXPECT_EQ(ledger.size(whole), 18_B);
  EXPECT_EQ(ledger.size(part), 12_B);
  EXPECT_EQ(ledger.hold(part), Hold::revocable);
  EXPECT_EQ(ledger.reclaim_cost(part), 2.5);
  ledger.release(whole);
  EXPECT_EQ(ledger.used(b), 12_B);
}

TEST_F(LedgerTest, AMoveWithinAFullSpaceSucceeds) {
  const ReservationId mine = *ledger.reserve(a, 20_B);
  ASSERT_TRUE(ledger.try_reserve(b, 60_B, Hold::revocable));
  ASSERT_TRUE(ledger.try_reserve(c, 20_B, Hold::revocable));
  ASSERT_EQ(ledger.headroom(root, Hold::revocable), 0_B);
  ASSERT_TRUE(ledger.move(mine, c));
  EXPECT_EQ(ledger.account(mine), c);
  EXPECT_EQ(ledger.used(a), 0_B);
  EXPECT_EQ(ledger.used(c), 40_B);
  EXPECT_EQ(ledger.used(root), 100_B);
  EXPECT_EQ(ledger.peak(root), 100_B);
}

TEST_F(LedgerTest, AMoveBetweenSpacesIsAllOrNothing) {
  const AccountId host = ledger.root(ledger.add_space("host", 50_B));
  const ReservationId id = *ledger.reserve(a, 60_B);
  const LedgerSnapshot before = ledger.snapshot();
  const Result<void> refused = ledger.move(id, host);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().asked, 60);
  EXPECT_EQ(refused.error().available, 50);
  EXPECT_EQ(ledger.snapshot(), before);
  ledger.shrink(id, 10_B);
  ASSERT_TRUE(ledger.move(id, host));
  EXPECT_EQ(ledger.used(root), 0_B);
  EXPECT_EQ(ledger.used(host), 50_B);
}

TEST_F(LedgerTest, AMoveMayNotTakeWhatOthersAreGuaranteed) {
  const ReservationId mine = *ledger.reserve(a, 40_B);
  ASSERT_TRUE(ledger.try_reserve(c, 40_B));
  const LedgerSnapshot before = ledger.snapshot();
  const Result<void> refused = ledger.move(mine, c);  // a could not get its 40 back
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("guaranteed to others"));
  EXPECT_EQ(refused.error().available, 0);
  EXPECT_EQ(ledger.snapshot(), before);
}

TEST_F(LedgerTest, HoldingFirmlyNeedsMemoryThatNobodyIsPromised) {
  const ReservationId id = *ledger.reserve(c, 41_B, Hold::revocable);
  const LedgerSnapshot before = ledger.snapshot();
  const Result<void> refused = ledger.set_hold(id, Hold::firm);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().available, 40);
  EXPECT_EQ(ledger.snapshot(), before);
  ledger.shrink(id, 1_B);
  ASSERT_TRUE(ledger.set_hold(id, Hold::firm));
  EXPECT_EQ(ledger.firm(root), 40_B);
  EXPECT_EQ(ledger.headroom(c), 0_B);
  ASSERT_TRUE(ledger.set_hold(id, Hold::revocable));
  EXPECT_EQ(ledger.headroom(c), 40_B);
}

// root 100 ── t guarantee 50 ── x guarantee 30
//                            ├─ y
TEST_F(LedgerTest, AChildsGuaranteeIsAPartOfItsParents) {
  Ledger nested;
  const AccountId space = nested.root(nested.add_space("gpu", 100_B));
  const AccountId t = *nested.add_account(space, {.name = "t", .guarantee = 50_B});
  const AccountId x = *nested.add_account(t, {.name = "x", .guarantee = 30_B});
  const AccountId y = *nested.add_account(t, {.name = "y"});
  EXPECT_EQ(nested.committed(space), 50_B);
  EXPECT_EQ(nested.headroom(space), 50_B);
  EXPECT_EQ(nested.headroom(y), 70_B);  // 20 of what t is guaranteed, 50 that nobody is
  ASSERT_TRUE(nested.try_reserve(space, 50_B));
  EXPECT_EQ(nested.headroom(y), 20_B);
  ASSERT_TRUE(nested.try_reserve(y, 20_B));
  EXPECT_EQ(nested.headroom(x), 30_B);
  EXPECT_EQ(nested.headroom(y), 0_B);
}

TEST_F(LedgerTest, AChildsLargerGuaranteeRaisesItsParents) {
  Ledger nested;
  const AccountId space = nested.root(nested.add_space("gpu", 100_B));
  const AccountId t = *nested.add_account(space, {.name = "t"});
  ASSERT_TRUE(nested.add_account(t, {.name = "x", .guarantee = 30_B}));
  EXPECT_EQ(nested.committed(t), 30_B);
  EXPECT_EQ(nested.headroom(space), 70_B);
  const auto refused = nested.add_account(t, {.name = "z", .guarantee = 71_B});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::over_capacity);
  EXPECT_EQ(refused.error().available, 70);
}

TEST_F(LedgerTest, WrongAccountsAreRefusedWithReasons) {
  EXPECT_EQ(ledger.add_account(root, {.name = "n", .guarantee = Bytes(-1)}).error().code,
            ErrorCode::invalid_argument);
  EXPECT_EQ(ledger.add_account(root, {.name = "n", .weight = 0}).error().code,
            ErrorCode::invalid_argument);
  EXPECT_THAT(
      ledger.add_account(root, {.name = "n", .guarantee = 9_B, .limit = 8_B}).error().message,
      HasSubstr("its guarantee of 9 B is above its own limit of 8 B"));
  ASSERT_TRUE(ledger.try_reserve(c, 40_B));
  const auto held = ledger.add_account(root, {.name = "n", .guarantee = 1_B});
  EXPECT_EQ(held.error().code, ErrorCode::over_capacity);
  EXPECT_THAT(held.error().message, HasSubstr("held firmly by others below \"gpu\""));
}

TEST_F(LedgerTest, OnlyAnEmptyAccountCanBeRemoved) {
  const AccountId child = *ledger.add_account(c, {.name = "child"});
  EXPECT_THAT(ledger.remove_account(c).error().message, HasSubstr("accounts below it"));
  const ReservationId id = *ledger.reserve(child, 0_B);
  EXPECT_THAT(ledger.remove_account(child).error().message, HasSubstr("still has reservations"));
  ledger.release(id);
  EXPECT_TRUE(ledger.remove_account(child));
  EXPECT_TRUE(ledger.remove_account(a));
  EXPECT_EQ(ledger.headroom(c), 80_B);  // what a was guaranteed is free again
  EXPECT_THAT(ledger.remove_account(root).error().message, HasSubstr("is a space"));
  const AccountId again = *ledger.add_account(root, {.name = "again"});
  EXPECT_EQ(ledger.path(again), "gpu/again");
  EXPECT_NE(again, a);
}

TEST_F(LedgerTest, ACopyGoesItsOwnWay) {
  const ReservationId id = *ledger.reserve(a, 10_B);
  Ledger copy = ledger;
  copy.release(id);
  EXPECT_EQ(copy.used(root), 0_B);
  EXPECT_EQ(ledger.used(root), 10_B);
  EXPECT_TRUE(ledger.alive(id));
}

using LedgerDeathTest = LedgerTest;

TEST_F(LedgerDeathTest, MisuseAbortsWithAMessage) {
  const ReservationId id = *ledger.reserve(a, 10_B);
  const ReservationId gone = *ledger.reserve(a, 10_B);
  ledger.release(gone);
  EXPECT_DEATH(ledger.release(gone), "stale reservation handle");
  const ReservationId reused = *ledger.reserve(a, 10_B);
  EXPECT_EQ(reused.slot, gone.slot);
  EXPECT_DEATH(ledger.release(gone), "stale reservation handle");
  EXPECT_DEATH(ledger.shrink({}, 0_B), "stale reservation handle");
  EXPECT_DEATH((void)ledger.used(AccountId{}), "stale account handle");
  EXPECT_DEATH(ledger.shrink(id, 11_B), "cannot give back more than it holds");
  EXPECT_DEATH((void)ledger.split(id, 11_B), "cannot be larger than the reservation");
  EXPECT_DEATH((void)ledger.try_reserve(a, Bytes(-1)), "a reservation cannot be negative");
  EXPECT_DEATH((void)ledger.try_grow(id, Bytes(-1)), "cannot grow by a negative amount");
  EXPECT_DEATH(ledger.shrink(id, Bytes(-1)), "cannot shrink by a negative amount");
  EXPECT_DEATH((void)ledger.try_reserve(a, 1_B, Hold::firm, -1), "reclaim cost cannot be negative");
  EXPECT_DEATH((void)ledger.root(SpaceId(7)), "no such space");
  ASSERT_TRUE(ledger.remove_account(b));
  EXPECT_DEATH((void)ledger.try_reserve(b, 1_B), "stale account handle");
}

}  // namespace
}  // namespace mais::core
