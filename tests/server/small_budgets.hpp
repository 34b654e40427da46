// Budgets for engines in tests.
#pragma once

#include <gtest/gtest.h>

#include "budgets.hpp"
#include "mais/core/ledger.hpp"
#include "mais/memory/budgeted_resource.hpp"
#include "mais/memory/host_source.hpp"

namespace server {

// A budget of its own for each part, in one ledger with a hard cap.
class SmallBudgets {
 public:
  explicit SmallBudgets(mais::Bytes cap = mais::Bytes(1 << 30))
      : shared_(ledger_, {.quantum = mais::Bytes(4096), .shards = 2}),
        root_(ledger_.root(ledger_.add_space("host", cap))),
        weights_(account("weights")),
        state_(account("state")),
        host_state_(account("host tier")),
        workspace_(account("workspace")),
        weights_resource_(shared_.open(weights_)),
        workspace_resource_(shared_.open(workspace_)) {}

  EngineBudgets budgets() {
    return {.weights = &weights_resource_,
            .workspace = &workspace_resource_,
            .weights_account = weights_,
            .workspace_account = workspace_,
            .ledger = &shared_,
            .state_source = &source_,
            .state = state_,
            .host_source = &source_,
            .host_state = host_state_};
  }
  mais::Bytes used() { return figure(&mais::core::Ledger::used); }
  mais::Bytes peak() { return figure(&mais::core::Ledger::peak); }
  void cap(mais::Bytes bytes) {
    shared_.exclusively([&](mais::core::Ledger& ledger) {
      ASSERT_TRUE(ledger.set_capacity(mais::SpaceId(0), bytes));
    });
  }

 private:
  mais::core::AccountId account(const char* name) {
    return *ledger_.add_account(root_, {.name = name});
  }
  mais::Bytes figure(mais::Bytes (mais::core::Ledger::*of)(mais::core::AccountId) const) {
    return shared_.exclusively([&](mais::core::Ledger& ledger) { return (ledger.*of)(root_); });
  }

  mais::core::Ledger ledger_;
  mais::SharedLedger shared_;
  mais::core::AccountId root_, weights_, state_, host_state_, workspace_;
  mais::memory::HostSource source_;
  mais::memory::BudgetedResource weights_resource_, workspace_resource_;
};

}  // namespace server
