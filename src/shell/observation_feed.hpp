// Hands observations to the observers: one at a time, in the order in which they were added,
// outside every lock, through a queue of bounded length.
//
// Whoever calls deliver() delivers until nothing is left, or until it did its part; meanwhile
// others who call it leave what they added to that thread and go on. Slots are used again, so that
// adding allocates nothing after warm-up.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "mais/observer.hpp"
#include "shell/sync.hpp"

namespace mais::shell {

class ObservationFeed {
 public:
  ObservationFeed(std::vector<std::shared_ptr<Observer>> observers, const ObserverOptions& options);

  // Called in the order of delivery, under the scheduler's mutex. `describe(core::Event&)` fills in
  // the event. What there is no memory for is dropped.
  template <class Describe>
  void add(Time now, std::span<const core::Action> actions, std::optional<Time> wake_at,
           const core::Step* step, Describe describe) noexcept {
    const std::lock_guard lock(mutex_);
    ++number_;
    if (when_full_ == WhenFull::drop && full()) return;
    try {
      Observation& slot = next_slot();
      slot.number = number_;
      slot.now = now;
      describe(slot.event);
      fill(slot, actions, wake_at, step);
      ++waiting_count_;
    } catch (const std::bad_alloc&) {
    }
  }

  // Called without any lock. True when it left something to somebody else: it did its part.
  bool deliver() noexcept;

  // False when await_room() would wait.
  bool has_room() const;

  // With WhenFull::wait: returns when there is room, and delivers meanwhile when nobody does.
  void await_room();

  // Returns when everything was delivered.
  void wait_until_idle();

  // True in a thread that is inside an observer.
  bool is_delivering() const;

 private:
  // Under mutex_.
  Observation& next_slot();
  void fill(Observation& slot, std::span<const core::Action> actions, std::optional<Time> wake_at,
            const core::Step* step);
  void deliver_some(std::unique_lock<Mutex>& lock) noexcept;
  bool full() const noexcept { return waiting_count_ >= capacity_; }

  const std::vector<std::shared_ptr<Observer>> observers_;
  const std::size_t capacity_;
  const WhenFull when_full_;

  mutable Mutex mutex_;
  ConditionVariable changed_;         // room came, or the deliverer went
  std::vector<Observation> waiting_;  // the first waiting_count_ of them
  std::size_t waiting_count_ = 0;
  std::uint64_t number_ = 0;           // of the last one added or dropped
  std::vector<Observation> underway_;  // the deliverer's alone
  bool delivering_ = false;
  std::thread::id deliverer_;
};

}  // namespace mais::shell
