// Upper bounds of known confidence: how often they hold in worlds that stand still, drift, jump,
// have heavy tails or change their mix, how tight they become, and that a text carries them over.
#include "mais/core/calibration.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/planner_host.hpp"

namespace mais::core {
namespace {

double uniform(Random& random) {
  return (static_cast<double>(random.below(1'000'000)) + 0.5) / 1e6;
}

double normal(Random& random) {  // Box and Muller
  return std::sqrt(-2 * std::log(uniform(random))) * std::cos(6.283185307179586 * uniform(random));
}

double lognormal(Random& random, double middle, double sigma) {
  return middle * std::exp(sigma * normal(random));
}

// What is measured over what was predicted, sample by sample.
struct World {
  const char* name;
  std::function<double(Random&, int)> ratio;
};

std::vector<World> worlds() {
  return {
      {"exact", [](Random&, int) { return 1.0; }},
      {"quiet", [](Random& random, int) { return lognormal(random, 0.8, 0.02); }},
      {"usual", [](Random& random, int) { return lognormal(random, 1.1, 0.1); }},
      {"loud", [](Random& random, int) { return lognormal(random, 1.5, 0.4); }},
      {"rises", [](Random& random, int i) { return lognormal(random, 1 + i * 2e-4, 0.05); }},
      {"falls", [](Random& random, int i) { return lognormal(random, 3 - i * 2e-4, 0.05); }},
      {"jumps",
       [](Random& random, int i) { return lognormal(random, i / 1500 % 2 == 0 ? 1 : 1.6, 0.05); }},
      // A quantile of the last samples alone is too low for a while after each step.
      {"climbs in steps",
       [](Random& random, int i) { return lognormal(random, 1 + 0.3 * (i / 500), 0.05); }},
      {"heavy tail", [](Random& random, int) { return std::pow(uniform(random), -1 / 2.5); }},
      // A batch mix that is foreseen badly comes just when it was forgotten.
      {"forgotten mix",
       [](Random& random, int i) { return lognormal(random, i % 640 < 620 ? 1 : 1.7, 0.03); }},
      {"two mixes",
       [](Random& random, int) { return lognormal(random, random.one_in(3) ? 1.4 : 0.9, 0.05); }},
      {"rare mix",
       [](Random& random, int) { return lognormal(random, random.one_in(200) ? 2 : 1, 0.02); }},
  };
}

class Coverage : public ::testing::TestWithParam<std::size_t> {};

TEST_P(Coverage, OfNinetyNinePercentIsNeverBelowNinetyEightAndAHalf) {
  const World world = worlds()[GetParam()];
#ifdef MAIS_LONG_TESTS
  constexpr std::uint64_t kSeeds = 200;
#else
  constexpr std::uint64_t kSeeds = 10;
#endif
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Random random(seed);
    UpperBound bound;
    constexpr int kSamples = 5000;
    for (int i = 0; i < kSamples; ++i) bound.observe(world.ratio(random, i));
    EXPECT_EQ(bound.observed(), static_cast<std::uint64_t>(kSamples));
    EXPECT_GE(1 - static_cast<double>(bound.missed()) / kSamples, 0.985)
        << world.name << ", seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Of, Coverage, ::testing::Range(std::size_t{0}, worlds().size()),
                         [](const auto& of) {
                           std::string name = worlds()[of.param].name;
                           std::replace(name.begin(), name.end(), ' ', '_');
                           return name;
                         });

TEST(UpperBound, IsWithinTenPercentOfTheTrueNeedAfterFiveHundredSamples) {
  constexpr double kNormal99 = 2.326;
  for (const double sigma : {0.01, 0.05, 0.1}) {
    const double need = 0.7 * std::exp(kNormal99 * sigma);
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      Random random(seed);
      UpperBound bound;
      for (int i = 0; i < 500; ++i) bound.observe(lognormal(random, 0.7, sigma));
      double sum = 0;
      constexpr int kMore = 500;
      for (int i = 0; i < kMore; ++i) {
        sum += bound.factor();
        bound.observe(lognormal(random, 0.7, sigma));
      }
      EXPECT_LE(sum / kMore, 1.1 * need) << sigma << ", seed " << seed;
      EXPECT_GE(sum / kMore, 0.97 * need) << sigma << ", seed " << seed;
    }
  }
}

TEST(UpperBound, WithFewSamplesTheMarginShrinksWithEachOfThem) {
  UpperBound bound;
  EXPECT_EQ(bound.factor(), 1.3);
  double before = bound.factor();
  for (int i = 0; i < 98; ++i) {
    bound.observe(1);
    EXPECT_LT(bound.factor(), before);
    EXPECT_GE(bound.factor(), 1);
    before = bound.factor();
  }
  EXPECT_LT(before, 1.02);
}

TEST(UpperBound, AMissLiftsItAtOnceAboveWhatWasMeasured) {
  UpperBound bound;
  for (int i = 0; i < 1000; ++i) bound.observe(1);
  ASSERT_LT(bound.factor(), 1.2);
  bound.observe(2);
  EXPECT_EQ(bound.missed(), 1U);
  EXPECT_GT(bound.factor(), 2);
  // Once only: it is forgotten again.
  for (int i = 0; i < 1000; ++i) bound.observe(1);
  EXPECT_LT(bound.factor(), 1.1);
}

TEST(UpperBound, ConfidenceIsWhatItIsSetTo) {
  for (const double confidence : {0.8, 0.95, 0.999}) {
    Random random(4);
    UpperBound bound({.confidence = confidence, .window = 4096});
    constexpr int kSamples = 40'000;
    for (int i = 0; i < kSamples; ++i) bound.observe(lognormal(random, 1, 0.1));
    const double missed = static_cast<double>(bound.missed()) / kSamples;
    EXPECT_LE(missed, 1.15 * (1 - confidence));
  }
}

TEST(Calibration, KeysAreCalibratedOnTheirOwn) {
  Calibration calibration;
  const CalibrationKey weights{"llama", "q4", "weights"}, state{"llama", "q4", "state"};
  for (int i = 0; i < 200; ++i) calibration.observe(weights, Bytes(1000), Bytes(1010));
  EXPECT_NEAR(static_cast<double>(calibration.bound(weights, Bytes(1'000'000)).count()), 1'010'000,
              20'000);
  EXPECT_EQ(calibration.bound(state, Bytes(1000)), Bytes(1300));
  EXPECT_EQ(calibration.find(state), nullptr);
  EXPECT_EQ(calibration.bound(state, Bytes::max()), Bytes::max());
}

TEST(Calibration, WhatIsReadBackGoesOnExactlyAsItWouldHave) {
  Random random(5);
  Calibration calibration({.window = 128});
  const CalibrationKey odd{"a\tb\\n", "line\nend", ""}, plain{"llama", "tp2", "workspace"};
  for (int i = 0; i < 300; ++i) {
    calibration.observe(odd, Bytes(1000), Bytes(static_cast<std::int64_t>(random.below(2000))));
    if (i < 50) calibration.observe(plain, Bytes(7), Bytes(static_cast<std::int64_t>(i % 9)));
  }
  auto read = Calibration::parse(calibration.text(), {.window = 128});
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->text(), calibration.text());
  for (int i = 0; i < 300; ++i) {
    for (const CalibrationKey& key : {odd, plain}) {
      ASSERT_EQ(read->bound(key, Bytes(1'000'000)), calibration.bound(key, Bytes(1'000'000)));
      const Bytes measured(static_cast<std::int64_t>(random.below(1500)));
      read->observe(key, Bytes(1000), measured);
      calibration.observe(key, Bytes(1000), measured);
    }
  }
  EXPECT_EQ(read->text(), calibration.text());
}

TEST(Calibration, BadTextIsRefusedWithLineAndField) {
  const auto fault = [](const std::string& text) {
    const auto read = Calibration::parse(text);
    return read ? std::string("taken") : read.error().message;
  };
  const std::string first = "mais calibration 1\n";
  EXPECT_EQ(fault(first), "taken");
  EXPECT_EQ(fault(first + "m\tc\tk\t3\t1\t0.01\t0\t1 1.5 2\n"), "taken");
  EXPECT_THAT(fault("{}"), ::testing::HasSubstr("line 1: a calibration begins with"));
  EXPECT_THAT(fault(first + "m\tc\tk\t3\t1\t0.01\t0\t1 1.5 2"),
              ::testing::HasSubstr("line 2: the line has no end"));
  EXPECT_THAT(fault(first + "m\tc\tk\n"), ::testing::HasSubstr("8 fields"));
  EXPECT_THAT(fault(first + "m\\x\tc\tk\t3\t1\t0.01\t0\t1 1 1\n"), ::testing::HasSubstr("model"));
  EXPECT_THAT(fault(first + "m\tc\tk\t2\t1\t0.01\t0\t1 1 1\n"),
              ::testing::HasSubstr("observed '2'"));
  EXPECT_THAT(fault(first + "m\tc\tk\t3\t4\t0.01\t0\t1 1 1\n"), ::testing::HasSubstr("missed '4'"));
  EXPECT_THAT(fault(first + "m\tc\tk\t3\t1\t7\t0\t1 1 1\n"), ::testing::HasSubstr("aimed at '7'"));
  EXPECT_THAT(fault(first + "m\tc\tk\t3\t1\t0.01\tnan\t1 1 1\n"), ::testing::HasSubstr("'nan'"));
  EXPECT_THAT(fault(first + "m\tc\tk\t3\t1\t0.01\t0\t1 -1 1\n"), ::testing::HasSubstr("'-1'"));
  EXPECT_THAT(fault(first + "m\tc\tk\t3\t1\t0.01\t0\t\n"), ::testing::HasSubstr("samples ''"));
  const std::string line = "m\tc\tk\t3\t1\t0.01\t0\t1 1 1\n";
  EXPECT_THAT(fault(first + line + line), ::testing::HasSubstr("line 3: the key was given before"));
}

// Cut off and changed at every byte: refused or read, never anything else.
TEST(Calibration, DamagedTextDoesNoHarm) {
  Calibration calibration;
  for (int i = 0; i < 5; ++i) calibration.observe({"m", "c", "k"}, Bytes(10), Bytes(9 + i));
  const std::string text = calibration.text();
  for (std::size_t at = 0; at < text.size(); ++at) {
    EXPECT_TRUE(!Calibration::parse(text.substr(0, at)) || text[at - 1] == '\n') << at;
    for (const char c : {'\0', '\t', '\n', '9', 'e', '-', '\xff'}) {
      std::string damaged = text;
      damaged[at] = c;
      const auto read = Calibration::parse(damaged);
      if (!read) continue;
      EXPECT_GE(read->bound({"m", "c", "k"}, Bytes(10)), Bytes(0));
    }
  }
}

}  // namespace
}  // namespace mais::core
