// Charging: every operation on reservations is a walk from an account to its root.
#include "mais/core/ledger.hpp"

#include <algorithm>
#include <utility>

namespace mais::core {

// --- Handles ------------------------------------------------------------------------------------

Ledger::Slot Ledger::slot(AccountId account) const noexcept {
  MAIS_EXPECTS(account.slot < nodes_.size() && nodes_[account.slot].live &&
                   nodes_[account.slot].generation == account.generation,
               "stale account handle: the account was removed or belongs to another ledger");
  return account.slot;
}

Ledger::Slot Ledger::slot(ReservationId reservation) const noexcept {
  MAIS_EXPECTS(alive(reservation),
               "stale reservation handle: it was released or belongs to another ledger");
  return reservation.slot;
}

AccountId Ledger::account_id(Slot slot) const noexcept {
  return {slot, nodes_[slot].generation};
}

ReservationId Ledger::reservation_id(Slot slot) const noexcept {
  return {slot, entries_[slot].generation};
}

bool Ledger::alive(ReservationId reservation) const noexcept {
  return reservation.slot < entries_.size() && entries_[reservation.slot].live &&
         entries_[reservation.slot].generation == reservation.generation;
}

AccountId Ledger::account(ReservationId reservation) const {
  return account_id(entry(reservation).account);
}

// --- Walks --------------------------------------------------------------------------------------

// The rule of what is granted, once: `free` guaranteed bytes gathered on the way up carry that much
// of a firm request without raising `committed`; the rest needs room under the limit.
Ledger::Count Ledger::room(Slot from, Hold hold) const noexcept {
  Count room = kUnlimited;
  Count free = 0;
  for (Slot at = from; at != kNone; at = nodes_[at].parent) {
    const Node& n = nodes_[at];
    room = std::min(room, n.limit - n.used);
    if (hold == Hold::firm) {
      const Count committed = n.committed();
      free += committed - n.claims;
      room = std::min(room, free + std::max<Count>(0, n.limit - committed));
    }
  }
  return std::max<Count>(0, room);
}

// room() with the account that binds; kept apart because it is twice the work.
Ledger::Tightest Ledger::tightest(Slot from, Hold hold) const noexcept {
  Tightest tightest;
  Count free = 0;
  for (Slot at = from; at != kNone; at = nodes_[at].parent) {
    const Node& n = nodes_[at];
    const auto bound = n.parent == kNone ? Misfit::Bound::capacity : Misfit::Bound::limit;
    if (n.limit - n.used < tightest.room) tightest = {n.limit - n.used, at, bound};
    if (hold == Hold::revocable) continue;
    free += n.committed() - n.claims;
    const Count unpromised = free + std::max<Count>(0, n.limit - n.committed());
    if (unpromised < tightest.room) tightest = {unpromised, at, Misfit::Bound::guarantees};
  }
  tightest.room = std::max<Count>(0, tightest.room);
  return tightest;
}

bool Ledger::may_use(Slot from, Slot stop, Count used) const noexcept {
  for (Slot at = from; at != stop; at = nodes_[at].parent) {
    if (used > nodes_[at].limit - nodes_[at].used) return false;
  }
  return true;
}

// Whether `claims` more firm bytes below `from` leave every promise coverable up to `stop`; what is
// left of them there.
bool Ledger::may_claim(Slot from, Slot stop, Count& claims) const noexcept {
  for (Slot at = from; at != stop && claims > 0; at = nodes_[at].parent) {
    const Node& n = nodes_[at];
    claims = std::max<Count>(0, claims - (n.committed() - n.claims));
    if (claims > 0 && claims > n.limit - n.committed()) return false;
  }
  return true;
}

// By how much `committed` below `stop` falls when `claims` firm bytes leave `from`.
Ledger::Count Ledger::freed_claims(Slot from, Slot stop, Count claims) const noexcept {
  for (Slot at = from; at != stop; at = nodes_[at].parent) {
    const Node& n = nodes_[at];
    claims = n.committed() - std::max(n.guarantee, n.claims - claims);
  }
  return claims;
}

// What one request adds to every account on the way up. Unchecked; `settling` is not touched,
// because more bytes settle nothing.
void Ledger::charge(Slot from, Count bytes, Hold hold) noexcept {
  const Count revocable = hold == Hold::revocable ? bytes : 0;
  Count claims = bytes - revocable;
  for (Slot at = from; at != kNone; at = nodes_[at].parent) {
    Node& n = nodes_[at];
    n.used += bytes;
    n.revocable += revocable;
    n.peak = std::max(n.peak, n.used);
    const Count committed = n.committed();
    n.claims += claims;
    claims = n.committed() - committed;
  }
}

void Ledger::discharge(Slot from, Count bytes, Hold hold) noexcept {
  const Count revocable = hold == Hold::revocable ? bytes : 0;
  Count claims = bytes - revocable;
  for (Slot at = from; at != kNone; at = nodes_[at].parent) {
    Node& n = nodes_[at];
    n.used -= bytes;
    n.revocable -= revocable;
    const Count committed = n.committed();
    n.claims -= claims;
    claims = committed - n.committed();
    if (n.settling) settle(at);
  }
}

// Adds `delta` to every account from `from` up to but without `stop`, unchecked; answers what is
// left of its claims there.
Ledger::Count Ledger::apply(Slot from, Slot stop, Delta delta) noexcept {
  for (Slot at = from; at != stop; at = nodes_[at].parent) {
    Node& n = nodes_[at];
    const Count committed = n.committed();
    n.used += delta.used;
    n.revocable += delta.revocable;
    n.claims += delta.claims;
    n.peak = std::max(n.peak, n.used);
    delta.claims = n.committed() - committed;
    if (n.settling) settle(at);
  }
  return delta.claims;
}

bool Ledger::settle(Slot account) noexcept {
  Node& n = nodes_[account];
  n.settling = n.used > n.limit || n.committed() > n.limit;
  return !n.settling;
}

// The lowest account above (or equal to) both; kNone in different spaces.
Ledger::Slot Ledger::meet(Slot a, Slot b) const noexcept {
  while (a != b) {
    if (a == kNone || b == kNone) return kNone;
    if (nodes_[a].depth >= nodes_[b].depth) {
      const bool level = nodes_[a].depth == nodes_[b].depth;
      a = nodes_[a].parent;
      if (level) b = nodes_[b].parent;
    } else {
      b = nodes_[b].parent;
    }
  }
  return a;
}

// --- Entries ------------------------------------------------------------------------------------

void Ledger::prepare(std::size_t reservations) {
  entries_.reserve(reservations);
}

Ledger::Slot Ledger::take_entry() {
  if (free_entry_ != kNone) return std::exchange(free_entry_, entries_[free_entry_].account);
  MAIS_EXPECTS(entries_.size() < kNone, "more than 2^32 - 1 reservations");
  entries_.emplace_back();
  return static_cast<Slot>(entries_.size() - 1);
}

void Ledger::free_entry(Slot entry) noexcept {
  Entry& e = entries_[entry];
  e.live = false;
  --live_reservations_;
  // A slot whose generations are spent is not used again, so a handle never names two things.
  if (e.generation == kLastGeneration) return;
  ++e.generation;
  e.account = std::exchange(free_entry_, entry);
}

void Ledger::link_revocable(Slot entry) noexcept {
  Entry& e = entries_[entry];
  Details& d = details_[e.account];
  d.own_revocable += e.bytes;
  e.previous = kNone;
  e.next = std::exchange(d.first_revocable, entry);
  if (e.next != kNone) entries_[e.next].previous = entry;
}

void Ledger::unlink_revocable(Slot entry) noexcept {
  Entry& e = entries_[entry];
  Details& d = details_[e.account];
  d.own_revocable -= e.bytes;
  if (e.next != kNone) entries_[e.next].previous = e.previous;
  (e.previous == kNone ? d.first_revocable : entries_[e.previous].next) = e.next;
}

// A new entry on an account that is charged already.
ReservationId Ledger::open(Slot account, Count bytes, Hold hold, double cost) {
  const Slot slot = take_entry();
  Entry& e = entries_[slot];
  e.bytes = bytes;
  e.cost = cost;
  e.account = account;
  e.hold = hold;
  e.live = true;
  ++nodes_[account].reservations;
  ++live_reservations_;
  if (hold == Hold::revocable) link_revocable(slot);
  return {slot, e.generation};
}

// --- Reserve and give back ----------------------------------------------------------------------

std::optional<ReservationId> Ledger::try_reserve(AccountId account, Bytes bytes, Hold hold,
                                                 double reclaim_cost) {
  MAIS_EXPECTS(bytes >= Bytes(0), "a reservation cannot be negative");
  MAIS_EXPECTS(reclaim_cost >= 0, "a reclaim cost cannot be negative");
  const Slot at = slot(account);
  const Count count = bytes.count();
  if (count > room(at, hold)) return std::nullopt;
  const ReservationId id = open(at, count, hold, reclaim_cost);  // may throw: nothing charged yet
  charge(at, count, hold);
  return id;
}

bool Ledger::try_grow(ReservationId reservation, Bytes more) noexcept {
  MAIS_EXPECTS(more >= Bytes(0), "a reservation cannot grow by a negative amount");
  Entry& e = entries_[slot(reservation)];
  const Count count = more.count();
  if (count > room(e.account, e.hold)) return false;
  e.bytes += count;
  if (e.hold == Hold::revocable) details_[e.account].own_revocable += count;
  charge(e.account, count, e.hold);
  return true;
}

void Ledger::shrink(ReservationId reservation, Bytes less) noexcept {
  Entry& e = entries_[slot(reservation)];
  MAIS_EXPECTS(less >= Bytes(0), "a reservation cannot shrink by a negative amount");
  MAIS_EXPECTS(less.count() <= e.bytes, "a reservation cannot give back more than it holds");
  const Count count = less.count();
  e.bytes -= count;
  if (e.hold == Hold::revocable) details_[e.account].own_revocable -= count;
  discharge(e.account, count, e.hold);
}

void Ledger::release(ReservationId reservation) noexcept {
  const Slot at = slot(reservation);
  Entry& e = entries_[at];
  const Slot account = e.account;
  if (e.hold == Hold::revocable) unlink_revocable(at);
  --nodes_[account].reservations;
  discharge(account, e.bytes, e.hold);
  free_entry(at);
}

ReservationId Ledger::split(ReservationId reservation, Bytes part) {
  const Slot at = slot(reservation);
  const Entry e = entries_[at];
  MAIS_EXPECTS(part >= Bytes(0) && part.count() <= e.bytes,
               "a part that is split off cannot be larger than the reservation, or negative");
  const ReservationId id = open(e.account, part.count(), e.hold, e.cost);
  entries_[at].bytes -= part.count();
  if (e.hold == Hold::revocable) details_[e.account].own_revocable -= part.count();
  return id;
}

bool Ledger::try_move(ReservationId reservation, AccountId to) noexcept {
  const Slot at = slot(reservation);
  const Slot target = slot(to);
  Entry& e = entries_[at];
  const Count firm = e.hold == Hold::firm ? e.bytes : 0;
  const Slot both = meet(e.account, target);
  if (e.bytes > 0) {
    if (!may_use(target, both, e.bytes)) return false;
    Count claims = firm;
    if (!may_claim(target, both, claims)) return false;
    if (both != kNone) {
      claims -= freed_claims(e.account, both, firm);
      if (!may_claim(both, kNone, claims)) return false;
    }
  }
  if (e.hold == Hold::revocable) unlink_revocable(at);
  --nodes_[e.account].reservations;
  Count claims = apply(e.account, both, {-e.bytes, firm - e.bytes, -firm});
  claims += apply(target, both, {e.bytes, e.bytes - firm, firm});
  apply(both, kNone, {0, 0, claims});
  ++nodes_[target].reservations;
  e.account = target;
  if (e.hold == Hold::revocable) link_revocable(at);
  return true;
}

bool Ledger::try_set_hold(ReservationId reservation, Hold hold) noexcept {
  const Slot at = slot(reservation);
  Entry& e = entries_[at];
  if (e.hold == hold) return true;
  if (hold == Hold::firm) {
    Count claims = e.bytes;
    if (!may_claim(e.account, kNone, claims)) return false;
    unlink_revocable(at);
    apply(e.account, kNone, {0, -e.bytes, e.bytes});
  } else {
    apply(e.account, kNone, {0, e.bytes, -e.bytes});
    link_revocable(at);
  }
  e.hold = hold;
  return true;
}

void Ledger::set_reclaim_cost(ReservationId reservation, double cost) {
  MAIS_EXPECTS(cost >= 0, "a reclaim cost cannot be negative");
  entries_[slot(reservation)].cost = cost;
}

// --- The same with words ------------------------------------------------------------------------

Error Ledger::refusal(AccountId account, Bytes bytes, Hold hold) const {
  const std::optional<Misfit> why = explain(account, bytes, hold);
  MAIS_EXPECTS(why, "a refusal has a reason");
  return to_error(*why);
}

Result<ReservationId> Ledger::reserve(AccountId account, Bytes bytes, Hold hold,
                                      double reclaim_cost) {
  if (const auto id = try_reserve(account, bytes, hold, reclaim_cost)) return *id;
  return tl::unexpected(refusal(account, bytes, hold));
}

Result<void> Ledger::grow(ReservationId reservation, Bytes more) {
  if (try_grow(reservation, more)) return {};
  return tl::unexpected(refusal(account(reservation), more, hold(reservation)));
}

// What binds is what would bind if the bytes were not there yet; a copy answers that.
Result<void> Ledger::move(ReservationId reservation, AccountId to) {
  if (try_move(reservation, to)) return {};
  Ledger without = *this;
  without.release(reservation);
  return tl::unexpected(without.refusal(to, size(reservation), hold(reservation)));
}

Result<void> Ledger::set_hold(ReservationId reservation, Hold hold) {
  if (try_set_hold(reservation, hold)) return {};
  Ledger without = *this;
  without.release(reservation);
  return tl::unexpected(without.refusal(account(reservation), size(reservation), hold));
}

// --- Room ---------------------------------------------------------------------------------------

Bytes Ledger::headroom(AccountId account, Hold hold) const {
  return Bytes(room(slot(account), hold));
}

// Every revocable byte may go, so what is held firmly takes the place of what is used.
Bytes Ledger::headroom_after_reclaim(AccountId account) const {
  Count room = kUnlimited;
  Count free = 0;
  for (Slot at = slot(account); at != kNone; at = nodes_[at].parent) {
    const Node& n = nodes_[at];
    free += n.committed() - n.claims;
    room = std::min({room, n.limit - n.firm(), free + std::max<Count>(0, n.limit - n.committed())});
  }
  return Bytes(std::max<Count>(0, room));
}

std::optional<Misfit> Ledger::explain(AccountId account, Bytes bytes, Hold hold) const {
  MAIS_EXPECTS(bytes >= Bytes(0), "a reservation cannot be negative");
  const Tightest found = tightest(slot(account), hold);
  if (bytes.count() <= found.room) return std::nullopt;
  return Misfit{found.bound, account_id(found.account), bytes, Bytes(found.room),
                headroom_after_reclaim(account)};
}

}  // namespace mais::core
