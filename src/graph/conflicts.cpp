// Offsets for buffers whose overlaps are given pair by pair.
#include <algorithm>
#include <limits>
#include <numeric>
#include <string>

#include "mais/graph/lifetimes.hpp"

namespace mais::graph {

namespace {

using Order = std::vector<std::size_t>;

std::int64_t rounded(Bytes size, Bytes alignment) {
  const std::int64_t unit = alignment.count();
  return (size.count() + unit - 1) / unit * unit;
}

std::vector<Bytes> place(const ConflictProblem& problem, const Order& order, Bytes& height) {
  std::vector<Bytes> offsets(problem.sizes.size(), Bytes(-1));
  height = Bytes(0);
  std::vector<std::pair<std::int64_t, std::int64_t>> taken;
  for (const std::size_t i : order) {
    taken.clear();
    for (const std::uint32_t j : problem.conflicts[i]) {
      if (offsets[j] < Bytes(0)) continue;
      taken.emplace_back(offsets[j].count(),
                         offsets[j].count() + rounded(problem.sizes[j], problem.alignment));
    }
    std::sort(taken.begin(), taken.end());
    const std::int64_t size = rounded(problem.sizes[i], problem.alignment);
    std::int64_t offset = 0;
    for (const auto& [begin, end] : taken) {
      if (begin >= offset + size) break;
      offset = std::max(offset, end);
    }
    offsets[i] = Bytes(offset);
    height = std::max(height, Bytes(offset + size));
  }
  return offsets;
}

// From each of the heaviest buffers, adds the heaviest that conflicts with all so far.
std::int64_t clique_bound(const ConflictProblem& problem, const Order& by_size) {
  std::int64_t bound = 0;
  const std::size_t starts = std::min<std::size_t>(by_size.size(), 64);
  for (std::size_t k = 0; k < starts; ++k) {
    std::vector<std::uint32_t> common = problem.conflicts[by_size[k]];
    std::int64_t sum = rounded(problem.sizes[by_size[k]], problem.alignment);
    while (!common.empty()) {
      const std::uint32_t next = *std::max_element(
          common.begin(), common.end(),
          [&](std::uint32_t a, std::uint32_t b) { return problem.sizes[a] < problem.sizes[b]; });
      sum += rounded(problem.sizes[next], problem.alignment);
      std::vector<std::uint32_t> rest;
      std::set_intersection(common.begin(), common.end(), problem.conflicts[next].begin(),
                            problem.conflicts[next].end(), std::back_inserter(rest));
      common = std::move(rest);
    }
    bound = std::max(bound, sum);
  }
  return bound;
}

}  // namespace

ArenaPlan plan_conflicts(const ConflictProblem& problem) {
  Order by_size(problem.sizes.size());
  std::iota(by_size.begin(), by_size.end(), std::size_t{0});
  Order given = by_size;
  std::stable_sort(by_size.begin(), by_size.end(), [&](std::size_t a, std::size_t b) {
    return problem.sizes[a] > problem.sizes[b];
  });
  Order by_load = by_size;  // by all that conflicts
  std::vector<std::int64_t> load(problem.sizes.size());
  for (std::size_t i = 0; i < load.size(); ++i) {
    for (const std::uint32_t j : problem.conflicts[i]) load[i] += problem.sizes[j].count();
  }
  std::stable_sort(by_load.begin(), by_load.end(),
                   [&](std::size_t a, std::size_t b) { return load[a] > load[b]; });
  ArenaPlan best{{}, Bytes::max(), Bytes(clique_bound(problem, by_size))};
  for (const Order* order : {&by_size, &by_load, &given}) {
    Bytes height;
    std::vector<Bytes> offsets = place(problem, *order, height);
    if (height < best.height) {
      best.height = height;
      best.offsets = std::move(offsets);
    }
  }
  return best;
}

std::vector<Fault> validate(const ConflictProblem& problem, const ArenaPlan& plan) {
  std::vector<Fault> faults;
  for (std::size_t i = 0; i < problem.sizes.size(); ++i) {
    const std::string path = "offsets[" + std::to_string(i) + "]";
    if (plan.offsets[i] < Bytes(0) || plan.offsets[i] % problem.alignment != Bytes(0)) {
      faults.push_back({path, "is negative or not aligned", ""});
    }
    if (plan.offsets[i] + problem.sizes[i] > plan.height) {
      faults.push_back({path, "ends above the stated height", ""});
    }
    for (const std::uint32_t j : problem.conflicts[i]) {
      const bool apart = plan.offsets[i] + problem.sizes[i] <= plan.offsets[j] ||
                         plan.offsets[j] + problem.sizes[j] <= plan.offsets[i];
      if (j > i && !apart && problem.sizes[i] > Bytes(0) && problem.sizes[j] > Bytes(0)) {
        faults.push_back({path, "shares bytes with " + std::to_string(j), ""});
      }
    }
  }
  return faults;
}

}  // namespace mais::graph
