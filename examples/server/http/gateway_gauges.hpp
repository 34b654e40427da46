// The gauges by which an inference gateway picks a server, where mais::prometheus does not give
// them. Names and protocol: mais/adapters/prometheus_metrics.hpp.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "gauge_text.hpp"
#include "mais/units.hpp"

namespace server {

struct GatewayGauges {
  std::size_t waiting = 0;  // requests
  std::size_t running = 0;
  mais::Bytes used{};  // KV cache
  mais::Bytes limit{};
};

inline std::string to_text(const GatewayGauges& gauges) {
  const bool any = gauges.limit > mais::Bytes(0);
  GaugeText text;
  text.metric("vllm:num_requests_waiting", GaugeText::Kind::gauge, "Requests in the queue.")
      .value(gauges.waiting)
      .metric("vllm:num_requests_running", GaugeText::Kind::gauge,
              "Requests with a place on an engine.")
      .value(gauges.running)
      .metric("vllm:kv_cache_usage_perc", GaugeText::Kind::gauge,
              "Part of the KV cache in use, 0 to 1.")
      .value(any ? static_cast<double>(gauges.used.count()) /
                       static_cast<double>(gauges.limit.count())
                 : 0.0);
  return std::move(text).text();
}

}  // namespace server
