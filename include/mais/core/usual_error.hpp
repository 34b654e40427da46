// How far off the predictions of an online fit usually are, and how much the next observation
// counts by that: an outlier must not throw off what a hundred ordinary ones taught.
//
// A plain value; one user at a time; deterministic: plain arithmetic.
#pragma once

#include <algorithm>
#include <cstdint>

namespace mais::core {

class UsualError {
 public:
  // Predictions less off than this teach a fit nothing: it would fit rounding.
  static constexpr double kExact = 1e-6;

  // Takes in that a prediction was off by this part of what was observed, and returns the weight
  // of the observation, above 0 and at most 1: beyond three times the usual error the inverse
  // square of its distance. O(1).
  double weigh(double off) noexcept {
    off = off < 0 ? -off : off;
    const double usual = std::max(mean_, kLeast);
    mean_ += kFades * (std::min(off, kOutlier * usual) - mean_);
    ++observed_;
    const double distance = off / (kOutlier * usual);
    return distance > 1 ? 1 / (distance * distance) : 1;
  }

  // Mean of the errors of late, fading; outliers count as three times the usual one.
  double mean() const noexcept { return mean_; }
  std::uint64_t observed() const noexcept { return observed_; }

  // What a fit keeps of what it knows when it takes in the observation that was weighed last: it
  // remembers about a hundred, and half of those seen while they are few, so that what was
  // attributed wrongly at first is forgotten.
  double keep() const noexcept {
    return 1 - 1 / std::min(kMemory, 2 + 0.5 * static_cast<double>(observed_));
  }

 private:
  static constexpr double kMemory = 100;
  static constexpr double kOutlier = 3;
  static constexpr double kFades = 0.05;
  static constexpr double kAtFirst = 0.5;
  static constexpr double kLeast = 0.01;  // that is taken for usual

  double mean_ = kAtFirst;
  std::uint64_t observed_ = 0;
};

}  // namespace mais::core
