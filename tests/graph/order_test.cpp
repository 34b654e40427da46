#include "mais/graph/order.hpp"

#include <random>
#include <string>

#include <gmock/gmock.h>

#include "random_graph.hpp"
#include "training_graph.hpp"

namespace mais::graph {
namespace {

using namespace mais::literals;
using testing::ElementsAre;
using testing::HasSubstr;

#ifdef MAIS_LONG_TESTS
constexpr int kScale = 10;
#else
constexpr int kScale = 1;
#endif

TEST(Order, TheSearchAgreesWithEveryOrderOfSmallGraphs) {
  const std::uint64_t seed = 21;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 5000 * kScale; ++i) {
    const RandomGraph shape{1 + random() % 9, 1 + random() % 3};
    const OperatorGraph graph = random_graph(shape, random);
    const OrderPlan plan = plan_order(graph);
    const Result<Usage> usage = measure(graph, plan.order);
    ASSERT_TRUE(usage) << "graph " << i << ": " << usage.error().message;
    ASSERT_EQ(usage->peak_level, plan.peak) << "graph " << i;
    ASSERT_EQ(plan.peak, lowest_peak(graph)) << "graph " << i;
    ASSERT_TRUE(plan.optimal()) << "graph " << i;
  }
}

TEST(Order, ABudgetOfAnySizeLeavesAValidOrderAndAValidBound) {
  const std::uint64_t seed = 22;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 200 * kScale; ++i) {
    const OperatorGraph graph = random_graph({8, 1 + random() % 2}, random);
    const Bytes lowest = lowest_peak(graph);
    for (const std::int64_t states : {0, 2, 8, 32}) {
      const OrderPlan plan = plan_order(graph, {.max_states = states, .max_windows = 2});
      ASSERT_EQ(measure(graph, plan.order)->peak_level, plan.peak);
      ASSERT_LE(plan.lower_bound, lowest);
      ASSERT_GE(plan.peak, lowest);
    }
  }
}

TEST(Order, MediumGraphsNeverGetWorseThanTheGivenOrder) {
  std::mt19937_64 random(23);
  for (int i = 0; i < 30 * kScale; ++i) {
    const OperatorGraph graph = random_graph({60, 1 + random() % 2, 1000}, random);
    std::vector<OpId> given;
    for (std::uint32_t v = 0; v < 60; ++v) given.emplace_back(v);
    const OrderPlan plan = plan_order(graph, {.max_states = 3000, .max_windows = 4});
    EXPECT_EQ(measure(graph, plan.order)->peak_level, plan.peak);
    EXPECT_LE(plan.peak, measure(graph, given)->peak_level);
    EXPECT_LE(plan.lower_bound, plan.peak);
  }
}

// The activations that training keeps for the backward pass are in the bound of large graphs too.
TEST(Order, TheBoundOfALargeTrainingGraphIsNearItsPeak) {
  const OperatorGraph graph = training_graph(600, 1);
  ASSERT_GT(graph.operators().size(), 4000U);
  const OrderPlan plan = plan_order(graph, {.max_windows = 2});
  EXPECT_EQ(measure(graph, plan.order)->peak_level, plan.peak);
  EXPECT_LE(plan.peak.count() * 100, plan.lower_bound.count() * 105);
}

// x is read by a (in place) and b. Only if b runs first may a reuse x.
TEST(Order, InPlaceNeedsToBeTheLastReader) {
  GraphBuilder b;
  b.space({"memory", 1_B});
  const TensorId x = b.tensor({"x", 10_B});
  const TensorId y = b.tensor({"y", 10_B, {}, {}, true});
  const TensorId z = b.tensor({"z", 1_B, {}, {}, true});
  const OpId in_place = b.op({"a", {x}, {y}, {}, {}, {{x, y}}});
  const OpId reader = b.op({"b", {x}, {z}});
  const OperatorGraph graph = b.build().value();
  EXPECT_EQ(measure(graph, {in_place, reader})->peak_level, 21_B);
  EXPECT_EQ(measure(graph, {reader, in_place})->peak_level, 11_B);
  const OrderPlan plan = plan_order(graph);
  EXPECT_THAT(plan.order, ElementsAre(reader, in_place));
  EXPECT_TRUE(plan.optimal());
}

TEST(Order, AViewKeepsItsStorageAlive) {
  GraphBuilder b;
  b.space({"memory", 1_B});
  const TensorId x = b.tensor({"x", 8_B});
  const TensorId view = b.tensor({.name = "view", .view_of = x});
  const TensorId y = b.tensor({"y", 4_B, {}, {}, true});
  const OpId reshape = b.op({"reshape", {x}, {view}});
  const OpId reader = b.op({"reader", {view}, {y}});
  const OperatorGraph graph = b.build().value();
  const Usage usage = measure(graph, {reshape, reader}).value();
  EXPECT_THAT(usage.level, ElementsAre(8_B, 12_B));
}

