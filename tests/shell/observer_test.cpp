// Observers: they hear of everything, once, in order, outside every lock, and slow ones are waited
// for or miss something, as chosen.
#include "mais/observer.hpp"

#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "mais/core/planner.hpp"
#include "mais/scheduler.hpp"
#include "shell/small_machine.hpp"

namespace mais {
namespace {

using ::testing::HasSubstr;

#ifdef MAIS_LONG_TESTS
constexpr int kRounds = 20'000;
#else
constexpr int kRounds = 200;
#endif

class Recorder : public Observer {
 public:
  void begin(const Config& config) override { tenants = config.tenants.size(); }
  void observe(const Observation& observed) override {
    if (inside.exchange(true)) overlapped = true;
    seen.push_back(observed);
    if (then) then(observed);
    inside = false;
  }

  std::size_t tenants = 0;
  std::vector<Observation> seen;
  std::function<void(const Observation&)> then;
  std::atomic<bool> inside{false};
  std::atomic<bool> overlapped{false};
};

Scheduler watched(const std::shared_ptr<Recorder>& recorder, ObserverOptions delivery = {}) {
  return make_scheduler(small_machine(), {.observers = {recorder}, .delivery = delivery});
}

// A thread that is inside the observer with the first observation, until end().
class SlowTick {
 public:
  SlowTick(Scheduler& scheduler, Recorder& recorder) {
    recorder.then = [this](const Observation& seen) {
      if (seen.number > 1) return;
      entered_.count_down();
      go_.wait();
    };
    thread_ = std::jthread([&scheduler] { scheduler.tick(); });
    entered_.wait();
  }
  void end() {
    go_.count_down();
    thread_.join();
  }

 private:
  std::latch entered_{1}, go_{1};
  std::jthread thread_;
};

Request lease_of(Bytes bytes) {
  return {.space = kPool, .bytes = bytes};
}

template <class Event>
std::size_t count(const std::vector<Observation>& seen) {
  std::size_t found = 0;
  for (const Observation& one : seen) found += std::holds_alternative<Event>(one.event);
  return found;
}

TEST(Observer, HearsOfEveryEventWithWhatCameOfIt) {
  const auto recorder = std::make_shared<Recorder>();
  Scheduler scheduler = watched(recorder);
  EXPECT_EQ(recorder->tenants, 2U);

  const RequestId id =
      scheduler.submit({.model = kModel, .prompt = 1_tok, .max_new = 1_tok, .tag = 7}, {});
  core::Step step;
  ASSERT_TRUE(scheduler.try_next_step(kInstance, step));
  scheduler.report({.step = step.id, .took = 3ms});
  EXPECT_FALSE(scheduler.try_next_step(kInstance, step));
  scheduler.memory_measured(SpaceId(1), 1_MiB);
  scheduler.limit_changed(kInstance, 32_MiB);
  scheduler.tenant_limit_changed(TenantId(1), 8_MiB);
  scheduler.instance_lost(kInstance);
  scheduler.instance_back(kInstance);
  scheduler.tick();
  scheduler.moves_measured(kInstance, core::StateMove::Kind::in, 3, 2ms);
  scheduler.cancel(id);  // has ended: the planner is not asked
  { const auto lease = scheduler.acquire(lease_of(1_MiB)); }
  (void)scheduler.try_acquire(lease_of(2_GiB));

  const auto& seen = recorder->seen;
  ASSERT_EQ(seen.size(), 14U);
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i].number, i + 1);
  EXPECT_EQ(std::get<core::event::Submit>(seen[0].event).request.tag, 7U);
  EXPECT_EQ(seen[0].actions.at(0).kind, core::ActionKind::accepted);
  EXPECT_EQ(seen[0].actions.at(0).request, id);
  EXPECT_EQ(std::get<core::event::NextStep>(seen[1].event).instance, kInstance);
  ASSERT_EQ(seen[1].step.entries.size(), 1U);
  EXPECT_EQ(seen[1].step.entries[0].request, id);
  EXPECT_EQ(std::get<core::event::Report>(seen[2].event).report.step, seen[1].step.id);
  EXPECT_EQ(std::get<core::event::Report>(seen[2].event).report.took, Duration(3ms));
  EXPECT_EQ(seen[2].actions.at(0).kind, core::ActionKind::finished);
  EXPECT_TRUE(seen[2].step.entries.empty());  // nothing of an earlier one stays
  EXPECT_TRUE(seen[3].step.entries.empty());
  EXPECT_EQ(std::get<core::event::MemoryMeasured>(seen[4].event).foreign, 1_MiB);
  EXPECT_EQ(std::get<core::event::LimitChanged>(seen[5].event).state, 32_MiB);
  EXPECT_EQ(std::get<core::event::TenantLimitChanged>(seen[6].event).limit, 8_MiB);
  EXPECT_TRUE(std::holds_alternative<core::event::InstanceLost>(seen[7].event));
  EXPECT_TRUE(std::holds_alternative<core::event::InstanceBack>(seen[8].event));
  EXPECT_TRUE(std::holds_alternative<core::event::Tick>(seen[9].event));
  EXPECT_EQ(std::get<core::event::MovesMeasured>(seen[10].event).pages, 3);
  EXPECT_EQ(seen[11].actions.at(1).kind, core::ActionKind::granted);
  EXPECT_TRUE(std::holds_alternative<core::event::GiveBack>(seen[12].event));
  EXPECT_EQ(seen[13].actions.at(0).kind, core::ActionKind::refused);
}

