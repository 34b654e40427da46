// How much load carries: the largest rate at which enough requests are good, and attainment over a
// sweep of rates.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "mais/result.hpp"
#include "mais/sim/presets.hpp"
#include "mais/sim/run_result.hpp"
#include "mais/sim/trace.hpp"

namespace mais::sim {

// Replays at one rate; may stop as soon as attainment cannot reach `stop_below` any more.
using ReplayAt = std::function<Result<RunResult>(double rate, std::optional<double> stop_below)>;

struct CapacityOptions {
  double tolerance = 0.02;  // the answer is within this part of the largest rate, above 0
  double lowest = 0.001;    // no smaller rate is tried; a capacity of 0 says that it failed too
  double highest = 1e6;
  double first = 1;  // where to look first; a guess that is too high costs little
  std::function<void(double rate, double attainment)> progress{};  // after every replay
};

struct LoadPoint {
  double rate = 0;
  double requests_per_second = 0;
  double attainment = 0;
  bool exact = true;  // false: stopped early, attainment is an upper bound
};

// A rate multiplier that no scheduler carries, to look first: four times what the machines compute
// at their best. 1 where the trace has no rate of its own. O(requests).
double rate_beyond_capacity(const Trace& trace, const Scenario& scenario);

// Searches on one scheduler. Remembers what it replayed, so that asking for a second level costs
// little. Not thread-safe.
class CapacitySearch {
 public:
  explicit CapacitySearch(ReplayAt replay, CapacityOptions options = {});

  // The largest rate multiplier, to the tolerance, with attainment >= level; 0 where none >= lowest
  // attains it. From above: the rate is halved until it attains, then bisected, so that where
  // attainment is not monotone the larger answer is taken. Errors are those of the replay.
  Result<double> largest_rate(double level);

  // Everything replayed so far, by rate.
  const std::vector<LoadPoint>& points() const { return points_; }

 private:
  Result<bool> attains(double rate, double level);

  ReplayAt replay_;
  CapacityOptions options_;
  std::vector<LoadPoint> points_;
};

}  // namespace mais::sim
