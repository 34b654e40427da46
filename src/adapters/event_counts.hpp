// Counters and histograms of what a scheduler's observations tell. One thread observes at a time;
// any may collect meanwhile.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>

#include "mais/adapters/prometheus_metrics.hpp"

namespace mais::adapters {

class EventCounts {
 public:
  EventCounts(const Config& config, const PrometheusOptions& options);

  void observe(const Observation& seen);
  void collect(std::vector<prometheus::MetricFamily>& out) const;
  bool up(std::size_t instance) const { return instances_[instance].up.Value() != 0; }

 private:
  static constexpr std::size_t kEnds = static_cast<std::size_t>(EndKind::cancelled) + 1;
  static constexpr std::size_t kReasons =
      static_cast<std::size_t>(RefusalReason::instance_lost) + 1;

  struct TenantCounts {
    std::array<prometheus::Counter, kServiceClasses> submitted;
    std::array<prometheus::Counter, kEnds> ended;
    std::array<prometheus::Counter, kReasons> refused;
  };
  struct StepUnderWay {
    std::optional<core::StepId> id{};  // none: there is none
    Time begun{};
    std::vector<core::StepEntry> entries{};
  };
  struct InstanceCounts {
    explicit InstanceCounts(const prometheus::Histogram::BucketBoundaries& bounds);
    prometheus::Gauge up{1};
    prometheus::Counter done, failed, computed, generated;
    prometheus::Histogram seconds;
    StepUnderWay step{};
  };
  struct Latencies {  // of the requests of one model and class
    Latencies(const PrometheusOptions& options);
    prometheus::Histogram first, each, whole;
  };
  // A request that has not ended.
  struct Tracked {
    std::size_t tenant = 0;          // of tenants_
    Latencies* latencies = nullptr;  // none: a lease
    bool generates = false;
    Time submitted{}, first{}, last{};
    std::int64_t tokens = 0;  // that came out
  };

  void take(const Observation& seen, const core::event::Submit& event);
  void take(const Observation& seen, const core::event::NextStep& event);
  void take(const Observation& seen, const core::event::Report& event);
  void take(const Observation&, const core::event::InstanceLost& event);
  void take(const Observation&, const core::event::InstanceBack& event);
  template <class Event>
  void take(const Observation&, const Event&) {}
  void take(const Observation& seen, const core::Action& action);
  void end(EndKind kind, const core::Action& action, Time now);
  void emit(RequestId request, Time now, InstanceCounts& instance);
  std::size_t tenant_of(const Request& request) const;

  const Config config_;
  std::deque<TenantCounts> tenants_;  // by id; the last: of no tenant there is
  std::deque<InstanceCounts> instances_;
  std::deque<Latencies> latencies_;          // by model, then by class
  std::deque<prometheus::Counter> granted_;  // leases, by space
  prometheus::Counter missed_;
  std::unordered_map<RequestId, Tracked> requests_;
  std::uint64_t number_ = 0;
};

}  // namespace mais::adapters
