#include "graph/sections.hpp"

#include <algorithm>
#include <numeric>

namespace mais::graph {

namespace {

// Saturates: a life may span the whole range of steps.
std::int64_t length(const Buffer& buffer) {
  std::int64_t steps = 0;
  const bool over = __builtin_sub_overflow(buffer.upper, buffer.lower, &steps);
  return over ? mais::detail::kCountMax : steps;
}

// Sizes are rounded up to what all alignments share; the granule is what sizes and alignments share
// after that.
std::int64_t shared_alignment(const std::vector<Buffer>& buffers) {
  std::int64_t shared = 0;
  for (const Buffer& buffer : buffers) shared = std::gcd(shared, buffer.alignment.count());
  return std::max<std::int64_t>(shared, 1);
}

}  // namespace

Sections cut_into_sections(const std::vector<Buffer>& buffers) {
  Sections cut;
  cut.spans.resize(buffers.size());
  const std::int64_t shared = shared_alignment(buffers);
  std::int64_t granule = 0;
  std::int64_t alignments = 0;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const std::int64_t size = (buffers[i].size.count() + shared - 1) / shared * shared;
    cut.spans[i].size = size;
    cut.spans[i].steps = length(buffers[i]);
    granule = std::gcd(granule, size);
    alignments = std::max(alignments, buffers[i].alignment.count());
  }
  // With one alignment for all, every offset of a packed plan is a sum of sizes, hence a multiple
  // of their divisor. With several, offsets can be any multiple of the smallest.
  cut.granule = alignments == shared ? std::max(granule, shared) : shared;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    cut.spans[i].size /= cut.granule;
    cut.spans[i].alignment = std::max<std::int64_t>(1, buffers[i].alignment.count() / cut.granule);
  }

  // Sweep: a section closes when an end follows a start.
  struct Event {
    std::int64_t time;
    bool start;  // ends come first within a step
    std::uint32_t buffer;
  };
  std::vector<Event> events;
  events.reserve(2 * buffers.size());
  for (std::uint32_t i = 0; i < buffers.size(); ++i) {
    events.push_back({buffers[i].lower, true, i});
    events.push_back({buffers[i].upper, false, i});
  }
  std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    if (a.time != b.time) return a.time < b.time;
    if (a.start != b.start) return b.start;
    return a.buffer < b.buffer;
  });
  std::int64_t load = 0;
  bool growing = false;
  for (const Event& event : events) {
    Span& span = cut.spans[event.buffer];
    if (event.start) {
      growing = true;
      span.first = cut.count;
      load += span.size;
    } else {
      if (growing) {
        cut.load.push_back(load);
        ++cut.count;
        growing = false;
      }
      span.last = cut.count;
      load -= span.size;
    }
  }
  for (const std::int64_t sum : cut.load) cut.bound = std::max(cut.bound, sum);
  return cut;
}

}  // namespace mais::graph
