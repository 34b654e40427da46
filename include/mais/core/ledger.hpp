// The ledger: who holds how many bytes of which memory space, and who may still have how many.
//
// A space (a GPU's memory, host memory, a disk) is a tree of accounts; its root is the space itself
// and the root's limit is the capacity. A reservation holds bytes of one account, and with them of
// every account above it.
//
//   gpu0 80 GiB ── tenant-a  guarantee 40 GiB ── weights   firm
//               │                             └─ kv cache  firm
//               └─ tenant-b  guarantee 20 GiB, limit 60 GiB
//
// Definitions, for an account b with guarantee g, limit l (none: unlimited):
//   used(b)       bytes of all reservations in the subtree of b; firm(b), revocable(b) by hold
//   claims(b)     firm bytes reserved in b itself + sum of committed(c) over the children c
//   committed(b)  max(g, claims(b)): what is held firmly below b, or may be at any moment, because
//                 it is guaranteed. A child's guarantee is a part of its parent's as far as that
//                 reaches; beyond it, the child raises what its parent commits.
//   guaranteed(b) max(g, sum of guaranteed(c)): the least value of committed(b)
//   lent(b)       max(0, committed(b) + revocable(b) - l): revocable bytes that stand where a firm
//                 request within a guarantee may come
//   borrowed(b)   max(0, used(b) - committed(b)): revocable bytes of b beyond what is promised to
//                 it, and so the first to be taken back
//
// What is granted. Zero bytes always. Otherwise used <= l must hold afterwards at every account
// from the one that asks up to the root, and for a firm request also committed <= l wherever the
// request raises `committed`. A firm request within a guarantee does not raise it above the account
// that guarantees it; any other needs memory that nobody is promised. A revocable request leaves
// `committed` as it is: it may borrow what others are guaranteed and do not use.
//
// Invariants, kept by every operation (core/ledger_audit.hpp recounts them):
//   used(b) <= l and committed(b) <= l at every account. The second says lent(b) <= revocable(b):
//   were every revocable byte taken back, all guarantees could be filled at once. Hence a firm
//   request within a guarantee always fits after its reclaim plan, and every reclaim terminates.
//   Only set_limit, set_guarantee and set_capacity can break them, and then say `deferred`: the
//   account is `settling`, takes nothing more that would widen the gap, and settles as bytes are
//   given back.
//
// A Ledger is a plain value: copy it, compare snapshots of it, use it from one thread at a time.
// It holds no clock, lock, log or random number. A failed operation changes nothing. Handles are
// (slot, generation): a stale one, a second release, a negative size abort with a message. Cost is
// O(depth) for each operation that does not say otherwise, whatever the number of accounts and
// reservations; only reserving, splitting and adding can allocate (amortised; see prepare()).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mais/core/ledger_snapshot.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::core {

// What a host says about an account. Weight (> 0) divides what it has borrowed when victims are
// chosen: of two accounts that borrowed alike, the one of half the weight gives back first.
struct AccountSpec {
  std::string name;
  Bytes guarantee{};
  std::optional<Bytes> limit{};
  double weight = 1;
};

// Why a request is not granted now. `account` is the one whose bound is met first.
struct Misfit {
  enum class Bound : std::uint8_t {
    limit,       // used would rise above the limit of `account`
    capacity,    // used would rise above the capacity of the space
    guarantees,  // what is left below `account` is promised to others
  };
  Bound bound = Bound::limit;
  AccountId account;
  Bytes asked{};
  Bytes available{};      // headroom() of the account that asked
  Bytes after_reclaim{};  // headroom_after_reclaim() of it
};

// Bytes to take back from one reservation: shrink it by `bytes`, or release it.
struct ReclaimStep {
  ReservationId reservation;
  AccountId account;
  Bytes bytes{};
  double cost = 0;  // bytes x the reservation's reclaim cost
  bool operator==(const ReclaimStep&) const = default;
};

// Once every step was carried out the request fits, unless there is a shortfall. Steps are in the
// order in which to take; one reservation appears at most once.
struct ReclaimPlan {
  std::vector<ReclaimStep> steps;
  Bytes total{};
  double cost = 0;
  Bytes shortfall{};  // what reclaiming cannot bring: it is held firmly, or promised to others
  bool fits() const noexcept { return shortfall == Bytes(0); }
};

// The answer to a change of a bound. The bound is in force at once either way.
struct Adjustment {
  enum class Effect : std::uint8_t { applied, deferred };
  Effect effect = Effect::applied;
  Bytes over_used{};  // used above the limit: plan_reclaim(account, 0) says whom to take it from
  Bytes
      over_committed{};  // committed above a limit: promised, and covered only as firm bytes return
  bool applied() const noexcept { return effect == Effect::applied; }
};

class Ledger {
 public:
  // --- The tree -------------------------------------------------------------------------------

  // Adds a space of `capacity` bytes (more than 2^62 - 1 counts as that). Spaces are numbered 0, 1,
  // ... in the order they are added.
  SpaceId add_space(std::string name, Bytes capacity);
  AccountId root(SpaceId space) const;
  std::size_t space_count() const noexcept { return roots_.size(); }

