// Hands answers to those who asked: ends and leases to callbacks, and coroutines their turn; one at
// a time, in the order in which they were added, outside every lock.
//
// Whoever calls run() delivers until nothing is left; meanwhile others who call it leave what they
// added to that thread and go on.
#pragma once

#include <algorithm>
#include <coroutine>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>

#include "mais/scheduler.hpp"
#include "shell/sync.hpp"

namespace mais::shell {

struct EndDelivery {
  OnEnd on_end;
  RequestEnd end;
};
struct LeaseDelivery {
  OnLease on_lease;
  tl::expected<Lease, RequestEnd> answer;
};
using Delivery = std::variant<EndDelivery, LeaseDelivery, std::coroutine_handle<>>;

class Deliveries {
 public:
  // Called in the order of delivery, under the scheduler's mutex.
  void add(Delivery delivery) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(delivery));
  }

  // True when the coroutine was waiting for its turn, which does not come any more.
  bool withdraw(std::coroutine_handle<> waiter) {
    const std::lock_guard lock(mutex_);
    return std::erase_if(waiting_, [&](const Delivery& delivery) {
             const auto* const handle = std::get_if<std::coroutine_handle<>>(&delivery);
             return handle != nullptr && *handle == waiter;
           }) != 0;
  }

  // Called without any lock. A callback that throws ends the program.
  void run() noexcept {
    std::unique_lock lock(mutex_);
    if (running_) return;
    running_ = true;
    runner_ = std::this_thread::get_id();
    while (!waiting_.empty()) {
      std::optional<Delivery> next(std::move(waiting_.front()));
      waiting_.pop_front();
      lock.unlock();
      deliver(*next);
      next.reset();  // what a callback held goes outside the lock
      lock.lock();
    }
    running_ = false;
    runner_ = {};
    idle_.notify_all();
  }

  // Returns when no callback runs and none is due.
  void wait_until_idle() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return !running_ && waiting_.empty(); });
  }

  // True in a thread that is inside a callback.
  bool is_delivering() const {
    const std::lock_guard lock(mutex_);
    return running_ && runner_ == std::this_thread::get_id();
  }

 private:
  static void deliver(Delivery& delivery) {
    if (auto* const ended = std::get_if<EndDelivery>(&delivery)) {
      ended->on_end(ended->end);
    } else if (auto* const leased = std::get_if<LeaseDelivery>(&delivery)) {
      leased->on_lease(std::move(leased->answer));
    } else {
      std::get<std::coroutine_handle<>>(delivery).resume();
    }
  }

  mutable Mutex mutex_;
  ConditionVariable idle_;
  std::deque<Delivery> waiting_;
  bool running_ = false;
  std::thread::id runner_;
};

}  // namespace mais::shell
