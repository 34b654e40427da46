// Recounts a ledger from its lists, the plain way, and shares no code with it.
#pragma once

#include <string>
#include <vector>

#include "mais/core/ledger_snapshot.hpp"

namespace mais::core {

// Every fault of the books, one sentence each; empty when they are right. Checked: the tree (one
// root for each space, parents before children), every total against the sum of the reservations,
// the definitions and invariants of core/ledger.hpp (no account above its limit, no space above its
// capacity, what is lent covered by revocable reservations, guarantees that fit) wherever an
// account is not settling, and that none settles without a reason.
// O(accounts + reservations x depth), allocates. Pure: any thread, on its own snapshot.
std::vector<std::string> audit(const LedgerSnapshot& snapshot);

}  // namespace mais::core
