// Whom to take how much from: largest weighted overage first, cheapest victims first.
#include <algorithm>
#include <queue>
#include <utility>
#include <vector>

#include "mais/core/ledger.hpp"

namespace mais::core {

// One plan in the making. It works beside the ledger: what was taken so far, and what the request
// will add to the accounts on its way up, is kept here for the accounts it meets.
class Ledger::Reclaim {
 public:
  Reclaim(const Ledger& ledger, Slot asker, Count bytes) : ledger_(ledger) {
    index_.assign(ledger.nodes_.size(), kNone);
    Count claims = bytes;
    for (Slot at = asker; at != kNone; at = ledger.nodes_[at].parent) {
      const Node& n = ledger.nodes_[at];
      claims = std::max(n.guarantee, n.claims + claims) - n.committed();
      Branch& branch = branches_[meet(at)];
      branch.used += bytes;
      branch.committed += claims;
      path_.push_back(branch.account);
    }
  }

  ReclaimPlan plan() && {
    // From the asker up: what is taken lower down also counts higher up.
    for (std::size_t level = 0; level < path_.size(); ++level) {
      free_below(level, true);
      // Only an account that is settling can have promised more than it has. Then revocable bytes
      // go even where they are within a guarantee.
      free_below(level, false);
    }
    return std::move(plan_);
  }

 private:
  struct Victim {
    Slot entry = kNone;
    Count left = 0;
    Slot step = kNone;  // in the plan, once it is there
  };
  struct Candidate {  // a child, or the reservations of the account itself (branch == kNone)
    double overage = 0;
    Slot branch = kNone;
    // Ties go to the account itself, then to the one met first.
    bool operator<(const Candidate& other) const {
      return overage != other.overage ? overage < other.overage : branch + 1 > other.branch + 1;
    }
  };
  // An account as the plan leaves it.
  struct Branch {
    Slot account = kNone;
    Count used = 0;
    Count committed = 0;
    Count revocable = 0;      // that can still be taken below it
    Count own_revocable = 0;  // and from itself
    std::vector<Slot> children;
    std::vector<Victim> victims;  // cheapest last
    std::priority_queue<Candidate> candidates;
    bool met_children = false;
    bool ranked = false;
    bool guarded = false;  // how the candidates were chosen

    Count borrowed() const { return used - committed; }
  };

  Slot meet(Slot account) {
    if (index_[account] != kNone) return index_[account];
    const Node& n = ledger_.nodes_[account];
    Branch branch;
    branch.account = account;
    branch.used = n.used;
    branch.committed = n.committed();
    branch.revocable = n.revocable;
    branch.own_revocable = ledger_.details_[account].own_revocable;
    branches_.push_back(std::move(branch));
    return index_[account] = static_cast<Slot>(branches_.size() - 1);
  }

  double overage(const Branch& branch) const {
    return static_cast<double>(branch.used - ledger_.guaranteed(branch.account)) /
           ledger_.details_[branch.account].weight;
  }

  // Takes from the subtree of the account `level` steps above the asker until it is within its
  // limit, or nothing more may be taken.
  void free_below(std::size_t level, bool guard) {
    const Slot at = index_[path_[level]];
    const Count limit = ledger_.nodes_[path_[level]].limit;
    while (branches_[at].used > limit) {
      const Count taken = take_one(at, branches_[at].used - limit, guard);
      if (taken == 0) return;
      for (std::size_t above = level + 1; above < path_.size(); ++above) {
        Branch& branch = branches_[index_[path_[above]]];
        branch.used -= taken;
        branch.revocable -= taken;
      }
    }
  }

  // What may be taken below a child: with the guard on, only what it borrowed.
  Count takeable(const Branch& branch, bool guard) const {
    return guard ? std::min(branch.revocable, branch.borrowed()) : branch.revocable;
  }

  void rank(Slot at, bool guard) {
    if (!branches_[at].met_children) {
      const Slot account = branches_[at].account;
      std::vector<Slot> children;
      for (Slot child = ledger_.details_[account].first_child; child != kNone;
           child = ledger_.details_[child].next) {
        const Node& n = ledger_.nodes_[child];
        if (n.revocable > 0) children.push_back(meet(child));
      }
      branches_[at].children = std::move(children);
      branches_[at].victims = victims_of(account);
      branches_[at].met_children = true;
    }
    Branch& branch = branches_[at];
    branch.candidates = {};
    push_own(branch);
    for (const Slot child : branch.children) push_child(branch, child, guard);
    branch.ranked = true;
    branch.guarded = guard;
  }

