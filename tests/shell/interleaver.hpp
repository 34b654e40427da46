// Runs a few threads one at a time and chooses who goes next at every point where threads meet, so
// that a test can go through all orders in which that may happen.
//
// The shell's own sources are compiled against the Mutex, ConditionVariable and Atomic below
// instead of those of the standard library (src/shell/sync.hpp). A thread may lose its turn before
// each lock and each atomic operation, at most `preemptions` times in a run (Musuvathi and Qadeer,
// Iterative context bounding, PLDI 2007); when it has to wait, each other thread is tried. Memory
// is sequentially consistent here; ThreadSanitizer looks after the rest.
//
// A condition variable that waits for an hour or more never times out, so that a wake-up that is
// lost is a deadlock: then the program aborts and prints the order that led there. Nothing else
// that blocks may be used by the threads (std::stop_callback's destructor may).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace mais::shell {

class Interleaver {
 public:
  explicit Interleaver(int preemptions) : most_preemptions_(preemptions) {}

  // One run, in the next order. Call next() afterwards.
  void run(const std::vector<std::function<void()>>& bodies) {
    threads_.clear();
    step_ = 0;
    preemptions_ = 0;
    for (std::size_t i = 0; i < bodies.size(); ++i) threads_.push_back(std::make_unique<Thread>());
    active_ = this;
    std::vector<std::jthread> running;
    for (std::size_t i = 0; i < bodies.size(); ++i) {
      running.emplace_back([this, i, &bodies] {
        self_ = static_cast<int>(i);
        threads_[i]->turn.acquire();
        bodies[i]();
        threads_[i]->state = State::done;
        self_ = -1;
        pass_on(nullptr);
      });
    }
    pass_on(nullptr);
    all_done_.acquire();
    running.clear();
    active_ = nullptr;
    ++runs_;
  }

  // False when there is no other order.
  bool next() {
    while (!path_.empty() && path_.back().taken + 1 == path_.back().choices) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().taken;
    return true;
  }
  std::size_t runs() const { return runs_; }

  // --- For what threads meet at; does nothing in a thread that is not run here ---

  // The thread that runs may lose its turn here.
  static void point() {
    if (here()) active_->pass_on(active_->threads_[index()].get());
  }
  // Waits until woken for `what`.
  static void block(const void* what) { suspend(what, false); }
  // The same, or until it is chosen to have timed out.
  static void block_for_a_while(const void* what) { suspend(what, true); }
  static void wake_all(const void* what) { wake(what, ~std::size_t{0}); }
  static void wake_one(const void* what) { wake(what, 1); }
  static bool here() { return active_ != nullptr && self_ >= 0; }

 private:
  enum class State { ready, blocked, done };
  struct Thread {
    State state = State::ready;
    const void* on = nullptr;  // blocked
    bool may_time_out = false;
    std::binary_semaphore turn{0};
  };
  struct Choice {
    std::size_t taken = 0;
    std::size_t choices = 1;
  };

  static std::size_t index() { return static_cast<std::size_t>(self_); }

  static void suspend(const void* what, bool timed) {
    if (!here()) {
      std::fputs("interleaver: a thread that is not run here would wait\n", stderr);
      std::abort();
    }
    Thread& thread = *active_->threads_[index()];
    thread.state = State::blocked;
    thread.on = what;
    thread.may_time_out = timed;
    active_->pass_on(&thread);
    thread.state = State::ready;
  }
  static void wake(const void* what, std::size_t most) {
    if (active_ == nullptr) return;
    for (const auto& thread : active_->threads_) {
      if (most == 0) return;
      if (thread->state != State::blocked || thread->on != what) continue;
      thread->state = State::ready;
      --most;
    }
  }

