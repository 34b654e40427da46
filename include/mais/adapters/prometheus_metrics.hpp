// What a scheduler does and how full it is, as metrics for Prometheus, through prometheus-cpp.
//
//   auto metrics = *adapters::PrometheusMetrics::create();
//   auto scheduler = Scheduler::create(config, {.observers = {metrics}});
//   const auto watch = metrics->watch(*scheduler);
//   http.get("/metrics", [&] { return metrics->text(); });      // any HTTP server, or
//   exposer.RegisterCollectable(metrics->collectable());        // that of prometheus-cpp
//
// docs/metrics.md lists every metric with its unit and labels. Counters and histograms come from
// the observations, gauges are read from the scheduler at each scrape. Labels are names of the
// Config and words of ours, so that there are no more series than the Config allows: what names no
// tenant of it has no label `tenant`.
//
// Beside them stand the gauges of the model server protocol, by which a Kubernetes inference
// gateway picks a server: requests waiting and running and KV cache utilisation 0 ... 1 as one
// series without labels each, block size and count as the labels of a fourth. They count the
// instances of one model, or all. Protocol: kubernetes-sigs/gateway-api-inference-extension,
// docs/proposals/003-model-server-protocol. Target mais::prometheus.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mais/observer.hpp"
#include "mais/result.hpp"
#include "mais/scheduler.hpp"
#include "mais/units.hpp"

namespace prometheus {
class Collectable;
}

namespace mais::adapters {

// Of a response that carries PrometheusMetrics::text().
inline constexpr std::string_view kPrometheusContentType =
    "text/plain; version=0.0.4; charset=utf-8";

// Names that the gateway reads; the defaults are its own, which are those of vLLM. An empty name of
// a metric leaves it out.
struct GatewayNames {
  std::string waiting = "vllm:num_requests_waiting";
  std::string running = "vllm:num_requests_running";
  std::string kv_utilization = "vllm:kv_cache_usage_perc";
  std::string cache_info = "vllm:cache_config_info";
  std::string block_size_label = "block_size";       // of cache_info: tokens in a block
  std::string block_count_label = "num_gpu_blocks";  // of cache_info: blocks of all instances
};

struct PrometheusOptions {
  GatewayNames gateway{};
  // Whose instances the gateway's gauges count; none: all instances.
  std::optional<ModelId> gateway_model{};
  // Upper bounds of histogram buckets, above 0 and rising. One more, without bound, is added.
  std::vector<Duration> step_bounds = {500us, 1ms,   2ms,   5ms,   10ms, 20ms,
                                       50ms,  100ms, 200ms, 500ms, 1s,   5s};
  std::vector<Duration> ttft_bounds = {5ms, 10ms, 20ms, 50ms, 100ms, 200ms, 500ms,
                                       1s,  2s,   5s,   10s,  30s,   100s};
  std::vector<Duration> tpot_bounds = {1ms,  2ms,  5ms,   10ms,  20ms,  30ms,
                                       50ms, 75ms, 100ms, 200ms, 500ms, 1s};
  std::vector<Duration> request_bounds = {20ms, 50ms, 100ms, 200ms, 500ms, 1s,
                                          2s,   5s,   10s,   30s,   60s,   5min};
};

// For one scheduler. Everything but begin() and observe(), which are the scheduler's, may be called
// from any thread, from callbacks of the scheduler too.
//
// Memory: some 100 bytes for each request that has not ended. Where observations are dropped
// (WhenFull::drop) counters miss what was dropped, mais_observations_missed_total says how much,
// and requests under way then are left out of the histograms.
class PrometheusMetrics final : public Observer {
 public:
  // invalid_argument with every fault: a name that Prometheus does not allow, that is taken twice
  // or that begins with "mais_", bounds that are not above 0 or do not rise.
  static Result<std::shared_ptr<PrometheusMetrics>> create(PrometheusOptions options = {});
  ~PrometheusMetrics() override;

  // Reads gauges from a scheduler for as long as it lives. Must go before the scheduler goes or
  // moves; waits then for scrapes that are reading, so not inside a callback or an observer.
  class [[nodiscard]] Watch {
   public:
    Watch() noexcept = default;
    Watch(Watch&& other) noexcept;
    Watch& operator=(Watch&& other) noexcept;
    ~Watch();

   private:
    friend class PrometheusMetrics;
    class Source;
    explicit Watch(std::shared_ptr<Source> source) noexcept;
    std::shared_ptr<Source> source_;
  };
  // One at a time; `scheduler` has this object among its observers. Without it, what is read from
  // the scheduler is left out. Takes one snapshot() of it.
  Watch watch(Scheduler& scheduler);

  // All metrics in the text format 0.0.4 of Prometheus. Costs O(series), and under the scheduler's
  // mutex O(1) for each instance and O(accounts) once. Nothing before Scheduler::create().
  std::string text() const;
  // The same for a prometheus::Exposer or a Registry of the host; may outlive this object.
  std::shared_ptr<prometheus::Collectable> collectable() const;

  void begin(const Config& config) override;
  void observe(const Observation& seen) override;

 private:
  class State;
  explicit PrometheusMetrics(PrometheusOptions options);
  std::shared_ptr<State> state_;
};

}  // namespace mais::adapters
