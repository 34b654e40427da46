// The scheduler: the planner (core/planner.hpp) for a host with threads. One planner, one mutex,
// one clock.
//
//   auto scheduler = Scheduler::create(config);
//   auto lease = scheduler->acquire({.space = SpaceId(0), .bytes = 2_GiB});  // bytes of a space
//   scheduler->submit({.model = ModelId(0), .prompt = 512_tok, .max_new = 256_tok}, on_end);
//   while (scheduler->next_step(InstanceId(0), step, stop)) scheduler->report(run(step));
//
// Threads. Every member may be called from any thread, except that moving and destroying a
// Scheduler is for its owner. Only acquire(), next_step() and drain() wait for others, each until a
// stop token or a deadline says no; shutdown() waits for callbacks that are running; and where
// observers lag behind (WhenFull::wait), members wait for them before they begin. Destroying it
// shuts it down: calls that wait in other threads return, and are safe.
//
// Ends. Every request ends exactly once, and its caller hears of it exactly once: by the callback
// given to submit() or acquire_async(), or as what acquire() or co_await returns. Callbacks and
// coroutines run one at a time, in the order in which the requests ended or were granted, outside
// every lock, in a thread that is inside some member or drops a lease; they may call any member but
// a waiting one. A callback must not throw: an exception ends the program.
//
// Time. The scheduler starts no thread: it notices that time has passed when a member is called,
// and threads that wait in one wake up for it. A host that neither waits nor calls can call tick().
// Deadlines are times of the scheduler's clock: `scheduler.now() + 50ms`.
#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "mais/config.hpp"
#include "mais/core/action.hpp"
#include "mais/core/view.hpp"
#include "mais/lease.hpp"
#include "mais/observer.hpp"
#include "mais/request.hpp"
#include "mais/result.hpp"

namespace mais {

enum class EndKind : std::uint8_t {
  finished,   // all was generated, or the engine said so
  refused,    // not taken, or not kept: see `refusal`
  expired,    // not started within Request::give_up, or by the deadline of acquire()
  cancelled,  // by cancel(), a stop token or shutdown(); try_acquire(): not its turn at once
};

// How a request ended.
struct RequestEnd {
  EndKind kind = EndKind::finished;
  RequestId request{};
  std::uint64_t tag = 0;             // the host's own
  std::optional<Refusal> refusal{};  // of a refused one
};

using OnEnd = std::function<void(const RequestEnd&)>;
// What an asynchronous acquire comes to. A lease that is not kept goes back.
using OnLease = std::function<void(tl::expected<Lease, RequestEnd>)>;

std::string_view to_string(EndKind kind) noexcept;
// One sentence; of a refused one with the numbers and what would help.
std::string to_string(const RequestEnd& end);

struct SchedulerOptions {
  // Tells the time; called under the scheduler's mutex, so it must be quick and call nobody back.
  // None: a steady clock that starts at zero. After a clock of your own has jumped, call tick().
  std::function<Time()> clock{};
  // Hear of every event, in this order; see mais/observer.hpp. None is null.
  std::vector<std::shared_ptr<Observer>> observers{};
  ObserverOptions delivery{};
};

class AwaitedLease;

class Scheduler {
 public:
  // invalid_argument with all faults of validate(config), or when delivery.capacity is 0.
  static Result<Scheduler> create(Config config, SchedulerOptions options = {});

  Scheduler(Scheduler&&) noexcept;
  Scheduler& operator=(Scheduler&&) noexcept;
  ~Scheduler();

  // --- Requests that name a model ---

  // Queues a request, or refuses it at once: `on_end` tells either way, maybe before this returns.
  // An empty `on_end` hears nothing. After drain() or shutdown() the request ends as cancelled.
  RequestId submit(const Request& request, OnEnd on_end);

  // Ends a request, also one that runs. Nothing happens when it has ended, or is a lease already.
  void cancel(RequestId request);

  // --- Leases: requests without a model ---

  // Waits until it is the request's turn, it is refused, it expires (Request::give_up or
  // `deadline`, whichever is first; at once when that has passed), `stop` is asked for, or the
  // scheduler shuts down. O(log n) when nobody is in the way.
  tl::expected<Lease, RequestEnd> acquire(const Request& request, const std::stop_token& stop = {},
                                          std::optional<Time> deadline = {});