  // Adds a child. invalid_argument: a negative size, a guarantee above the limit, a weight that is
  // not positive. over_limit, over_capacity: the guarantee does not fit beside the other
  // guarantees, or what it needs is held firmly now (add without it, then set_guarantee).
  // Names are for people and need not be unique.
  Result<AccountId> add_account(AccountId parent, AccountSpec spec);

  // Removes an account that has no child and no reservation (else invalid_argument). A root stays.
  Result<void> remove_account(AccountId account);

  // --- Reservations ---------------------------------------------------------------------------

  // Takes `bytes` (>= 0) from `account` and every account above it. `reclaim_cost` is what taking
  // one byte back costs, in whatever unit the host compares victims by. over_limit and
  // over_capacity name the account that binds, with bytes asked and available.
  Result<ReservationId> reserve(AccountId account, Bytes bytes, Hold hold = Hold::firm,
                                double reclaim_cost = 0);
  Result<void> grow(ReservationId reservation, Bytes more);

  // The same, without words: allocates nothing when refused. explain() tells why.
  std::optional<ReservationId> try_reserve(AccountId account, Bytes bytes, Hold hold = Hold::firm,
                                           double reclaim_cost = 0);
  bool try_grow(ReservationId reservation, Bytes more) noexcept;

  // Gives back `less` (at most its size) or all. Never allocates, never fails.
  void shrink(ReservationId reservation, Bytes less) noexcept;
  void release(ReservationId reservation) noexcept;

  // Cuts `part` (at most its size) off into a new reservation of the same account, hold and cost.
  ReservationId split(ReservationId reservation, Bytes part);

  // Charges another account, in this space or another, or changes nothing. Accounts above both are
  // not charged twice, so a move within a full subtree succeeds.
  Result<void> move(ReservationId reservation, AccountId to);
  bool try_move(ReservationId reservation, AccountId to) noexcept;

  // Towards revocable always succeeds; towards firm needs memory that nobody else is promised.
  Result<void> set_hold(ReservationId reservation, Hold hold);
  bool try_set_hold(ReservationId reservation, Hold hold) noexcept;
  void set_reclaim_cost(ReservationId reservation, double cost);

  // Makes room so that this many reservations can exist at once without an allocation.
  void prepare(std::size_t reservations);

  // --- Room and reclaim -----------------------------------------------------------------------

  // The largest amount that reserve() and grow() would grant now.
  Bytes headroom(AccountId account, Hold hold = Hold::firm) const;

  // The largest firm amount that fits once its reclaim plan was carried out; never less than
  // headroom(account, Hold::firm), and never less than what is left of the account's guarantee
  // unless an account above it is settling.
  Bytes headroom_after_reclaim(AccountId account) const;

  // Why `bytes` are not granted; nothing when they are. Allocates nothing.
  std::optional<Misfit> explain(AccountId account, Bytes bytes, Hold hold = Hold::firm) const;
  // The same as an error with a sentence: "gpu0/tenant-a is limited to ...".
  Error to_error(const Misfit& refusal) const;

  // Whom to take how much from so that a firm request fits: the account with the largest weighted
  // overage (used above guaranteed, divided by weight) first, within it the reservation that is
  // cheapest to take back, and so on until enough is named. Nobody is pushed below what is promised
  // to him while anything is borrowed. Empty when the request fits already, and when it cannot fit
  // (nothing is taken in vain; `shortfall` says how much is missing). With 0 bytes: how to bring
  // `account` and all above it back under their limits, as far as revocable bytes go.
  // O(accounts and revocable reservations below the accounts that lack room), allocates.
  ReclaimPlan plan_reclaim(AccountId account, Bytes bytes) const;

  // --- Bounds at run time ---------------------------------------------------------------------

  // In force at once; `deferred` when more is used or committed than the new bound allows.
  // invalid_argument: negative, or a guarantee above the account's own limit. over_limit,
  // over_capacity: the guarantees alone would not fit under a limit; lower them first.
  Result<Adjustment> set_limit(AccountId account, std::optional<Bytes> limit);
  Result<Adjustment> set_guarantee(AccountId account, Bytes guarantee);
  Result<Adjustment> set_capacity(SpaceId space, Bytes capacity);
  Result<void> set_weight(AccountId account, double weight);

  // --- Queries, O(1) --------------------------------------------------------------------------

  Bytes used(AccountId account) const { return Bytes(node(account).used); }
  Bytes firm(AccountId account) const { return Bytes(node(account).firm()); }
  Bytes revocable(AccountId account) const { return Bytes(node(account).revocable); }
  Bytes committed(AccountId account) const;
  Bytes guarantee(AccountId account) const { return Bytes(node(account).guarantee); }
  std::optional<Bytes> limit(AccountId account) const;  // of a root: the capacity
  Bytes lent(AccountId account) const;
  Bytes borrowed(AccountId account) const;
  bool settling(AccountId account) const { return node(account).settling; }
  // The most that was used at once since the account was added or reset_peak.
  Bytes peak(AccountId account) const { return Bytes(node(account).peak); }
  void reset_peak(AccountId account);

