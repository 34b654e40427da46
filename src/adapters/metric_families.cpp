#include "adapters/metric_families.hpp"

namespace mais::adapters {

namespace {

prometheus::MetricFamily family(std::string name, std::string help, prometheus::MetricType type) {
  prometheus::MetricFamily made;
  made.name = std::move(name);
  made.help = std::move(help);
  made.type = type;
  return made;
}

}  // namespace

prometheus::MetricFamily counter_family(std::string name, std::string help) {
  return family(std::move(name), std::move(help), prometheus::MetricType::Counter);
}

prometheus::MetricFamily gauge_family(std::string name, std::string help) {
  return family(std::move(name), std::move(help), prometheus::MetricType::Gauge);
}

prometheus::MetricFamily histogram_family(std::string name, std::string help) {
  return family(std::move(name), std::move(help), prometheus::MetricType::Histogram);
}

void add_series(prometheus::MetricFamily& family, Labels labels, prometheus::ClientMetric metric) {
  metric.label = std::move(labels);
  family.metric.push_back(std::move(metric));
}

void add_value(prometheus::MetricFamily& family, Labels labels, double value) {
  prometheus::ClientMetric metric;
  if (family.type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  add_series(family, std::move(labels), std::move(metric));
}

}  // namespace mais::adapters
