// The cost fit against worlds whose rates are known: it starts with wrong ones and finds them.
#include "mais/core/cost_fit.hpp"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "core/planner_host.hpp"

namespace mais::core {
namespace {

// An 8B model on an L4, in seconds.
constexpr CostModel kTrue{.token_s = 220e-6,
                          .weights_s = 67e-3,
                          .pair_s = 7.2e-9,
                          .context_s = 546e-9,
                          .overhead_s = 1e-3};

// Between 1 / most and most, by powers of the same.
double factor(Random& random, double most) {
  const double u = static_cast<double>(random.below(1'000'001)) / 1e6;
  return std::pow(most, 2 * u - 1);
}

CostModel wrong(Random& random, double most) {
  CostModel model = kTrue;
  for (double* rate :
       {&model.token_s, &model.weights_s, &model.pair_s, &model.context_s, &model.overhead_s}) {
    *rate *= factor(random, most);
  }
  return model;
}

// A step as a server forms them: some decodes, mostly with a prompt chunk beside them.
StepWork step_of(Random& random) {
  StepWork work;
  for (std::int64_t i = random.between(1, 40); i > 0; --i) {
    work.add(static_cast<double>(random.between(50, 3000)), 1);
  }
  if (!random.one_in(4)) {
    const auto tokens = static_cast<double>(random.between(16, 1024));  // in an order that is fixed
    work.add(static_cast<double>(random.below(4000)), tokens);
  }
  return work;
}

double off(const CostModel& model, const StepWork& work) {
  return std::abs(model.seconds(work) / kTrue.seconds(work) - 1);
}

TEST(CostFit, RatesOffByTwoAreFoundWithinTwoHundredSteps) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    CostFit fit(wrong(random, 2));
    for (int i = 0; i < 200; ++i) {
      const StepWork work = step_of(random);
      fit.observe(work, kTrue.seconds(work));
    }
    double mean = 0;
    for (int i = 0; i < 200; ++i) mean += off(fit.model(), step_of(random)) / 200;
    EXPECT_LT(mean, 0.02) << "seed " << seed;
    EXPECT_TRUE(fit.learned());
    EXPECT_LT(fit.error(), 0.05) << "seed " << seed;
  }
}

TEST(CostFit, NoiseAndOutliersDoNotThrowItOff) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    CostFit fit(wrong(random, 2));
    for (int i = 0; i < 1000; ++i) {
      const StepWork work = step_of(random);
      double took = kTrue.seconds(work) * (1 + 0.05 * (factor(random, 2) - 1));
      if (random.one_in(25)) took *= 30;   // somebody else had the device
      if (random.one_in(25)) took *= 0.2;  // a clock that was set back
      fit.observe(work, took);
    }
    double mean = 0;
    for (int i = 0; i < 200; ++i) mean += off(fit.model(), step_of(random)) / 200;
    EXPECT_LT(mean, 0.08) << "seed " << seed;
  }
}

TEST(CostFit, FollowsADeviceThatSlowsDown) {
  Random random(3);
  CostFit fit(kTrue);
  const auto run = [&](double slower) {
    double mean = 0;
    for (int i = 0; i < 600; ++i) {
      const StepWork work = step_of(random);
      const double took = slower * kTrue.seconds(work);
      if (i >= 400) mean += std::abs(fit.model().seconds(work) / took - 1) / 200;
      fit.observe(work, took);
    }
    return mean;
  };
  EXPECT_LT(run(1), 1e-6);
  EXPECT_LT(run(1.5), 0.02);
  EXPECT_LT(run(0.8), 0.02);
}

TEST(CostFit, WhatNothingWasSaidOfStaysAsItWas) {
  Random random(5);
  CostModel believed = kTrue;
  believed.pair_s *= 2;
  CostFit fit(believed);
  for (int i = 0; i < 500; ++i) {  // decodes alone: never bound by compute
    StepWork work;
    for (int k = 0; k < 8; ++k) work.add(static_cast<double>(random.between(500, 2000)), 1);
    fit.observe(work, 1.2 * kTrue.seconds(work));
  }
  EXPECT_EQ(fit.model().pair_s, believed.pair_s);
  EXPECT_EQ(fit.model().token_s, believed.token_s);
}

TEST(CostFit, BeginsFromNothing) {
  Random random(7);
  CostFit fit{CostModel{}};
  EXPECT_FALSE(fit.learned());
  double mean = 0;
  for (int i = 0; i < 600; ++i) {
    const StepWork work = step_of(random);
    if (i >= 400) mean += off(fit.model(), work) / 200;
    fit.observe(work, kTrue.seconds(work));
  }
  EXPECT_LT(mean, 0.15);
}

TEST(CostFit, PredictionsRiseWithTheWorkWhateverIsObserved) {
  Random random(9);
  CostFit fit(wrong(random, 2));
  for (int i = 0; i < 2000; ++i) {
    const StepWork work = step_of(random);
    fit.observe(work, kTrue.seconds(work) * factor(random, 20));
    const CostModel& model = fit.model();
    for (const double rate :
         {model.token_s, model.weights_s, model.pair_s, model.context_s, model.overhead_s}) {
      ASSERT_GT(rate, 0);
      ASSERT_TRUE(std::isfinite(rate));
    }
    StepWork more = work;
    more.add(100, 1);
    ASSERT_GE(model.seconds(more), model.seconds(work));
  }
}

TEST(CostFit, AbsurdReportsAreIgnored) {
  CostFit fit(kTrue);
  StepWork work;
  work.add(0, 10);
  fit.observe(work, 0);
  fit.observe(work, -1);
  fit.observe(StepWork{}, 1);
  EXPECT_EQ(fit.observed(), 0U);
}

}  // namespace
}  // namespace mais::core
