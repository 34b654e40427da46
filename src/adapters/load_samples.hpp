// Gauges, and counters that the planner keeps itself, read from a scheduler; and the gauges of the
// gateway's protocol, which are sums of them.
#pragma once

#include <cstdint>
#include <vector>

#include <prometheus/metric_family.h>

#include "mais/adapters/prometheus_metrics.hpp"

namespace mais::adapters {

// What does not change while a scheduler lives.
struct KvShape {
  Bytes block_bytes{};
  std::int64_t blocks = 0;  // 0: the instance has no KV cache
};

// Of each instance. Takes a snapshot().
std::vector<KvShape> kv_shapes(Scheduler& scheduler);

struct LoadSample {
  std::vector<core::InstanceLoad> loads{};  // by instance
  std::vector<bool> up{};                   // likewise
  std::vector<core::AccountSnapshot> accounts{};
};

void collect_loads(const Config& config, const std::vector<KvShape>& shapes,
                   const LoadSample& sample, std::vector<prometheus::MetricFamily>& out);
void collect_accounts(const Config& config, const LoadSample& sample,
                      std::vector<prometheus::MetricFamily>& out);
void collect_gateway(const Config& config, const std::vector<KvShape>& shapes,
                     const LoadSample& sample, const PrometheusOptions& options,
                     std::vector<prometheus::MetricFamily>& out);

}  // namespace mais::adapters
