// The pages of one pool: which are free. Ids 0 ... pages - 1; the one freed last is given first.
#pragma once

#include <cstdint>
#include <vector>

#include "mais/result.hpp"

namespace mais::core {

// A plain value. Every operation is O(1) and allocates nothing; a page given back twice aborts.
class PagePool {
 public:
  explicit PagePool(std::uint32_t pages = 0) : taken_(pages, false) {
    free_.reserve(pages);
    for (std::uint32_t id = pages; id-- > 0;) free_.push_back(id);
  }

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(taken_.size()); }
  std::uint32_t free() const noexcept { return static_cast<std::uint32_t>(free_.size()); }
  std::uint32_t taken() const noexcept { return size() - free(); }
  const std::vector<std::uint32_t>& free_pages() const noexcept { return free_; }

  std::uint32_t take() {
    MAIS_EXPECTS(!free_.empty(), "take() from a pool with no free page");
    const std::uint32_t id = free_.back();
    free_.pop_back();
    taken_[id] = true;
    return id;
  }
  void give_back(std::uint32_t id) {
    MAIS_EXPECTS(id < taken_.size() && taken_[id], "a page was given back that was not taken");
    taken_[id] = false;
    free_.push_back(id);
  }

 private:
  std::vector<bool> taken_;
  std::vector<std::uint32_t> free_;
};

}  // namespace mais::core
