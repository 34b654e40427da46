// Weighted fair shares by service received: virtual counters.
//
// Each member has a counter that rises by service / weight whenever it is served; who is furthest
// behind goes next. A member that comes back from idleness is lifted to the least counter among
// those that wait, so that idleness earns no credit; a counter is never lowered by leaving, so that
// debt is not lost either. (Start-time fair queueing: Goyal, Vin and Cheng, SIGCOMM 1996; counters
// charged with tokens as they are served: Sheng et al., "Fairness in Serving Large Language
// Models", OSDI 2024, algorithm 2.)
//
// While two members i and j both wait, with m the largest amount charged at once (times the number
// of takes that are not charged yet, where charging lags behind taking):
//   |service_i / weight_i - service_j / weight_j| <= m / weight_i + m / weight_j.
//
// Counters are integers, so the order is the same everywhere. A plain value; one user at a time;
// nothing allocates but add().
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "mais/core/indexed_heap.hpp"

namespace mais::core {

class FairShare {
 public:
  using Member = std::uint32_t;

  static constexpr double kLeastWeight = 1.0 / 1024;
  static constexpr double kMostWeight = 1024;

  // Adds a member that does not wait. Weights outside [1/1024, 1024] and NaN are cut to that range.
  Member add(double weight);
  std::size_t size() const noexcept { return members_.size(); }

  // Counts for service charged from now on.
  void set_weight(Member member, double weight);
  double weight(Member member) const noexcept { return members_[member].weight; }

  // A member begins to want service after having wanted none: lifts its counter. O(1).
  void lift(Member member) noexcept;

  // A member that can be taken, or no longer can (idle, or all it has is blocked): in and out of
  // the order without touching the counter. O(log n).
  void insert(Member member);
  void remove(Member member) noexcept;

  // Who is furthest behind among those that can be taken; ties go to the smaller index. O(1).
  std::optional<Member> front() const noexcept {
    return order_.empty() ? std::nullopt : std::optional<Member>(order_.top());
  }
  bool empty() const noexcept { return order_.empty(); }
  bool waits(Member member) const noexcept { return members_[member].waiting; }

  // Calls visit(member) in order until it returns false, or Most of them were visited.
  template <std::size_t Most, class Visit>
  void visit_in_order(Visit visit) const {
    order_.template visit_smallest<Most>(ConstIndex{}, visit);
  }

  // Adds service (any unit, one for all members) to a member, waiting or not; negative takes back
  // what was charged too much. O(log n).
  void charge(Member member, std::int64_t service) noexcept;

  // Service over weight, in units of 2^-20, less a constant that is the same for all members.
  std::int64_t counter(Member member) const noexcept { return members_[member].counter; }
  // What one unit of service adds to the member's counter: 2^20 / weight.
  std::int64_t price(Member member) const noexcept { return members_[member].price; }

 private:
  struct MemberState {
    double weight;
    std::int64_t price;
    std::int64_t counter;
    std::uint32_t position;  // in order_
    bool waiting;
  };
  // Ties go to the smaller index.
  struct Index {
    std::vector<MemberState>* members;
    std::uint32_t& position(Member member) const noexcept { return (*members)[member].position; }
    bool before(Member a, Member b) const noexcept { return a < b; }
  };
  struct ConstIndex {
    bool before(Member a, Member b) const noexcept { return a < b; }
  };

  void rebase() noexcept;

  std::vector<MemberState> members_;
  IndexedHeap order_;
  std::int64_t floor_ = 0;  // virtual time: where a member that comes back starts at least
};

}  // namespace mais::core
