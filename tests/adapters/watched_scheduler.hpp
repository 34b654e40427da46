// A small machine's scheduler with metrics that watch it, a clock turned by hand, and what a scrape
// reads.
#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include <gmock/gmock.h>

#include "adapters/exposition.hpp"
#include "mais/adapters/prometheus_metrics.hpp"
#include "mais/scheduler.hpp"
#include "shell/small_machine.hpp"

namespace mais::adapters {

using Labels = Exposition::Labels;

inline const Labels kEngine = {{"engine", "decoder"}};
inline const Labels kLoad = {{"engine", "decoder"}, {"model", "decoder"}};
inline const Labels kStreaming = {{"model", "decoder"}, {"class", "streaming"}};

inline std::shared_ptr<PrometheusMetrics> make_metrics(PrometheusOptions options = {}) {
  auto metrics = PrometheusMetrics::create(std::move(options));
  if (!metrics) throw std::runtime_error(metrics.error().message);
  return *metrics;
}

class WatchedScheduler : public ::testing::Test {
 protected:
  Scheduler& start(Config config = small_machine(), PrometheusOptions options = {}) {
    metrics_ = make_metrics(std::move(options));
    scheduler_.emplace(make_scheduler(std::move(config),
                                      {.clock = clock_.options().clock, .observers = {metrics_}}));
    watch_ = metrics_->watch(*scheduler_);
    return *scheduler_;
  }
  Exposition scrape() const { return Exposition(metrics_->text()); }
  // Runs one step of an instance that takes so long.
  bool step(Duration took, InstanceId instance = kInstance) {
    core::Step step;
    if (!scheduler_->try_next_step(instance, step)) return false;
    clock_.advance(took);
    scheduler_->report({.step = step.id, .took = took});
    return true;
  }

  ManualClock clock_;
  std::shared_ptr<PrometheusMetrics> metrics_;
  std::optional<Scheduler> scheduler_;
  PrometheusMetrics::Watch watch_;
};

// A second model with two instances, of another block size.
inline Config two_models() {
  Config config = small_machine();
  config.models.push_back(config.models[0]);
  config.models[1].name = "other";
  for (const char* name : {"other 1", "other 2"}) {
    config.instances.push_back({.name = name,
                                .model = ModelId(1),
                                .device = DeviceId(0),
                                .state = 32_KiB,
                                .block = TokensPerBlock(8)});
  }
  return config;
}

}  // namespace mais::adapters
