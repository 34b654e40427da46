#include "mais/core/cost_fit.hpp"

#include <algorithm>
#include <cmath>

namespace mais::core {

namespace {

// Keeps rates where they are that nothing was said of.
constexpr double kRidge = 1e-4;
// How far a rate may move from what was first believed, either way.
constexpr double kMostFactor = 64;

}  // namespace

std::array<double*, CostFit::kRates> CostFit::rates() noexcept {
  return {&model_.token_s, &model_.weights_s, &model_.pair_s, &model_.context_s,
          &model_.overhead_s};
}

// With nothing known, half of the time is laid on the tokens and half on the step itself.
void CostFit::guess(const StepWork& work, double seconds) noexcept {
  if (work.tokens > 0) model_.token_s = 0.5 * seconds / work.tokens;
  model_.overhead_s = 0.5 * seconds;
  if (work.context > 0) model_.context_s = 0.01 * seconds / work.context;
}

void CostFit::observe(const StepWork& work, double seconds) noexcept {
  if (!(seconds > 0) || !(work.tokens > 0)) return;
  const auto rate = rates();
  if (observed() == 0) {
    const bool unknown = std::all_of(rate.begin(), rate.end(), [](double* r) { return *r <= 0; });
    if (unknown) guess(work, seconds);
    for (std::size_t i = 0; i < kRates; ++i) {
      unit_[i] = *rate[i];
      factor_[i] = 1;
    }
  }
  const double off = (model_.seconds(work) - seconds) / seconds;
  const double weight = errors_.weigh(off);
  if (std::abs(off) < UsualError::kExact) return;

  // What each rate contributes, as a part of the time taken.
  const bool computing = model_.token_s * work.tokens >= model_.weights_s;
  const bool pairing = model_.pair_s * work.pairs >= model_.context_s * work.context;
  const Vector amount = {computing ? work.tokens : 0.0, computing ? 0.0 : 1.0,
                         pairing ? work.pairs : 0.0, pairing ? 0.0 : work.context, 1.0};
  Vector x;
  for (std::size_t i = 0; i < kRates; ++i) x[i] = unit_[i] * amount[i] / seconds;

  const double keep = errors_.keep();
  Vector gradient;
  for (std::size_t i = 0; i < kRates; ++i) {
    target_[i] = keep * target_[i] + weight * x[i];
    gradient[i] = target_[i];
    for (std::size_t j = 0; j < kRates; ++j) {
      information_[i][j] = keep * information_[i][j] + weight * x[i] * x[j];
      gradient[i] -= information_[i][j] * factor_[j];
    }
  }
  Vector change;
  if (!solve(gradient, change)) return;
  for (std::size_t i = 0; i < kRates; ++i) {
    if (unit_[i] <= 0) continue;
    factor_[i] = std::clamp(factor_[i] + change[i], 1 / kMostFactor, kMostFactor);
    *rate[i] = unit_[i] * factor_[i];
  }
}

// (information + ridge) change = gradient, by Cholesky's factors. False if it is not definite.
bool CostFit::solve(const Vector& gradient, Vector& change) const noexcept {
  std::array<Vector, kRates> lower{};
  for (std::size_t i = 0; i < kRates; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = information_[i][j] + (i == j ? kRidge : 0.0);
      for (std::size_t k = 0; k < j; ++k) sum -= lower[i][k] * lower[j][k];
      if (i == j) {
        if (!(sum > 0)) return false;
        lower[i][i] = std::sqrt(sum);
      } else {
        lower[i][j] = sum / lower[j][j];
      }
    }
  }
  for (std::size_t i = 0; i < kRates; ++i) {
    double sum = gradient[i];
    for (std::size_t k = 0; k < i; ++k) sum -= lower[i][k] * change[k];
    change[i] = sum / lower[i][i];
  }
  for (std::size_t i = kRates; i-- > 0;) {
    for (std::size_t k = i + 1; k < kRates; ++k) change[i] -= lower[k][i] * change[k];
    change[i] /= lower[i][i];
  }
  return true;
}

}  // namespace mais::core
