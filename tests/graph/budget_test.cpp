#include "mais/graph/budget.hpp"

#include <random>

#include <gmock/gmock.h>

#include "mais/graph/order.hpp"
#include "random_graph.hpp"

namespace mais::graph {
namespace {

using namespace mais::literals;
using testing::HasSubstr;

// a is made early and read late; b is large in between.
struct Sandwich {
  OperatorGraph graph;
  std::vector<OpId> order;
};
Sandwich sandwich() {
  GraphBuilder b;
  b.space({"gpu", 1_B});
  b.space({"host", 1_B, 0});
  const TensorId seed = b.tensor({"seed", 1_B});
  const TensorId a = b.tensor({"a", 100_B});
  const TensorId big = b.tensor({"big", 100_B});
  const TensorId small = b.tensor({"small", 1_B});
  const TensorId out = b.tensor({"out", 1_B, {}, {}, true});
  std::vector<OpId> order;
  order.push_back(b.op({.name = "make a", .inputs = {seed}, .outputs = {a}, .time = 3ms}));
  order.push_back(b.op({.name = "make big", .inputs = {seed, a}, .outputs = {small}, .time = 1ms}));
  order.push_back(b.op({.name = "grow", .inputs = {small}, .outputs = {big}, .time = 1ms}));
  order.push_back(b.op({.name = "shrink", .inputs = {big, seed}, .outputs = {out}, .time = 1ms}));
  const TensorId end = b.tensor({"end", 1_B, {}, {}, true});
  order.push_back(b.op({.name = "use a", .inputs = {a, seed}, .outputs = {end}, .time = 1ms}));
  return {b.build().value(), order};
}

TEST(Budget, RecomputeBuysMemoryForTime) {
  const Sandwich s = sandwich();
  const Bytes peak = measure(s.graph, s.order)->peak_level;
  EXPECT_GT(peak, 200_B);
  const BudgetPlan plan = fit_budget(s.graph, s.order, 110_B).value();
  EXPECT_LE(plan.peak, 110_B);
  EXPECT_EQ(measure(plan.graph, plan.order)->peak_level, plan.peak);
  ASSERT_EQ(plan.edits.size(), 1U);
  EXPECT_EQ(plan.edits[0].remedy, Remedy::recompute);
  EXPECT_EQ(plan.exposed, 3ms);
}

TEST(Budget, OffloadIsChosenWhereTransfersHide) {
  const Sandwich s = sandwich();
  const BudgetOptions fast{.offload = Offload{SpaceId(1), {100e3}}};  // 1 ms each way, 2 ms hidden
  const BudgetPlan plan = fit_budget(s.graph, s.order, 110_B, fast).value();
  EXPECT_EQ(plan.edits[0].remedy, Remedy::offload);
  EXPECT_EQ(plan.exposed, 0ms);
  EXPECT_EQ(measure(plan.graph, plan.order)->peak[1], 100_B);
  const BudgetOptions slow{.offload = Offload{SpaceId(1), {1e3}}};
  EXPECT_EQ(fit_budget(s.graph, s.order, 110_B, slow)->edits[0].remedy, Remedy::recompute);
}

TEST(Budget, AnImpossibleBudgetNamesTheClosestPeak) {
  const Sandwich s = sandwich();
  const auto plan = fit_budget(s.graph, s.order, 50_B);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::over_capacity);
  EXPECT_EQ(plan.error().asked, 50);
  EXPECT_LE(plan.error().available.value(), 110);
  EXPECT_THAT(plan.error().message, HasSubstr("the closest reached is"));
}

TEST(Budget, EditedGraphsStayValidAndMeetTheirBudget) {
  const std::uint64_t seed = 51;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  int met = 0;
  for (int i = 0; i < 60; ++i) {
    const OperatorGraph graph = random_graph({20, 1 + random() % 2, 120}, random);
    const OrderPlan order = plan_order(graph, {.max_states = 500});
    const auto plan = fit_budget(graph, order.order, order.peak * 9 / 10);
    if (!plan) continue;
    ++met;
    const auto usage = measure(plan->graph, plan->order);
    ASSERT_TRUE(usage) << usage.error().message;
    ASSERT_EQ(usage->peak_level, plan->peak);
    ASSERT_LE(plan->peak, order.peak * 9 / 10);
  }
  EXPECT_GT(met, 0);
}

}  // namespace
}  // namespace mais::graph
