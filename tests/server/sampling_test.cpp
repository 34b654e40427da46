#include "sampling.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <set>

#include <gtest/gtest.h>

namespace server {
namespace {

constexpr std::array<float, 4> kLogits = {1.0F, 3.0F, 2.0F, 3.0F};

TEST(SamplerTest, WithoutATemperatureTheLikeliestTokenIsChosenOfEqualOnesTheLowest) {
  Sampler sampler;
  for (std::int64_t at = 0; at < 20; ++at) {
    EXPECT_EQ(sampler.choose(kLogits, {.top_p = 0.5, .seed = 7}, at), 1);
  }
}

// Chi-squared with 3 degrees of freedom: above 25 once in 60,000 seeds; the seed is fixed.
TEST(SamplerTest, TokensComeAsOftenAsTheSoftmaxOfTheirLogitsSays) {
  Sampler sampler;
  for (const double temperature : {0.5, 1.0, 2.0}) {
    std::array<double, 4> expected{}, counted{};
    double all = 0;
    for (std::size_t i = 0; i < 4; ++i) all += expected[i] = std::exp(kLogits[i] / temperature);
    constexpr std::int64_t kDrawn = 20'000;
    for (std::int64_t at = 0; at < kDrawn; ++at) {
      ++counted[static_cast<std::size_t>(
          sampler.choose(kLogits, {.temperature = temperature, .seed = 5}, at))];
    }
    double squares = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const double mean = expected[i] / all * static_cast<double>(kDrawn);
      squares += (counted[i] - mean) * (counted[i] - mean) / mean;
    }
    EXPECT_LT(squares, 25) << "temperature " << temperature;
  }
}

TEST(SamplerTest, TopPKeepsTheLikeliestThatHaveSoMuchTogether) {
  Sampler sampler;
  const auto seen = [&](double top_p) {
    std::set<Token> tokens;
    for (std::int64_t at = 0; at < 2'000; ++at) {
      tokens.insert(sampler.choose(kLogits, {.temperature = 1, .top_p = top_p, .seed = 3}, at));
    }
    return tokens;
  };
  // Softmax of the logits: 0.054, 0.399, 0.147, 0.399, and so 1, 3, 2, 0 by likelihood.
  EXPECT_EQ(seen(0), (std::set<Token>{1}));
  EXPECT_EQ(seen(0.39), (std::set<Token>{1}));
  EXPECT_EQ(seen(0.79), (std::set<Token>{1, 3}));
  EXPECT_EQ(seen(0.9), (std::set<Token>{1, 2, 3}));
  EXPECT_EQ(seen(1), (std::set<Token>{0, 1, 2, 3}));
}

TEST(SamplerTest, ATokenDependsOnSeedAndPositionAndOnNothingThatWasChosenBefore) {
  Sampler one, other;
  const Sampling sampling{.temperature = 1, .seed = 11};
  std::array<Token, 50> forwards{};
  for (std::size_t at = 0; at < 50; ++at) {
    forwards[at] = one.choose(kLogits, sampling, static_cast<std::int64_t>(at));
  }
  for (std::size_t at = 50; at-- > 0;) {
    EXPECT_EQ(other.choose(kLogits, sampling, static_cast<std::int64_t>(at)), forwards[at]);
  }
  int differ = 0;
  for (std::size_t at = 0; at < 50; ++at) {
    differ += one.choose(kLogits, {.temperature = 1, .seed = 12}, static_cast<std::int64_t>(at)) !=
              forwards[at];
  }
  EXPECT_GT(differ, 10);
}

TEST(SamplerTest, LogitsThatAreNoNumbersDoNotHangIt) {
  Sampler sampler;
  const float none = -std::numeric_limits<float>::infinity();
  const Sampling sampling{.temperature = 1, .top_p = 0.5};
  EXPECT_EQ(sampler.choose(std::array{none, none}, sampling, 0), 0);
  EXPECT_EQ(sampler.choose(std::array{none, 1.0F, none}, sampling, 0), 1);
}

}  // namespace
}  // namespace server