TEST(Order, SpacesAreWeighedAndWorkspaceLastsOneStep) {
  GraphBuilder b;
  const SpaceId device = b.space({"device", 64_B, 2});
  const SpaceId host = b.space({"host", 1_B, 1});
  const TensorId x = b.tensor({"x", 100_B, device});
  const TensorId y = b.tensor({"y", 10_B, host, {}, true});
  const OpId copy = b.op({"copy", {x}, {y}, {}, {{1_B, device}, {500_B, host}}});
  const Usage usage = measure(b.build().value(), {copy}).value();
  EXPECT_THAT(usage.peak, ElementsAre(192_B, 510_B));  // 128 + 64 and 10 + 500
  EXPECT_EQ(usage.peak_level, 510_B);
}

TEST(Order, AnEmptyGraphHasAnEmptyOrder) {
  const OrderPlan plan = plan_order(GraphBuilder().build().value());
  EXPECT_TRUE(plan.order.empty());
  EXPECT_EQ(plan.peak, 0_B);
  EXPECT_TRUE(plan.optimal());
}

TEST(Order, MeasureRefusesWhatIsNoOrder) {
  GraphBuilder b;
  const TensorId x = b.tensor({"x", 1_B});
  const OpId first = b.op({"first", {}, {x}});
  const OpId second = b.op({"second", {x}, {}});
  const OperatorGraph graph = b.build().value();
  EXPECT_TRUE(measure(graph, {first, second}));
  EXPECT_THAT(measure(graph, {second, first}).error().message, HasSubstr("which it needs"));
  EXPECT_THAT(measure(graph, {first}).error().message, HasSubstr("1 steps for 2 operators"));
  EXPECT_THAT(measure(graph, {first, first}).error().message, HasSubstr("was run before"));
  EXPECT_THAT(measure(graph, {first, OpId(9)}).error().message, HasSubstr("does not exist"));
}

TEST(OperatorGraph, BuildNamesWhatIsWrong) {
  const auto message = [](auto declare) {
    GraphBuilder b;
    declare(b);
    const Result<OperatorGraph> graph = b.build();
    return graph ? std::string() : graph.error().message;
  };
  EXPECT_THAT(message([](auto& b) { b.tensor({"x"}); }), HasSubstr("tensor 0 (x) has no size"));
  EXPECT_THAT(message([](auto& b) { b.tensor({"x", -(1_B)}); }), HasSubstr("negative size"));
  EXPECT_THAT(message([](auto& b) { b.tensor({"x", Bytes::max()}); }), HasSubstr("2^62"));
  EXPECT_THAT(message([](auto& b) { b.tensor({"x", 1_B, SpaceId(3)}); }), HasSubstr("space 3"));
  EXPECT_THAT(message([](auto& b) { b.space({"s", 3_B}); }), HasSubstr("power of two"));
  EXPECT_THAT(message([](auto& b) {
                b.tensor({"x", {}, {}, TensorId(0)});
              }),
              HasSubstr("a view of itself"));
  EXPECT_THAT(message([](auto& b) {
                b.tensor({"x", {}, {}, TensorId(7)});
              }),
              HasSubstr("nobody declared"));
  EXPECT_THAT(message([](auto& b) {
                b.op({"v", {TensorId(0)}});
              }),
              HasSubstr("operator 0 (v) reads a tensor nobody declared"));
  EXPECT_THAT(message([](auto& b) {
                const TensorId x = b.tensor({"x", 1_B});
                b.op({"v", {}, {x}});
                b.op({"w", {}, {x}});
              }),
              HasSubstr("is written by operator 1 (w) and by operator 0 (v)"));
  EXPECT_THAT(message([](auto& b) {
                const TensorId x = b.tensor({"x", 1_B});
                const TensorId y = b.tensor({"y", 1_B});
                b.op({"v", {x}, {y}});
                b.op({"w", {y}, {x}});
              }),
              HasSubstr("cycle"));
  EXPECT_THAT(message([](auto& b) {
                const TensorId x = b.tensor({"x", 1_B});
                const TensorId y = b.tensor({"y", 65_B});
                b.op({"v", {x}, {y}, {}, {}, {{x, y}}});
              }),
              HasSubstr("in place, tensor 1 (y) has 128 aligned bytes"));
  EXPECT_THAT(message([](auto& b) {
                const TensorId x = b.tensor({"x", 1_B});
                const TensorId y = b.tensor({"y", 1_B});
                b.op({"v", {x}, {y}, {}, {}, std::vector<InPlace>(65, InPlace{x, y})});
              }),
              HasSubstr("operator 0 (v) has 65 in-place pairs; at most 64"));
  EXPECT_THAT(message([](auto& b) {
                b.op({"v", {}, {}, {OpId(4)}});
              }),
              HasSubstr("waits for an operator nobody declared"));
  EXPECT_THAT(message([](auto& b) {
                b.op({"v", {}, {}, {}, {{-(1_B)}}});
              }),
              HasSubstr("workspace of -1 bytes"));
  EXPECT_THAT(message([](auto& b) {
                b.op({"v", {}, {}, {}, {{Bytes(std::int64_t{1} << 61)}, {Bytes::max()}}});
              }),
              HasSubstr("operator 0 (v): sizes and workspaces up to here exceed 2^62 bytes"));
}

}  // namespace
}  // namespace mais::graph
