#include "mais/graph/lifetimes.hpp"

#include <random>

#include <gmock/gmock.h>

#include "mais/graph/order.hpp"
#include "mais/graph/shape.hpp"
#include "random_graph.hpp"

namespace mais::graph {
namespace {

using namespace mais::literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Lifetimes, TheLoadOfTheBuffersIsThePeakOfTheOrder) {
  const std::uint64_t seed = 31;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2000; ++i) {
    const OperatorGraph graph = random_graph({1 + random() % 12, 1 + random() % 3}, random);
    const OrderPlan order = plan_order(graph, {.max_states = 10});
    const Usage usage = measure(graph, order.order).value();
    const Lifetimes lives = lifetimes(graph, order.order).value();
    for (std::size_t s = 0; s < lives.arenas.size(); ++s) {
      ASSERT_EQ(load_bound(lives.arenas[s].buffers).value(), usage.peak[s]) << "graph " << i;
    }
  }
}

TEST(Lifetimes, StorageSharedInPlaceHasOneBuffer) {
  GraphBuilder b;
  const TensorId x = b.tensor({"x", 64_B});
  const TensorId y = b.tensor({"y", 64_B, {}, {}, true});
  const OpId relu = b.op({"relu", {x}, {y}, {}, {}, {{x, y}}});
  const Lifetimes lives = lifetimes(b.build().value(), {relu}).value();
  EXPECT_EQ(lives.arenas[0].buffers.size(), 1U);
  EXPECT_EQ(lives.storages[0].buffer, lives.storages[1].buffer);
}

TEST(Streams, OneStreamConflictsWhereIntervalsOverlap) {
  const std::uint64_t seed = 32;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 300; ++i) {
    OperatorGraph graph = random_graph({1 + random() % 10, 1}, random);
    const std::vector<OpId> order = plan_order(graph).order;
    const StreamConflicts streams = stream_conflicts(graph, {order}, SpaceId(0)).value();
    const ArenaPlan plan = plan_conflicts(streams.problem);
    EXPECT_THAT(validate(streams.problem, plan), IsEmpty());
    EXPECT_GE(plan.height, plan.lower_bound);
    // Without in-place, conflicts are exactly the overlaps of lifetimes.
    std::vector<std::pair<std::size_t, std::size_t>> life;
    std::vector<std::size_t> step(order.size());
    for (std::size_t k = 0; k < order.size(); ++k) step[order[k].value()] = k;
    for (const Storage& s : graph.storages()) {
      const std::size_t from = s.producer ? step[s.producer->value()] : 0;
      std::size_t to = from;
      for (const OpId reader : s.readers) to = std::max(to, step[reader.value()]);
      life.emplace_back(s.producer ? from : 0, s.keep ? order.size() : to);
    }
    for (std::uint32_t a = 0; a < life.size(); ++a) {
      for (std::uint32_t c = a + 1; c < life.size(); ++c) {
        const bool overlap = life[a].first <= life[c].second && life[c].first <= life[a].second;
        const auto& list = streams.problem.conflicts[a];
        const bool conflict = std::find(list.begin(), list.end(), c) != list.end();
        const bool inputs = !graph.storages()[a].producer && !graph.storages()[c].producer;
        EXPECT_TRUE(conflict == overlap || inputs) << "graph " << i;
      }
    }
  }
}

TEST(Streams, ParallelBranchesConflictAndAWaitSeparatesThem) {
  const auto conflicts = [](bool wait) {
    GraphBuilder b;
    const TensorId x = b.tensor({"x", 64_B});
    const TensorId y = b.tensor({"y", 64_B});
    const OpId make = b.op({"make", {}, {x}});
    const OpId use = b.op({"use", {x}, {}});
    const OpId other =
        b.op({"other", {}, {y}, wait ? std::vector<OpId>{use} : std::vector<OpId>{}});
    return stream_conflicts(b.build().value(), {{make, use}, {other}}, SpaceId(0))
        .value()
        .problem.conflicts[0]
        .size();
  };
  EXPECT_EQ(conflicts(false), 1U);
  EXPECT_EQ(conflicts(true), 0U);
}

TEST(Streams, StreamsThatContradictTheGraphAreRefused) {
  GraphBuilder b;
  const TensorId x = b.tensor({"x", 64_B});
  const OpId first = b.op({"first", {}, {x}});
  const OpId second = b.op({"second", {x}, {}});
  const OperatorGraph graph = b.build().value();
  const auto message = [&](std::vector<std::vector<OpId>> streams) {
    return stream_conflicts(graph, streams, SpaceId(0)).error().message;
  };
  EXPECT_THAT(message({{second, first}}), HasSubstr("contradicts"));
  EXPECT_THAT(message({{first}}), HasSubstr("operator 1 is in no stream"));
  EXPECT_THAT(message({{first, second}, {first}}), HasSubstr("in two streams"));
}

TEST(Shape, NamedDimensionsCountTheirBoundAndBucket) {
  const DimensionBounds bounds = {{"N", {8}}, {"T", {100, {64, 128}}}};
  EXPECT_EQ(bytes_at_most({std::int64_t{2}, "N", "T"}, 4_B, bounds).value(),
            Bytes(2 * 8 * 128 * 4));
  EXPECT_EQ(bytes_at_most({}, 4_B, bounds).value(), 4_B);
  EXPECT_THAT(bytes_at_most({"M"}, 4_B, bounds).error().message,
              HasSubstr("(M) has no upper bound"));
  EXPECT_THAT(bytes_at_most({std::int64_t{-1}}, 4_B, bounds).error().message, HasSubstr("is -1"));
  EXPECT_THAT(bytes_at_most({"T"}, 4_B, {{"T", {200, {64}}}}).error().message,
              HasSubstr("longer than every bucket"));
  EXPECT_THAT(bytes_at_most({INT64_MAX, INT64_MAX}, 4_B, bounds).error().message,
              HasSubstr("2^62"));
}

}  // namespace
}  // namespace mais::graph
