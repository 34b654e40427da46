// What a scheduler does, for /metrics: through mais::prometheus (docs/metrics.md) where that was
// built, else the little that a gateway cannot do without.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "mais/request.hpp"
#include "mais/result.hpp"
#include "mais/scheduler.hpp"

namespace server {

class SchedulerMetrics {
 public:
  // `gateway_model`: whose instances the gateway's gauges count; none: all.
  static mais::Result<std::unique_ptr<SchedulerMetrics>> create(
      std::optional<mais::ModelId> gateway_model);
  SchedulerMetrics(const SchedulerMetrics&) = delete;
  SchedulerMetrics& operator=(const SchedulerMetrics&) = delete;
  ~SchedulerMetrics();

  // Why there is less than docs/metrics.md says; empty where there is not.
  static std::string missing();

  // Adds what has to see everything; before Scheduler::create().
  void join(mais::SchedulerOptions& options);
  // Once, after it. The scheduler outlives this.
  void watch(mais::Scheduler& scheduler);
  // In Prometheus' text format. Threads: any.
  std::string text() const;

 private:
  class State;
  explicit SchedulerMetrics(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace server
