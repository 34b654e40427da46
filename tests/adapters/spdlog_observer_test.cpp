// The log: one line for each thing that happens, of key=value pairs, and not too many of them.
#include "mais/adapters/spdlog_observer.hpp"

#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include "mais/scheduler.hpp"
#include "shell/small_machine.hpp"

namespace mais::adapters {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

class SpdlogObserverTest : public ::testing::Test {
 protected:
  Scheduler watched(SpdlogOptions options = {}, Config config = small_machine()) {
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_st>(text_);
    auto logger = std::make_shared<spdlog::logger>("test", sink);
    logger->set_pattern("%l %v");
    logger->set_level(spdlog::level::debug);
    return make_scheduler(std::move(config),
                          {.clock = clock_.options().clock,
                           .observers = {std::make_shared<SpdlogObserver>(logger, options)}});
  }
  std::vector<std::string> lines() {
    std::vector<std::string> all;
    std::istringstream in(text_.str());
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
  }

  ManualClock clock_;
  std::ostringstream text_;
};

TEST_F(SpdlogObserverTest, SaysWhatHappensInPairs) {
  Scheduler scheduler = watched();
  clock_.advance(1500ms);
  scheduler.submit(
      {.model = kModel, .tenant = TenantId(1), .prompt = 1_tok, .max_new = 1_tok, .tag = 7}, {});
  core::Step step;
  ASSERT_TRUE(scheduler.try_next_step(kInstance, step));
  scheduler.report({.step = step.id});
  { const auto lease = scheduler.acquire({.space = kPool, .bytes = 2_KiB, .tag = 8}); }
  (void)scheduler.acquire({.space = kPool, .bytes = 2_GiB, .tag = 9});
  scheduler.limit_changed(kInstance, 1_KiB);
  scheduler.memory_measured(kPool, 3_KiB);
  scheduler.tenant_limit_changed(TenantId(0), std::nullopt);
  scheduler.instance_lost(kInstance);
  scheduler.instance_back(kInstance);
  EXPECT_THAT(
      lines(),
      ElementsAre(
          MatchesRegex(
              "info event=accepted t=1.500000 request=[0-9]+ tag=7 tenant=b class=streaming "
              "model=decoder prompt=1 max_new=1"),
          MatchesRegex("info event=finished t=1.500000 request=[0-9]+ tag=7"),
          MatchesRegex(
              "info event=accepted t=1.500000 request=[0-9]+ tag=8 tenant=a class=streaming "
              "bytes=2048"),
          MatchesRegex("info event=granted t=1.500000 request=[0-9]+ tag=8 space=pool bytes=2048"),
          MatchesRegex("info event=given_back t=1.500000 request=[0-9]+"),
          MatchesRegex("info event=finished t=1.500000 request=[0-9]+ tag=8"),
          MatchesRegex("warning event=refused t=1.500000 request=[0-9]+ tag=9 reason=can_never_fit "
                       "asked=2147483648 available=1073741824 retry_after_ms=unknown"),
          "info event=limit_changed t=1.500000 instance=decoder state=1024",
          "info event=memory_measured t=1.500000 space=pool foreign=3072",
          "info event=tenant_limit_changed t=1.500000 tenant=a limit=none",
          "warning event=instance_lost t=1.500000 instance=decoder",
          "info event=instance_back t=1.500000 instance=decoder"));
}

TEST_F(SpdlogObserverTest, SaysStepsWhenAsked) {
  Scheduler scheduler = watched({.steps = true});
  scheduler.submit({.model = kModel, .prompt = 1_tok, .max_new = 1_tok}, {});
  core::Step step;
  ASSERT_TRUE(scheduler.try_next_step(kInstance, step));
  scheduler.report({.step = step.id, .took = 2500us});
  scheduler.moves_measured(kInstance, core::StateMove::Kind::out, 5, 2500us);
  EXPECT_THAT(lines(), Contains("debug event=moves_measured t=0.000000 instance=decoder "
                                "direction=out pages=5 took_ms=2.500"));
  EXPECT_THAT(lines(), Contains(MatchesRegex("debug event=step t=0.000000 step=1 instance=decoder "
                                             "sequences=1 tokens=1 moves=0 predicted_ms=.*")));
  EXPECT_THAT(lines(), Contains("debug event=report t=0.000000 step=1 took_ms=2.500"));
}

TEST_F(SpdlogObserverTest, FailedAllocationIsSaidAlways) {
  Scheduler scheduler = watched();
  scheduler.submit({.model = kModel, .prompt = 1_tok, .max_new = 1_tok}, {});
  core::Step step;
  ASSERT_TRUE(scheduler.try_next_step(kInstance, step));
  scheduler.report(
      {.step = step.id, .outcome = core::StepReport::Outcome::allocation_failed, .missing = 5_KiB});
  EXPECT_THAT(lines(), Contains("warning event=allocation_failed t=0.000000 step=1 missing=5120"));
}

TEST_F(SpdlogObserverTest, EachKindHasABoundOfLinesInASecond) {
  {
    Scheduler scheduler = watched({.lines_per_second = 3});
    const auto refuse = [&](int times) {
      for (int i = 0; i < times; ++i) {
        (void)scheduler.acquire({.space = kPool, .bytes = 2_GiB});
      }
    };
    clock_.advance(10s);
    refuse(8);
    clock_.advance(999ms);
    refuse(2);
    scheduler.instance_lost(kInstance);  // another kind
    EXPECT_EQ(lines().size(), 4U);
    clock_.advance(1ms);
    refuse(4);
    const auto said = lines();
    ASSERT_EQ(said.size(), 8U);
    EXPECT_EQ(said[4], "warning event=suppressed t=11.000000 of=refused count=7");
    EXPECT_THAT(said[5], StartsWith("warning event=refused t=11.000000"));
  }
  EXPECT_EQ(lines().back(), "warning event=suppressed t=11.000000 of=refused count=1");
  EXPECT_EQ(lines().size(), 9U);
}

TEST_F(SpdlogObserverTest, WhatTheLoggerDoesNotWantIsNotCountedEither) {
  {
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_st>(text_);
    auto logger = std::make_shared<spdlog::logger>("test", sink);
    logger->set_level(spdlog::level::err);
    Scheduler scheduler =
        make_scheduler(small_machine(), {.observers = {std::make_shared<SpdlogObserver>(
                                             logger, SpdlogOptions{.lines_per_second = 1})}});
    for (int i = 0; i < 5; ++i) (void)scheduler.acquire({.space = kPool, .bytes = 2_GiB});
  }
  EXPECT_EQ(text_.str(), "");
}

TEST_F(SpdlogObserverTest, NamesCannotMakeUpPairsOrLines) {
  Config config = small_machine();
  config.instances[0].name = "two words\nevent=\"forged\"";
  Scheduler scheduler = watched({}, config);
  scheduler.instance_lost(kInstance);
  EXPECT_THAT(lines(), ElementsAre("warning event=instance_lost t=0.000000 "
                                   R"(instance="two words\x0aevent=\"forged\"")"));
}

TEST_F(SpdlogObserverTest, MissedObservationsAreSaid) {
  auto sink = std::make_shared<spdlog::sinks::ostream_sink_st>(text_);
  auto logger = std::make_shared<spdlog::logger>("test", sink);
  logger->set_pattern("%l %v");
  SpdlogObserver observer(logger);
  Observation seen{.number = 1, .event = core::event::Tick{}};
  observer.observe(seen);
  seen.number = 5;
  observer.observe(seen);
  EXPECT_THAT(lines(), ElementsAre("warning event=missed t=0.000000 count=3"));
}

TEST(SpdlogObserverDeathTest, NeedsALogger) {
  EXPECT_DEATH(SpdlogObserver observer(nullptr), "a log needs a logger");
}

}  // namespace
}  // namespace mais::adapters
