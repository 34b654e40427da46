#include <algorithm>
#include <numeric>
#include <string>

#include "mais/graph/arena.hpp"

namespace mais::graph {

std::vector<Fault> validate(const ArenaProblem& problem, const ArenaPlan& plan) {
  constexpr std::size_t kMostFaults = 100;
  std::vector<Fault> faults;
  const std::vector<Buffer>& buffers = problem.buffers;
  if (plan.offsets.size() != buffers.size()) {
    faults.push_back({"offsets",
                      std::to_string(plan.offsets.size()) + " offsets for " +
                          std::to_string(buffers.size()) + " buffers",
                      "one for each"});
    return faults;
  }
  const auto text = [](Bytes bytes) { return std::to_string(bytes.count()); };
  for (std::size_t i = 0; i < buffers.size() && faults.size() < kMostFaults; ++i) {
    const std::string path = "offsets[" + std::to_string(i) + "]";
    const Bytes offset = plan.offsets[i];
    const Bytes end = offset + buffers[i].size;
    if (offset < Bytes(0)) faults.push_back({path, text(offset) + " is negative", "0 or more"});
    if (offset.count() % buffers[i].alignment.count() != 0) {
      faults.push_back(
          {path, text(offset) + " is not aligned", "a multiple of " + text(buffers[i].alignment)});
    }
    if (problem.capacity && end > *problem.capacity) {
      faults.push_back({path, "ends at " + text(end), "at most " + text(*problem.capacity)});
    }
    if (end > plan.height) {
      faults.push_back({path, "ends at " + text(end) + ", above the stated height",
                        "at most " + text(plan.height)});
    }
  }

  // Every pair that shares a step, by rising start.
  std::vector<std::size_t> by_start(buffers.size());
  std::iota(by_start.begin(), by_start.end(), std::size_t{0});
  std::sort(by_start.begin(), by_start.end(),
            [&](std::size_t a, std::size_t b) { return buffers[a].lower < buffers[b].lower; });
  std::vector<std::size_t> alive;
  for (const std::size_t i : by_start) {
    std::erase_if(alive, [&](std::size_t j) { return buffers[j].upper <= buffers[i].lower; });
    for (const std::size_t j : alive) {
      const bool apart = plan.offsets[i] + buffers[i].size <= plan.offsets[j] ||
                         plan.offsets[j] + buffers[j].size <= plan.offsets[i];
      if (apart || buffers[i].size == Bytes(0) || buffers[j].size == Bytes(0)) continue;
      if (faults.size() >= kMostFaults) return faults;
      faults.push_back({"offsets[" + std::to_string(i) + "]",
                        "shares bytes with buffer " + std::to_string(j) + " from step " +
                            std::to_string(buffers[i].lower),
                        "disjoint ranges"});
    }
    alive.push_back(i);
  }
  return faults;
}

}  // namespace mais::graph
