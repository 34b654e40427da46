// The planner: (time, event) in, actions out. The whole of the library's judgement, as one value.
//
// It holds no clock, lock, thread, device, log or random number: the same configuration and the
// same events give the same actions, bit for bit, in production, in simulation and in a journal's
// replay. Copy it to ask "what if". One user at a time; mais::Scheduler is the thread-safe front.
//
// Contract with the host, for each instance:
//   1. next_step() hands out a batch, or nothing. One step is under way at a time.
//   2. The host runs it and calls report(). Pages named in a step belong to their sequences until
//      the sequence is preempted or ends; a page may be written anew only by a later step.
//   3. Every submitted request ends in exactly one of refused, expired, cancelled, finished.
//      A request cancelled while a step with it is under way ends at once; its memory is given back
//      when the step is reported.
//
// Time does not run backwards: an earlier `now` counts as the latest told. Unknown or ended
// requests in cancel() and give_back() are ignored: they may have ended a moment ago. After warm-up
// the step path (next_step, report) allocates nothing.
#pragma once

#include <memory>
#include <optional>

#include "mais/config.hpp"
#include "mais/core/action.hpp"
#include "mais/core/view.hpp"
#include "mais/result.hpp"

namespace mais::core {

class Ledger;

class Planner {
 public:
  // invalid_argument with all faults of validate(config).
  static Result<Planner> create(Config config);

  Planner(const Planner& other);
  Planner(Planner&& other) noexcept;
  Planner& operator=(const Planner& other);
  Planner& operator=(Planner&& other) noexcept;
  ~Planner();

  // Everything through one door, for journals, replays and explorers. A step that the event asks
  // for is written to `step`; `step.entries` and `step.moves` are empty when there is none.
  void handle(Time now, const Event& event, Actions& out, Step& step);

  // The same as calls. Each appends to `out` what became of which request.

  // Queues, or refuses at once. The id is valid in both cases.
  RequestId submit(Time now, const Request& request, Actions& out);
  void cancel(Time now, RequestId request, Actions& out);
  void give_back(Time now, RequestId lease, Actions& out);

  // Fills `step` and returns true when the instance has something to run. With nothing to run,
  // out.wake_at says when to ask again even if nothing happens (a batch waits to fill up, a
  // deadline expires). The instance must not have a step under way.
  bool next_step(Time now, InstanceId instance, Actions& out, Step& step);
  void report(Time now, const StepReport& report, Actions& out);

  void instance_lost(Time now, InstanceId instance, Actions& out);
  void instance_back(Time now, InstanceId instance, Actions& out);
  void memory_measured(Time now, SpaceId space, Bytes foreign, Actions& out);
  void limit_changed(Time now, InstanceId instance, Bytes state, Actions& out);
  void tenant_limit_changed(Time now, TenantId tenant, std::optional<Bytes> limit, Actions& out);
  // So many pages (> 0) were copied one way, one after another, in so long (> 0; else ignored):
  // corrects what the links of the configuration say, with Policy::learn_costs. What is under way
  // stays as predicted.
  void moves_measured(Time now, InstanceId instance, StateMove::Kind kind, std::int64_t pages,
                      Duration took, Actions& out);
  void tick(Time now, Actions& out);

  // True when next_step() may have something for the instance. O(1); used to wake workers.
  bool has_work(InstanceId instance) const;
  // The earliest time at which tick() would do something, if any.
  std::optional<Time> next_timer() const;

  const Config& config() const;
  const Ledger& ledger() const;

  // Everything as plain data, for audits, snapshots and pictures. O(everything), allocates.
  PlannerView view() const;
  InstanceLoad load(InstanceId instance) const;  // O(1)

 private:
  struct State;
  explicit Planner(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mais::core
