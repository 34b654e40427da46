// Learns how long steps take from how long they took: the rates of a CostModel, corrected online.
//
// The model is a sum of two maxima, so an observation speaks for the branches that were larger, by
// the rates as they are believed now (max-affine regression; Magnani and Boyd, Optimization and
// Engineering 10, 2009). Those branches are fitted by recursive least squares on relative errors,
// with a memory that grows to about a hundred steps, so that what was attributed wrongly at first
// is forgotten. A rate that nothing was said of keeps its value. Beyond three times the usual error
// an observation counts with the inverse square of its distance. Rates stay positive: predictions
// are monotone in the work.
//
// A plain value; one user at a time; deterministic: plain arithmetic and sqrt.
#pragma once

#include <array>
#include <cstdint>

#include "mais/core/cost.hpp"
#include "mais/core/usual_error.hpp"

namespace mais::core {

class CostFit {
 public:
  CostFit() = default;
  // Begins with rates from data sheets or configuration. A rate of 0 is unknown: where all are 0,
  // the first observation gives a first guess; otherwise a term that is 0 stays out of the model.
  explicit CostFit(const CostModel& believed) noexcept : model_(believed) {}

  const CostModel& model() const noexcept { return model_; }

  // A step with this work took so many seconds, above 0. Constant time, no allocation.
  void observe(const StepWork& work, double seconds) noexcept;

  std::uint64_t observed() const noexcept { return errors_.observed(); }
  // Mean relative error of the predictions of late: |predicted - taken| / taken, fading.
  double error() const noexcept { return observed() == 0 ? 0 : errors_.mean(); }
  // True when enough was seen for the rates to be more than what was configured.
  bool learned() const noexcept { return observed() >= kEnough; }

 private:
  static constexpr std::size_t kRates = 5;
  static constexpr std::uint64_t kEnough = 64;
  using Vector = std::array<double, kRates>;

  std::array<double*, kRates> rates() noexcept;
  void guess(const StepWork& work, double seconds) noexcept;
  bool solve(const Vector& gradient, Vector& change) const noexcept;

  CostModel model_;
  Vector unit_{};  // rates as first believed: what the fit's factors multiply
  Vector factor_{};
  std::array<Vector, kRates> information_{};  // sum of x x', fading
  Vector target_{};                           // sum of x, fading
  UsualError errors_;
};

}  // namespace mais::core
