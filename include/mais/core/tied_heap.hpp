// An IndexedHeap that keeps by itself where its items lie and what breaks ties between them.
//
// For owners with one heap of small dense items; with many heaps over the same items, IndexedHeap
// with one shared index saves memory. A plain value; one user at a time; deterministic.
#pragma once

#include <cstdint>
#include <vector>

#include "mais/core/indexed_heap.hpp"

namespace mais::core {

class TiedHeap {
 public:
  bool empty() const noexcept { return heap_.empty(); }
  std::size_t size() const noexcept { return heap_.size(); }
  // The smallest. The heap must not be empty. O(1).
  std::uint32_t top() const noexcept { return heap_.top(); }
  std::int64_t top_value() const noexcept { return heap_.top_value(); }

  bool contains(std::uint32_t item) const noexcept {
    return item < items_.size() && items_[item].position != kOut;
  }

  // Adds an item that is not in the heap; of two with equal values the one with the smaller tie
  // comes first. O(log n); allocates when the item or the size is larger than ever before.
  void push(std::int64_t value, std::uint64_t tie, std::uint32_t item) {
    if (items_.size() <= item) items_.resize(item + std::size_t{1});
    items_[item].tie = tie;
    heap_.push(value, item, Index{&items_});
  }

  // Takes an item out that is in the heap. O(log n).
  void remove(std::uint32_t item) noexcept {
    heap_.remove(item, Index{&items_});
    items_[item].position = kOut;
  }

 private:
  static constexpr std::uint32_t kOut = 0xffffffff;
  struct Item {
    std::uint32_t position = kOut;
    std::uint64_t tie = 0;
  };
  struct Index {
    std::vector<Item>* items;
    std::uint32_t& position(std::uint32_t item) const noexcept { return (*items)[item].position; }
    bool before(std::uint32_t a, std::uint32_t b) const noexcept {
      return (*items)[a].tie < (*items)[b].tie;
    }
  };

  IndexedHeap heap_;
  std::vector<Item> items_;
};

}  // namespace mais::core
