// Metrics as prometheus-cpp's plain data: families, each with a help text that says its unit, and
// their series.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>

namespace mais::adapters {

using Labels = std::vector<prometheus::ClientMetric::Label>;

prometheus::MetricFamily counter_family(std::string name, std::string help);
prometheus::MetricFamily gauge_family(std::string name, std::string help);
prometheus::MetricFamily histogram_family(std::string name, std::string help);

// Add one series; `metric` is what a prometheus::Counter, Gauge or Histogram collects.
void add_series(prometheus::MetricFamily& family, Labels labels, prometheus::ClientMetric metric);
void add_value(prometheus::MetricFamily& family, Labels labels, double value);

}  // namespace mais::adapters
