// A ledger of one space with an account of a given size, for tests that charge real memory.
#pragma once

#include "mais/core/ledger_audit.hpp"
#include "mais/shared_ledger.hpp"

namespace mais::memory {

struct SmallBudget {
  explicit SmallBudget(Bytes limit, Bytes quantum = Bytes(4096))
      : shared(ledger, {.quantum = quantum, .shards = 4}),
        account(*ledger.add_account(ledger.root(ledger.add_space("host", Bytes(1LL << 50))),
                                    {.name = "memory", .limit = limit})) {}

  SharedLedger::Gate gate() { return shared.open(account); }
  Bytes used() {
    return shared.exclusively([&](core::Ledger& exact) { return exact.used(account); });
  }
  void set_limit(Bytes limit) {
    shared.exclusively(
        [&](core::Ledger& exact) { return exact.set_limit(account, limit).has_value(); });
  }

  core::Ledger ledger;
  SharedLedger shared;
  core::AccountId account;
};

}  // namespace mais::memory
