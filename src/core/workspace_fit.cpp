#include "mais/core/workspace_fit.hpp"

#include <algorithm>
#include <cmath>

namespace mais::core {

namespace {

// Each goes from where the last observation left off, so that few are enough.
constexpr int kSweeps = 8;

std::int64_t rounded_up(double bytes) noexcept {
  // Without what sums and products lose, so that whole coefficients stay whole.
  return detail::saturating_count(std::ceil(bytes * (1 - 1e-12)));
}

}  // namespace

WorkspaceFit::WorkspaceFit(const Workspace& believed) noexcept
    : bytes_{static_cast<double>(believed.fixed.count()),
             static_cast<double>(believed.per_token.count()),
             static_cast<double>(believed.per_sequence.count()),
             static_cast<double>(believed.per_context_token.count())} {}

Workspace WorkspaceFit::workspace() const noexcept {
  return {.fixed = Bytes(rounded_up(bytes_[0])),
          .per_token = BytesPerToken(rounded_up(bytes_[1])),
          .per_sequence = Bytes(rounded_up(bytes_[2])),
          .per_context_token = BytesPerToken(rounded_up(bytes_[3]))};
}

WorkspaceFit::Vector WorkspaceFit::amounts(Tokens tokens, std::int64_t sequences,
                                           Tokens context) noexcept {
  return {1, static_cast<double>(tokens.count()), static_cast<double>(sequences),
          static_cast<double>(context.count())};
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
  if (observed() == 0 && expected({1, 1, 1, 1}) == 0) {
    bytes_[0] = amount[1] > 0 ? 0.5 * bytes : bytes;
    bytes_[1] = amount[1] > 0 ? 0.5 * bytes / amount[1] : 0;
  }
  const double believed = expected(amount);
  // By the larger of the two, so that too little and too much by the same factor weigh alike.
  const double size = std::max({believed, bytes, 1.0});
  const double off = (believed - bytes) / size;
  const double weight = errors_.weigh(off);
  const double keep = errors_.keep();
  for (std::size_t i = 0; i < kTerms; ++i) {
    const double x = amount[i] / size;
    target_[i] = keep * target_[i] + weight * x * (bytes / size);
    for (std::size_t j = 0; j < kTerms; ++j) {
      information_[i][j] = keep * information_[i][j] + weight * x * (amount[j] / size);
    }
  }
  if (std::abs(off) >= UsualError::kExact) descend();
}

// Minimises over one coefficient after another, none below 0. Where the steps seen do not tell two
// terms apart, both stay near where they were.
void WorkspaceFit::descend() noexcept {
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (std::size_t i = 0; i < kTerms; ++i) {
      const double own = information_[i][i];
      if (!(own > 0)) continue;
      double rest = target_[i];
      for (std::size_t j = 0; j < kTerms; ++j) {
        if (j != i) rest -= information_[i][j] * bytes_[j];
      }
      bytes_[i] = std::max(rest / own, 0.0);
    }
  }
}

}  // namespace mais::core
