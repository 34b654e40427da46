// A std::pmr::memory_resource that charges an account, and refuses beyond it.
//
//   BudgetedResource activations(shared.open(account));
//   std::pmr::vector<float> scratch(n, &activations);     // std::bad_alloc beyond the account
//   if (void* p = activations.try_allocate(bytes)) ...    // the form that does not throw
//
// Charge first, then allocate: at no moment has the upstream handed out more through this resource
// than the account was charged. Memory goes back to the upstream before its charge is given back.
// What is charged is what was asked for; zero bytes count as one, so that nothing is without end.
// What the upstream adds (headers, rounding) is not charged.
//
// Threads: every member from any thread; no lock is held while the upstream or the callback runs.
// O(1) over the upstream while the account has room: one charge (see shared_ledger.hpp) and two
// atomic additions. A refusal asks the ledger, which closes every shard of the space.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory_resource>

#include "mais/shared_ledger.hpp"
#include "mais/units.hpp"

namespace mais::memory {

// Why an allocation could not be had.
struct AllocationFailure {
  enum class Cause : std::uint8_t {
    budget,    // the account, or one above it, would go over its bound
    upstream,  // the account had room, the upstream had no memory
  };
  Cause cause = Cause::budget;
  Bytes asked{};
  std::uint32_t attempt = 0;  // 0 at the first failure of one allocation
};

struct BudgetedResourceOptions {
  // Runs in the allocating thread when an allocation fails. It may free through this resource, or
  // do whatever else makes room; true: try again. It runs at most `max_retries` times for one
  // allocation, and not for allocations that it makes itself. What it throws counts as false.
  std::function<bool(const AllocationFailure&)> on_failure{};
  std::uint32_t max_retries = 3;
};

class BudgetedResource final : public std::pmr::memory_resource {
 public:
  // Takes the gate; it is closed when this goes. The upstream outlives this.
  explicit BudgetedResource(SharedLedger::Gate gate, BudgetedResourceOptions options = {},
                            std::pmr::memory_resource* upstream = std::pmr::new_delete_resource());
  BudgetedResource(const BudgetedResource&) = delete;
  BudgetedResource& operator=(const BudgetedResource&) = delete;
  // With something still allocated it aborts.
  ~BudgetedResource() override;

  // allocate() of the base class throws std::bad_alloc where this returns null. `alignment` is a
  // power of two, else it aborts. deallocate() takes back what either form gave.
  [[nodiscard]] void* try_allocate(std::size_t bytes,
                                   std::size_t alignment = alignof(std::max_align_t)) noexcept;

  // Each figure is exact when nobody allocates meanwhile. One load each; they are not read at one
  // moment.
  struct Counters {
    Bytes current{};                      // allocated through this and not given back
    Bytes peak{};                         // the most of it at once
    std::uint64_t allocations = 0;        // that succeeded
    std::uint64_t refusals = 0;           // ended with nothing because of the budget
    std::uint64_t upstream_failures = 0;  // ended with nothing because of the upstream
    std::uint64_t retries = 0;            // that the callback asked for
  };
  Counters counters() const noexcept;

  // What the ledger knows the charge by.
  core::ReservationId reservation() const noexcept { return gate_.reservation(); }
  std::pmr::memory_resource* upstream() const noexcept { return upstream_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* pointer, std::size_t bytes, std::size_t alignment) override;
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }
  void* attempt(Bytes charge, std::size_t bytes, std::size_t alignment,
                AllocationFailure::Cause& cause) noexcept;
  bool wants_retry(const AllocationFailure& failure) noexcept;
  void count_allocation(Bytes charge) noexcept;

  SharedLedger::Gate gate_;
  const BudgetedResourceOptions options_;
  std::pmr::memory_resource* const upstream_;
  alignas(64) std::atomic<std::int64_t> current_{0};
  std::atomic<std::int64_t> peak_{0};
  std::atomic<std::uint64_t> allocations_{0};
  std::atomic<std::uint64_t> refusals_{0}, upstream_failures_{0}, retries_{0};
};

}  // namespace mais::memory
