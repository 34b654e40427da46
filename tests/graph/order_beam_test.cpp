#include "graph/order_beam.hpp"

#include <limits>
#include <random>
#include <string>

#include <gmock/gmock.h>

#include "random_graph.hpp"

namespace mais::graph {
namespace {

constexpr std::int64_t kNoBest = std::numeric_limits<std::int64_t>::max();

std::int64_t measured(const OperatorGraph& graph, const StepOrder& steps) {
  std::vector<OpId> order;
  for (const std::int32_t v : steps) order.emplace_back(static_cast<std::uint32_t>(v));
  const Result<Usage> usage = measure(graph, order);
  EXPECT_TRUE(usage) << usage.error().message;
  return usage ? usage->peak_level.count() : -1;
}

TEST(BeamOrder, AsWideAsAllSetsItIsExact) {
  const std::uint64_t seed = 101;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 400; ++i) {
    const OperatorGraph graph = random_graph({1 + random() % 8, 1 + random() % 3}, random);
    const StepOrder order = beam_order(model_of(graph), 256, kNoBest, [] { return false; });
    ASSERT_EQ(measured(graph, order), lowest_peak(graph).count()) << "graph " << i;
  }
}

TEST(BeamOrder, GivesAnOrderBelowTheBestKnownOrNone) {
  const std::uint64_t seed = 102;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  int lower = 0;
  for (int i = 0; i < 40; ++i) {
    const OperatorGraph graph = random_graph({60, 1 + random() % 2, 1000}, random);
    const OrderModel model = model_of(graph);
    const std::int64_t given = peak_of(model, given_order(model)).level;
    const StepOrder order = beam_order(model, 8, given, [] { return false; });
    if (order.empty()) continue;
    ++lower;
    ASSERT_LT(measured(graph, order), given) << "graph " << i;
  }
  EXPECT_GT(lower, 20);
}

TEST(BeamOrder, StopsWhenAsked) {
  std::mt19937_64 random(103);
  const OperatorGraph graph = random_graph({200, 1, 1000}, random);
  EXPECT_TRUE(beam_order(model_of(graph), 4, kNoBest, [] { return true; }).empty());
}

}  // namespace
}  // namespace mais::graph
