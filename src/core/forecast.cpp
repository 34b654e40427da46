#include "mais/core/forecast.hpp"

#include <algorithm>

namespace mais::core {

namespace {

// Starts of the bins: 0, 1, ..., 15, then each wider than the last by about 1/16. The last one
// starts near 400,000 tokens.
constexpr std::array<double, OutputForecast::kBins + 1> kStarts = [] {
  std::array<double, OutputForecast::kBins + 1> starts{};
  std::int64_t start = 0;
  for (auto& bin : starts) {
    bin = static_cast<double>(start);
    start += std::max<std::int64_t>(1, start / 16);
  }
  return starts;
}();

// Before anything was seen, half of all outputs are taken to be longer than this, in tokens: about
// what chat services report.
constexpr double kUsualLength = 256;

}  // namespace

double OutputForecast::bin_start(int bin) noexcept {
  return kStarts[static_cast<std::size_t>(bin)];
}

int OutputForecast::bin_of(double tokens) noexcept {
  if (!(tokens > 0)) return 0;
  const auto above = std::upper_bound(kStarts.begin(), kStarts.end(), tokens);
  return std::min(static_cast<int>(above - kStarts.begin()) - 1, kBins - 1);
}

void OutputForecast::observe(std::int64_t generated, bool cut) {
  // A length g ends in the bin of g - 1: it survived everything before.
  const int bin = bin_of(static_cast<double>(std::max<std::int64_t>(generated, 1) - 1));
  for (int i = 0; i <= bin; ++i) at_risk_[static_cast<std::size_t>(i)] += 1;
  if (!cut) ended_[static_cast<std::size_t>(bin)] += 1;
  ++observed_;
  if (observed_ < kRebuiltEachTime || observed_ >= rebuilt_at_ + 32) rebuild();
  if (observed_ % kMemory == 0) {
    for (double& n : at_risk_) n *= 0.5;
    for (double& n : ended_) n *= 0.5;
  }
}

void OutputForecast::rebuild() noexcept {
  rebuilt_at_ = observed_;
  // Each output that ended makes the first guess count for less.
  const double usual = kUsualLength / static_cast<double>(1 + observed_);
  double alive = 1;
  for (std::size_t i = 0; i < kBins; ++i) {
    survival_[i] = alive;
    if (at_risk_[i] > 0) {
      // One imagined survivor in each bin: what was never seen is unlikely, not impossible.
      alive *= 1 - ended_[i] / (at_risk_[i] + 1);
    } else {
      // Nobody came so far. Twice as long is half as likely: a tail as heavy as any with a mean
      // below a bound.
      alive *= (usual + kStarts[i]) / (usual + kStarts[i + 1]);
    }
  }
  survival_[kBins] = alive;
}

double OutputForecast::survival(double generated) const noexcept {
  if (!(generated > 0)) return 1;
  const auto bin = static_cast<std::size_t>(bin_of(generated));
  const double start = kStarts[bin];
  const double width = kStarts[bin + 1] - start;
  const double part = std::min(1.0, (generated - start) / width);
  return survival_[bin] * (1 - part) + survival_[bin + 1] * part;
}

double OutputForecast::survival_given(double generated, double more, double bound) const noexcept {
  if (generated + more >= bound) return 0;
  if (more <= 0) return 1;
  const double now = survival(generated);
  return now > 1e-9 ? survival(generated + more) / now : 1;
}

double OutputForecast::expected_more(double generated, double bound) const noexcept {
  if (generated >= bound) return 0;
  const double now = survival(generated);
  if (now <= 1e-9) return bound - generated;
  double sum = 0;
  double from = generated;
  double alive = 1;
  for (auto bin = static_cast<std::size_t>(bin_of(generated)); bin < kBins && from < bound; ++bin) {
    const double to = std::min(bound, kStarts[bin + 1]);
    const double then = survival(to) / now;
    sum += (alive + then) * 0.5 * (to - from);
    alive = then;
    from = to;
  }
  return sum;
}

}  // namespace mais::core
