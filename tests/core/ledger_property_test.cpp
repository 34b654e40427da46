// Random sequences of operations on the ledger, with a naive model and the audit beside it. Every
// failure prints the seed and a shrunk sequence; RC_PARAMS="seed=..." runs one again.
#include <array>
#include <ostream>
#include <rapidcheck.h>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/naive_ledger.hpp"
#include "mais/core/ledger.hpp"
#include "mais/core/ledger_audit.hpp"

namespace mais::core {
namespace {

#ifdef MAIS_LONG_TESTS
constexpr int kSequences = 100'000;
#else
constexpr int kSequences = 1'000;
#endif

// One step, decoded against whatever accounts and reservations there are by then.
struct Op {
  enum Kind {
    reserve,
    grow,
    shrink,
    release,
    split,
    move,
    set_hold,
    reclaim,
    set_limit,
    set_guarantee,
    set_capacity,
    add_account,
    remove_account,
    kinds
  };
  int kind = 0, which = 0, other = 0, bytes = 0;
  bool firm = true;
};

std::ostream& operator<<(std::ostream& out, const Op& op) {
  static const char* const kNames[] = {
      "reserve",      "grow",        "shrink",        "release",   "split",
      "move",         "set_hold",    "reclaim",       "set_limit", "set_guarantee",
      "set_capacity", "add_account", "remove_account"};
  return out << kNames[op.kind] << '(' << op.which << ", " << op.other << ", " << op.bytes << ", "
             << (op.firm ? "firm" : "revocable") << ')';
}

// In [first, last). rapidcheck draws from the start of a range only while its size is below 100.
rc::Gen<int> any_in(int first, int last) {
  return rc::gen::resize(rc::kNominalSize, rc::gen::inRange(first, last));
}

rc::Gen<Op> any_op() {
  // Reservations dominate, so that a space is often full; bounds change now and then.
  const auto kind = rc::gen::weightedOneOf<int>({{9, rc::gen::just(int{Op::reserve})},
                                                 {9, any_in(Op::grow, Op::reclaim)},
                                                 {2, rc::gen::just(int{Op::reclaim})},
                                                 {3, any_in(Op::set_limit, Op::kinds)}});
  return rc::gen::build<Op>(
      rc::gen::set(&Op::kind, kind), rc::gen::set(&Op::which, any_in(0, 1000)),
      rc::gen::set(&Op::other, any_in(0, 1000)), rc::gen::set(&Op::bytes, any_in(0, 60)),
      rc::gen::set(&Op::firm, rc::gen::arbitrary<bool>()));
}

class Trial {
 public:
  Trial() {
    add_space("gpu", 100);
    add_space("host", 60);
    for (int i = 0; i < 2; ++i) {
      add(Op{.which = 0, .other = i, .bytes = 20 * i});
      add(Op{.which = 2, .other = 2 + i, .bytes = 10});
    }
    check();
  }

  // How often each kind of operation was done and refused, over all sequences.
  struct Counts {
    std::array<int, Op::kinds> done{}, refused{};
  };
  static Counts& counts() {
    static Counts counts;
    return counts;
  }

  void step(const Op& op) {
    kind_ = static_cast<std::size_t>(op.kind);
    switch (op.kind) {
      case Op::reserve:
        return reserve(op);
      case Op::reclaim:
        return reclaim(op);
      case Op::add_account:
        return add(op);
      case Op::remove_account:
        return remove(op);
      case Op::set_limit:
      case Op::set_guarantee:
      case Op::set_capacity:
        return set_bound(op);
      default:
        if (!model_.reservations.empty()) change(op);
    }
  }

  // The ledger agrees with the model and the audit finds nothing.
  void check() const {
    const LedgerSnapshot now = ledger_.snapshot();
    const std::vector<std::string> faults = audit(now);
    if (!faults.empty()) RC_FAIL(faults.front());
    RC_ASSERT(now.accounts.size() == model_.accounts.size());
    RC_ASSERT(now.reservations.size() == model_.reservations.size());
    for (const auto& [key, id] : accounts_) {
      RC_ASSERT(ledger_.used(id) == Bytes(model_.used(key)));
      RC_ASSERT(ledger_.firm(id) == Bytes(model_.held(key, Hold::firm)));
      RC_ASSERT(ledger_.committed(id) == Bytes(model_.committed(key)));
      RC_ASSERT(ledger_.settling(id) == model_.settling(key));
    }
    for (const auto& [key, id] : reservations_) {
      const NaiveLedger::Reservation& r = model_.reservations.at(key);
      RC_ASSERT(ledger_.size(id) == Bytes(r.bytes));
      RC_ASSERT(ledger_.hold(id) == r.hold);
      RC_ASSERT(ledger_.account(id) == accounts_.at(r.account));
    }
  }

