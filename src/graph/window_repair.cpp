#include "graph/window_repair.hpp"

#include <algorithm>
#include <utility>

#include "graph/index.hpp"

namespace mais::graph {

namespace {

constexpr int kAttempts = 10;                  // orders for each window
constexpr std::size_t kMostInWindow = 20'000;  // wider windows cost more than a whole placement

}  // namespace

WindowRepair::WindowRepair(const Sections& sections, std::uint64_t seed)
    : cut_(sections), random_(seed) {}

void WindowRepair::run(Placement& placement, std::int64_t target, std::int64_t placements,
                       const std::function<bool()>& stop) {
  const auto top = [&](std::int32_t i) {
    return placement.offsets[at(i)] + cut_.spans[at(i)].size;
  };
  const auto n = static_cast<std::int32_t>(cut_.spans.size());
  while (placement.height > target && placed_ < placements && !stop()) {
    std::int32_t highest = 0;
    for (std::int32_t i = 1; i < n; ++i) {
      if (top(i) > top(highest)) highest = i;
    }
    bool lowered = false;
    for (std::int32_t margin = 4; !lowered; margin *= 2) {
      lowered = lower(placement, highest, margin, stop);
      const bool whole = margin >= cut_.count || free_.size() > kMostInWindow;
      if (!lowered && (whole || placed_ >= placements || stop())) return;
    }
    placement.height = 0;
    for (std::int32_t i = 0; i < n; ++i) placement.height = std::max(placement.height, top(i));
  }
}

// Whether all that lives within `margin` sections around the buffer now ends below where it did.
bool WindowRepair::lower(Placement& placement, std::int32_t buffer, std::int32_t margin,
                         const std::function<bool()>& stop) {
  const Span& middle = cut_.spans[at(buffer)];
  const std::int32_t begin = std::max(0, middle.first - margin);
  const std::int32_t end = std::min(cut_.count, middle.last + margin);
  const auto within = [&](Span span) {
    span.first = std::max(span.first, begin) - begin;
    span.last = std::min(span.last, end) - begin;
    return span;
  };
  free_.clear();
  FreeIndex fixed(end - begin);
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(cut_.spans.size()); ++i) {
    const Span& span = cut_.spans[at(i)];
    if (span.size == 0 || span.last <= begin || span.first >= end) continue;
    if (span.first >= begin && span.last <= end) {
      free_.push_back(i);
    } else {
      fixed.occupy(within(span), placement.offsets[at(i)]);
    }
  }
  if (free_.size() > kMostInWindow) return false;
  const std::int64_t limit = placement.offsets[at(buffer)] + middle.size;
  std::vector<std::int64_t> offsets(free_.size());
  for (int attempt = 0; attempt < kAttempts && !stop(); ++attempt) {
    const std::vector<std::int32_t> order = local_order(attempt, placement);
    FreeIndex index = fixed;
    bool lower = true;
    for (std::size_t k = 0; k < order.size() && lower; ++k) {
      const Span span = within(cut_.spans[at(free_[at(order[k])])]);
      const std::int64_t offset = index.lowest_offset(span);
      index.occupy(span, offset);
      offsets[at(order[k])] = offset;
      lower = offset + span.size < limit;
      ++placed_;
    }
    if (!lower) continue;
    for (std::size_t k = 0; k < free_.size(); ++k) placement.offsets[at(free_[k])] = offsets[k];
    return true;
  }
  return false;
}

// Positions in free_: long lives first, large sizes first, as they lie with the highest first of
// all, then blends of these at random.
std::vector<std::int32_t> WindowRepair::local_order(int attempt, const Placement& placement) {
  std::vector<std::pair<double, std::int32_t>> key(free_.size());
  const double by_life = attempt == 0 ? 1 : attempt < 3 ? 0 : static_cast<double>(random_.below(4));
  const double by_size = attempt == 1 ? 1 : attempt < 3 ? 0 : static_cast<double>(random_.below(4));
  const double by_place = attempt == 2 ? 1 : static_cast<double>(random_.below(3));
  const std::int64_t noise = attempt < 3 ? 1 : 1 + random_.below(1000);
  double life = 1;
  double size = 1;
  double height = 1;
  for (const std::int32_t i : free_) {
    const Span& span = cut_.spans[at(i)];
    life = std::max(life, static_cast<double>(span.last - span.first));
    size = std::max(size, static_cast<double>(span.size));
    height = std::max(height, static_cast<double>(placement.offsets[at(i)] + span.size));
  }
  for (std::size_t k = 0; k < free_.size(); ++k) {
    const Span& span = cut_.spans[at(free_[k])];
    const auto top = static_cast<double>(placement.offsets[at(free_[k])] + span.size);
    // What stands highest goes first, the rest as it lies.
    const double place =
        top >= height ? -1 : static_cast<double>(placement.offsets[at(free_[k])]) / height;
    key[k] = {by_place * place - by_life * static_cast<double>(span.last - span.first) / life -
                  by_size * static_cast<double>(span.size) / size +
                  static_cast<double>(random_.below(noise)) / 1000,
              static_cast<std::int32_t>(k)};
  }
  std::sort(key.begin(), key.end());
  std::vector<std::int32_t> order;
  order.reserve(key.size());
  for (const auto& [value, position] : key) order.push_back(position);
  return order;
}

}  // namespace mais::graph
