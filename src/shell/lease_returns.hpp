// Where leases that went leave word, for the scheduler to collect.
//
// Shared by a scheduler and its leases, so that a lease may outlive the scheduler. Whoever drops a
// lease pushes its slot on a lock-free stack and rings one thread that waits for the scheduler; the
// bytes are back in the ledger before any later call of the scheduler decides anything. Where
// requests wait that no thread waits for, and no thread is there to be rung, the scheduler is
// served at once, by whoever dropped the lease.
#pragma once

#include <memory>
#include <utility>

#include "mais/request.hpp"
#include "mais/units.hpp"
#include "shell/doorbell.hpp"
#include "shell/sync.hpp"

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
  // The scheduler, as those who give back see it.
  class Server {
   public:
    virtual ~Server() = default;
    // Collects, and hands on what came back.
    virtual void serve() = 0;
  };

  LeaseReturns() = default;
  LeaseReturns(const LeaseReturns&) = delete;
  LeaseReturns& operator=(const LeaseReturns&) = delete;
  ~LeaseReturns() { const LeaseSlots rest(collect()); }

  // Takes the slot over. Any thread; never allocates or throws, unless it serves the scheduler.
  void push(LeaseSlot* slot) noexcept;

  // All that were pushed since, in no meaningful order; the caller owns them.
  LeaseSlot* collect() noexcept { return first_.exchange(nullptr, std::memory_order_seq_cst); }

  // True when something is there to collect.
  bool pushed() const noexcept { return first_.load(std::memory_order_seq_cst) != nullptr; }

  // Those who wait for the scheduler.
  Doorbell& bell() noexcept { return bell_; }

  // Once, before the first lease.
  void set_server(std::weak_ptr<Server> server) noexcept { server_ = std::move(server); }
  // How many requests wait for leases without a thread. Whoever adds one looks at pushed() after
  // it: a lease may have been dropped by somebody who saw none.
  void add_unattended(int count) noexcept {
    unattended_.fetch_add(count, std::memory_order_seq_cst);
  }

 private:
  Atomic<LeaseSlot*> first_{nullptr};
  Atomic<int> unattended_{0};
  Doorbell bell_;
  std::weak_ptr<Server> server_;
};

}  // namespace mais::shell
