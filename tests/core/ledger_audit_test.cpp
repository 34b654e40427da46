// Every check of the audit is seen failing: a right snapshot is made wrong in one place.
#include "mais/core/ledger_audit.hpp"

#include <gmock/gmock.h>

#include "mais/core/ledger.hpp"

namespace mais::core {
namespace {

using namespace mais::literals;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LedgerAuditTest : public ::testing::Test {
 protected:
  enum { kRoot, kTenant, kCache, kHost };  // where they stand in the snapshot

  LedgerAuditTest() {
    Ledger ledger;
    const AccountId root = ledger.root(ledger.add_space("gpu", 100_B));
    const AccountId a =
        *ledger.add_account(root, {.name = "tenant", .guarantee = 40_B, .limit = 60_B});
    const AccountId c = *ledger.add_account(root, {.name = "cache"});
    ledger.add_space("host", 10_B);
    (void)*ledger.reserve(a, 30_B);
    (void)*ledger.reserve(c, 65_B, Hold::revocable);
    snapshot = ledger.snapshot();
    EXPECT_THAT(audit(snapshot), IsEmpty());
  }

  void expect_fault(const char* text) { EXPECT_THAT(audit(snapshot), Contains(HasSubstr(text))); }
  AccountSnapshot& account(int which) { return snapshot.accounts[static_cast<std::size_t>(which)]; }

  LedgerSnapshot snapshot;
};

TEST_F(LedgerAuditTest, FindsBytesThatWereNeverReturned) {
  snapshot.reservations.pop_back();
  expect_fault("account \"cache\" (slot 2): used is said to be 65 B, but counts 0 B");
  expect_fault("account \"gpu\" (slot 0): used is said to be 95 B, but counts 30 B");
}

TEST_F(LedgerAuditTest, FindsBytesThatWereReturnedTwice) {
  account(kRoot).used -= 30_B;
  expect_fault("used is said to be 65 B, but counts 95 B");
}

TEST_F(LedgerAuditTest, FindsAnAccountAboveItsLimit) {
  account(kTenant).limit = 29_B;
  expect_fault("account \"tenant\" (slot 1): it uses more than its limit");
}

TEST_F(LedgerAuditTest, FindsASpaceAboveItsCapacity) {
  account(kRoot).limit = 94_B;
  expect_fault("the space uses more than its capacity");
}

TEST_F(LedgerAuditTest, FindsLoansThatNothingCovers) {
  snapshot.reservations[1].hold = Hold::firm;
  expect_fault("what is lent is not covered by revocable reservations");
}

TEST_F(LedgerAuditTest, FindsGuaranteesBeyondALimit) {
  account(kTenant).guarantee = 61_B;
  expect_fault("it guarantees more than its limit");
}

TEST_F(LedgerAuditTest, FindsWrongFirmAndRevocableTotals) {
  account(kTenant).firm += 1_B;
  account(kCache).revocable += 1_B;
  expect_fault("firm is said to be 31 B, but counts 30 B");
  expect_fault("revocable is said to be 66 B, but counts 65 B");
}

TEST_F(LedgerAuditTest, FindsWrongPromises) {
  account(kRoot).committed += 1_B;
  account(kRoot).lent += 1_B;
  account(kCache).borrowed += 1_B;
  expect_fault("committed is said to be 41 B, but counts 40 B");
  expect_fault("lent is said to be 6 B, but counts 5 B");
  expect_fault("borrowed is said to be 66 B, but counts 65 B");
}

TEST_F(LedgerAuditTest, FindsAPeakBelowUse) {
  account(kTenant).peak = 29_B;
  expect_fault("its peak is below what it uses");
}

TEST_F(LedgerAuditTest, FindsAnAccountThatSettlesWithoutAReason) {
  account(kTenant).settling = true;
  account(kCache).settling = true;
  expect_fault("account \"tenant\" (slot 1): it is settling without a reason");
  expect_fault("account \"cache\" (slot 2): it is settling without a reason");
}

TEST_F(LedgerAuditTest, AllowsAnAccountThatSettlesToBeAboveItsLimit) {
  account(kRoot).limit = 94_B;
  account(kRoot).lent = 11_B;
  account(kRoot).settling = true;
  EXPECT_THAT(audit(snapshot), IsEmpty());
}

TEST_F(LedgerAuditTest, FindsABrokenTree) {
  LedgerSnapshot right = snapshot;
  std::swap(snapshot.accounts[kRoot], snapshot.accounts[kTenant]);
  expect_fault("its parent does not stand before it");
  snapshot = right;
  account(kHost).space = account(kRoot).space;
  expect_fault("a second root of its space");
  snapshot = right;
  account(kCache).space = account(kHost).space;
  expect_fault("its parent is in another space");
  snapshot = right;
  account(kHost).limit = std::nullopt;
  expect_fault("a space without a capacity");
  snapshot = right;
  account(kCache).id.slot = account(kTenant).id.slot;
  expect_fault("its slot is used twice");
  snapshot = right;
  account(kCache).weight = 0;
  expect_fault("a weight that is not positive");
  snapshot = right;
  account(kCache).guarantee = Bytes(-1);
  expect_fault("a negative bound");
}

TEST_F(LedgerAuditTest, FindsBrokenReservations) {
  snapshot.reservations[0].account.generation += 1;
  expect_fault("reservation in slot 0: its account does not exist");
  snapshot.reservations[1].id.slot = 0;
  expect_fault("reservation in slot 0: its slot is used twice");
  snapshot.reservations[1].bytes = Bytes(-1);
  expect_fault("negative bytes");
}

}  // namespace
}  // namespace mais::core
