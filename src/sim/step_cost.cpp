#include "mais/sim/step_cost.hpp"

#include <algorithm>
#include <chrono>

namespace mais::sim {

Duration SimulatedDevice::step(const StepWork& work) const noexcept {
  const double flops = compute.value;
  const double bytes = bandwidth.value;
  const double linear = std::max(cost.flops_per_token * work.tokens / flops,
                                 static_cast<double>(cost.weights_read.count()) / bytes);
  const double attention =
      std::max(cost.attention_flops_per_pair * work.pairs / flops,
               static_cast<double>(cost.state_read.count()) * work.context / bytes);
  return from_seconds(linear + attention) + cost.overhead;
}

Duration SimulatedDevice::prefill_alone(Tokens prompt) const noexcept {
  StepWork work;
  work.add(Tokens(0), prompt);
  return step(work);
}

Duration SimulatedDevice::ttft_bound(Tokens prompt) const noexcept {
  return std::chrono::seconds(1) + 3 * prefill_alone(prompt);
}

Duration SimulatedDevice::offline_bound(const Trace& trace, Tokens pool) const noexcept {
  double tokens = 0;
  double pairs = 0;         // of the prompt as one chunk, and of every output token
  double context = 0;       // tokens of state read
  double decode_slots = 0;  // sum over output tokens of what their sequence holds
  for (const TraceRequest& request : trace.requests) {
    const auto p = static_cast<double>(request.prompt.count());
    const auto o = static_cast<double>(request.output.count());
    const double decoding = o * p + o * (o + 1) / 2;  // sum of p + j, j = 1 ... o
    tokens += p + o;
    pairs += p * (p + 1) / 2 + decoding;
    context += p + decoding;
    decode_slots += decoding;
  }
  const double flops = compute.value;
  const double bytes = bandwidth.value;
  const double state = static_cast<double>(cost.state_read.count()) * context / bytes;
  const double on_compute = cost.flops_per_token * tokens / flops +
                            std::max(cost.attention_flops_per_pair * pairs / flops, state);
  const double steps = decode_slots / static_cast<double>(pool.count());
  const double on_memory =
      steps * (static_cast<double>(cost.weights_read.count()) / bytes + to_seconds(cost.overhead)) +
      state;
  return from_seconds(std::max(on_compute, on_memory));
}

SimulatedDevice device_of(const Config& config, const Instance& instance) {
  const Device& device = config.machine.devices[instance.device.value()];
  return {.compute = device.compute,
          .bandwidth = config.machine.spaces[device.space.value()].bandwidth,
          .cost = config.models[instance.model.value()].cost};
}

}  // namespace mais::sim
