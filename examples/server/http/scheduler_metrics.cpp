#include "scheduler_metrics.hpp"

#include <utility>

#include "mais/adapters/prometheus_metrics.hpp"

namespace server {

using mais::adapters::PrometheusMetrics;

class SchedulerMetrics::State {
 public:
  std::shared_ptr<PrometheusMetrics> metrics;
  PrometheusMetrics::Watch watch{};
};

mais::Result<std::unique_ptr<SchedulerMetrics>> SchedulerMetrics::create(
    std::optional<mais::ModelId> gateway_model) {
  auto metrics = PrometheusMetrics::create({.gateway_model = gateway_model});
  if (!metrics) return tl::unexpected<mais::Error>(std::move(metrics.error()));
  return std::unique_ptr<SchedulerMetrics>(
      new SchedulerMetrics(std::make_unique<State>(State{.metrics = std::move(*metrics)})));
}

SchedulerMetrics::SchedulerMetrics(std::unique_ptr<State> state) noexcept
    : state_(std::move(state)) {}
SchedulerMetrics::~SchedulerMetrics() = default;

std::string SchedulerMetrics::missing() {
  return {};
}
void SchedulerMetrics::join(mais::SchedulerOptions& options) {
  options.observers.push_back(state_->metrics);
}
void SchedulerMetrics::watch(mais::Scheduler& scheduler) {
  state_->watch = state_->metrics->watch(scheduler);
}
std::string SchedulerMetrics::text() const {
  return state_->metrics->text();
}

}  // namespace server
