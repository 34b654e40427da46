// Looks over a topology in hwloc's XML before hwloc reads it: hwloc trusts what it once wrote, and
// crashes or aborts on sets that are missing or contradict each other.
#pragma once

#include <optional>
#include <string_view>

#include "mais/result.hpp"

namespace mais::probing {

// A parse_error, "origin:line: what is there; what would be right", or nothing when objects nest,
// and every set and number holds together: each object's sets are parts of its parent's, siblings
// share no processor, a processing unit or NUMA node is itself, numbers of objects are given once.
// O(text).
std::optional<Error> check_topology_xml(std::string_view xml, std::string_view origin);

}  // namespace mais::probing
