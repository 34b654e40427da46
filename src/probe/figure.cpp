#include "mais/probe/figure.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace mais::probing {

std::string_view to_string(FigureSource source) noexcept {
  switch (source) {
    case FigureSource::unknown:
      return "unknown";
    case FigureSource::configured:
      return "configured";
    case FigureSource::firmware:
      return "firmware";
    case FigureSource::measured:
      return "measured";
    case FigureSource::datasheet:
      return "datasheet x 0.8";
  }
  return "unknown";
}

Rate unknown_rate(std::string why) {
  return {.how = std::move(why)};
}

namespace {

Rate one_value(FigureSource source, double value, std::string how) {
  if (!(value > 0) || value > 1e300) return unknown_rate(std::move(how));
  const BytesPerSecond rate{value};
  return {source, rate, rate, rate, std::move(how)};
}

}  // namespace

Rate configured_rate(BytesPerSecond rate) {
  return one_value(FigureSource::configured, rate.value, "given by the host");
}

Rate firmware_rate(BytesPerSecond rate, std::string how) {
  return one_value(FigureSource::firmware, rate.value, std::move(how));
}

Rate datasheet_rate(BytesPerSecond peak, std::string how) {
  return one_value(FigureSource::datasheet, peak.value * kDatasheetShare, std::move(how));
}

Rate measured_rate(std::span<const double> bytes_per_second, std::string how) {
  std::vector<double> sorted(bytes_per_second.begin(), bytes_per_second.end());
  if (sorted.empty()) return unknown_rate(std::move(how));
  std::sort(sorted.begin(), sorted.end());
  return {FigureSource::measured, BytesPerSecond{sorted.front()},
          BytesPerSecond{sorted[(sorted.size() - 1) / 2]}, BytesPerSecond{sorted.back()},
          std::move(how)};
}

}  // namespace mais::probing