  std::vector<Victim> victims_of(Slot account) const {
    std::vector<Victim> victims;
    for (Slot entry = ledger_.details_[account].first_revocable; entry != kNone;
         entry = ledger_.entries_[entry].next) {
      if (ledger_.entries_[entry].bytes > 0) {
        victims.push_back({entry, ledger_.entries_[entry].bytes, kNone});
      }
    }
    // Cheapest last; of equals the largest last, so that few are disturbed.
    std::sort(victims.begin(), victims.end(), [&](const Victim& a, const Victim& b) {
      const Entry& x = ledger_.entries_[a.entry];
      const Entry& y = ledger_.entries_[b.entry];
      if (x.cost != y.cost) return x.cost > y.cost;
      return x.bytes != y.bytes ? x.bytes < y.bytes : a.entry > b.entry;
    });
    return victims;
  }

  // The account's own reservations compete with its children as one more child without a guarantee.
  void push_own(Branch& branch) const {
    if (branch.own_revocable == 0) return;
    branch.candidates.push(
        {static_cast<double>(branch.own_revocable) / ledger_.details_[branch.account].weight,
         kNone});
  }

  void push_child(Branch& branch, Slot child, bool guard) const {
    if (takeable(branches_[child], guard) > 0) {
      branch.candidates.push({overage(branches_[child]), child});
    }
  }

  // Takes at most `wanted` from one reservation below `at`; 0 when nothing may be taken.
  Count take_one(Slot at, Count wanted, bool guard) {
    if (!branches_[at].ranked || branches_[at].guarded != guard) rank(at, guard);
    while (!branches_[at].candidates.empty()) {
      const Slot child = branches_[at].candidates.top().branch;
      branches_[at].candidates.pop();
      Count taken = 0;
      if (child == kNone) {
        taken = take_victim(branches_[at], wanted);
        push_own(branches_[at]);
      } else {
        taken = take_one(child, std::min(wanted, takeable(branches_[child], guard)), guard);
        if (taken > 0) push_child(branches_[at], child, guard);
      }
      if (taken == 0) continue;
      branches_[at].used -= taken;
      branches_[at].revocable -= taken;
      return taken;
    }
    return 0;
  }

  Count take_victim(Branch& branch, Count wanted) {
    Victim& victim = branch.victims.back();
    const Entry& entry = ledger_.entries_[victim.entry];
    const Count taken = std::min(wanted, victim.left);
    if (victim.step == kNone) {
      victim.step = static_cast<Slot>(plan_.steps.size());
      plan_.steps.push_back(
          {ledger_.reservation_id(victim.entry), ledger_.account_id(branch.account), Bytes(0), 0});
    }
    ReclaimStep& step = plan_.steps[victim.step];
    const double cost = static_cast<double>(taken) * entry.cost;
    step.bytes += Bytes(taken);
    step.cost += cost;
    plan_.total += Bytes(taken);
    plan_.cost += cost;
    branch.own_revocable -= taken;
    victim.left -= taken;
    if (victim.left == 0) branch.victims.pop_back();
    return taken;
  }

  const Ledger& ledger_;
  std::vector<Slot> path_;   // accounts, from the asker up
  std::vector<Slot> index_;  // account -> branch, kNone until it is met
  std::vector<Branch> branches_;
  ReclaimPlan plan_;
};

ReclaimPlan Ledger::plan_reclaim(AccountId account, Bytes bytes) const {
  MAIS_EXPECTS(bytes >= Bytes(0), "a request cannot be negative");
  const Slot at = slot(account);
  if (bytes > Bytes(0)) {
    const Bytes most = headroom_after_reclaim(account);
    if (bytes > most) {
      ReclaimPlan none;
      none.shortfall = bytes - most;
      return none;
    }
    if (bytes.count() <= room(at, Hold::firm)) return {};
  }
  ReclaimPlan plan = Reclaim(*this, at, bytes.count()).plan();
  if (bytes == Bytes(0)) {  // what is firm above a limit only its holders can return
    for (Slot up = at; up != kNone; up = nodes_[up].parent) {
      plan.shortfall = std::max(plan.shortfall, Bytes(nodes_[up].firm() - nodes_[up].limit));
    }
  }
  return plan;
}

}  // namespace mais::core
