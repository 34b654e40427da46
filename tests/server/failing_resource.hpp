// A budget that refuses the allocation that a test chooses.
#pragma once

#include <atomic>
#include <memory_resource>
#include <new>

namespace server {

class FailingResource final : public std::pmr::memory_resource {
 public:
  explicit FailingResource(std::pmr::memory_resource& upstream) : upstream_(upstream) {}

  // Lets so many allocations pass, refuses the next one, and then none.
  void fail_after(int allocations) { left_ = allocations; }
  // Refuses one in so many, from any thread.
  void fail_every(int allocations) { every_ = allocations; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (left_ >= 0 && left_-- == 0) throw std::bad_alloc();
    if (every_ > 0 && ++count_ % every_ == 0) throw std::bad_alloc();
    return upstream_.allocate(bytes, alignment);
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    upstream_.deallocate(memory, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }
  std::pmr::memory_resource& upstream_;
  std::atomic<int> left_{-1}, every_{0}, count_{0};
};

}  // namespace server
