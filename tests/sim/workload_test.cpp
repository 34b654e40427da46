#include "mais/sim/workload.hpp"

#include <algorithm>
#include <set>

#include <gmock/gmock.h>

namespace mais::sim {
namespace {

using namespace mais::literals;

double median(std::vector<std::int64_t> values) {
  std::sort(values.begin(), values.end());
  return static_cast<double>(values[values.size() / 2]);
}

TEST(Workload, SaysThatItIsSyntheticAndKeepsThePublishedMedians) {
  const Trace trace = synthetic_workload({.requests = 20'000});
  EXPECT_TRUE(trace.synthetic);
  EXPECT_EQ(trace.name, "synthetic conversation");
  std::vector<std::int64_t> prompts, outputs;
  for (const TraceRequest& request : trace.requests) {
    prompts.push_back(request.prompt.count());
    outputs.push_back(request.output.count());
  }
  EXPECT_NEAR(median(prompts), 1020, 20);
  EXPECT_NEAR(median(outputs), 129, 5);
  EXPECT_NEAR(mean_rate(trace), 5.5, 0.2);
  EXPECT_EQ(*std::max_element(prompts.begin(), prompts.end()) <= 14'050, true);
}

TEST(Workload, TheSeedDecidesEverything) {
  const auto arrivals = [](std::uint64_t seed) {
    std::vector<std::int64_t> all;
    for (const TraceRequest& r : synthetic_workload({.requests = 100, .seed = seed}).requests) {
      all.push_back(r.arrival.count() ^ r.prompt.count() ^ r.output.count());
    }
    return all;
  };
  EXPECT_EQ(arrivals(7), arrivals(7));
  EXPECT_NE(arrivals(7), arrivals(8));
}

TEST(Workload, SessionsSharePrefixesOfWholeBlocks) {
  const Trace trace = synthetic_workload({.kind = WorkloadKind::long_context, .requests = 1000});
  EXPECT_EQ(trace.prefix_block, 512_tok);
  std::set<BlockHash> seen;
  std::size_t shared = 0, all = 0;
  for (const TraceRequest& request : trace.requests) {
    EXPECT_LE(Tokens(request.prefix_count * 512), request.prompt);
    for (const BlockHash hash : trace.prefix_of(request)) {
      shared += seen.insert(hash).second ? 0 : 1;
      ++all;
    }
  }
  EXPECT_GT(shared, all / 10);
  EXPECT_LT(shared, all / 2);
}

}  // namespace
}  // namespace mais::sim