  // Chooses who goes next. `current` gives the turn away, if it is not chosen itself; none: it
  // ended.
  void pass_on(Thread* current) {
    std::vector<Thread*> able;
    const bool may_stay = current != nullptr && current->state == State::ready;
    if (may_stay) able.push_back(current);
    if (!may_stay || preemptions_ < most_preemptions_) {
      for (const auto& thread : threads_) {
        const bool can = thread->state == State::ready ||
                         (thread->state == State::blocked && thread->may_time_out);
        if (can && !(may_stay && thread.get() == current)) able.push_back(thread.get());
      }
    }
    if (able.empty()) {
      for (const auto& thread : threads_) {
        if (thread->state != State::done) deadlock();
      }
      all_done_.release();
      return;
    }
    if (step_ == path_.size()) path_.push_back({.taken = 0, .choices = able.size()});
    if (path_[step_].choices != able.size()) {
      std::fputs("interleaver: the same order went another way\n", stderr);
      std::abort();
    }
    Thread* const chosen = able[path_[step_].taken];
    ++step_;
    if (may_stay && chosen != current) ++preemptions_;
    if (chosen == current) return;
    chosen->turn.release();
    if (current != nullptr) current->turn.acquire();
  }

  [[noreturn]] void deadlock() const {
    std::string order;
    for (std::size_t i = 0; i < step_; ++i) order += " " + std::to_string(path_[i].taken);
    std::fprintf(stderr, "interleaver: nobody can go on; run %zu, choices:%s\n", runs_,
                 order.c_str());
    std::abort();
  }

  static inline Interleaver* active_ = nullptr;
  static inline thread_local int self_ = -1;

  const int most_preemptions_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Choice> path_;
  std::size_t step_ = 0;
  int preemptions_ = 0;
  std::size_t runs_ = 0;
  std::binary_semaphore all_done_{0};
};

class Mutex {
 public:
  void lock() {
    Interleaver::point();
    while (locked_) Interleaver::block(this);
    locked_ = true;
  }
  bool try_lock() {
    Interleaver::point();
    return !std::exchange(locked_, true);
  }
  void unlock() {
    locked_ = false;
    Interleaver::wake_all(this);
  }

 private:
  bool locked_ = false;
};

class ConditionVariable {
 public:
  void wait(std::unique_lock<Mutex>& lock) {
    lock.unlock();
    Interleaver::block(this);
    lock.lock();
  }
  template <class Condition>
  void wait(std::unique_lock<Mutex>& lock, Condition condition) {
    while (!condition()) wait(lock);
  }
  template <class Rep, class Period>
  void wait_for(std::unique_lock<Mutex>& lock, std::chrono::duration<Rep, Period> at_most) {
    if (at_most >= std::chrono::hours(1)) return wait(lock);
    lock.unlock();
    Interleaver::block_for_a_while(this);
    lock.lock();
  }
  void notify_one() noexcept { Interleaver::wake_one(this); }
  void notify_all() noexcept { Interleaver::wake_all(this); }
};

template <class Value>
class Atomic {
 public:
  Atomic() = default;
  explicit(false) Atomic(Value value) : value_(value) {}

  Value load(std::memory_order = std::memory_order_seq_cst) const {
    Interleaver::point();
    return value_;
  }
  Value exchange(Value value, std::memory_order = std::memory_order_seq_cst) {
    Interleaver::point();
    return std::exchange(value_, value);
  }
  Value fetch_add(Value value, std::memory_order = std::memory_order_seq_cst) {
    Interleaver::point();
    return std::exchange(value_, value_ + value);
  }
  Value fetch_sub(Value value, std::memory_order = std::memory_order_seq_cst) {
    Interleaver::point();
    return std::exchange(value_, value_ - value);
  }
  bool compare_exchange_weak(Value& expected, Value value, std::memory_order, std::memory_order) {
    Interleaver::point();
    if (value_ == expected) {
      value_ = value;
      return true;
    }
    expected = value_;
    return false;
  }

 private:
  Value value_{};
};

}  // namespace mais::shell
