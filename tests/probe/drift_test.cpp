#include "mais/probe/drift.hpp"

#include <random>

#include <gmock/gmock.h>

namespace mais::probing {
namespace {

using namespace mais::literals;

Time at(Duration since) {
  return Time(since);
}

TEST(Drift, TheResidueIsWhatTheLedgerDidNotGrant) {
  Drift drift;
  // 20 GiB used, 18 granted and allocated: 2 are the context's and others'.
  EXPECT_EQ(drift.take(at(0s), {.used = 20_GiB, .granted = 18_GiB}).residue, 2_GiB);
  // Granted and not yet allocated is still free: the driver reports less than was granted.
  EXPECT_EQ(drift.take(at(1s), {.used = 10_GiB, .granted = 18_GiB}).residue, 0_B);
  // With the own part known, others show even then.
  EXPECT_EQ(drift.take(at(2s), {.used = 10_GiB, .granted = 18_GiB, .own = 7_GiB}).residue, 3_GiB);
  // What the process holds beyond its grants is residue too.
  EXPECT_EQ(drift.take(at(3s), {.used = 10_GiB, .granted = 6_GiB, .own = 10_GiB}).residue, 4_GiB);
}

TEST(Drift, HeldRisesAtOnceAndFallsSlowly) {
  Drift drift({.smoothing = 10s});
  drift.take(at(0s), {.used = 1_GiB});
  EXPECT_EQ(drift.take(at(100ms), {.used = 5_GiB}).held, 5_GiB);
  const DriftReading later = drift.take(at(10'100ms), {.used = 1_GiB});
  // After one time constant 1/e of the way is left: 1 + 4/e GiB.
  EXPECT_NEAR(static_cast<double>(later.held.count()) / (1 << 30), 1 + 4 * 0.36788, 0.001);
  EXPECT_EQ(later.residue, 1_GiB);
}

TEST(Drift, SamplingMoreOftenSmoothsTheSame) {
  Drift rare({.smoothing = 10s}), often({.smoothing = 10s});
  rare.take(at(0s), {.used = 4_GiB});
  often.take(at(0s), {.used = 4_GiB});
  DriftReading last;
  for (int i = 1; i <= 100; ++i) last = often.take(at(i * 50ms), {.used = 0_B});
  EXPECT_NEAR(static_cast<double>(last.held.count()),
              static_cast<double>(rare.take(at(5s), {.used = 0_B}).held.count()), 1e3);
}

TEST(Drift, AMomentDoesNotAlarmAndLastingGrowthDoesOnce) {
  Drift drift({.smoothing = 10s, .alarm = 1_GiB});
  drift.take(at(0s), {.used = 2_GiB});  // a context and other processes: no drift
  EXPECT_FALSE(drift.take(at(100ms), {.used = 6_GiB}).alarm);
  EXPECT_FALSE(drift.take(at(200ms), {.used = 2_GiB}).alarm);
  bool alarm = false;
  int seconds = 1;
  for (; seconds < 60 && !alarm; ++seconds) {
    alarm = drift.take(at(seconds * 1s), {.used = 4_GiB}).alarm;
  }
  EXPECT_TRUE(alarm);
  EXPECT_GT(seconds, 5);
  EXPECT_LT(seconds, 15);  // half of 2 GiB after 0.69 time constants
  // It ends below half of what raised it.
  EXPECT_TRUE(drift.take(at(1 * seconds * 1s + 100ms), {.used = 3_GiB}).alarm);
  for (int i = 1; i < 60; ++i) alarm = drift.take(at((seconds + i) * 1s), {.used = 2_GiB}).alarm;
  EXPECT_FALSE(alarm);
}

TEST(Drift, ALeakIsFoundUnderNoiseAndNoiseAloneIsNot) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    std::uniform_int_distribution<std::int64_t> noise(0, 200 << 20);
    Drift calm, leaking;
    bool calm_alarm = false, leak_alarm = false;
    for (int i = 0; i < 6000; ++i) {  // ten minutes
      const Bytes base = 4_GiB + Bytes(noise(random));
      calm_alarm |= calm.take(at(i * 100ms), {.used = base, .granted = 3_GiB}).alarm;
      leak_alarm |=
          leaking.take(at(i * 100ms), {.used = base + 256_KiB * i, .granted = 3_GiB}).alarm;
    }
    EXPECT_FALSE(calm_alarm);
    EXPECT_TRUE(leak_alarm);
  }
}

TEST(DriftDeathTest, TimeDoesNotGoBackwards) {
  Drift drift;
  drift.take(at(2s), {});
  EXPECT_DEATH(drift.take(at(1s), {}), "time went backwards");
  EXPECT_DEATH(Drift({.smoothing = 0s}), "the time constant of drift is above 0");
}

}  // namespace
}  // namespace mais::probing
