// The search for placements: layer by layer, with the best partial ones kept.
#pragma once

#include <limits>
#include <vector>

#include "split_costs.hpp"

namespace mais::core {

struct Candidate {
  std::vector<LayerPlace> places{};
  double seconds = 0;  // of a pass if copies hid perfectly behind computing
};

struct Candidates {
  std::vector<Candidate> best;  // by seconds; empty: nothing fits
  bool complete = true;         // no partial placement was dropped for the width
};

struct SearchOptions {
  int groups = 1;  // of sequences that are under way
  int width = 1;
  std::size_t want = 1;
  double limit = std::numeric_limits<double>::infinity();  // only what can be faster than that
  bool resident_only = false;                              // nothing in the host
};

// The `want` best.
Candidates search_splits(const SplitCosts& costs, const SearchOptions& options);

}  // namespace mais::core
