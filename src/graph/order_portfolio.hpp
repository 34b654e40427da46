// Fast orders, near-linear each.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/order_model.hpp"

namespace mais::graph {

using StepOrder = std::vector<std::int32_t>;

StepOrder given_order(const OrderModel& model);        // lowest index first
StepOrder depth_first_order(const OrderModel& model);  // follows what became ready last
StepOrder post_order(const OrderModel& model);         // everything a result needs, then the result
StepOrder least_growth_order(const OrderModel& model);  // the ready step that adds least
StepOrder least_peak_order(const OrderModel& model);    // the ready step that needs least to run

}  // namespace mais::graph
