// Improves a placement where it is highest, a window of time at once, whatever the size of the
// rest.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "graph/first_fit.hpp"
#include "graph/random.hpp"
#include "graph/sections.hpp"

namespace mais::graph {

// Takes the buffer that ends highest, frees all buffers that live within a window around it, and
// places them again by first fit in several orders among those that reach beyond the window, which
// stay where they are. A window that ends lower is kept; one that does not is widened. (Large
// neighbourhood search; Shaw 1998.)
class WindowRepair {
 public:
  WindowRepair(const Sections& sections, std::uint64_t seed);

  // Until the placement is as low as `target`, the windows are exhausted, `placements` buffers have
  // been placed, or `stop` says so. Never makes it higher.
  void run(Placement& placement, std::int64_t target, std::int64_t placements,
           const std::function<bool()>& stop);

 private:
  bool lower(Placement& placement, std::int32_t buffer, std::int32_t margin,
             const std::function<bool()>& stop);
  std::vector<std::int32_t> local_order(int attempt, const Placement& placement);

  const Sections& cut_;
  Random random_;
  std::vector<std::int32_t> free_;  // of the window
  std::int64_t placed_ = 0;
};

}  // namespace mais::graph
