// In place of scheduler_metrics.cpp where mais::prometheus was not built: waiting, running and KV
// utilisation by the gateway's names, read from the scheduler.
#include <cstdint>
#include <utility>

#include "gateway_gauges.hpp"
#include "scheduler_metrics.hpp"

namespace server {

class SchedulerMetrics::State {
 public:
  std::optional<mais::ModelId> gateway_model;
  mais::Scheduler* scheduler = nullptr;
};

mais::Result<std::unique_ptr<SchedulerMetrics>> SchedulerMetrics::create(
    std::optional<mais::ModelId> gateway_model) {
  return std::unique_ptr<SchedulerMetrics>(
      new SchedulerMetrics(std::make_unique<State>(State{.gateway_model = gateway_model})));
}

SchedulerMetrics::SchedulerMetrics(std::unique_ptr<State> state) noexcept
    : state_(std::move(state)) {}
SchedulerMetrics::~SchedulerMetrics() = default;

std::string SchedulerMetrics::missing() {
  return "it was built without prometheus-cpp (Debian: prometheus-cpp-dev): /metrics has no "
         "histograms, refusals, preemptions and accounts";
}
void SchedulerMetrics::join(mais::SchedulerOptions&) {}
void SchedulerMetrics::watch(mais::Scheduler& scheduler) {
  state_->scheduler = &scheduler;
}

std::string SchedulerMetrics::text() const {
  GatewayGauges gauges;
  if (state_->scheduler != nullptr) {
    const auto count = state_->scheduler->snapshot().instances.size();
    for (std::uint32_t i = 0; i < count; ++i) {  // of each model one, in their order
      if (state_->gateway_model && state_->gateway_model->value() != i) continue;
      const auto load = state_->scheduler->load(mais::InstanceId(i));
      gauges.waiting += load.waiting;
      gauges.running += load.running;
      gauges.used += load.state_used;
      gauges.limit += load.state_limit;
    }
  }
  return "# " + missing() + ".\n" + to_text(gauges);
}

}  // namespace server
