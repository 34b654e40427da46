// Replays a trace against a scheduler under a simulated clock, and recounts everything it did.
//
// The simulator believes nothing: it keeps its own count of which page holds which tokens, from the
// steps it is handed, and never asks the scheduler. A step that computes on state that is not
// there, writes another sequence's page or skips a token ends the replay with an error that says
// what was broken; pages beyond the pool are counted as out-of-memory at the end of the step.
//
// Moves between pool and host tier take bytes / bandwidth of their link, one queue for each
// direction, beside the steps. A step starts computing when what it reads has arrived: the pages
// that it newly names, or that are moved into pages already named; and when what moves out of the
// pages that it writes has left. Reported as `took` is the computing alone. A step without entries
// ends at once; its moves go on.
//
// Deterministic but for step_us_*, which is the only use of a real clock. One thread; different
// replays may run on different threads at once.
#pragma once

#include <functional>
#include <optional>

#include "mais/result.hpp"
#include "mais/sim/presets.hpp"
#include "mais/sim/run_result.hpp"
#include "mais/sim/subject.hpp"
#include "mais/sim/trace.hpp"

namespace mais::sim {

struct RunOptions {
  double rate = 1;       // every arrival time is divided by it; above 0
  bool offline = false;  // all requests arrive at time 0, without deadlines
  Tokens max_new{2048};  // that every request declares; longer outputs are cut there
  // Ends the run as soon as attainment cannot reach this any more: for searches.
  std::optional<double> stop_below{};
  std::size_t course_points = 600;              // at most so many, and at least a quarter
  std::function<void(double done)> progress{};  // now and then, with 0 ... 1
};

// invalid_argument where the scheduler broke its contract, with the step and what it did.
// O(work of the scheduler + entries and pages of its steps).
Result<RunResult> simulate(const Trace& trace, const Scenario& scenario, Subject& subject,
                           const RunOptions& options = {});

// The same with the library's planner under one policy; prefixes as the trace has them.
Result<RunResult> replay(const Trace& trace, const Scenario& scenario, const Policy& policy,
                         const RunOptions& options = {});

}  // namespace mais::sim
