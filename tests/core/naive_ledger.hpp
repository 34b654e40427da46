// The ledger as its header defines it, the slow way: plain lists, every total recounted from the
// reservations each time it is asked for, and a rule of grants that tries the change and looks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "mais/core/ledger_snapshot.hpp"

namespace mais::core {

struct NaiveLedger {
  using Key = int;
  struct Account {
    std::optional<Key> parent;
    std::int64_t guarantee = 0;
    std::optional<std::int64_t> limit;
  };
  struct Reservation {
    Key account = 0;
    std::int64_t bytes = 0;
    Hold hold = Hold::firm;
  };
  std::map<Key, Account> accounts;
  std::map<Key, Reservation> reservations;

  std::vector<Key> children(Key account) const {
    std::vector<Key> found;
    for (const auto& [key, other] : accounts) {
      if (other.parent == account) found.push_back(key);
    }
    return found;
  }

  std::vector<Key> up(Key account) const {  // the account and all above it
    std::vector<Key> path{account};
    while (accounts.at(path.back()).parent) path.push_back(*accounts.at(path.back()).parent);
    return path;
  }

  std::int64_t own(Key account, Hold hold) const {
    std::int64_t sum = 0;
    for (const auto& [key, r] : reservations) {
      if (r.account == account && r.hold == hold) sum += r.bytes;
    }
    return sum;
  }

  std::int64_t held(Key account, Hold hold) const {
    std::int64_t sum = own(account, hold);
    for (const Key child : children(account)) sum += held(child, hold);
    return sum;
  }

  std::int64_t used(Key account) const {
    return held(account, Hold::firm) + held(account, Hold::revocable);
  }

  std::int64_t claims(Key account) const {
    std::int64_t sum = own(account, Hold::firm);
    for (const Key child : children(account)) sum += committed(child);
    return sum;
  }

  std::int64_t committed(Key account) const {
    return std::max(accounts.at(account).guarantee, claims(account));
  }

  std::int64_t guaranteed(Key account) const {
    std::int64_t sum = 0;
    for (const Key child : children(account)) sum += guaranteed(child);
    return std::max(accounts.at(account).guarantee, sum);
  }

  bool within(Key account, std::int64_t amount) const {
    const auto limit = accounts.at(account).limit;
    return !limit || amount <= *limit;
  }

  bool settling(Key account) const {
    return !within(account, used(account)) || !within(account, committed(account));
  }

  // Whether every account that this change would make use or commit more has room for it.
  bool allows(const NaiveLedger& changed) const {
    for (const auto& [key, account] : accounts) {
      if (changed.used(key) > used(key) && !within(key, changed.used(key))) return false;
      if (changed.committed(key) > committed(key) && !within(key, changed.committed(key))) {
        return false;
      }
    }
    return true;
  }

  bool guarantees_fit() const {
    return std::all_of(accounts.begin(), accounts.end(),
                       [&](const auto& a) { return within(a.first, guaranteed(a.first)); });
  }

  bool grants(Key account, std::int64_t bytes, Hold hold) const {
    NaiveLedger changed = *this;
    changed.reservations[kTrial] = {account, bytes, hold};
    return allows(changed);
  }

  bool grants_after_reclaim(Key account, std::int64_t bytes) const {
    NaiveLedger bare = *this;
    std::erase_if(bare.reservations, [](const auto& r) { return r.second.hold != Hold::firm; });
    return bare.grants(account, bytes, Hold::firm);
  }

  static constexpr Key kTrial = -1;
};

}  // namespace mais::core
