// What a running set will hold: expected tokens and their variance over a grid of horizons.
//
// A sequence that has generated g tokens and holds c holds c + h after h more steps if it is still
// alive then, which the forecast gives a probability S(h | g). Sequences are summed by bins of g,
// so that a projection costs O(bins in use x horizons), whatever the size of the running set.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "mais/core/forecast.hpp"

namespace mais::core {

class Projection {
 public:
  // Steps ahead that are looked at. Beyond the last, everybody is taken to have ended.
  static constexpr std::array<double, 18> kHorizons = {
      0, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2040, 4088, 8184, 32760};

  void clear() noexcept {
    expected_.fill(0);
    variance_.fill(0);
  }

  // Adds a sequence: `held` tokens of memory now, `generated` so far of at most `bound`.
  void add(const OutputForecast& forecast, double held, double generated, double bound) noexcept {
    for (std::size_t k = 0; k < kHorizons.size(); ++k) {
      const double h = kHorizons[k];
      const double alive = forecast.survival_given(generated, h, bound);
      const double tokens = held + h;
      expected_[k] += alive * tokens;
      variance_[k] += alive * (1 - alive) * tokens * tokens;
    }
  }

  // Adds (or with a negative number takes away) memory that stays as it is.
  void hold(double tokens) noexcept {
    for (double& expected : expected_) expected += tokens;
  }

  // True when the sum of all stays below `limit` tokens with `z` standard deviations to spare, at
  // every horizon, were the sequence added as well.
  bool fits(const OutputForecast& forecast, double held, double generated, double bound,
            double limit, double z) const noexcept {
    for (std::size_t k = 0; k < kHorizons.size(); ++k) {
      const double h = kHorizons[k];
      const double alive = forecast.survival_given(generated, h, bound);
      const double tokens = held + h;
      const double mean = expected_[k] + alive * tokens;
      const double variance = variance_[k] + alive * (1 - alive) * tokens * tokens;
      if (mean + z * std::sqrt(variance) > limit) return false;
    }
    return true;
  }

 private:
  std::array<double, kHorizons.size()> expected_{};
  std::array<double, kHorizons.size()> variance_{};
};

}  // namespace mais::core