  // Headroom is what is granted, to the byte.
  void check_headroom(const Op& op) const {
    const auto& [key, id] = pick(accounts_, op.other);
    for (const Hold hold : {Hold::firm, Hold::revocable}) {
      const Bytes room = ledger_.headroom(id, hold);
      RC_ASSERT(model_.grants(key, room.count(), hold) || room == Bytes(0));
      RC_ASSERT(!model_.grants(key, room.count() + 1, hold));
      RC_ASSERT(ledger_.explain(id, room + Bytes(1), hold).has_value());
      RC_ASSERT(!ledger_.explain(id, room, hold).has_value());
    }
    const Bytes most = ledger_.headroom_after_reclaim(id);
    RC_ASSERT(most >= ledger_.headroom(id, Hold::firm));
    RC_ASSERT(model_.grants_after_reclaim(key, most.count()) || most == Bytes(0));
    RC_ASSERT(!model_.grants_after_reclaim(key, most.count() + 1));
  }

  // Every byte is returned exactly once: with the last reservation the last byte goes.
  void release_all() {
    while (!reservations_.empty()) {
      const auto [key, id] = *reservations_.begin();
      const AccountId root = ledger_.root(ledger_.space(ledger_.account(id)));
      const Bytes before = ledger_.used(root);
      const Bytes size = ledger_.size(id);
      ledger_.release(id);
      RC_ASSERT(ledger_.used(root) == before - size);
      RC_ASSERT(!ledger_.alive(id));
      reservations_.erase(key);
      model_.reservations.erase(key);
    }
    check();
    for (const auto& [key, id] : accounts_) RC_ASSERT(ledger_.used(id) == Bytes(0));
    RC_ASSERT(ledger_.reservation_count() == 0u);
  }

 private:
  using Key = NaiveLedger::Key;

  template <class Map>
  static const typename Map::value_type& pick(const Map& map, int which) {
    return *std::next(map.begin(), which % static_cast<int>(map.size()));
  }

  // Does `attempt` when the model allows `changed`, and sees that it does nothing otherwise.
  template <class Attempt>
  bool agree(bool allowed, const NaiveLedger& changed, Attempt attempt) {
    const LedgerSnapshot before = ledger_.snapshot();
    const bool done = attempt();
    RC_ASSERT(done == allowed);
    ++(done ? counts().done : counts().refused)[kind_];
    if (done) {
      model_ = changed;
    } else {
      RC_ASSERT(ledger_.snapshot() == before);
    }
    return done;
  }

  void add_space(const char* name, std::int64_t capacity) {
    const Key key = next_key_++;
    accounts_[key] = ledger_.root(ledger_.add_space(name, Bytes(capacity)));
    model_.accounts[key] = {std::nullopt, 0, capacity};
  }

  void add(const Op& op) {
    if (accounts_.size() > 14) return;
    const auto [above, parent] = pick(accounts_, op.which);
    const Key key = next_key_;
    const std::int64_t guarantee = op.other % 3 == 0 ? 0 : op.bytes / 2;
    NaiveLedger changed = model_;
    changed.accounts[key] = {above, guarantee, std::nullopt};
    if (op.other % 2 == 0) changed.accounts[key].limit = op.bytes + 10;
    const bool allowed = changed.guarantees_fit() && model_.allows(changed);
    std::optional<Bytes> limit;
    if (op.other % 2 == 0) limit = Bytes(op.bytes + 10);
    Result<AccountId> id;
    const AccountSpec spec{"n" + std::to_string(key), Bytes(guarantee), limit, 1.0 + op.other % 4};
    if (agree(allowed, changed, [&, to = parent] {
          id = ledger_.add_account(to, spec);
          return id.has_value();
        })) {
      accounts_[key] = *id;
      ++next_key_;
    }
  }

