#include <gmock/gmock.h>

#include "cell_networks.hpp"
#include "mais/graph/lifetimes.hpp"
#include "mais/graph/order.hpp"
#include "training_graph.hpp"

namespace mais::graph {
namespace {

TEST(CellNetworks, TheirOptimalOrderIsProven) {
  for (const CellNetwork& network : cell_networks()) {
    const OperatorGraph graph = CellNetworkBuilder::build(network);
    EXPECT_GE(graph.operators().size(), 600U) << network.name;
    EXPECT_LE(graph.operators().size(), 1000U) << network.name;
    std::vector<OpId> given;
    for (std::uint32_t v = 0; v < graph.operators().size(); ++v) given.emplace_back(v);
    const OrderPlan plan = plan_order(graph);
    EXPECT_TRUE(plan.optimal()) << network.name;
    EXPECT_EQ(measure(graph, plan.order)->peak_level, plan.peak) << network.name;
    EXPECT_LT(plan.peak * 5, measure(graph, given)->peak_level * 4) << network.name;
  }
}

TEST(CellNetworks, TheArenaOfTheBestOrderMeetsItsPeak) {
  const OperatorGraph graph = CellNetworkBuilder::build(cell_networks().front());
  const OrderPlan order = plan_order(graph);
  const Lifetimes lives = lifetimes(graph, order.order).value();
  EXPECT_EQ(load_bound(lives.arenas[0].buffers).value(), order.peak);
  const ArenaPlan plan = plan_arena(lives.arenas[0], {.max_nodes = 200'000}).value();
  EXPECT_TRUE(validate(lives.arenas[0], plan).empty());
  EXPECT_LE(plan.height.count() * 100, order.peak.count() * 106);
}

TEST(TrainingGraphs, OffsetsOfManyBuffersStayWithinAPerCentOfTheBound) {
  const OperatorGraph graph = training_graph(1000, 1);
  const OrderPlan order = plan_order(graph, {.max_states = 0, .max_windows = 0});
  const Lifetimes lives = lifetimes(graph, order.order).value();
  const ArenaPlan plan = plan_arena(lives.arenas[0], {.max_nodes = 0, .max_rounds = 0}).value();
  EXPECT_TRUE(validate(lives.arenas[0], plan).empty());
  EXPECT_LE(plan.height.count() * 100, plan.lower_bound.count() * 101);
}

}  // namespace
}  // namespace mais::graph
