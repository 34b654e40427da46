// The tree of accounts: adding, removing, bounds that change, and what a refusal says.
#include <algorithm>
#include <cmath>
#include <utility>

#include "core/wording.hpp"
#include "mais/core/ledger.hpp"

namespace mais::core {

namespace {

Error with_numbers(ErrorCode code, std::string message, Bytes asked, Bytes available) {
  return Error{code, std::move(message), asked.count(), available.count()};
}

bool is_weight(double weight) {
  return std::isfinite(weight) && weight > 0;
}

}  // namespace

// --- Adding and removing ------------------------------------------------------------------------

Ledger::Slot Ledger::take_node() {
  if (free_node_ != kNone) return std::exchange(free_node_, nodes_[free_node_].parent);
  MAIS_EXPECTS(nodes_.size() < kNone, "more than 2^32 - 1 accounts");
  details_.reserve(nodes_.size() + 1);  // whichever throws, both stay of one length
  nodes_.emplace_back();
  details_.emplace_back();
  return static_cast<Slot>(nodes_.size() - 1);
}

SpaceId Ledger::add_space(std::string name, Bytes capacity) {
  MAIS_EXPECTS(capacity >= Bytes(0), "a capacity cannot be negative");
  roots_.reserve(roots_.size() + 1);
  const SpaceId space(static_cast<std::uint32_t>(roots_.size()));
  const Slot at = take_node();
  Node& n = nodes_[at];
  n = Node{.limit = std::min(capacity.count(), kUnlimited - 1),
           .generation = n.generation,
           .live = true};
  details_[at] = Details{.name = std::move(name), .space = space};
  roots_.push_back(account_id(at));
  return space;
}

AccountId Ledger::root(SpaceId space) const {
  MAIS_EXPECTS(space.value() < roots_.size(), "no such space in this ledger");
  return roots_[space.value()];
}

Result<AccountId> Ledger::add_account(AccountId parent, AccountSpec spec) {
  const Slot above = slot(parent);
  const Bytes limit = spec.limit.value_or(Bytes::max());
  if (spec.guarantee < Bytes(0) || limit < Bytes(0)) {
    return fail(ErrorCode::invalid_argument,
                sentence({"account \"", spec.name, "\": a guarantee or limit cannot be negative"}));
  }
  if (!is_weight(spec.weight)) {
    return fail(ErrorCode::invalid_argument,
                sentence({"account \"", spec.name, "\": a weight must be positive and finite"}));
  }
  if (spec.guarantee > limit) {
    return tl::unexpected(with_numbers(
        ErrorCode::invalid_argument,
        sentence({"account \"", spec.name, "\": its guarantee of ", byte_text(spec.guarantee),
                  " is above its own limit of ", byte_text(limit)}),
        spec.guarantee, limit));
  }
  const Count guarantee = spec.guarantee.count();
  if (auto error = misfit(above, guarantee)) return tl::unexpected(std::move(*error));
  Count claims = guarantee;
  if (!may_claim(above, kNone, claims)) {
    return tl::unexpected(with_numbers(
        ErrorCode::over_capacity,
        sentence({"account \"", spec.name, "\": its guarantee of ", byte_text(spec.guarantee),
                  " is held firmly by others below \"", path(parent),
                  "\"; add it without a guarantee and raise that by set_guarantee"}),
        spec.guarantee, headroom_after_reclaim(parent)));
  }
  MAIS_EXPECTS(nodes_[above].depth < 0xFFFF, "a tree of accounts deeper than 65535");

  const Slot at = take_node();
  nodes_[at] = Node{.limit = std::min(limit.count(), kUnlimited),
                    .parent = above,
                    .generation = nodes_[at].generation,
                    .depth = static_cast<std::uint16_t>(nodes_[above].depth + 1),
                    .live = true};
  Details& up = details_[above];
  details_[at] = Details{.name = std::move(spec.name),
                         .weight = spec.weight,
                         .previous = up.last_child,
                         .space = up.space};
  (up.last_child == kNone ? up.first_child : details_[up.last_child].next) = at;
  up.last_child = at;
  apply_guarantee(at, guarantee);
  return account_id(at);
}

Result<void> Ledger::remove_account(AccountId account) {
  const Slot at = slot(account);
  Node& n = nodes_[at];
  Details& d = details_[at];
  if (n.parent == kNone) {
    return fail(ErrorCode::invalid_argument,
                sentence({"\"", d.name, "\" is a space; spaces stay"}));
  }
  if (d.first_child != kNone || n.reservations > 0) {
    return fail(ErrorCode::invalid_argument,
                sentence({"account \"", path(account), "\" still has ",
                          n.reservations > 0 ? "reservations" : "accounts below it",
                          "; only an empty account can be removed"}));
  }
  apply_guarantee(at, 0);
  Details& up = details_[n.parent];
  (d.previous == kNone ? up.first_child : details_[d.previous].next) = d.next;
  (d.next == kNone ? up.last_child : details_[d.next].previous) = d.previous;
  d = Details{};
  n.live = false;
  if (n.generation == kLastGeneration) return {};
  ++n.generation;
  n.parent = std::exchange(free_node_, at);
  return {};
}

// --- Bounds -------------------------------------------------------------------------------------

Ledger::Count Ledger::guaranteed(Slot account) const noexcept {
  return std::max(nodes_[account].guarantee, details_[account].child_guarantees);
}

// Why `from` cannot hold that much more of guarantees below it, even when nothing is used.
std::optional<Error> Ledger::misfit(Slot from, Count more_guaranteed) const {
  Count more = more_guaranteed;
  for (Slot at = from; at != kNone && more > 0; at = nodes_[at].parent) {
    const Node& n = nodes_[at];
    const Count before = guaranteed(at);
    const Count after = std::max(n.guarantee, details_[at].child_guarantees + more);
    if (after > n.limit) {
      const Bytes available(std::max<Count>(0, n.limit - details_[at].child_guarantees));
      return with_numbers(
          n.parent == kNone ? ErrorCode::over_capacity : ErrorCode::over_limit,
          sentence({"\"", path(account_id(at)), "\" has ", byte_text(Bytes(n.limit)),
                    " and guarantees ", byte_text(Bytes(details_[at].child_guarantees)),
                    " of it already; ", byte_text(Bytes(more)), " more do not fit"}),
          Bytes(more), available);
    }
    more = after - before;
  }
  return std::nullopt;
}

void Ledger::apply_guarantee(Slot account, Count guarantee) noexcept {
  const Count guaranteed_before = guaranteed(account);
  const Count committed_before = nodes_[account].committed();
  nodes_[account].guarantee = guarantee;
  Count guaranteed_more = guaranteed(account) - guaranteed_before;
  Count committed_more = nodes_[account].committed() - committed_before;
  settle(account);
  for (Slot at = nodes_[account].parent; at != kNone; at = nodes_[at].parent) {
    Node& n = nodes_[at];
    const Count guaranteed_here = guaranteed(at);
    const Count committed_here = n.committed();
    details_[at].child_guarantees += guaranteed_more;
    n.claims += committed_more;
    guaranteed_more = guaranteed(at) - guaranteed_here;
    committed_more = n.committed() - committed_here;
    settle(at);
  }
}

Result<Adjustment> Ledger::set_guarantee(AccountId account, Bytes guarantee) {
  const Slot at = slot(account);
  if (guarantee < Bytes(0)) {
    return fail(ErrorCode::invalid_argument, "a guarantee cannot be negative");
  }
  if (nodes_[at].parent == kNone) {
    return fail(
        ErrorCode::invalid_argument,
        sentence({"\"", details_[at].name, "\" is a space; it guarantees what its accounts do"}));
  }
  if (guarantee.count() > nodes_[at].limit) {
    return tl::unexpected(with_numbers(
        ErrorCode::invalid_argument,
        sentence({"account \"", path(account), "\": a guarantee of ", byte_text(guarantee),
                  " is above its own limit of ", byte_text(Bytes(nodes_[at].limit))}),
        guarantee, Bytes(nodes_[at].limit)));
  }
  const Count after = std::max(guarantee.count(), details_[at].child_guarantees);
  if (auto error = misfit(nodes_[at].parent, after - guaranteed(at))) {
    return tl::unexpected(std::move(*error));
  }
  apply_guarantee(at, guarantee.count());
  Adjustment answer;
  for (Slot up = at; up != kNone; up = nodes_[up].parent) {
    const Node& n = nodes_[up];
    answer.over_committed = std::max(answer.over_committed, Bytes(n.committed() - n.limit));
  }
  if (answer.over_committed > Bytes(0)) answer.effect = Adjustment::Effect::deferred;
  return answer;
}

Result<Adjustment> Ledger::set_limit(AccountId account, std::optional<Bytes> limit) {
  const Slot at = slot(account);
  const Bytes value = limit.value_or(Bytes(kUnlimited));
  if (nodes_[at].parent == kNone) {
    return fail(ErrorCode::invalid_argument,
                sentence({"\"", details_[at].name, "\" is a space; use set_capacity"}));
  }
  if (value < Bytes(0)) return fail(ErrorCode::invalid_argument, "a limit cannot be negative");
  return rebound(at, value);
}

Result<Adjustment> Ledger::set_capacity(SpaceId space, Bytes capacity) {
  if (capacity < Bytes(0)) {
    return fail(ErrorCode::invalid_argument, "a capacity cannot be negative");
  }
  return rebound(slot(root(space)), std::min(capacity, Bytes(kUnlimited - 1)));
}

Result<Adjustment> Ledger::rebound(Slot account, Bytes limit) {
  Node& n = nodes_[account];
  if (limit.count() < guaranteed(account)) {
    return tl::unexpected(
        with_numbers(n.parent == kNone ? ErrorCode::over_capacity : ErrorCode::over_limit,
                     sentence({"\"", path(account_id(account)), "\" guarantees ",
                               byte_text(Bytes(guaranteed(account))), ", more than the ",
                               byte_text(limit), " it would have; lower the guarantees first"}),
                     Bytes(guaranteed(account)), limit));
  }
  n.limit = std::min(limit.count(), kUnlimited);
  Adjustment answer;
  if (!settle(account)) {
    answer.effect = Adjustment::Effect::deferred;
    answer.over_used = Bytes(std::max<Count>(0, n.used - n.limit));
    answer.over_committed = Bytes(std::max<Count>(0, n.committed() - n.limit));
  }
  return answer;
}

Result<void> Ledger::set_weight(AccountId account, double weight) {
  Details& d = details_[slot(account)];
  if (!is_weight(weight)) {
    return fail(ErrorCode::invalid_argument, "a weight must be positive and finite");
  }
  d.weight = weight;
  return {};
}

// --- Queries ------------------------------------------------------------------------------------

Bytes Ledger::committed(AccountId account) const {
  return Bytes(node(account).committed());
}

std::optional<Bytes> Ledger::limit(AccountId account) const {
  const Count limit = node(account).limit;
  return limit == kUnlimited ? std::nullopt : std::optional(Bytes(limit));
}

Bytes Ledger::lent(AccountId account) const {
  const Node& n = node(account);
  return Bytes(std::max<Count>(0, n.committed() - n.limit + n.revocable));
}

Bytes Ledger::borrowed(AccountId account) const {
  return Bytes(std::max<Count>(0, node(account).used - node(account).committed()));
}

void Ledger::reset_peak(AccountId account) {
  Node& n = nodes_[slot(account)];
  n.peak = n.used;
}

const std::string& Ledger::name(AccountId account) const {
  return details_[slot(account)].name;
}

std::optional<AccountId> Ledger::parent(AccountId account) const {
  const Slot above = node(account).parent;
  return above == kNone ? std::nullopt : std::optional(account_id(above));
}

SpaceId Ledger::space(AccountId account) const {
  return details_[slot(account)].space;
}

std::string Ledger::path(AccountId account) const {
  const auto above = parent(account);
  return above ? sentence({path(*above), "/", name(account)}) : name(account);
}

Error Ledger::to_error(const Misfit& refusal) const {
  const std::string where = sentence({"\"", path(refusal.account), "\""});
  const Node& n = node(refusal.account);
  std::string message = sentence(
      {byte_text(refusal.asked), " asked, ", byte_text(refusal.available), " available: ", where});
  switch (refusal.bound) {
    case Misfit::Bound::limit:
      message += sentence(
          {" is limited to ", byte_text(Bytes(n.limit)), " and uses ", byte_text(Bytes(n.used))});
      break;
    case Misfit::Bound::capacity:
      message +=
          sentence({" has ", byte_text(Bytes(n.limit)), " and uses ", byte_text(Bytes(n.used))});
      break;
    case Misfit::Bound::guarantees:
      message +=
          sentence({" has ", byte_text(Bytes(n.limit)), ", of which ",
                    byte_text(Bytes(n.committed())), " are held firmly or guaranteed to others"});
      break;
  }
  if (refusal.asked <= refusal.after_reclaim) {
    message += "; it fits once revocable bytes are reclaimed";
  } else if (refusal.after_reclaim > refusal.available) {
    message += sentence({"; with reclaim ", byte_text(refusal.after_reclaim), " would fit"});
  }
  return with_numbers(
      refusal.bound == Misfit::Bound::limit ? ErrorCode::over_limit : ErrorCode::over_capacity,
      std::move(message), refusal.asked, refusal.available);
}

}  // namespace mais::core
