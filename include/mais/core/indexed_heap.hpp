// A min-heap of small integers that knows where each of them lies.
//
// Eight children for each node, whose values fill one cache line: with a million items a path down
// is seven lines long, the upper five of which stay in a core's cache, and is followed without a
// branch that could be mispredicted. Where an item lies, and what breaks ties between equal values,
// the owner keeps beside the items themselves: every call that moves something takes an *index*
// with
//   std::uint32_t& position(std::uint32_t item)         where the heap notes its place
//   bool before(std::uint32_t a, std::uint32_t b) const  the order of items of equal value
// so heaps that share no item can share one index (a queue with a thousand tenants has thousands of
// heaps and one index). Where before() is a strict total order, the order out is deterministic.
//
// A plain value; one user at a time. Only push and reserve allocate.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace mais::core {

class IndexedHeap {
 public:
  bool empty() const noexcept { return order_.empty(); }
  std::size_t size() const noexcept { return order_.size(); }
  std::size_t capacity() const noexcept { return order_.capacity(); }
  void reserve(std::size_t count) {
    groups_.reserve(group_of(count) + 1);
    order_.reserve(count);
  }

  // The smallest. The heap must not be empty. O(1).
  std::uint32_t top() const noexcept { return order_.front(); }
  std::int64_t top_value() const noexcept { return groups_.front()[kWidth - 1]; }

  // The value of the item at a position of this heap. O(1).
  std::int64_t value(std::uint32_t position) const noexcept { return value_at(position); }

  // Begins to load what the next push or remove touches first, and what removing the item at a
  // position does. In a long queue all of it is far away in memory, and heap after heap would be
  // waited for. For speed only.
  void fetch_end() const noexcept {
    if (empty()) return;
    __builtin_prefetch(&groups_[group_of(size() - 1)], 1);
    __builtin_prefetch(&order_.back(), 1);
  }
  void fetch(std::uint32_t position) const noexcept {
    __builtin_prefetch(&groups_[group_of(position)], 1);
    __builtin_prefetch(&order_[position], 1);
    if (position + 1 < groups_.size()) __builtin_prefetch(&groups_[position + 1]);
  }

  // Adds an item that is in no heap of this index. O(log n), O(1) for values that come in order.
  template <class Index>
  void push(std::int64_t value, std::uint32_t item, Index index) {
    const std::size_t at = order_.size();
    if (group_of(at) >= groups_.size()) {
      groups_.emplace_back();
      groups_.back().fill(kNoValue);
    }
    order_.push_back(item);
    rise(at, value, item, index);
  }

  // Takes an item out that is in this heap. O(log n).
  template <class Index>
  void remove(std::uint32_t item, Index index) noexcept {
    const std::size_t hole = index.position(item);
    const std::uint32_t last = order_.back();
    const std::int64_t value = value_at(order_.size() - 1);
    order_.pop_back();
    value_at(order_.size()) = kNoValue;
    if (hole < order_.size()) place(hole, value, last, index);
  }

  // Gives an item of this heap another value, or another place among equal ones. O(log n).
  template <class Index>
  void update(std::uint32_t item, std::int64_t value, Index index) noexcept {
    place(index.position(item), value, item, index);
  }

  // Calls visit(item) for the smallest in order until it returns false, or Most of them were
  // visited. Changes and allocates nothing. O(k log k) for k visits.
  template <std::size_t Most, class Index, class Visit>
  void visit_smallest(Index index, Visit visit) const {
    if (empty()) return;
    std::array<std::size_t, Most*(kWidth - 1) + 1> frontier;
    const auto after = [&](std::size_t a, std::size_t b) {
      return before(b, value_at(a), order_[a], index);
    };
    frontier[0] = 0;
    auto end = frontier.begin() + 1;
    for (std::size_t visits = 1; end != frontier.begin(); ++visits) {
      std::pop_heap(frontier.begin(), end, after);
      const std::size_t at = *--end;
      if (!visit(order_[at]) || visits == Most) return;
      const std::size_t first = at * kWidth + 1;
      for (std::size_t child = first; child < std::min(first + kWidth, size()); ++child) {
        *end++ = child;
        std::push_heap(frontier.begin(), end, after);
      }
    }
  }

