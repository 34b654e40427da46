#include "probe/wording.hpp"

#include <cstdio>

namespace mais::probing {

std::string size_text(Bytes bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes.count());
  std::size_t unit = 0;
  for (; (value >= 1024 || value <= -1024) && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  char text[48];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.2f %s", value, kUnits[unit]);
  return text;
}

std::string rate_text(BytesPerSecond rate) {
  constexpr const char* kUnits[] = {"B/s", "kB/s", "MB/s", "GB/s", "TB/s"};
  double value = rate.value;
  std::size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < std::size(kUnits); ++unit) value /= 1000;
  char text[48];
  std::snprintf(text, sizeof text, "%.3g %s", value, kUnits[unit]);
  return text;
}

std::string duration_text(Duration duration) {
  char text[48];
  const double nanoseconds = static_cast<double>(duration.count());
  if (nanoseconds < 1e3) {
    std::snprintf(text, sizeof text, "%.0f ns", nanoseconds);
  } else if (nanoseconds < 1e6) {
    std::snprintf(text, sizeof text, "%.3g us", nanoseconds / 1e3);
  } else {
    std::snprintf(text, sizeof text, "%.3g ms", nanoseconds / 1e6);
  }
  return text;
}

std::string counted(std::size_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += between;
    text += word;
  }
  return text;
}

std::string to_text(const Bound& bound) {
  std::string text(to_string(bound.kind));
  if (!bound.where.empty()) text += " of " + bound.where;
  text += ": " + size_text(bound.limit) + " less " + size_text(bound.used) + " in use";
  if (bound.reclaimable > Bytes(0)) {
    text += ", " + size_text(bound.reclaimable) + " of it droppable";
  } else if (bound.reclaimable < Bytes(0)) {
    text += ", " + size_text(-bound.reclaimable) + " held in reserve";
  }
  return text;
}

std::string to_text(const Rate& rate) {
  if (!rate.known()) return "unknown (" + rate.how + ")";
  std::string text = rate_text(rate.median);
  if (rate.min != rate.max) text += ", " + rate_text(rate.min) + " to " + rate_text(rate.max);
  return text + " (" + std::string(to_string(rate.source)) +
         (rate.how.empty() ? "" : ": " + rate.how) + ")";
}

}  // namespace mais::probing
