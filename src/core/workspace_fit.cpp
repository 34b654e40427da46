#include "mais/core/workspace_fit.hpp"

#include <algorithm>
#include <cmath>

namespace mais::core {

namespace {

// Each goes from where the last observation left off, so that few are enough.
constexpr int kSweeps = 2;
constexpr double kFirstBend = 8;

std::int64_t rounded_up(double bytes) noexcept {
  // Without what sums and products lose, so that whole coefficients stay whole.
  return detail::saturating_count(std::ceil(bytes * (1 - 1e-12)));
}

}  // namespace

WorkspaceFit::WorkspaceFit(const Workspace& believed) noexcept {
  bytes_[kFixed] = static_cast<double>(believed.fixed.count());
  set_per_token(static_cast<double>(believed.per_token.count()));
  bytes_[kPerSequence] = static_cast<double>(believed.per_sequence.count());
  bytes_[kPerContextToken] = static_cast<double>(believed.per_context_token.count());
}

void WorkspaceFit::set_per_token(double bytes) noexcept {
  for (std::size_t i = kSlopes; i <= kSlopes + kBends; ++i) bytes_[i] = bytes;
}

WorkspaceFit::Vector WorkspaceFit::amounts(Tokens tokens, std::int64_t sequences,
                                           Tokens context) noexcept {
  const auto count = static_cast<double>(tokens.count());
  Vector amount{};
  amount[kFixed] = 1;
  double from = 0, to = kFirstBend;
  for (std::size_t i = 0; i < kBends; ++i, from = to, to *= 2) {
    amount[kSlopes + i] = std::clamp(count - from, 0.0, to - from);
  }
  amount[kSlopes + kBends] = std::max(count - from, 0.0);
  amount[kPerSequence] = static_cast<double>(sequences);
  amount[kPerContextToken] = static_cast<double>(context.count());
  return amount;
}

double WorkspaceFit::expected(const Vector& amount) const noexcept {
  double sum = 0;
  for (std::size_t i = 0; i < kTerms; ++i) sum += bytes_[i] * amount[i];
  return sum;
}

Bytes WorkspaceFit::predict(Tokens tokens, std::int64_t sequences, Tokens context) const noexcept {
  return Bytes(rounded_up(expected(amounts(tokens, sequences, context))));
}

void WorkspaceFit::observe(Tokens tokens, std::int64_t sequences, Tokens context,
                           Bytes measured) noexcept {
  if (tokens < Tokens(0) || sequences < 0 || context < Tokens(0) || measured < Bytes(0)) return;
  const Vector amount = amounts(tokens, sequences, context);
  const auto bytes = static_cast<double>(measured.count());
  if (observed() == 0 &&
      std::all_of(bytes_.begin(), bytes_.end(), [](double b) { return b == 0; })) {
    const auto count = static_cast<double>(tokens.count());
    bytes_[kFixed] = count > 0 ? 0.5 * bytes : bytes;
    if (count > 0) set_per_token(0.5 * bytes / count);
  }
  const double believed = expected(amount);
  // By the larger of the two, so that too little and too much by the same factor weigh alike.
  const double size = std::max({believed, bytes, 1.0});
  const double off = (believed - bytes) / size;
  const double weight = errors_.weigh(off);
  const double keep = errors_.keep();
  Vector x;
  for (std::size_t i = 0; i < kTerms; ++i) x[i] = amount[i] / size;
  for (std::size_t i = 0; i < kTerms; ++i) {
    target_[i] = keep * target_[i] + weight * x[i] * (bytes / size);
    const double part = weight * x[i];
    for (std::size_t j = 0; j < kTerms; ++j) {
      information_[i][j] = keep * information_[i][j] + part * x[j];
    }
  }
  if (std::abs(off) >= UsualError::kExact) descend();
}

// Minimises over one coefficient after another, none below 0. Where the steps seen do not tell two
// terms apart, both stay near where they were.
void WorkspaceFit::descend() noexcept {
  Vector gradient = target_;
  const auto moved = [&](std::size_t i, double by) {
    for (std::size_t j = 0; j < kTerms; ++j) gradient[j] -= information_[i][j] * by;
  };
  for (std::size_t i = 0; i < kTerms; ++i) moved(i, bytes_[i]);
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (std::size_t i = 0; i < kTerms; ++i) {
      const double own = information_[i][i];
      if (!(own > 0)) continue;
      const double next = std::max(bytes_[i] + gradient[i] / own, 0.0);
      if (next == bytes_[i]) continue;
      moved(i, next - bytes_[i]);
      bytes_[i] = next;
    }
  }
}

}  // namespace mais::core
