// Whether a state of least memory lies at the end of a stretch of steps.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/order_model.hpp"

namespace mais::graph {

// `done` are bits of the steps done before the stretch. True: after all of `stretch` memory is, in
// every space, no higher than after any part of it that precedence allows, nothing included. Then
// any order through the start of the stretch can do the stretch first, at no higher peak.
//
// A minimum closure: choosing a set of steps costs what they open and earns what they close, an
// item being earned when all its closers are chosen (project selection; Picard 1976). Solved as one
// maximum flow for each space.
bool is_valley(const OrderModel& model, const std::vector<std::uint64_t>& done,
               const std::vector<std::int32_t>& stretch);

}  // namespace mais::graph