TEST(Observer, MayCallBackWhileItHears) {
  const auto recorder = std::make_shared<Recorder>();
  Scheduler scheduler = watched(recorder, {.capacity = 1});
  recorder->then = [&](const Observation& seen) {
    scheduler.load(kInstance);
    if (seen.number < 6) scheduler.tick();
  };
  scheduler.tick();
  scheduler.shutdown();  // delivers what the first call left
  EXPECT_EQ(recorder->seen.size(), 6U);
  EXPECT_FALSE(recorder->overlapped);
}

TEST(Observer, MayShutTheSchedulerDown) {
  const auto recorder = std::make_shared<Recorder>();
  Scheduler scheduler = watched(recorder);
  recorder->then = [&](const Observation&) { scheduler.shutdown(); };
  scheduler.tick();
  EXPECT_FALSE(scheduler.acquire(lease_of(1_MiB)));
}

TEST(Observer, SlowOneDoesNotBlockThePlanner) {
  const auto recorder = std::make_shared<Recorder>();
  Scheduler scheduler = watched(recorder);
  SlowTick slow(scheduler, *recorder);
  { const auto lease = scheduler.acquire(lease_of(1_MiB)); }  // would hang otherwise
  EXPECT_EQ(recorder->seen.size(), 1U);
  slow.end();
  scheduler.shutdown();
  EXPECT_GE(recorder->seen.size(), 3U);
}

TEST(Observer, SlowOneIsWaitedForWhenNothingMayBeLost) {
  const auto recorder = std::make_shared<Recorder>();
  Scheduler scheduler = watched(recorder, {.capacity = 4});
  SlowTick slow(scheduler, *recorder);
  std::atomic<int> done{0};
  std::jthread hurried([&] {
    for (int i = 0; i < 20; ++i) {
      scheduler.tick();
      ++done;
    }
  });
  while (done < 4) std::this_thread::yield();
  std::this_thread::sleep_for(5ms);  // it would go on if it did not wait
  EXPECT_EQ(done, 4);
  slow.end();
  hurried.join();
  scheduler.shutdown();
  ASSERT_EQ(recorder->seen.size(), 21U);
  for (std::size_t i = 0; i < 21; ++i) EXPECT_EQ(recorder->seen[i].number, i + 1);
}

TEST(Observer, SlowOneMissesTheNewestWhenTheyMayBeDropped) {
  const auto recorder = std::make_shared<Recorder>();
  Scheduler scheduler = watched(recorder, {.capacity = 4, .when_full = WhenFull::drop});
  SlowTick slow(scheduler, *recorder);
  for (int i = 0; i < 20; ++i) scheduler.tick();
  slow.end();
  scheduler.tick();
  ASSERT_EQ(recorder->seen.size(), 6U);
  EXPECT_EQ(recorder->seen[4].number, 5U);
  EXPECT_EQ(recorder->seen[5].number, 22U);  // 6 ... 21 were dropped
}

