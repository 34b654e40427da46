// How a long search is watched and stopped. The core reads no clock: the host passes one in.
//
//   const auto end = std::chrono::steady_clock::now() + 10s;
//   SearchControl control{.stop = [=] { return std::chrono::steady_clock::now() >= end; }};
#pragma once

#include <cstdint>
#include <functional>

#include "mais/units.hpp"

namespace mais::graph {

// Where a search stands. `bound <= the optimum <= best` holds in every report.
struct Progress {
  Bytes best;              // the best peak or arena height found so far
  Bytes bound;             // proven: nothing is below
  std::int64_t nodes = 0;  // search nodes so far, over all phases
};

// Both functions are called on the searching thread, every few thousand nodes; they may be empty.
struct SearchControl {
  std::function<bool()> stop{};                     // true ends the search with what it has
  std::function<void(const Progress&)> progress{};  // for a progress line
};

}  // namespace mais::graph