  void remove(const Op& op) {
    const auto [key, id] = pick(accounts_, op.which);
    const bool allowed =
        model_.accounts.at(key).parent && model_.children(key).empty() &&
        std::none_of(model_.reservations.begin(), model_.reservations.end(),
                     [account = key](const auto& r) { return r.second.account == account; });
    NaiveLedger changed = model_;
    changed.accounts.erase(key);
    if (agree(allowed, changed,
              [&, account = id] { return ledger_.remove_account(account).has_value(); })) {
      accounts_.erase(key);
    }
  }

  void set_bound(const Op& op) {
    const auto [key, id] = pick(accounts_, op.which);
    const bool is_root = !model_.accounts.at(key).parent;
    NaiveLedger changed = model_;
    NaiveLedger::Account& account = changed.accounts.at(key);
    std::optional<Bytes> bound;
    if (op.kind == Op::set_guarantee) {
      account.guarantee = op.bytes / 2;
    } else if (op.kind == Op::set_capacity || op.other % 5 != 0) {
      bound = Bytes(op.bytes * 2);
      account.limit = op.bytes * 2;
    } else {
      account.limit = std::nullopt;
    }
    if (op.kind == Op::set_capacity && !is_root) return;
    const bool allowed = is_root == (op.kind == Op::set_capacity) && changed.guarantees_fit();
    Result<Adjustment> answer;
    if (agree(allowed, changed, [&, account_id = id] {
          answer =
              op.kind == Op::set_guarantee ? ledger_.set_guarantee(account_id, Bytes(op.bytes / 2))
              : op.kind == Op::set_limit   ? ledger_.set_limit(account_id, bound)
                                         : ledger_.set_capacity(ledger_.space(account_id), *bound);
          return answer.has_value();
        })) {
      bool settled = true;
      for (const Key up : model_.up(key)) {
        if (op.kind != Op::set_guarantee && up != key) continue;
        settled = settled && model_.within(up, model_.committed(up)) &&
                  (op.kind == Op::set_guarantee || model_.within(up, model_.used(up)));
      }
      RC_ASSERT(answer->applied() == settled);
    }
  }

  void reserve(const Op& op) {
    const auto [key, id] = pick(accounts_, op.which);
    const Hold hold = op.firm ? Hold::firm : Hold::revocable;
    NaiveLedger changed = model_;
    changed.reservations[next_key_] = {key, op.bytes, hold};
    std::optional<ReservationId> made;
    if (agree(model_.allows(changed), changed, [&, account = id] {
          made = ledger_.try_reserve(account, Bytes(op.bytes), hold, op.other % 7);
          return made.has_value();
        })) {
      reservations_[next_key_++] = *made;
    }
  }

  void change(const Op& op) {
    const auto [key, id_] = pick(reservations_, op.which);
    const ReservationId id = id_;
    NaiveLedger changed = model_;
    NaiveLedger::Reservation& r = changed.reservations.at(key);
    const std::int64_t part = std::min<std::int64_t>(op.bytes, r.bytes);
    const Hold hold = op.firm ? Hold::firm : Hold::revocable;
    switch (op.kind) {
      case Op::grow:
        r.bytes += op.bytes;
        agree(model_.allows(changed), changed,
              [&] { return ledger_.try_grow(id, Bytes(op.bytes)); });
        return;
      case Op::shrink:
        r.bytes -= part;
        agree(true, changed, [&] { return ledger_.shrink(id, Bytes(part)), true; });
        return;
      case Op::release:
        changed.reservations.erase(key);
        agree(true, changed, [&] { return ledger_.release(id), true; });
        reservations_.erase(key);
        return;
      case Op::split: {
        r.bytes -= part;
        changed.reservations[next_key_] = {r.account, part, r.hold};
        ReservationId cut;
        agree(true, changed, [&] { return cut = ledger_.split(id, Bytes(part)), true; });
        reservations_[next_key_++] = cut;
        return;
      }
      case Op::move: {
        const auto& [to, target] = pick(accounts_, op.other);
        r.account = to;
        agree(model_.allows(changed), changed,
              [&, where = target] { return ledger_.move(id, where).has_value(); });
        return;
      }
      default:
        r.hold = hold;
        agree(model_.allows(changed), changed,
              [&] { return ledger_.set_hold(id, hold).has_value(); });
    }
  }

