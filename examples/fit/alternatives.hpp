// Other ways to run a model that fit where the one asked for does not, or that give more.
#pragma once

#include <vector>

#include "report.hpp"

namespace fit {

// In the order in which they cost quality least: fewer or shorter requests, smaller KV cache types,
// smaller weights, more devices. O(ways x footprint).
std::vector<Alternative> find_alternatives(const Subject& subject, const Report& report,
                                           const Options& options);

}  // namespace fit
