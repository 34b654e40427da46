// How long outputs get: a survival function learned from those that ended.
//
// S(g) is the probability that an output has more than g tokens. It is the product-limit estimate
// (Kaplan and Meier, JASA 1958) over bins of a few tokens, so that outputs which are still running,
// or were cut off at their bound, count for what is known of them. Old observations fade, so that
// it follows a changing world. Beyond what was seen, twice as long is half as likely; with no
// history at all that begins at a few hundred tokens. Hosts that know no better declare bounds a
// hundred times what comes: to reserve those until the first outputs have ended is to run one at a
// time.
#pragma once

#include <array>
#include <cstdint>

#include "mais/units.hpp"

namespace mais::core {

// A plain value; one user at a time. Deterministic: no libm.
class OutputForecast {
 public:
  static constexpr int kBins = 192;

  OutputForecast() noexcept { rebuild(); }

  // An output ended after `generated` tokens; `cut` when its bound ended it, not itself. O(bins of
  // the length); the function is rebuilt now and then, O(kBins).
  void observe(std::int64_t generated, bool cut = false);

  // Outputs seen so far.
  std::uint64_t observed() const noexcept { return observed_; }
  // P(length > generated). O(1).
  double survival(double generated) const noexcept;
  // P(length > generated + more | length > generated), 0 at or beyond `bound`. O(1).
  double survival_given(double generated, double more, double bound) const noexcept;
  // The expected number of tokens still to come, at most bound - generated. O(kBins).
  double expected_more(double generated, double bound) const noexcept;

  // Bins are 1 token wide at first and then widen by 1/16 of their start.
  static int bin_of(double tokens) noexcept;
  static double bin_start(int bin) noexcept;

 private:
  static constexpr std::uint64_t kRebuiltEachTime = 16;  // so many at first; then every 32nd
  static constexpr std::uint64_t kMemory = 4096;         // observations that the estimate rests on
  void rebuild() noexcept;

  // Doubles that are whole numbers or products of the fading factor.
  std::array<double, kBins> at_risk_{};
  std::array<double, kBins> ended_{};
  std::array<double, kBins + 1> survival_{};
  std::uint64_t observed_ = 0;
  std::uint64_t rebuilt_at_ = 0;
};

}  // namespace mais::core
