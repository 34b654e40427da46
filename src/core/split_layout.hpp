// From a placement that is good on paper to one that is good on the timeline, and what that one
// takes.
#pragma once

#include "split_costs.hpp"

namespace mais::core {

struct Layout {
  std::vector<LayerPlace> places;
  double step_s = 0;
};

// Spreads the modes of equal layers evenly over each stage, then exchanges modes as long as that
// makes the step faster.
// `trials`: timelines that exchanges may cost yet; counted down.
Layout lay_out(const SplitCosts& costs, const std::vector<LayerPlace>& places, int groups,
               int& trials);

// Whether every space holds its part.
bool fits(const SplitCosts& costs, const std::vector<LayerPlace>& places);

Bound bound_of(const SplitCosts& costs, const std::vector<LayerPlace>& places, int groups,
               double step_s, const Machine& machine);

}  // namespace mais::core
