// How long a step takes: the roofline of a model on a device, in seconds.
//
//   step = max(token_s * N, weights_s) + max(pair_s * A, context_s * C) + overhead_s
//
// with N tokens computed, A pairs of a new token with one it attends to, and C tokens of state read
// (Williams et al., Roofline, CACM 2009; the same form as the replay evaluation's). Plain
// arithmetic, no libm beyond sqrt: every compiler gives the same bits.
#pragma once

#include <algorithm>
#include <cmath>

#include "mais/machine.hpp"
#include "mais/model.hpp"

namespace mais::core {

// What a step computes, added up over its sequences.
struct StepWork {
  double tokens = 0;
  double pairs = 0;    // attention: sum of q (c + (q + 1) / 2)
  double context = 0;  // tokens of state read: sum of c + q

  // Adds a sequence with `context` tokens there that computes `q` more.
  constexpr void add(double cached, double q) noexcept {
    tokens += q;
    pairs += q * (cached + (q + 1) * 0.5);
    context += cached + q;
  }
  constexpr void remove(double cached, double q) noexcept {
    tokens -= q;
    pairs -= q * (cached + (q + 1) * 0.5);
    context -= cached + q;
  }
};

struct CostModel {
  double token_s = 0;
  double weights_s = 0;
  double pair_s = 0;
  double context_s = 0;
  double overhead_s = 0;

  // From what the model computes and reads and what the device can do. A rate of zero (unknown)
  // leaves the term out: nothing is predicted from it until it is learned.
  static constexpr CostModel of(const StepCost& cost, FlopsPerSecond compute,
                                BytesPerSecond bandwidth) noexcept {
    const double flop_s = compute.value > 0 ? 1 / compute.value : 0;
    const double byte_s = bandwidth.value > 0 ? 1 / bandwidth.value : 0;
    return {.token_s = cost.flops_per_token * flop_s,
            .weights_s = static_cast<double>(cost.weights_read.count()) * byte_s,
            .pair_s = cost.attention_flops_per_pair * flop_s,
            .context_s = static_cast<double>(cost.state_read.count()) * byte_s,
            .overhead_s = to_seconds(cost.overhead)};
  }

  constexpr double linear(double tokens) const noexcept {
    const double compute = token_s * tokens;
    return compute > weights_s ? compute : weights_s;
  }
  constexpr double attention(double pairs, double context) const noexcept {
    const double compute = pair_s * pairs;
    const double read = context_s * context;
    return compute > read ? compute : read;
  }
  constexpr double seconds(const StepWork& work) const noexcept {
    return linear(work.tokens) + attention(work.pairs, work.context) + overhead_s;
  }
  // One step that computes `tokens` after `cached` others, alone on the device.
  constexpr double alone(double tokens, double cached = 0) const noexcept {
    StepWork work;
    work.add(cached, tokens);
    return seconds(work);
  }
  // The part of it that other work cannot hide: what `tokens` more cost in a step that is busy.
  constexpr double marginal(double tokens, double cached = 0) const noexcept {
    StepWork work;
    work.add(cached, tokens);
    return token_s * tokens + attention(work.pairs, work.context);
  }
  // The number of tokens at which a step's linear layers turn from memory-bound to compute-bound.
  constexpr double knee() const noexcept { return token_s > 0 ? weights_s / token_s : 0; }

  // The most tokens, as a real number, that a sequence with `cached` tokens can compute in a step
  // that already does `work` before it takes more than `limit` seconds; 0 when there is no room.
  // Each branch of the two maxima is a bound that is linear or quadratic in the chunk. O(1).
  double room(const StepWork& work, double cached, double limit) const noexcept {
    const double computing = limit - overhead_s - token_s * work.tokens;
    const double reading = limit - overhead_s - weights_s;
    const double pairs = pair_s * work.pairs;
    const double context = context_s * (work.context + cached);
    if (std::min(computing, reading) - std::max(pairs, context) <= 0) return 0;
    // pair_s / 2 q^2 + (linear + pair_s / 2) q = rest, for q
    const auto quadratic = [&](double linear, double rest) {
      const double b = linear + pair_s * 0.5;
      const double root = b + std::sqrt(b * b + 2 * pair_s * rest);
      return root > 0 ? 2 * rest / root : kUnbounded;
    };
    const auto linear = [](double slope, double rest) {
      return slope > 0 ? rest / slope : kUnbounded;
    };
    return std::min({linear(token_s + context_s, computing - context),
                     linear(context_s, reading - context),
                     quadratic(token_s + pair_s * cached, computing - pairs),
                     quadratic(pair_s * cached, reading - pairs)});
  }

  // The same in whole tokens, at most `most`. O(1).
  std::int64_t largest_chunk(const StepWork& work, double cached, std::int64_t most,
                             double limit) const noexcept {
    if (most <= 0) return 0;
    const auto fits = [&](std::int64_t q) {
      StepWork with = work;
      with.add(cached, static_cast<double>(q));
      return seconds(with) <= limit;
    };
    const double exact = room(work, cached, limit);
    std::int64_t q = exact >= static_cast<double>(most) ? most : static_cast<std::int64_t>(exact);
    // Rounding may be off by one in either direction.
    while (q > 0 && !fits(q)) --q;
    if (q < most && fits(q + 1)) ++q;
    return q;
  }

 private:
  static constexpr double kUnbounded = 1e18;
};

}  // namespace mais::core
