// Hands ended requests to their callbacks: one at a time, in the order in which they were added,
// outside every lock.
//
// Whoever calls run() delivers until nothing is left; meanwhile others who call it leave what they
// added to that thread and go on.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "mais/scheduler.hpp"

namespace mais::shell {

class Deliveries {
 public:
  // Called in the order of delivery, under the scheduler's mutex.
  void add(OnEnd on_end, const RequestEnd& end) {
    const std::lock_guard lock(mutex_);
    waiting_.emplace_back(std::move(on_end), end);
  }

  // Called without any lock. A callback that throws ends the program.
  void run() noexcept {
    std::unique_lock lock(mutex_);
    if (running_) return;
    running_ = true;
    runner_ = std::this_thread::get_id();
    while (!waiting_.empty()) {
      underway_.swap(waiting_);
      lock.unlock();
      for (const auto& [on_end, end] : underway_) on_end(end);
      underway_.clear();
      lock.lock();
    }
    running_ = false;
    idle_.notify_all();
  }

  // Returns when no callback runs and none is due; at once when called by a callback.
  void wait_until_idle() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] {
      return running_ ? runner_ == std::this_thread::get_id() : waiting_.empty();
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable idle_;
  std::vector<std::pair<OnEnd, RequestEnd>> waiting_;
  std::vector<std::pair<OnEnd, RequestEnd>> underway_;  // the runner's alone
  bool running_ = false;
  std::thread::id runner_;
};

}  // namespace mais::shell
