// The state of a sequence that one layer keeps.
#pragma once

#include <vector>

#include "mais/files/footprint.hpp"

namespace mais::files {

// On one rank of `ranks` devices that share the layer; groups of one kind have one name.
std::vector<StateGroup> state_of_layer(const Architecture& architecture, const Layer& layer,
                                       const FootprintOptions& options, int ranks, int rank);

}  // namespace mais::files
