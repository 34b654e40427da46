// What a ledger knows at one moment, as plain data: to print, compare, send away and audit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mais/units.hpp"

namespace mais::core {

// Names one thing of one kind for as long as it lives; the slot may be used again with another
// generation. A default-made handle names nothing.
template <class Tag>
struct Handle {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  constexpr auto operator<=>(const Handle&) const noexcept = default;
};

using AccountId = Handle<struct AccountTag>;
using ReservationId = Handle<struct ReservationTag>;

enum class Hold : std::uint8_t {
  firm,       // stays until it is given back
  revocable,  // may be asked back at any time: prefix cache, idle weights, preemptible sequences
};

struct AccountSnapshot {
  AccountId id;
  std::optional<AccountId> parent;  // none: the root of its space
  SpaceId space;
  std::string name;
  Bytes guarantee{};
  std::optional<Bytes> limit;  // of a root: the capacity of the space
  double weight = 1;
  // As defined in core/ledger.hpp, for the whole subtree.
  Bytes used{};
  Bytes firm{};
  Bytes revocable{};
  Bytes committed{};
  Bytes lent{};
  Bytes borrowed{};
  Bytes peak{};
  bool settling = false;
  bool operator==(const AccountSnapshot&) const = default;
};

struct ReservationSnapshot {
  ReservationId id;
  AccountId account;
  Bytes bytes{};
  Hold hold = Hold::firm;
  double reclaim_cost = 0;
  bool operator==(const ReservationSnapshot&) const = default;
};

struct LedgerSnapshot {
  std::vector<AccountSnapshot> accounts;  // space by space, each parent before its children
  std::vector<ReservationSnapshot> reservations;
  bool operator==(const LedgerSnapshot&) const = default;
};

// The accounts as a tree, one line each under a line of titles, with aligned columns: what is used
// (firm and revocable), lent, guaranteed, the limit ("-": none) and the peak. Sizes are cut to two
// decimals of a binary unit. O(accounts log accounts), allocates.
std::string to_string(const LedgerSnapshot& snapshot);

}  // namespace mais::core
