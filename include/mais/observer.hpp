// What a host may watch: every event that reached the planner and what came of it, in order.
//
//   struct Ends : mais::Observer {
//     void observe(const mais::Observation& seen) override {
//       for (const auto& action : seen.actions) count(action.kind);
//     }
//   };
//   auto scheduler = Scheduler::create(config, {.observers = {std::make_shared<Ends>()}});
//
// Delivery. Observations come one at a time, in the order in which the planner took the events,
// outside every lock, in a thread that is inside some member of the scheduler or drops a lease; so
// an observer may call any member but a waiting one, from inside observe() too. Several observers
// hear of an observation in the order in which they were given. A thread delivers what others left,
// too, up to about ObserverOptions::capacity of it; the rest is left to the next thread. After
// shutdown() everything has been delivered, unless it was called by an observer or a callback.
//
// A slow observer never blocks the planner: what it has not heard yet waits in a queue of bounded
// length, see WhenFull. Without an observer all this costs one comparison for each event. With one,
// an event and what came of it are copied once, into memory that is used again.
//
// An observer must not throw: an exception ends the program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "mais/config.hpp"
#include "mais/core/action.hpp"
#include "mais/units.hpp"

namespace mais {

// One event of the planner, as core::Planner::handle() takes it, and what came of it.
struct Observation {
  std::uint64_t number = 0;  // from 1, rises by one; a gap is what was dropped
  Time now{};                // of the scheduler's clock
  core::Event event{};
  std::vector<core::Action> actions{};
  std::optional<Time> wake_at{};  // NextStep: when to ask again, when there was nothing
  core::Step step{};              // NextStep: what was handed out; no entries, no moves: nothing
};

class Observer {
 public:
  virtual ~Observer() = default;

  // Once, before the first observation, inside Scheduler::create().
  virtual void begin(const Config& config) { static_cast<void>(config); }

  virtual void observe(const Observation& seen) = 0;
};

// When as many observations wait as may.
enum class WhenFull : std::uint8_t {
  // Whoever calls a member from outside a callback waits before it enters, until there is room:
  // nothing is lost, and the host runs at the observer's pace. For a journal.
  wait,
  // The newest are dropped; numbers tell how many. The host runs at its own pace. For counters that
  // may be wrong.
  drop,
};

struct ObserverOptions {
  // Observations that may wait, >= 1; as many more may be under way. With WhenFull::wait those of
  // threads that are inside already, and of callbacks, come on top.
  std::size_t capacity = 4096;
  WhenFull when_full = WhenFull::wait;
};

}  // namespace mais
