// Beam search over downsets: where the exact search runs out of states, the most promising states
// of each depth still reach the end.
#pragma once

#include <cstdint>
#include <functional>

#include "graph/order_model.hpp"
#include "graph/order_portfolio.hpp"

namespace mais::graph {

// Extends the `width` best sets of done steps of each size, lowest peak so far first, then least
// memory in use; sets met twice count once. An order with a peak below `best`, or an empty one.
// O(steps x width x ready steps).
StepOrder beam_order(const OrderModel& model, std::size_t width, std::int64_t best,
                     const std::function<bool()>& stop);

}  // namespace mais::graph
