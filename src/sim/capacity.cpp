#include "mais/sim/capacity.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "mais/sim/step_cost.hpp"

namespace mais::sim {

double rate_beyond_capacity(const Trace& trace, const Scenario& scenario) {
  const double recorded = mean_rate(trace);
  if (recorded <= 0) return 1;
  const SimulatedDevice device = device_of(scenario.config, scenario.config.instances.front());
  const double seconds = to_seconds(device.offline_bound(trace, pool_tokens(scenario))) /
                         static_cast<double>(scenario.config.instances.size());
  const double computed = static_cast<double>(trace.requests.size()) / std::max(seconds, 1e-9);
  return 4 * computed / recorded;
}

CapacitySearch::CapacitySearch(ReplayAt replay, CapacityOptions options)
    : replay_(std::move(replay)), options_(std::move(options)) {}

Result<bool> CapacitySearch::attains(double rate, double level) {
  const auto at = std::lower_bound(points_.begin(), points_.end(), rate,
                                   [](const LoadPoint& p, double r) { return p.rate < r; });
  const bool known = at != points_.end() && at->rate == rate;
  if (known && (at->exact || at->attainment < level)) return at->attainment >= level;

  const Result<RunResult> run = replay_(rate, level);
  if (!run) return tl::unexpected<Error>(run.error());
  const LoadPoint point{.rate = rate,
                        .requests_per_second = run->requests_per_second,
                        .attainment = run->attainment,
                        .exact = !run->stopped_early};
  if (known) {
    *at = point;
  } else {
    points_.insert(at, point);
  }
  if (options_.progress) options_.progress(rate, point.attainment);
  return point.attainment >= level;
}

Result<double> CapacitySearch::largest_rate(double level) {
  double low = 0;
  double high = std::clamp(options_.first, options_.lowest, options_.highest);
  for (;;) {
    const Result<bool> good = attains(high, level);
    if (!good) return tl::unexpected<Error>(good.error());
    if (!*good) break;
    low = high;
    if (high >= options_.highest) return high;
    high = std::min(high * 2, options_.highest);
  }
  while (low == 0) {
    if (high <= options_.lowest) return 0.0;
    const double next = std::max(high / 2, options_.lowest);
    const Result<bool> good = attains(next, level);
    if (!good) return tl::unexpected<Error>(good.error());
    (*good ? low : high) = next;
  }
  while (high / low > 1 + options_.tolerance) {
    const double middle = std::sqrt(low * high);
    const Result<bool> good = attains(middle, level);
    if (!good) return tl::unexpected<Error>(good.error());
    (*good ? low : high) = middle;
  }
  return low;
}

}  // namespace mais::sim
