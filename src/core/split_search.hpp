// The search for placements: layer by layer, with the best partial ones kept.
#pragma once

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

// The `want` best for `groups` of sequences under way. `resident_only`: nothing in the host.
Candidates search_splits(const SplitCosts& costs, int groups, int width, std::size_t want,
                         bool resident_only = false);

}  // namespace mais::core