  const std::string& name(AccountId account) const;
  std::string path(AccountId account) const;  // names from the root down, "gpu0/tenant-a/kv"
  std::optional<AccountId> parent(AccountId account) const;
  SpaceId space(AccountId account) const;

  bool alive(ReservationId reservation) const noexcept;  // the one query a stale handle may ask
  Bytes size(ReservationId reservation) const { return Bytes(entry(reservation).bytes); }
  Hold hold(ReservationId reservation) const { return entry(reservation).hold; }
  double reclaim_cost(ReservationId reservation) const { return entry(reservation).cost; }
  AccountId account(ReservationId reservation) const;
  std::size_t reservation_count() const noexcept { return live_reservations_; }

  // Everything, as plain data: spaces in order, accounts parents first, reservations by slot.
  // O(accounts + reservations).
  LedgerSnapshot snapshot() const;
  // Its accounts alone. O(accounts).
  std::vector<AccountSnapshot> accounts() const;

 private:
  using Count = std::int64_t;
  using Slot = std::uint32_t;
  static constexpr Slot kNone = ~Slot{0};
  static constexpr Count kUnlimited = Count{1} << 62;                  // above every capacity
  static constexpr std::uint32_t kLastGeneration = ~std::uint32_t{0};  // its slot is never reused

  // What every operation touches, on one cache line. Sums stay below 2^63 because a capacity stays
  // below 2^62 and committed <= firm + guaranteed, so plain integers are exact here.
  struct alignas(64) Node {
    Count used = 0;
    Count revocable = 0;
    Count claims = 0;
    Count guarantee = 0;
    Count limit = kUnlimited;
    Count peak = 0;
    Slot parent = kNone;
    std::uint32_t generation = 1;
    std::uint32_t reservations = 0;
    std::uint16_t depth = 0;
    bool settling = false;
    bool live = false;

    Count committed() const noexcept { return claims > guarantee ? claims : guarantee; }
    Count firm() const noexcept { return used - revocable; }
  };
  // What only the tree, reclaim and snapshots look at.
  struct Details {
    std::string name;
    double weight = 1;
    Count child_guarantees = 0;  // sum of guaranteed(c) over the children
    Count own_revocable = 0;
    Slot first_revocable = kNone;  // list of the revocable reservations of this very account
    Slot first_child = kNone, last_child = kNone, previous = kNone, next = kNone;
    SpaceId space;
  };
  struct Entry {
    Count bytes = 0;
    double cost = 0;
    Slot account = kNone;  // of a free entry: the next free one
    std::uint32_t generation = 1;
    Slot previous = kNone, next = kNone;  // among the revocable ones of the account
    Hold hold = Hold::firm;
    bool live = false;
  };
  struct Delta {  // what one step of a walk adds to an account
    Count used = 0, revocable = 0, claims = 0;
  };
  class Reclaim;

  const Node& node(AccountId account) const { return nodes_[slot(account)]; }
  Slot slot(AccountId account) const noexcept;
  Slot slot(ReservationId reservation) const noexcept;
  const Entry& entry(ReservationId reservation) const { return entries_[slot(reservation)]; }
  AccountId account_id(Slot slot) const noexcept;
  ReservationId reservation_id(Slot slot) const noexcept;
  Count guaranteed(Slot account) const noexcept;

  struct Tightest {  // the smallest room on the way up, and whose it is
    Count room = kUnlimited;
    Slot account = kNone;
    Misfit::Bound bound = Misfit::Bound::limit;
  };
  Tightest tightest(Slot from, Hold hold) const noexcept;
  Count room(Slot from, Hold hold) const noexcept;
  bool may_use(Slot from, Slot stop, Count used) const noexcept;
  bool may_claim(Slot from, Slot stop, Count& claims) const noexcept;
  Count freed_claims(Slot from, Slot stop, Count claims) const noexcept;
  void charge(Slot from, Count bytes, Hold hold) noexcept;
  void discharge(Slot from, Count bytes, Hold hold) noexcept;
  Count apply(Slot from, Slot stop, Delta delta) noexcept;
  Slot meet(Slot a, Slot b) const noexcept;
  ReservationId open(Slot account, Count bytes, Hold hold, double cost);
  Error refusal(AccountId account, Bytes bytes, Hold hold) const;
  std::optional<Error> misfit(Slot from, Count more_guaranteed) const;
  void apply_guarantee(Slot account, Count guarantee) noexcept;
  Result<Adjustment> rebound(Slot account, Bytes limit);
  bool settle(Slot account) noexcept;

  Slot take_entry();
  void free_entry(Slot entry) noexcept;
  void link_revocable(Slot entry) noexcept;
  void unlink_revocable(Slot entry) noexcept;
  Slot take_node();

  std::vector<Node> nodes_;
  std::vector<Details> details_;
  std::vector<Entry> entries_;
  std::vector<AccountId> roots_;
  Slot free_node_ = kNone;
  Slot free_entry_ = kNone;
  std::size_t live_reservations_ = 0;
};

}  // namespace mais::core
