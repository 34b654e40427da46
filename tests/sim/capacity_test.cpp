#include "mais/sim/capacity.hpp"

#include <gmock/gmock.h>

#include "mais/sim/step_cost.hpp"
#include "mais/sim/workload.hpp"

namespace mais::sim {
namespace {

// A scheduler whose attainment is known: 1 up to `knee`, then falling as knee / rate.
struct KnownScheduler {
  double knee;
  int replays = 0;
  int stopped = 0;

  ReplayAt replay() {
    return [this](double rate, std::optional<double> stop_below) -> Result<RunResult> {
      ++replays;
      RunResult result;
      result.rate = rate;
      result.requests_per_second = 2 * rate;
      result.attainment = rate <= knee ? 1 : knee / rate;
      if (stop_below && result.attainment < *stop_below) {
        result.stopped_early = true;
        result.attainment = *stop_below * 0.999;  // an upper bound is all that is known
        ++stopped;
      }
      return result;
    };
  }
};

TEST(CapacitySearch, FindsTheKnownCapacityWithinTheTolerance) {
  for (const double knee : {0.0015, 0.03, 0.7, 1.0, 5.5, 900.0}) {
    KnownScheduler scheduler{knee};
    CapacitySearch search(scheduler.replay());
    const double at_90 = *search.largest_rate(0.90);
    EXPECT_LE(at_90, knee / 0.90 * (1 + 1e-12)) << knee;
    EXPECT_GE(at_90, knee / 0.90 / 1.02) << knee;
    const double at_99 = *search.largest_rate(0.99);
    EXPECT_LE(at_99, knee / 0.99 * (1 + 1e-12)) << knee;
    EXPECT_GE(at_99, knee / 0.99 / 1.02) << knee;
  }
}

TEST(CapacitySearch, IsZeroWhereNoRateAttains) {
  KnownScheduler scheduler{0.0001};
  CapacitySearch search(scheduler.replay());
  EXPECT_EQ(*search.largest_rate(0.90), 0);
  EXPECT_EQ(*search.largest_rate(0.99), 0);
}

TEST(CapacitySearch, TakesTheLargerOfTwoAnswers) {
  // Good below 0.1 and between 1 and 3.
  CapacitySearch search(
      [](double rate, std::optional<double>) -> Result<RunResult> {
        RunResult result;
        result.attainment = rate < 0.1 || (rate > 1 && rate < 3) ? 1 : 0;
        return result;
      },
      {.first = 16});
  EXPECT_NEAR(*search.largest_rate(0.9), 3, 0.06);
}

TEST(CapacitySearch, ASecondLevelReusesWhatTheFirstReplayed) {
  KnownScheduler scheduler{0.7};
  CapacitySearch search(scheduler.replay(), {.first = 4});
  ASSERT_TRUE(search.largest_rate(0.90));
  const int first = scheduler.replays;
  ASSERT_TRUE(search.largest_rate(0.99));
  EXPECT_LT(scheduler.replays - first, first);
  EXPECT_EQ(search.points().size(), static_cast<std::size_t>(scheduler.replays));
  EXPECT_GT(scheduler.stopped, 0);
  const int both = scheduler.replays;
  ASSERT_TRUE(search.largest_rate(0.90));
  EXPECT_EQ(scheduler.replays, both);
}

TEST(CapacitySearch, LooksFirstWhereNoSchedulerCarries) {
  const Trace trace = synthetic_workload({.requests = 200, .seed = 3});
  const Scenario scenario = *preset("l4-llama3-8b");
  const double rate = rate_beyond_capacity(trace, scenario);
  // Four times the load at which the last request ends when all of it could.
  const Duration bound = device_of(scenario.config, scenario.config.instances[0])
                             .offline_bound(trace, pool_tokens(scenario));
  EXPECT_NEAR(rate * mean_rate(trace) * to_seconds(bound), 4 * 200, 1e-6);
  Trace one = trace;
  one.requests.resize(1);
  EXPECT_EQ(rate_beyond_capacity(one, scenario), 1);
}

TEST(CapacitySearch, PassesOnTheErrorOfAReplay) {
  CapacitySearch search([](double, std::optional<double>) -> Result<RunResult> {
    return fail(ErrorCode::invalid_argument, "broken");
  });
  const auto rate = search.largest_rate(0.9);
  ASSERT_FALSE(rate);
  EXPECT_EQ(rate.error().message, "broken");
}

}  // namespace
}  // namespace mais::sim
