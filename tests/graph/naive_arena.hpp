// Plain models of the arena planner, for small problems.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "mais/graph/arena.hpp"

namespace mais::graph::naive {

// The lowest possible arena, by trying every order of stacking. Each plan, read by rising offset,
// is such an order, and stacking in it puts no buffer higher. O(n! n^2).
inline std::int64_t lowest_height(std::vector<Buffer> buffers) {
  std::int64_t shared = 0;  // sizes count in full units of the alignment that all share
  for (const Buffer& buffer : buffers) shared = std::gcd(shared, buffer.alignment.count());
  for (Buffer& buffer : buffers) {
    buffer.size = Bytes((buffer.size.count() + shared - 1) / shared * shared);
  }
  std::vector<std::size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::int64_t best = std::numeric_limits<std::int64_t>::max();
  do {
    std::vector<std::int64_t> top(buffers.size());
    std::int64_t height = 0;
    for (std::size_t k = 0; k < order.size(); ++k) {
      const Buffer& buffer = buffers[order[k]];
      std::int64_t offset = 0;
      for (std::size_t j = 0; j < k; ++j) {
        const Buffer& below = buffers[order[j]];
        const bool meet = below.lower < buffer.upper && buffer.lower < below.upper;
        if (meet && below.size.count() > 0) offset = std::max(offset, top[order[j]]);
      }
      const std::int64_t alignment = buffer.alignment.count();
      offset = (offset + alignment - 1) / alignment * alignment;
      top[order[k]] = offset + buffer.size.count();
      height = std::max(height, top[order[k]]);
    }
    best = std::min(best, height);
  } while (std::next_permutation(order.begin(), order.end()));
  return buffers.empty() ? 0 : best;
}

// The largest sum alive in one step, step by step.
inline std::int64_t load(const std::vector<Buffer>& buffers) {
  std::int64_t most = 0;
  for (const Buffer& at : buffers) {
    std::int64_t sum = 0;
    for (const Buffer& buffer : buffers) {
      if (buffer.lower <= at.lower && at.lower < buffer.upper) sum += buffer.size.count();
    }
    most = std::max(most, sum);
  }
  return most;
}

}  // namespace mais::graph::naive
