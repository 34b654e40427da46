// Execution order with the lowest peak memory, and how sure that is.
#pragma once

#include <cstdint>
#include <vector>

#include "mais/graph/operator_graph.hpp"
#include "mais/graph/search_control.hpp"

namespace mais::graph {

// Memory over the steps of an order. The level of a step is the largest, over spaces, of weight x
// bytes in use while its operator runs; with one space of weight 1 it is those bytes.
struct Usage {
  std::vector<Bytes> peak;   // of each space
  std::vector<Bytes> level;  // of each step
  Bytes peak_level;          // what plan_order minimises
};

// Recounts an order from the graph, step by step. Error: not an order of this graph (an operator
// missing, twice, or before one it needs). O(V + E + sum of readers).
Result<Usage> measure(const OperatorGraph& graph, const std::vector<OpId>& order);

struct OrderOptions {
  // Of the exact search, with up to 1,000 operators; n thousand operators get the n^2-th part,
  // since each state costs more. It goes through 100,000 to 200,000 a second at 1,000 operators.
  std::int64_t max_states = 300'000;
  int max_windows = 64;  // re-solved around the peak when the proof does not come
  SearchControl control{};
};

struct OrderPlan {
  std::vector<OpId> order;
  Bytes peak;         // level, as in Usage
  Bytes lower_bound;  // proven: no order has a lower peak
  bool optimal() const noexcept { return peak == lower_bound; }
};

// The best order found within the options, never worse than the best of the fast ones.
//
// Fast orders: as given, depth first, reverse post-order, and greedy by least growth and by least
// peak, each forwards and on the reversed graph; near-linear each. Then an exact best-first search
// over sets of done operators (downsets), keyed by the peak so far; up to 50,000 operators. If the
// proof does not come, windows around the peak are solved exactly, then beams of growing width
// follow. Deterministic, unless `control.stop` cuts in. It cannot fail: every OperatorGraph has an
// order.
OrderPlan plan_order(const OperatorGraph& graph, const OrderOptions& options = {});

}  // namespace mais::graph
