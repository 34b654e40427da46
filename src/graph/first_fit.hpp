// Greedy placement: each buffer in turn at the lowest offset free throughout its life.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "graph/sections.hpp"

namespace mais::graph {

// Occupied bytes over time. A segment tree over sections keeps, in each node, the union of the
// ranges of the buffers that cover the node (`cover`), and of all buffers stored at or below it
// (`any`). Packed buffers merge into few ranges, so a placement costs O(log^2 n) typically.
class FreeIndex {
 public:
  explicit FreeIndex(std::int32_t sections);
  void clear();
  // The lowest offset, a multiple of the span's alignment, free in all its sections.
  std::int64_t lowest_offset(const Span& span) const;
  void occupy(const Span& span, std::int64_t offset);

 private:
  struct Range {
    std::int64_t begin;
    std::int64_t end;
  };
  using Ranges = std::vector<Range>;  // disjoint, ascending, not touching
  static void insert(Ranges& ranges, Range range);

  std::size_t leaves_;
  std::vector<Ranges> cover_;
  std::vector<Ranges> any_;
  mutable std::vector<const Ranges*> visited_;
};

struct Placement {
  std::vector<std::int64_t> offsets;  // granules
  std::int64_t height = std::numeric_limits<std::int64_t>::max();
};

// Places the buffers in this order.
Placement first_fit(const Sections& sections, const std::vector<std::int32_t>& order,
                    FreeIndex& index);

// How the greedy orders rank buffers; each breaks ties by the ones after it.
enum class Rank : std::uint8_t { size, area, width, load, first };

// Buffers in falling order of `keys` (rising for `first`).
std::vector<std::int32_t> ranked_order(const Sections& sections, const std::vector<Rank>& keys);

}  // namespace mais::graph
