// Time cut into sections: the maximal sets of buffers that live together. Every other step has a
// subset of a section's buffers, so it can be left out of bounds and of searches.
#pragma once

#include <cstdint>
#include <vector>

#include "mais/graph/arena.hpp"

namespace mais::graph {

// A buffer in section indices [first, last) and in granules, the unit every size and offset is a
// multiple of.
struct Span {
  std::int32_t first = 0;
  std::int32_t last = 0;
  std::int64_t size = 0;
  std::int64_t steps = 0;  // of its life
  std::int64_t alignment = 1;
};

struct Sections {
  std::int64_t granule = 1;  // bytes
  std::int32_t count = 0;
  std::vector<Span> spans;         // one for each buffer
  std::vector<std::int64_t> load;  // of each section, in granules
  std::int64_t bound = 0;          // the largest load
};

// Precondition: the buffers are valid.
Sections cut_into_sections(const std::vector<Buffer>& buffers);

}  // namespace mais::graph
