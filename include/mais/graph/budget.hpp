// Below the optimal peak: what to compute twice or to move to another space, and what that costs.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "mais/graph/operator_graph.hpp"
#include "mais/graph/search_control.hpp"

namespace mais::graph {

// Another space to move tensors to and back.
struct Offload {
  SpaceId to;             // its weight should be 0, or it counts towards the level too
  BytesPerSecond rate{};  // of one direction
};

struct BudgetOptions {
  bool recompute = true;
  std::optional<Offload> offload{};
  int max_edits = 10'000;
  SearchControl control{};
};

enum class Remedy : std::uint8_t { recompute, offload };

struct Edit {
  Remedy remedy = Remedy::recompute;
  TensorId tensor;     // of the original graph
  Bytes freed;         // over the peak it was chosen for
  Duration exposed{};  // time it adds, as estimated: transfers hide behind the operators they span
};

struct BudgetPlan {
  OperatorGraph graph;      // with the added operators; original ids are kept
  std::vector<OpId> order;  // of that graph
  Bytes peak;               // level, within the budget
  std::vector<Edit> edits;
  Duration exposed{};  // of all edits
};

// Edits the graph until the peak level of `order` is within `budget`. At each peak it takes the
// storage alive but unused there that costs the fewest exposed seconds for each byte freed: it is
// moved out after its last use before the peak and back before the next, or produced a second time
// just before that use. (Greedy, after Beaumont et al. 2020, and Patil et al. 2022, POET, who solve
// the joint problem exactly for small graphs.) Every edit is measured on the edited graph from
// scratch and kept only if it lowers the level of that step or its number of peaks.
//
// Errors: invalid_argument (not an order of the graph); over_capacity when nothing is left to edit:
// `asked` is the budget and `available` the closest peak reached. O(edits x (V + E)).
Result<BudgetPlan> fit_budget(const OperatorGraph& graph, const std::vector<OpId>& order,
                              Bytes budget, const BudgetOptions& options = {});

}  // namespace mais::graph