  // The same without waiting: cancelled when it is not its turn now.
  tl::expected<Lease, RequestEnd> try_acquire(const Request& request);

  // The same without a thread that waits: `on_lease` is called exactly once, maybe before this
  // returns. cancel() ends it.
  RequestId acquire_async(const Request& request, OnLease on_lease,
                          std::optional<Time> deadline = {});

  // The same for a coroutine: `auto lease = co_await scheduler.acquired(request);`. Nothing happens
  // before the co_await. It goes on in the thread that brings the answer, as a callback does.
  [[nodiscard]] AwaitedLease acquired(Request request, std::stop_token stop = {},
                                      std::optional<Time> deadline = {});

  // --- Steps: one worker for each instance ---

  // Waits until the instance has a batch to run and fills `step`; false when `stop` was asked for,
  // there was nothing by the deadline, or the scheduler shut down. Run it, then report() it, before
  // the next call. A second thread must not wait for the same instance.
  bool next_step(InstanceId instance, core::Step& step, const std::stop_token& stop = {},
                 std::optional<Time> deadline = {});

  // The same without waiting: false when there is nothing to run now.
  bool try_next_step(InstanceId instance, core::Step& step);

  // What became of the step that is under way. Taken after shutdown() too.
  void report(const core::StepReport& report);

  // --- What the host learns about its machine ---

  void instance_lost(InstanceId instance);
  void instance_back(InstanceId instance);
  // Bytes of a space that somebody else holds.
  void memory_measured(SpaceId space, Bytes foreign);
  void limit_changed(InstanceId instance, Bytes state);
  void tenant_limit_changed(TenantId tenant, std::optional<Bytes> limit);
  // So many pages of an instance were copied one way, one after another, in so long: by
  // memory::CopyResult, or by whatever else executes core::Step::moves.
  void moves_measured(InstanceId instance, core::StateMove::Kind kind, std::int64_t pages,
                      Duration took);
  // Time has passed.
  void tick();

  // --- What is there ---

  // Everything, as plain data. O(everything), under the mutex.
  core::PlannerView snapshot();
  core::InstanceLoad load(InstanceId instance);
  // Who holds how much of which space, each account before those below it. O(accounts).
  std::vector<core::AccountSnapshot> accounts();
  // What the scheduler's clock says.
  Time now();

  // --- The end ---

  // Takes no new request (it ends as cancelled) and waits until the others have ended, leases
  // included: true then, false when `stop` or the deadline came first. Requests are still not taken
  // afterwards; workers go on waiting for steps until shutdown().
  bool drain(const std::stop_token& stop = {}, std::optional<Time> deadline = {});

  // Ends every request that has not ended as cancelled and lets every waiting call return. Leases
  // stay good until they go, and report() is still taken. When it returns, every callback has run
  // and observers have heard of everything, unless it is called by one of them.
  void shutdown();

 private:
  friend class AwaitedLease;
  class State;
  explicit Scheduler(std::shared_ptr<State> state) noexcept;
  std::shared_ptr<State> state() const;
  std::shared_ptr<State> enter() const;

  std::shared_ptr<State> state_;
};

// What a coroutine awaits to get a lease; made by Scheduler::acquired(), awaited at most once.
//
// It needs no more of a coroutine than that it can be resumed. A coroutine that waits here may be
// destroyed: its request is cancelled. That must not happen while it is being resumed, so only
// while no other thread can bring the answer; a stop token is the way that is always safe.
class AwaitedLease {
 public:
  AwaitedLease(const AwaitedLease&) = delete;
  AwaitedLease& operator=(const AwaitedLease&) = delete;
  ~AwaitedLease();

  bool await_ready() const noexcept { return false; }
  // False, and the coroutine goes on at once, when the answer is there already.
  bool await_suspend(std::coroutine_handle<> waiter);
  tl::expected<Lease, RequestEnd> await_resume();

 private:
  friend class Scheduler;
  struct Wait;
  explicit AwaitedLease(std::unique_ptr<Wait> wait) noexcept;

  std::unique_ptr<Wait> wait_;
};

}  // namespace mais
