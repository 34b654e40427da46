// How much of each NUMA node a process may use when all of them together are limited.
#pragma once

#include <vector>

#include "mais/units.hpp"

namespace mais::probing {

// What each part may use of `budget`, by what it has available: all of it where the budget covers
// everything, else in proportion. The sum never exceeds the budget.
std::vector<Bytes> parts_of(Bytes budget, const std::vector<Bytes>& available);

}  // namespace mais::probing
