// Counts what one engine takes from a budget, and passes it on.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>

#include "engine.hpp"

namespace server {

// Threads: any. What upstream throws passes through and is counted.
class MeteredResource final : public std::pmr::memory_resource {
 public:
  explicit MeteredResource(std::pmr::memory_resource& upstream) : upstream_(upstream) {}
  MeteredResource(const MeteredResource&) = delete;
  MeteredResource& operator=(const MeteredResource&) = delete;
  ~MeteredResource() override {
    MAIS_EXPECTS(used_ == 0, "an engine's memory went before what was taken from it");
  }

  EngineMemory::Use use() const {
    return {.used = mais::Bytes(used_.load(std::memory_order_relaxed)),
            .peak = mais::Bytes(peak_.load(std::memory_order_relaxed)),
            .refusals = refusals_.load(std::memory_order_relaxed)};
  }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* memory = nullptr;
    try {
      memory = upstream_.allocate(bytes, alignment);
    } catch (...) {
      refusals_.fetch_add(1, std::memory_order_relaxed);
      throw;
    }
    const std::int64_t now =
        used_.fetch_add(static_cast<std::int64_t>(bytes)) + static_cast<std::int64_t>(bytes);
    std::int64_t peak = peak_.load(std::memory_order_relaxed);
    while (peak < now && !peak_.compare_exchange_weak(peak, now)) {
    }
    return memory;
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    used_.fetch_sub(static_cast<std::int64_t>(bytes));
    upstream_.deallocate(memory, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  std::pmr::memory_resource& upstream_;
  std::atomic<std::int64_t> used_{0};
  std::atomic<std::int64_t> peak_{0};
  std::atomic<std::uint64_t> refusals_{0};
};

}  // namespace server
