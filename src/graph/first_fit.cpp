#include "graph/first_fit.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>

#include "graph/range_max.hpp"

namespace mais::graph {

FreeIndex::FreeIndex(std::int32_t sections)
    : leaves_(std::bit_ceil(static_cast<std::size_t>(std::max(sections, 1)))),
      cover_(2 * leaves_),
      any_(2 * leaves_) {}

void FreeIndex::clear() {
  for (Ranges& ranges : cover_) ranges.clear();
  for (Ranges& ranges : any_) ranges.clear();
}

void FreeIndex::insert(Ranges& ranges, Range range) {
  auto first = std::lower_bound(ranges.begin(), ranges.end(), range.begin,
                                [](const Range& r, std::int64_t at) { return r.end < at; });
  auto last = first;
  while (last != ranges.end() && last->begin <= range.end) {
    range.begin = std::min(range.begin, last->begin);
    range.end = std::max(range.end, last->end);
    ++last;
  }
  if (first == last) {
    ranges.insert(first, range);
  } else {
    *first = range;
    ranges.erase(first + 1, last);
  }
}

std::int64_t FreeIndex::lowest_offset(const Span& span) const {
  visited_.clear();
  const auto visit = [this](const Ranges& ranges) {
    if (!ranges.empty()) visited_.push_back(&ranges);
  };
  std::size_t left = leaves_ + static_cast<std::size_t>(span.first);
  std::size_t right = leaves_ + static_cast<std::size_t>(span.last);
  // Ancestors of both ends cover every strict ancestor of a canonical node.
  for (std::size_t l = left, r = right - 1; l > 1; l /= 2, r /= 2) {
    visit(cover_[l / 2]);
    if (l / 2 != r / 2) visit(cover_[r / 2]);
  }
  for (; left < right; left /= 2, right /= 2) {
    if (left & 1) visit(any_[left++]);
    if (right & 1) visit(any_[--right]);
  }

  std::int64_t offset = 0;
  std::size_t agreed = 0;  // sets in a row that have `offset` free
  for (std::size_t i = 0; agreed < visited_.size(); i = i + 1 == visited_.size() ? 0 : i + 1) {
    const Ranges& ranges = *visited_[i];
    auto at = std::upper_bound(ranges.begin(), ranges.end(), offset,
                               [](std::int64_t value, const Range& r) { return value < r.end; });
    bool moved = false;
    while (at != ranges.end() && at->begin < offset + span.size) {
      offset = (at->end + span.alignment - 1) / span.alignment * span.alignment;
      moved = true;
      while (at != ranges.end() && at->end <= offset) ++at;
    }
    agreed = moved ? 1 : agreed + 1;
  }
  return offset;
}

void FreeIndex::occupy(const Span& span, std::int64_t offset) {
  const Range range{offset, offset + span.size};
  std::size_t left = leaves_ + static_cast<std::size_t>(span.first);
  std::size_t right = leaves_ + static_cast<std::size_t>(span.last);
  const std::size_t outer_left = left;
  const std::size_t outer_right = right - 1;
  std::array<std::size_t, 128> canonical{};
  std::size_t count = 0;
  for (; left < right; left /= 2, right /= 2) {
    if (left & 1) canonical[count++] = left++;
    if (right & 1) canonical[count++] = --right;
  }
  for (std::size_t i = 0; i < count; ++i) {
    insert(cover_[canonical[i]], range);
    insert(any_[canonical[i]], range);
  }
  // Strict ancestors of canonical nodes: ancestors of an end that reach beyond the span.
  for (std::size_t l = outer_left / 2, r = outer_right / 2, width = 2; l > 0;
       l /= 2, r /= 2, width *= 2) {
    const auto inside = [&](std::size_t node) {
      const std::size_t begin = node * width - leaves_;
      return begin >= static_cast<std::size_t>(span.first) &&
             begin + width <= static_cast<std::size_t>(span.last);
    };
    if (!inside(l)) insert(any_[l], range);
    if (l != r && !inside(r)) insert(any_[r], range);
  }
}

Placement first_fit(const Sections& sections, const std::vector<std::int32_t>& order,
                    FreeIndex& index) {
  index.clear();
  Placement placed{std::vector<std::int64_t>(sections.spans.size(), 0), 0};
  for (const std::int32_t i : order) {
    const Span& span = sections.spans[static_cast<std::size_t>(i)];
    if (span.size == 0) continue;
    const std::int64_t offset = index.lowest_offset(span);
    index.occupy(span, offset);
    placed.offsets[static_cast<std::size_t>(i)] = offset;
    placed.height = std::max(placed.height, offset + span.size);
  }
  return placed;
}

std::vector<std::int32_t> ranked_order(const Sections& sections, const std::vector<Rank>& keys) {
  const std::size_t n = sections.spans.size();
  const RangeMax loads(sections.load);
  std::vector<std::array<std::int64_t, 5>> rank(n);
  for (std::size_t i = 0; i < n; ++i) {
    const Span& span = sections.spans[i];
    const std::int64_t width = span.steps;
    for (std::size_t k = 0; k < keys.size(); ++k) {
      switch (keys[k]) {
        case Rank::size:
          rank[i][k] = -span.size;
          break;
        case Rank::area:
          rank[i][k] = -mais::detail::saturating_multiply(span.size, width);
          break;
        case Rank::width:
          rank[i][k] = -width;
          break;
        case Rank::load:
          rank[i][k] = -loads(span.first, span.last);
          break;
        case Rank::first:
          rank[i][k] = span.first;
          break;
      }
    }
  }
  std::vector<std::int32_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return rank[static_cast<std::size_t>(a)] < rank[static_cast<std::size_t>(b)];
  });
  return order;
}

}  // namespace mais::graph
