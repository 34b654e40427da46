#include "mais/probe/drift.hpp"

#include <algorithm>
#include <cmath>

#include "mais/result.hpp"

namespace mais::probing {

Drift::Drift(DriftOptions options) : options_(options) {
  MAIS_EXPECTS(options.smoothing > Duration::zero(), "the time constant of drift is above 0");
  MAIS_EXPECTS(options.alarm > Bytes(0) && options.clear >= 0 && options.clear <= 1,
               "the alarm of drift is above 0, and ends at a part of it");
}

DriftReading Drift::take(Time at, const DriftSample& sample) {
  const Bytes ours = std::min(sample.granted, sample.own.value_or(sample.granted));
  const Bytes residue = std::max(Bytes(0), sample.used - ours);
  const double now = static_cast<double>(residue.count());
  if (!last_) {
    held_ = smoothed_ = baseline_ = now;
  } else {
    MAIS_EXPECTS(at >= *last_, "time went backwards");
    // Exponential smoothing of samples at uneven times.
    const double step = 1 - std::exp(-to_seconds(at - *last_) / to_seconds(options_.smoothing));
    held_ = now >= held_ ? now : held_ + (now - held_) * step;
    smoothed_ += (now - smoothed_) * step;
    baseline_ = std::min(baseline_, smoothed_);
  }
  last_ = at;
  const double growth = smoothed_ - baseline_;
  const double limit = static_cast<double>(options_.alarm.count());
  alarm_ = growth >= (alarm_ ? limit * options_.clear : limit);
  const auto bytes = [](double value) { return Bytes(detail::saturating_count(value)); };
  return {residue, bytes(held_), bytes(smoothed_), bytes(baseline_), alarm_};
}

}  // namespace mais::probing