  void reclaim(const Op& op) {
    const auto [key, id] = pick(accounts_, op.which);
    const ReclaimPlan plan = ledger_.plan_reclaim(id, Bytes(op.bytes));
    const std::vector<Key> path = model_.up(key);
    const bool calm =
        std::none_of(path.begin(), path.end(), [&](Key up) { return model_.settling(up); });
    std::int64_t lacking = 0;
    for (const Key up : path) {
      if (!model_.accounts.at(up).limit) continue;
      lacking = std::max(lacking, model_.used(up) + op.bytes - *model_.accounts.at(up).limit);
    }
    NaiveLedger after = model_;
    Ledger trial = ledger_;
    Bytes total{};
    std::set<ReservationId> victims;
    for (const ReclaimStep& step : plan.steps) {
      RC_ASSERT(victims.insert(step.reservation).second);
      RC_ASSERT(trial.hold(step.reservation) == Hold::revocable);
      RC_ASSERT(trial.account(step.reservation) == step.account);
      RC_ASSERT(step.bytes > Bytes(0));
      RC_ASSERT(step.bytes <= trial.size(step.reservation));
      total += step.bytes;
      trial.shrink(step.reservation, step.bytes);
      for (const auto& [reservation, victim] : reservations_) {
        if (victim == step.reservation) {
          after.reservations.at(reservation).bytes -= step.bytes.count();
        }
      }
    }
    RC_ASSERT(plan.total == total);
    if (op.bytes == 0) {
      for (const Key up : path) {
        const auto limit = model_.accounts.at(up).limit;
        if (limit) RC_ASSERT(after.used(up) <= std::max(*limit, after.held(up, Hold::firm)));
      }
      return;
    }
    RC_ASSERT(plan.fits() == model_.grants_after_reclaim(key, op.bytes));
    if (total > Bytes(0) || !plan.fits()) {
      ++(plan.fits() ? counts().done : counts().refused)[kind_];
    }
    RC_ASSERT(trial.try_reserve(id, Bytes(op.bytes)).has_value() == plan.fits());
    RC_ASSERT(total == Bytes(plan.fits() ? lacking : 0));
    if (!calm) return;
    if (op.bytes <= model_.accounts.at(key).guarantee - model_.claims(key)) RC_ASSERT(plan.fits());
    for (const auto& [other, account] : model_.accounts) {
      if (std::find(path.begin(), path.end(), other) != path.end()) continue;
      RC_ASSERT(after.used(other) >= std::min(model_.used(other), model_.committed(other)));
    }
  }

  Ledger ledger_;
  NaiveLedger model_;
  std::map<Key, AccountId> accounts_;
  std::map<Key, ReservationId> reservations_;
  Key next_key_ = 0;
  std::size_t kind_ = Op::add_account;
};

TEST(LedgerProperty, AgreesWithTheNaiveModelAndTheAuditOnRandomSequences) {
  rc::detail::TestMetadata metadata;
  metadata.id = "ledger";
  rc::detail::TestParams params = rc::detail::configuration().testParams;
  params.maxSuccess = kSequences;
  const auto result = rc::detail::checkTestable(
      [] {
        const auto ops = *rc::gen::resize(60, rc::gen::container<std::vector<Op>>(any_op()));
        Trial trial;
        for (const Op& op : ops) {
          trial.step(op);
          trial.check();
          trial.check_headroom(op);
        }
        trial.release_all();
      },
      metadata, params);
  rc::detail::printResultMessage(result, std::cerr);
  EXPECT_TRUE(result.is<rc::detail::SuccessResult>()) << "seed " << params.seed;
  // Nothing was left out: each kind was done, and refused where it can be.
  for (int kind = 0; kind < Op::kinds; ++kind) {
    const auto at = static_cast<std::size_t>(kind);
    const bool always = kind == Op::shrink || kind == Op::release || kind == Op::split;
    EXPECT_GE(Trial::counts().done[at], kSequences / 100) << Op{.kind = kind};
    EXPECT_GE(Trial::counts().refused[at], always ? 0 : kSequences / 100) << Op{.kind = kind};
  }
}

}  // namespace
}  // namespace mais::core
