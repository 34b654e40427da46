// How long a step takes on the simulated machine, and the bounds that follow from it. This is the
// replay evaluation's own definition, kept apart from what a scheduler predicts.
//
// With N tokens computed in the step, c_i tokens of sequence i in its cache and q_i new ones:
//   linear    = max(flops_per_token N / F, weights_read / B)
//   attention = max(sum flops_per_pair q_i (c_i + (q_i + 1) / 2) / F, sum (c_i + q_i) state / B)
//   step      = linear + attention + overhead
#pragma once

#include "mais/config.hpp"
#include "mais/sim/trace.hpp"
#include "mais/units.hpp"

namespace mais::sim {

// What a batch asks of the machine; sums over its sequences.
struct StepWork {
  double tokens = 0;   // sum q
  double pairs = 0;    // sum q (c + (q + 1) / 2)
  double context = 0;  // sum (c + q)

  void add(Tokens cached, Tokens computed) noexcept {
    const auto c = static_cast<double>(cached.count());
    const auto q = static_cast<double>(computed.count());
    tokens += q;
    pairs += q * (c + (q + 1) / 2);
    context += c + q;
  }
};

struct SimulatedDevice {
  FlopsPerSecond compute;    // F
  BytesPerSecond bandwidth;  // B
  StepCost cost;

  Duration step(const StepWork& work) const noexcept;
  // One step with the whole prompt and nothing else.
  Duration prefill_alone(Tokens prompt) const noexcept;
  // The bound of the time to first token: 1 s + 3 x prefill_alone.
  Duration ttft_bound(Tokens prompt) const noexcept;
  // No schedule can end the whole trace sooner when all of it is there at the start and no prefix
  // is shared: the larger of what compute and what memory demand. `pool` in tokens. O(requests).
  Duration offline_bound(const Trace& trace, Tokens pool) const noexcept;
};

// What an instance runs on. The instance and its device and model must be declared.
SimulatedDevice device_of(const Config& config, const Instance& instance);

}  // namespace mais::sim
