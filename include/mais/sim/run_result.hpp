// What came out of replaying one trace at one rate: the evaluation's figures, and enough to draw
// them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "mais/units.hpp"

namespace mais::sim {

// One point of the course of a run; memory of all instances together.
struct LoadSample {
  Time time{};
  Bytes sequences;  // state of running sequences, shared pages once; the peak since the last point
  Bytes cached;     // kept for reuse
  Bytes host;       // in the host tier
  std::size_t running = 0;  // sequences that hold state
  std::size_t waiting = 0;  // requests that do not
};

struct RunResult {
  double rate = 1;                 // multiplier of the trace's own rate; 0: offline
  double requests_per_second = 0;  // rate x the trace's mean rate
  bool stopped_early = false;      // see RunOptions::stop_below; figures are of what was run

  std::size_t submitted = 0;
  std::size_t finished = 0;
  std::size_t good = 0;        // within the bounds of TTFT and TPOT
  std::size_t refused = 0;     // also expired and cancelled
  std::size_t unfinished = 0;  // neither, although nothing was left to happen: a defect
  double attainment = 0;       // good / submitted

  std::uint64_t steps = 0;
  std::uint64_t ooms = 0;  // steps at whose end sequences held more than the pool
  std::uint64_t preemptions = 0;
  std::uint64_t max_preemptions = 0;  // of one request
  Tokens computed{};
  Tokens recomputed{};              // computed before by the same request
  Tokens prompt{};                  // of requests that were started
  Tokens prefix_hits{};             // prompt tokens among them that nobody computed for it
  Tokens moved_out{}, moved_in{};   // between pool and host tier
  double prefix_hit_rate = 0;       // prefix_hits / prompt
  double kv_mean = 0, kv_peak = 0;  // of the pool, held by sequences; mean over time
  double longest_wait = 0;          // largest TTFT over its bound, of finished requests
  double busy = 0;                  // part of the time that steps were under way

  Duration makespan{};                     // first arrival to the last end
  Duration makespan_bound{};               // offline: no schedule is shorter
  std::optional<double> makespan_ratio{};  // offline

  // Processor time of the scheduler for each step, next_step() and report() together.
  double step_us_p50 = 0, step_us_p99 = 0;

  Bytes pool;  // of all instances
  Bytes host_pool;
  std::vector<LoadSample> course;       // by time
  std::vector<bool> good_requests;      // by position in the trace
  std::vector<double> ttft_over_bound;  // of finished requests, sorted
  std::vector<double> ttft_seconds;     // likewise
  std::vector<double> tpot_seconds;     // of those with two tokens or more, sorted
};

}  // namespace mais::sim
