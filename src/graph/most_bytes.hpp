// The most that the sizes of a graph or of a plan may add up to, so that no sum of two overflows.
#pragma once

#include <cstdint>

namespace mais::graph {

inline constexpr std::int64_t kMostBytes = std::int64_t{1} << 62U;

}  // namespace mais::graph
