// The ledger as plain data, and that data as a tree of text.
#include "mais/core/ledger_snapshot.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>

#include "core/wording.hpp"
#include "mais/core/ledger.hpp"

namespace mais::core {

std::vector<AccountSnapshot> Ledger::accounts() const {
  std::vector<AccountSnapshot> all;
  for (const AccountId root : roots_) {
    Slot at = root.slot;
    while (true) {
      const AccountId id = account_id(at);
      all.push_back({.id = id,
                     .parent = parent(id),
                     .space = details_[at].space,
                     .name = details_[at].name,
                     .guarantee = guarantee(id),
                     .limit = limit(id),
                     .weight = details_[at].weight,
                     .used = used(id),
                     .firm = firm(id),
                     .revocable = revocable(id),
                     .committed = committed(id),
                     .lent = lent(id),
                     .borrowed = borrowed(id),
                     .peak = peak(id),
                     .settling = settling(id)});
      if (details_[at].first_child != kNone) {
        at = details_[at].first_child;
        continue;
      }
      while (at != root.slot && details_[at].next == kNone) at = nodes_[at].parent;
      if (at == root.slot) break;
      at = details_[at].next;
    }
  }
  return all;
}

LedgerSnapshot Ledger::snapshot() const {
  LedgerSnapshot all{.accounts = accounts(), .reservations = {}};
  for (Slot at = 0; at < entries_.size(); ++at) {
    const Entry& e = entries_[at];
    if (!e.live) continue;
    all.reservations.push_back(
        {{at, e.generation}, account_id(e.account), Bytes(e.bytes), e.hold, e.cost});
  }
  return all;
}

std::string to_string(const LedgerSnapshot& snapshot) {
  constexpr std::size_t kColumns = 8;
  using Row = std::array<std::string, kColumns>;
  std::vector<Row> rows = {
      {"account", "used", "firm", "revocable", "lent", "guarantee", "limit", "peak"}};
  std::map<AccountId, std::size_t> depths;
  for (const AccountSnapshot& a : snapshot.accounts) {
    const auto parent = a.parent ? depths.find(*a.parent) : depths.end();
    const std::size_t depth = parent == depths.end() ? 0 : parent->second + 1;
    depths[a.id] = depth;
    rows.push_back({std::string(2 * depth, ' ') + a.name + (a.settling ? " (settling)" : ""),
                    byte_text(a.used), byte_text(a.firm), byte_text(a.revocable), byte_text(a.lent),
                    byte_text(a.guarantee), a.limit ? byte_text(*a.limit) : "-",
                    byte_text(a.peak)});
  }
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (std::size_t c = 0; c < kColumns; ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string text;
  for (const Row& row : rows) {
    text += row[0] + std::string(widths[0] - row[0].size(), ' ');
    for (std::size_t c = 1; c < kColumns; ++c) {
      text += std::string(2 + widths[c] - row[c].size(), ' ') + row[c];
    }
    text += '\n';
  }
  return text;
}

}  // namespace mais::core
