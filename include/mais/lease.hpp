// Bytes of a memory space that are ours until the lease goes.
//
//   auto lease = scheduler.acquire({.space = gpu0, .bytes = 2_GiB});
//   if (lease) run_on(gpu0, lease->bytes());
//   // the bytes go back at the end of the scope
//
// A move-only value. Giving back never allocates, waits or throws, and may be done from any thread,
// before or after the scheduler is gone; only where asynchronous requests wait for bytes and no
// thread does, whoever gives back hands the bytes on: it takes the scheduler's mutex for a moment
// and runs the callbacks that are due. One lease has one user at a time.
#pragma once

#include <memory>
#include <utility>

#include "mais/request.hpp"
#include "mais/units.hpp"

namespace mais {

namespace shell {
class LeaseReturns;
struct LeaseSlot;
}  // namespace shell

class Lease {
 public:
  Lease() noexcept = default;  // of nothing, as one that was moved from or released
  Lease(Lease&& other) noexcept
      : returns_(std::move(other.returns_)), slot_(std::exchange(other.slot_, nullptr)) {}
  Lease& operator=(Lease&& other) noexcept {
    if (this != &other) {
      release();
      returns_ = std::move(other.returns_);
      slot_ = std::exchange(other.slot_, nullptr);
    }
    return *this;
  }
  ~Lease() { release(); }

  // True while there is something to give back.
  bool held() const noexcept { return slot_ != nullptr; }

  // What is held. The lease must be.
  Bytes bytes() const;
  SpaceId space() const;
  RequestId request() const;

  // Gives the bytes back now; does nothing when none are held.
  void release() noexcept;

 private:
  friend class Scheduler;
  Lease(std::shared_ptr<shell::LeaseReturns> returns, shell::LeaseSlot* slot) noexcept
      : returns_(std::move(returns)), slot_(slot) {}

  std::shared_ptr<shell::LeaseReturns> returns_;
  shell::LeaseSlot* slot_ = nullptr;  // owned; handed to returns_ when the bytes go back
};

}  // namespace mais
