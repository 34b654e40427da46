// What a scheduler's threads share: the planner and its mutex, who waits for what, and the one way
// in, turn().
#pragma once

#include <coroutine>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "mais/core/planner.hpp"
#include "mais/scheduler.hpp"
#include "shell/deliveries.hpp"
#include "shell/doorbell.hpp"
#include "shell/lease_returns.hpp"
#include "shell/observation_feed.hpp"
#include "shell/sync.hpp"

namespace mais {

class Scheduler::State final : public shell::LeaseReturns::Server,
                               public std::enable_shared_from_this<Scheduler::State> {
 public:
  // Somebody who waits for a lease inside a call or a coroutine, and the answer, if there is one
  // yet. Lives where that one waits.
  struct Acquisition {
    shell::Doorbell::Sleeper* sleeper = nullptr;  // once a thread waits
    std::coroutine_handle<> coroutine{};          // once a coroutine does
    std::optional<RequestId> id{};                // once it is submitted
    std::unique_ptr<shell::LeaseSlot> slot{};     // filled in when granted
    bool granted = false;
    std::optional<RequestEnd> end{};  // when it ended instead
    bool answered() const noexcept { return granted || end.has_value(); }
  };

  State(core::Planner planner, SchedulerOptions options);
  // To be called once, before anything else.
  void open();

  // Has the planner to itself: does what is due, then work(now), then tells everybody concerned,
  // then look(now) while still alone; at last runs observers and callbacks, outside the mutex.
  template <class Work, class Look>
  void turn(Work work, Look look);
  template <class Work>
  void turn(Work work) {
    turn(work, [](Time) {});
  }
  // Waits for observers that lag behind, if they are to be waited for; not in a callback.
  void await_observers();

  RequestId submit(const Request& request, OnEnd on_end);
  void cancel(RequestId request);
  void report(const core::StepReport& report);
  // One event that is small.
  void tell(const core::Event& event);
  bool next_step(InstanceId instance, core::Step& step, const std::stop_token& stop,
                 std::optional<Time> deadline);
  bool try_next_step(InstanceId instance, core::Step& step);
  Time now();
  bool drain(const std::stop_token& stop, std::optional<Time> deadline);
  void shutdown();

  // acquisitions.cpp
  tl::expected<Lease, RequestEnd> acquire(const Request& request, const std::stop_token& stop,
                                          std::optional<Time> deadline);
  tl::expected<Lease, RequestEnd> try_acquire(const Request& request);
  RequestId acquire_async(const Request& request, OnLease on_lease, std::optional<Time> deadline);
  // For a coroutine: true when it is answered, else `waiter` is resumed when it is. `stopped` is
  // read inside the turn.
  bool begin(const Request& request, std::optional<Time> deadline, Acquisition& acquisition,
             std::coroutine_handle<> waiter, const bool& stopped);
  // Cancels it, if it has begun; sets `stopped` inside a turn.
  void stop(Acquisition& acquisition, bool& stopped);
  // It goes away, answered or not, and hears nothing any more.
  void withdraw(Acquisition& acquisition);
  tl::expected<Lease, RequestEnd> answer(Acquisition& acquisition);
  void serve() override;

  // Inside a turn.
  core::Planner& planner() noexcept { return planner_; }
  void expect_instance(InstanceId instance) const;
  // Whoever waits looks again: time may have jumped.
  void wake_all() noexcept { returns_->bell().ring_all(); }

 private:
  using Sleeper = shell::Doorbell::Sleeper;
  struct AsyncAcquisition {
    OnLease on_lease;
    std::unique_ptr<shell::LeaseSlot> slot;
  };
  // Who hears of a request's end.
  using Caller = std::variant<OnEnd, Acquisition*, AsyncAcquisition>;
  // Who waits for a step of an instance.
  struct Worker {
    Sleeper* sleeper = nullptr;
    bool looked = false;  // in this very turn, in vain
  };

  // Inside a turn.
  RequestId submit(Time now, const Request& request, Caller caller,
                   std::optional<Time> deadline = {});
  void cancel(Time now, RequestId request);
  void give_back(Time now, RequestId lease);
  bool plan_step(Time now, InstanceId instance, core::Step& step);
  std::unique_ptr<shell::LeaseSlot> take_slot();
  void catch_up(Time now);
  void settle();
  void conclude(const core::Action& action);
  void tell(Caller& caller, const RequestEnd& end);
  void grant(Caller& caller, const core::Action& action);
  void wake(Acquisition& acquisition);
  void wake_workers();
  bool closed() const noexcept { return is_draining_ || is_shut_down_; }
  bool all_ended() const noexcept { return callers_.empty() && leases_ == 0; }
  std::optional<Duration> until(Time now, std::optional<Time> wake_at) const;
  // Does `plan`, which is one event of the planner and may return a step, and shows it to the
  // observers.
  template <class Plan, class Describe>
  void observed(Time now, Plan plan, Describe describe);

  // Outside.
  void await_answer(Acquisition& acquisition, const std::stop_token& stop);
  void collect_unattended();
  void leave(Sleeper& sleeper);

  const std::function<Time()> clock_;
  const std::shared_ptr<shell::LeaseReturns> returns_ = std::make_shared<shell::LeaseReturns>();
  shell::Deliveries deliveries_;
  std::optional<shell::ObservationFeed> feed_;  // none: nobody watches

  shell::Mutex mutex_;  // of all below
  core::Planner planner_;
  core::Actions actions_;                          // of this turn
  core::Step no_step_;                             // what events that ask for none leave alone
  std::unordered_map<RequestId, Caller> callers_;  // of what has not ended and is no lease yet
  std::size_t leases_ = 0;                         // granted and not back yet
  std::vector<Worker> workers_;                    // by instance
  std::vector<Sleeper*> drainers_;                 // who wait until all has ended
  shell::LeaseSlots spare_slots_;
  std::optional<Time> timer_;   // the planner's, as of the last turn
  bool callbacks_due_ = false;  // added in this turn
  bool is_draining_ = false;
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
  if (feed_ && feed_->deliver()) returns_->bell().ring_one();
  if (callbacks_due) deliveries_.run();
}

template <class Plan, class Describe>
void Scheduler::State::observed(Time now, Plan plan, Describe describe) {
  const std::size_t from = actions_.list.size();
  const core::Step* step = nullptr;
  if constexpr (std::is_void_v<decltype(plan())>) {
    plan();
  } else {
    step = plan();
  }
  if (!feed_) return;
  feed_->add(now, std::span(actions_.list).subspan(from), actions_.wake_at, step, describe);
}

}  // namespace mais
