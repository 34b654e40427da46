// What stands for hwloc where it was not built in.
#include "mais/probe/topology.hpp"

namespace mais::probing {

bool has_hwloc() noexcept {
  return false;
}

namespace {
constexpr const char* kMissing =
    "this library was built without hwloc (Debian: libhwloc-dev, option MAIS_WITH_HWLOC)";
}

Result<Topology> read_topology(std::string*) {
  return fail(ErrorCode::unavailable, kMissing);
}

Result<Topology> read_topology_xml(std::string_view) {
  return fail(ErrorCode::unavailable, kMissing);
}

}  // namespace mais::probing
