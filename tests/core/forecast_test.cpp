// The survival function of output lengths: against the empirical one, with censoring, and beyond
// what was seen.
#include "mais/core/forecast.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "core/planner_host.hpp"

namespace mais::core {
namespace {

std::int64_t geometric(Random& random, double mean) {
  const double u = (static_cast<double>(random.below(1'000'000)) + 0.5) / 1e6;
  return 1 + static_cast<std::int64_t>(-mean * std::log(u));
}

// The integral of 256 / (256 + g), the first guess, is a logarithm.
TEST(OutputForecast, AtFirstSmallBoundsAreTakenAtTheirWordAndLargeOnesAreNot) {
  const OutputForecast forecast;
  const auto guess = [](double bound) { return 256 * std::log(1 + bound / 256); };
  for (const double bound : {1.0, 20.0, 256.0, 2048.0, 32'768.0}) {
    EXPECT_NEAR(forecast.expected_more(0, bound), guess(bound), 0.01 * guess(bound)) << bound;
    EXPECT_EQ(forecast.survival_given(0, bound, bound), 0);
  }
  // Whoever has got far goes on for about as long.
  EXPECT_NEAR(forecast.survival_given(4096, 4096, 32'768), 0.5, 0.03);
}

TEST(OutputForecast, OfTheFirstGuessLittleIsLeftWhenTenHaveEnded) {
  OutputForecast forecast;
  for (int i = 0; i < 10; ++i) forecast.observe(20);
  EXPECT_LT(forecast.expected_more(0, 32'768), 60);
}

TEST(OutputForecast, FollowsTheEmpiricalSurvival) {
  Random random(1);
  OutputForecast forecast;
  std::vector<std::int64_t> lengths;
  for (int i = 0; i < 3000; ++i) {
    lengths.push_back(geometric(random, 200));
    forecast.observe(lengths.back());
  }
  for (const std::int64_t at : {1, 5, 20, 100, 200, 400, 800}) {
    const auto longer = std::count_if(lengths.begin(), lengths.end(),
                                      [&](std::int64_t length) { return length > at; });
    EXPECT_NEAR(forecast.survival(static_cast<double>(at)), static_cast<double>(longer) / 3000,
                0.02)
        << at;
  }
}

TEST(OutputForecast, WhatWasCutOffAtItsBoundIsNotTakenForShort) {
  Random random(2);
  OutputForecast forecast;
  // Every other one is cut at 100: of the length beyond, the others tell.
  for (int i = 0; i < 4000; ++i) {
    const std::int64_t length = geometric(random, 200);
    const bool cut = i % 2 == 0 && length > 100;
    forecast.observe(cut ? 100 : length, cut);
  }
  EXPECT_NEAR(forecast.survival(200), std::exp(-1.0), 0.04);
}

TEST(OutputForecast, BeyondAllThatWasSeenTwiceAsLongIsAboutHalfAsLikely) {
  OutputForecast forecast;
  for (int i = 0; i < 20; ++i) forecast.observe(100);
  const double just_beyond = forecast.survival(150);
  EXPECT_GT(just_beyond, 0);
  EXPECT_NEAR(forecast.survival(300) / just_beyond, 0.5, 0.1);
  // A bound much larger than anything seen does not make much be reserved.
  EXPECT_LT(forecast.expected_more(0, 32'768), 300);
}

TEST(OutputForecast, NeverRisesAndStaysWithinZeroAndOne) {
  Random random(3);
  OutputForecast forecast;
  for (int i = 0; i < 500; ++i) {
    forecast.observe(geometric(random, static_cast<double>(random.between(1, 3000))),
                     random.one_in(5));
    double before = 1;
    for (double at = 0; at < 20'000; at += 1 + at / 8) {
      const double now = forecast.survival(at);
      ASSERT_LE(now, before + 1e-12);
      ASSERT_GE(now, 0);
      before = now;
    }
  }
}

}  // namespace
}  // namespace mais::core
