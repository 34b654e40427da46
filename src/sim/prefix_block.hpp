// Tokens in a block of a prompt that others may share, in Mooncake's traces and in workloads like
// them.
#pragma once

#include "mais/units.hpp"

namespace mais::sim {

inline constexpr Tokens kPrefixBlock(512);

}  // namespace mais::sim
