// The pages that keys and values live in: numbers 0 ... count - 1, as the planner names them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>

#include "mais/result.hpp"

namespace torch_server {

class PageStore {
 public:
  PageStore() = default;
  // Takes all of its memory at once, and touches it. Throws what the resource throws.
  PageStore(std::pmr::memory_resource& resource, std::size_t page_bytes, std::int64_t count)
      : resource_(&resource), page_bytes_(page_bytes), count_(count) {
    if (count_ == 0) return;
    memory_ = static_cast<std::byte*>(resource.allocate(bytes(), kAlignment));
    std::memset(memory_, 0, bytes());
  }
  PageStore(PageStore&& other) noexcept { swap(other); }
  PageStore& operator=(PageStore&& other) noexcept {
    PageStore(std::move(other)).swap(*this);
    return *this;
  }
  ~PageStore() {
    if (memory_ != nullptr) resource_->deallocate(memory_, bytes(), kAlignment);
  }

  std::int64_t count() const { return count_; }
  std::byte* page(std::uint32_t id) const {
    MAIS_EXPECTS(std::int64_t{id} < count_, "a page was named that the pool does not have");
    return memory_ + std::size_t{id} * page_bytes_;
  }
  std::size_t page_bytes() const { return page_bytes_; }

 private:
  static constexpr std::size_t kAlignment = 64;
  std::size_t bytes() const { return page_bytes_ * static_cast<std::size_t>(count_); }
  void swap(PageStore& other) noexcept {
    std::swap(resource_, other.resource_);
    std::swap(memory_, other.memory_);
    std::swap(page_bytes_, other.page_bytes_);
    std::swap(count_, other.count_);
  }
  std::pmr::memory_resource* resource_ = nullptr;
  std::byte* memory_ = nullptr;
  std::size_t page_bytes_ = 0;
  std::int64_t count_ = 0;
};

}  // namespace torch_server