  // Changes every value by a function that keeps their order. O(n).
  template <class Change>
  void change_values(Change change) {
    for (std::size_t at = 0; at < size(); ++at) value_at(at) = change(value_at(at));
  }

 private:
  static constexpr std::size_t kWidth = 8;
  // The children of nodes before this are met so often that they stay in a near cache.
  static constexpr std::size_t kNearNodes = 8;
  static constexpr std::int64_t kNoValue = std::numeric_limits<std::int64_t>::max();

  // The root is the last of the first group; the children of node i are group i + 1.
  struct alignas(64) Group : std::array<std::int64_t, kWidth> {};

  static constexpr std::size_t group_of(std::size_t at) noexcept {
    return (at + kWidth - 1) / kWidth;
  }
  std::int64_t& value_at(std::size_t at) noexcept {
    return groups_[group_of(at)][(at + kWidth - 1) % kWidth];
  }
  std::int64_t value_at(std::size_t at) const noexcept {
    return groups_[group_of(at)][(at + kWidth - 1) % kWidth];
  }
  // Whether the item at a place comes before one with this value.
  template <class Index>
  bool before(std::size_t at, std::int64_t value, std::uint32_t item, Index index) const noexcept {
    const std::int64_t own = value_at(at);
    return own != value ? own < value : index.before(order_[at], item);
  }

  template <class Index>
  void set(std::size_t at, std::int64_t value, std::uint32_t item, Index index) noexcept {
    value_at(at) = value;
    order_[at] = item;
    index.position(item) = static_cast<std::uint32_t>(at);
  }

  template <class Index>
  void place(std::size_t at, std::int64_t value, std::uint32_t item, Index index) noexcept {
    if (at > 0 && !before((at - 1) / kWidth, value, item, index)) {
      rise(at, value, item, index);
    } else {
      sink(at, value, item, index);
    }
  }

  template <class Index>
  void rise(std::size_t at, std::int64_t value, std::uint32_t item, Index index) noexcept {
    while (at > 0) {
      const std::size_t parent = (at - 1) / kWidth;
      if (before(parent, value, item, index)) break;
      set(at, value_at(parent), order_[parent], index);
      at = parent;
    }
    set(at, value, item, index);
  }

  template <class Index>
  void sink(std::size_t at, std::int64_t value, std::uint32_t item, Index index) noexcept {
    while (at * kWidth + 1 < size()) {
      fetch_grandchildren(at);
      const std::size_t least = least_child(at, index);
      if (!before(least, value, item, index)) break;
      set(at, value_at(least), order_[least], index);
      at = least;
    }
    set(at, value, item, index);
  }

  // One of these groups is next on the way down; in a large heap none of them is in a near cache,
  // and to wait for one after another would be most of the cost.
  void fetch_grandchildren(std::size_t at) const noexcept {
    if (at < kNearNodes) return;
    const std::size_t first = group_of((at * kWidth + 1) * kWidth + 1);
    if (first >= groups_.size()) return;
    for (std::size_t group = first; group < std::min(first + kWidth, groups_.size()); ++group) {
      __builtin_prefetch(&groups_[group], 1);
    }
  }

  // Of a node that has children. Places without an item hold the greatest value.
  template <class Index>
  std::size_t least_child(std::size_t at, Index index) const noexcept {
    const Group& group = groups_[at + 1];
    const auto less = [](std::int64_t a, std::int64_t b) { return b < a ? b : a; };
    const std::int64_t least = less(less(less(group[0], group[1]), less(group[2], group[3])),
                                    less(less(group[4], group[5]), less(group[6], group[7])));
    unsigned equal = 0;
    for (unsigned i = 0; i < kWidth; ++i) equal |= unsigned{group[i] == least} << i;
    const std::size_t first = at * kWidth + 1;
    std::size_t found = first + static_cast<std::size_t>(std::countr_zero(equal));
    for (equal &= equal - 1; equal != 0; equal &= equal - 1) {
      const std::size_t other = first + static_cast<std::size_t>(std::countr_zero(equal));
      if (other < size() && index.before(order_[other], order_[found])) found = other;
    }
    return found;
  }

  std::vector<Group> groups_;         // values
  std::vector<std::uint32_t> order_;  // items
};

}  // namespace mais::core
