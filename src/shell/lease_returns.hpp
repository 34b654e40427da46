// Where leases that went leave word, for the scheduler to collect.
//
// Shared by a scheduler and its leases, so that a lease may outlive the scheduler. Whoever drops a
// lease pushes its slot on a lock-free stack and rings one thread that waits for the scheduler; the
// bytes are back in the ledger before any later call of the scheduler decides anything.
#pragma once

#include <atomic>
#include <memory>

#include "mais/request.hpp"
#include "mais/units.hpp"
#include "shell/doorbell.hpp"

namespace mais::shell {

// One for each lease, allocated when it is granted, so that giving back allocates nothing.
struct LeaseSlot {
  LeaseSlot* next = nullptr;
  RequestId request{};
  SpaceId space{};
  Bytes bytes{};
};

// Slots in a list that owns them.
class LeaseSlots {
 public:
  LeaseSlots() = default;
  explicit LeaseSlots(LeaseSlot* first) noexcept : first_(first) {}
  LeaseSlots(const LeaseSlots&) = delete;
  LeaseSlots& operator=(const LeaseSlots&) = delete;
  ~LeaseSlots() {
    while (take()) {
    }
  }

  void add(std::unique_ptr<LeaseSlot> slot) noexcept {
    slot->next = first_;
    first_ = slot.release();
  }
  // The last added, or null.
  std::unique_ptr<LeaseSlot> take() noexcept {
    std::unique_ptr<LeaseSlot> slot(first_);
    if (slot) first_ = slot->next;
    return slot;
  }

 private:
  LeaseSlot* first_ = nullptr;
};

class LeaseReturns {
 public:
  LeaseReturns() = default;
  LeaseReturns(const LeaseReturns&) = delete;
  LeaseReturns& operator=(const LeaseReturns&) = delete;
  ~LeaseReturns() { const LeaseSlots rest(collect()); }

  // Takes the slot over. Any thread; never allocates or throws.
  void push(LeaseSlot* slot) noexcept;

  // All that were pushed since, in no meaningful order; the caller owns them.
  LeaseSlot* collect() noexcept { return first_.exchange(nullptr, std::memory_order_seq_cst); }

  // Those who wait for the scheduler.
  Doorbell& bell() noexcept { return bell_; }

 private:
  std::atomic<LeaseSlot*> first_{nullptr};
  Doorbell bell_;
};

}  // namespace mais::shell
