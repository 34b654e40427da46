#include "mais/core/calibration.hpp"

#include <algorithm>
#include <cmath>

namespace mais::core {

namespace {

// How fast misses move the part that is aimed at: slow enough for the bound to be steady, fast
// enough for two misses in a row to lift it above all that was seen.
constexpr double kStep = 0.005;
// After a miss the bound is at least so many times what was measured; the excess fades with every
// sample that is no miss.
constexpr double kAfterMiss = 1.05;
constexpr double kFading = 0.98;
// The part that is aimed at stays within so many times the part allowed.
constexpr double kMostMisses = 2;
constexpr double kFewestMisses = -3;

}  // namespace

UpperBound::UpperBound(const CalibrationOptions& options)
    : options_(options), miss_part_(1 - options.confidence), factor_(options.first_factor) {
  MAIS_EXPECTS(options.confidence >= 0.5 && options.confidence <= 0.9999,
               "the confidence of a bound is 0.5 ... 0.9999");
  MAIS_EXPECTS(options.first_factor > 1, "the first factor of a bound is above 1");
  MAIS_EXPECTS(options.window >= 2, "the window of a bound holds two samples at least");
}

double UpperBound::quantile() const noexcept {
  const auto count = static_cast<double>(sorted_.size());
  const double largest = sorted_.back();
  if (miss_part_ > 0) {
    const double place = std::ceil((count + 1) * (1 - miss_part_));
    if (place <= count) return sorted_[static_cast<std::size_t>(place) - 1];
    // Too few samples for the quantile: what lacks of them, as a part, of the first margin.
    const double needed = 1 / miss_part_ - 1;
    return largest * (1 + (options_.first_factor - 1) * (1 - count / needed));
  }
  const double beyond = 1 - miss_part_ / (1 - options_.confidence);
  return largest * (1 + (options_.first_factor - 1) * beyond);
}

void UpperBound::observe(double ratio) {
  MAIS_EXPECTS(ratio >= 0 && std::isfinite(ratio), "measured / predicted is a number from 0 on");
  const double allowed = 1 - options_.confidence;
  const bool miss = ratio > factor_;
  ++observed_;
  if (miss) ++missed_;
  // It is no sign of too much care that few samples brought no miss.
  const double most =
      static_cast<double>(sorted_.size() + 1) < 1 / allowed ? allowed : kMostMisses * allowed;
  miss_part_ =
      std::clamp(miss_part_ + kStep * (allowed - (miss ? 1 : 0)), kFewestMisses * allowed, most);

  if (recent_.size() < options_.window) {
    recent_.push_back(ratio);
  } else {
    sorted_.erase(std::lower_bound(sorted_.begin(), sorted_.end(), recent_[next_]));
    recent_[next_] = ratio;
    next_ = (next_ + 1) % options_.window;
  }
  sorted_.insert(std::upper_bound(sorted_.begin(), sorted_.end(), ratio), ratio);

  const double usual = quantile();
  if (miss) {
    after_miss_ = std::max(after_miss_, ratio * kAfterMiss);
  } else {
    after_miss_ = usual + (after_miss_ - usual) * kFading;
  }
  factor_ = std::max(usual, after_miss_);
}

Bytes Calibration::bound(const CalibrationKey& key, Bytes predicted) const {
  const UpperBound* known = find(key);
  const double factor = known == nullptr ? options_.first_factor : known->factor();
  const double bytes = std::ceil(static_cast<double>(predicted.count()) * factor);
  constexpr double kMost = 9.2e18;  // below 2^63
  return bytes >= kMost ? Bytes::max() : Bytes(static_cast<std::int64_t>(bytes));
}

void Calibration::observe(const CalibrationKey& key, Bytes predicted, Bytes measured) {
  MAIS_EXPECTS(predicted > Bytes(0), "a prediction is above 0 bytes");
  MAIS_EXPECTS(measured >= Bytes(0), "a measurement is not below 0 bytes");
  bounds_.try_emplace(key, options_)
      .first->second.observe(static_cast<double>(measured.count()) /
                             static_cast<double>(predicted.count()));
}

const UpperBound* Calibration::find(const CalibrationKey& key) const {
  const auto found = bounds_.find(key);
  return found == bounds_.end() ? nullptr : &found->second;
}

}  // namespace mais::core
