#include "mais/core/ledger_snapshot.hpp"

#include <gtest/gtest.h>

#include "mais/core/ledger.hpp"

namespace mais::core {
namespace {

using namespace mais::literals;

TEST(LedgerSnapshot, PrintsAsAnAlignedTree) {
  Ledger ledger;
  const SpaceId gpu = ledger.add_space("gpu0", 80_GiB);
  ledger.add_space("host", 1_TiB);
  const AccountId tenant = *ledger.add_account(
      ledger.root(gpu), {.name = "tenant-a", .guarantee = 40_GiB, .limit = 60_GiB});
  const AccountId weights = *ledger.add_account(tenant, {.name = "weights"});
  const AccountId cache = *ledger.add_account(ledger.root(gpu), {.name = "prefix cache"});
  const ReservationId firm = *ledger.reserve(weights, 16_GiB + 512_MiB);
  ASSERT_TRUE(ledger.try_reserve(cache, 50_GiB, Hold::revocable));
  ledger.shrink(firm, 512_MiB);
  ASSERT_TRUE(ledger.set_limit(cache, 48_GiB));
  EXPECT_EQ(
      to_string(ledger.snapshot()),
      R"(account                         used       firm  revocable       lent  guarantee      limit       peak
gpu0                       66.00 GiB  16.00 GiB  50.00 GiB  10.00 GiB        0 B  80.00 GiB  66.50 GiB
  tenant-a                 16.00 GiB  16.00 GiB        0 B        0 B  40.00 GiB  60.00 GiB  16.50 GiB
    weights                16.00 GiB  16.00 GiB        0 B        0 B        0 B          -  16.50 GiB
  prefix cache (settling)  50.00 GiB        0 B  50.00 GiB   2.00 GiB        0 B  48.00 GiB  50.00 GiB
host                             0 B        0 B        0 B        0 B        0 B   1.00 TiB        0 B
)");
}

TEST(LedgerSnapshot, ComparesAsAValue) {
  Ledger ledger;
  const AccountId root = ledger.root(ledger.add_space("gpu", 10_B));
  const LedgerSnapshot before = ledger.snapshot();
  const ReservationId id = *ledger.reserve(root, 1_B);
  EXPECT_NE(ledger.snapshot(), before);
  ledger.release(id);
  ledger.reset_peak(root);
  EXPECT_EQ(ledger.snapshot(), before);
}

}  // namespace
}  // namespace mais::core
