// Rings are never lost: not before a sleep, and not when the one who was rung goes.
#include "shell/doorbell.hpp"

#include <optional>
#include <thread>

#include <gmock/gmock.h>

namespace mais::shell {
namespace {

using namespace std::chrono_literals;

// Long enough that a test which sleeps it out is seen to hang.
constexpr Duration kForEver = 1h;

TEST(Doorbell, RingBeforeASleepEndsIt) {
  Doorbell bell;
  Doorbell::Sleeper sleeper(bell);
  bell.ring_one();
  sleeper.sleep(kForEver);
  EXPECT_FALSE(sleeper.leave());
}

TEST(Doorbell, SleepEndsByItself) {
  Doorbell bell;
  Doorbell::Sleeper sleeper(bell);
  sleeper.sleep(1ms);
  EXPECT_FALSE(sleeper.leave());
}

TEST(Doorbell, RingWakesASleepingThread) {
  Doorbell bell;
  Doorbell::Sleeper sleeper(bell);
  const std::jthread ringer([&] {
    std::this_thread::sleep_for(5ms);
    sleeper.ring();
  });
  sleeper.sleep(std::nullopt);
}

TEST(Doorbell, WhoLeavesWithoutAnsweringIsToldSo) {
  Doorbell bell;
  Doorbell::Sleeper sleeper(bell);
  bell.ring_one();
  EXPECT_TRUE(sleeper.leave());
  EXPECT_FALSE(sleeper.leave());
}

TEST(Doorbell, OneRingIsForOneSleeperAndTheNextForAnother) {
  Doorbell bell;
  Doorbell::Sleeper first(bell);
  Doorbell::Sleeper second(bell);
  bell.ring_one();
  bell.ring_one();  // the one that is rung will look anyway
  const bool first_rung = first.leave();
  EXPECT_NE(first_rung, second.leave());

  Doorbell::Sleeper third(bell);
  bell.ring_one();
  EXPECT_TRUE(third.leave());
}

TEST(Doorbell, RingAllIsForAll) {
  Doorbell bell;
  Doorbell::Sleeper first(bell);
  Doorbell::Sleeper second(bell);
  bell.ring_all();
  EXPECT_TRUE(first.leave());
  EXPECT_TRUE(second.leave());
}

TEST(Doorbell, RingingWhoHasLeftDoesNothing) {
  Doorbell bell;
  Doorbell::Sleeper sleeper(bell);
  sleeper.leave();
  sleeper.ring();
  bell.ring_one();
  bell.ring_all();
  EXPECT_FALSE(sleeper.leave());
}

}  // namespace
}  // namespace mais::shell
