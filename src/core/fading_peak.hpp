// The largest value seen lately: a maximum that fades towards the present.
#pragma once

#include <algorithm>
#include <cstdint>

namespace mais::core {

// A plain value; deterministic: no libm. O(1).
class FadingPeak {
 public:
  void see(std::int64_t now, double present) noexcept {
    const double passed = static_cast<double>(std::max<std::int64_t>(0, now - at_)) * 1e-9;
    at_ = now;
    value_ = std::max(present, value_ + (present - value_) * passed / (passed + kMemorySeconds));
  }
  double value() const noexcept { return value_; }

 private:
  static constexpr double kMemorySeconds = 60;
  double value_ = 0;
  std::int64_t at_ = 0;
};

}  // namespace mais::core
