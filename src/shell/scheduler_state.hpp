// What a scheduler's threads share: the planner and its mutex, who waits for what, and the one way
// in, turn().
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "mais/core/planner.hpp"
#include "mais/scheduler.hpp"
#include "shell/deliveries.hpp"
#include "shell/doorbell.hpp"
#include "shell/lease_returns.hpp"

namespace mais {

class Scheduler::State {
 public:
  // A thread inside acquire() and its answer, if there is one yet. Lives on that thread's stack.
  struct Acquisition {
    shell::Doorbell::Sleeper* sleeper = nullptr;  // once the thread waits
    std::unique_ptr<shell::LeaseSlot> slot;       // filled in when granted
    bool granted = false;
    std::optional<RequestEnd> end;  // when it ended instead
    bool answered() const noexcept { return granted || end.has_value(); }
  };

  State(core::Planner planner, std::function<Time()> clock);

  // Has the planner to itself: does what is due, then work(now), then tells everybody concerned,
  // then look(now) while still alone; at last runs callbacks, outside the mutex.
  template <class Work, class Look>
  void turn(Work work, Look look);
  template <class Work>
  void turn(Work work) {
    turn(work, [](Time) {});
  }

  RequestId submit(const Request& request, OnEnd on_end);
  void cancel(RequestId request);
  tl::expected<Lease, RequestEnd> acquire(const Request& request, const std::stop_token& stop);
  tl::expected<Lease, RequestEnd> try_acquire(const Request& request);
  bool next_step(InstanceId instance, core::Step& step, const std::stop_token& stop);
  bool try_next_step(InstanceId instance, core::Step& step);
  void shutdown();

  // Inside a turn.
  core::Planner& planner() noexcept { return planner_; }
  core::Actions& actions() noexcept { return actions_; }
  void expect_instance(InstanceId instance) const;
  // Whoever waits looks again: time may have jumped.
  void wake_all() noexcept { returns_->bell().ring_all(); }

 private:
  using Sleeper = shell::Doorbell::Sleeper;
  // Who hears of a request's end.
  using Caller = std::variant<OnEnd, Acquisition*>;
  // Who waits for a step of an instance.
  struct Worker {
    Sleeper* sleeper = nullptr;
    bool looked = false;  // in this very turn, in vain
  };

  // Inside a turn.
  RequestId submit(Time now, const Request& request, Caller caller);
  void cancel(Time now, RequestId request);
  std::unique_ptr<shell::LeaseSlot> take_slot();
  void catch_up(Time now);
  void settle();
  void conclude(const core::Action& action);
  void tell(Caller& caller, const RequestEnd& end);
  void grant(Acquisition& acquisition, const core::Action& action);
  void wake_workers();
  std::optional<Duration> until(Time now, std::optional<Time> wake_at) const;

  // Outside.
  void await_answer(RequestId request, Acquisition& acquisition, const std::stop_token& stop);
  tl::expected<Lease, RequestEnd> answer(Acquisition& acquisition);
  void leave(Sleeper& sleeper);

  const std::function<Time()> clock_;
  const std::shared_ptr<shell::LeaseReturns> returns_ = std::make_shared<shell::LeaseReturns>();
  shell::Deliveries deliveries_;

  std::mutex mutex_;  // of all below
  core::Planner planner_;
  core::Actions actions_;                          // of this turn
  std::unordered_map<RequestId, Caller> callers_;  // of what has not ended and is no lease yet
  std::vector<Worker> workers_;                    // by instance
  shell::LeaseSlots spare_slots_;
  std::optional<Time> timer_;   // the planner's, as of the last turn
  bool callbacks_due_ = false;  // added in this turn
  bool is_shut_down_ = false;
};

template <class Work, class Look>
void Scheduler::State::turn(Work work, Look look) {
  bool callbacks_due = false;
  {
    const std::lock_guard lock(mutex_);
    const Time now = clock_();
    actions_.clear();
    catch_up(now);
    work(now);
    settle();
    look(now);
    callbacks_due = std::exchange(callbacks_due_, false);
  }
  if (callbacks_due) deliveries_.run();
}

}  // namespace mais
