#include "mais/core/ledger_audit.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "core/wording.hpp"

namespace mais::core {

namespace {

struct Recount {
  Bytes firm{};
  Bytes revocable{};
  Bytes own_firm{};
  Bytes child_committed{};
  Bytes child_guaranteed{};
};

class LedgerAudit {
 public:
  explicit LedgerAudit(const LedgerSnapshot& snapshot) : snapshot_(snapshot) {}

  std::vector<std::string> run() {
    check_tree();
    if (faults_.empty()) {  // totals mean nothing on a broken tree
      count_reservations();
      check_accounts();
    }
    return std::move(faults_);
  }

 private:
  void fault(const AccountSnapshot& account, std::string_view what) {
    faults_.push_back(sentence(
        {"account \"", account.name, "\" (slot ", std::to_string(account.id.slot), "): ", what}));
  }

  void expect_equal(const AccountSnapshot& account, std::string_view what, Bytes said,
                    Bytes counted) {
    if (said == counted) return;
    fault(account, sentence({what, " is said to be ", std::to_string(said.count()),
                             " B, but counts ", std::to_string(counted.count()), " B"}));
  }

  void check_tree() {
    std::set<SpaceId> spaces;
    std::set<std::uint32_t> slots;
    for (std::size_t i = 0; i < snapshot_.accounts.size(); ++i) {
      const AccountSnapshot& account = snapshot_.accounts[i];
      if (!slots.insert(account.id.slot).second) fault(account, "its slot is used twice");
      if (!account.parent) {
        if (!spaces.insert(account.space).second) fault(account, "a second root of its space");
        if (!account.limit) fault(account, "a space without a capacity");
      } else {
        const auto parent = index_.find(*account.parent);
        if (parent == index_.end()) {
          fault(account, "its parent does not stand before it");
        } else if (snapshot_.accounts[parent->second].space != account.space) {
          fault(account, "its parent is in another space");
        }
      }
      if (account.guarantee < Bytes(0) || (account.limit && *account.limit < Bytes(0))) {
        fault(account, "a negative bound");
      }
      if (!(account.weight > 0)) fault(account, "a weight that is not positive");
      index_[account.id] = i;
    }
  }

  void count_reservations() {
    counts_.assign(snapshot_.accounts.size(), {});
    std::set<std::uint32_t> slots;
    for (const ReservationSnapshot& r : snapshot_.reservations) {
      const std::string which = sentence({"reservation in slot ", std::to_string(r.id.slot), ": "});
      if (!slots.insert(r.id.slot).second) faults_.push_back(which + "its slot is used twice");
      if (r.bytes < Bytes(0)) faults_.push_back(which + "negative bytes");
      const auto found = index_.find(r.account);
      if (found == index_.end()) {
        faults_.push_back(which + "its account does not exist");
        continue;
      }
      if (r.hold == Hold::firm) counts_[found->second].own_firm += r.bytes;
      for (std::size_t at = found->second;;) {
        (r.hold == Hold::firm ? counts_[at].firm : counts_[at].revocable) += r.bytes;
        const auto& parent = snapshot_.accounts[at].parent;
        if (!parent) break;
        at = index_.at(*parent);
      }
    }
  }

  void check_accounts() {
    // Children stand behind their parents, so backwards every child is counted before its parent.
    for (std::size_t i = snapshot_.accounts.size(); i-- > 0;) {
      const AccountSnapshot& account = snapshot_.accounts[i];
      const Recount& count = counts_[i];
      const Bytes committed = std::max(account.guarantee, count.own_firm + count.child_committed);
      const Bytes guaranteed = std::max(account.guarantee, count.child_guaranteed);
      if (account.parent) {
        Recount& parent = counts_[index_.at(*account.parent)];
        parent.child_committed += committed;
        parent.child_guaranteed += guaranteed;
      }
      const Bytes used = count.firm + count.revocable;
      expect_equal(account, "used", account.used, used);
      expect_equal(account, "firm", account.firm, count.firm);
      expect_equal(account, "revocable", account.revocable, count.revocable);
      expect_equal(account, "committed", account.committed, committed);
      expect_equal(account, "borrowed", account.borrowed, std::max(Bytes(0), used - committed));
      if (account.peak < used) fault(account, "its peak is below what it uses");

      Bytes lent{};
      if (account.limit) {
        const Bytes limit = *account.limit;
        // Free bytes and revocable bytes are all that guarantees not yet filled can come from.
        const Bytes unfilled = committed - count.firm;
        lent = std::max(Bytes(0), unfilled - (limit - used));
        if (guaranteed > limit) fault(account, "it guarantees more than its limit");
        check_bounds(account, used > limit, lent > count.revocable);
      } else {
        check_bounds(account, false, false);
      }
      expect_equal(account, "lent", account.lent, lent);
    }
  }

  void check_bounds(const AccountSnapshot& account, bool above, bool uncovered) {
    if (account.settling) {
      if (!above && !uncovered) fault(account, "it is settling without a reason");
      return;
    }
    if (above) {
      fault(account, account.parent ? "it uses more than its limit"
                                    : "the space uses more than its capacity");
    }
    if (uncovered) fault(account, "what is lent is not covered by revocable reservations");
  }

  const LedgerSnapshot& snapshot_;
  std::map<AccountId, std::size_t> index_;
  std::vector<Recount> counts_;
  std::vector<std::string> faults_;
};

}  // namespace

std::vector<std::string> audit(const LedgerSnapshot& snapshot) {
  return LedgerAudit(snapshot).run();
}

}  // namespace mais::core