TEST(Observer, ThreadDeliversOnlySoMuchForOthers) {
  const auto recorder = std::make_shared<Recorder>();
  std::optional<Scheduler> scheduler(watched(recorder, {.capacity = 8}));
  std::atomic<bool> left{false};
  recorder->then = [&](const Observation&) {
    if (!left) scheduler->tick();  // something new is there whenever it looks
  };
  scheduler->tick();  // returns all the same
  EXPECT_GE(recorder->seen.size(), 8U);
  left = true;
  scheduler->shutdown();
  EXPECT_EQ(recorder->seen.back().number, recorder->seen.size());
}

TEST(Observer, HearsInOrderOfManyThreads) {
  const auto recorder = std::make_shared<Recorder>();
  Scheduler scheduler = watched(recorder, {.capacity = 16});
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        std::minstd_rand random(t + 1);
        for (int i = 0; i < kRounds; ++i) {
          const auto lease = scheduler.acquire(lease_of(1_MiB * (1 + random() % 500)));
          scheduler.submit({.model = kModel, .prompt = 16_tok, .max_new = 2_tok}, {});
          core::Step step;
          if (t == 0 && scheduler.try_next_step(kInstance, step)) {
            scheduler.report({.step = step.id});
          }
        }
      });
    }
  }
  scheduler.shutdown();
  EXPECT_FALSE(recorder->overlapped);
  Time last{};
  for (std::size_t i = 0; i < recorder->seen.size(); ++i) {
    ASSERT_EQ(recorder->seen[i].number, i + 1);
    ASSERT_GE(recorder->seen[i].now, last);
    last = recorder->seen[i].now;
  }
  EXPECT_EQ(count<core::event::Submit>(recorder->seen), 8U * kRounds);
}

// What is observed is all there is: a planner that is told the same answers the same.
TEST(Observer, ObservationsReplayBitForBit) {
  const auto recorder = std::make_shared<Recorder>();
  Scheduler scheduler = watched(recorder);
  std::minstd_rand random(3);
  std::vector<Lease> leases;
  for (int i = 0; i < 150; ++i) {
    if (auto lease = scheduler.try_acquire(lease_of(1_MiB * (1 + random() % 300)))) {
      leases.push_back(std::move(*lease));
    }
    if (random() % 3 == 0) leases.clear();
    const RequestId id = scheduler.submit({.model = kModel,
                                           .prompt = Tokens(1 + random() % 900),
                                           .max_new = Tokens(1 + random() % 40)},
                                          {});
    if (random() % 5 == 0) scheduler.cancel(id);
    core::Step step;
    if (scheduler.try_next_step(kInstance, step)) {
      scheduler.report({.step = step.id, .took = step.predicted});
    }
  }
  auto planner = core::Planner::create(small_machine());
  core::Step step;
  for (const Observation& seen : recorder->seen) {
    core::Actions out;
    planner->handle(seen.now, seen.event, out, step);
    ASSERT_EQ(out.list.size(), seen.actions.size());
    for (std::size_t i = 0; i < out.list.size(); ++i) {
      ASSERT_EQ(to_string(out.list[i]), to_string(seen.actions[i]));
    }
    ASSERT_EQ(out.wake_at, seen.wake_at);
    ASSERT_EQ(step.entries.size(), seen.step.entries.size());
    if (!step.entries.empty()) {
      ASSERT_EQ(step.id, seen.step.id);
      ASSERT_EQ(step.blocks, seen.step.blocks);
      ASSERT_EQ(step.predicted, seen.step.predicted);
    }
  }
}

TEST(Observer, QueueNeedsAPlace) {
  const auto scheduler = Scheduler::create(
      small_machine(), {.observers = {std::make_shared<Recorder>()}, .delivery = {.capacity = 0}});
  ASSERT_FALSE(scheduler);
  EXPECT_THAT(scheduler.error().message, HasSubstr("delivery.capacity is 0"));
}

TEST(ObserverDeathTest, NullIsNoObserver) {
  EXPECT_DEATH((void)Scheduler::create(small_machine(), {.observers = {nullptr}}),
               "an observer is null");
}

}  // namespace
}  // namespace mais
