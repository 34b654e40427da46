// Leases without a thread that waits: by callback and in coroutines. Each is answered exactly once,
// whatever happens, and nothing stays held.
#include <atomic>
#include <chrono>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "mais/scheduler.hpp"
#include "shell/detached.hpp"
#include "shell/small_machine.hpp"

namespace mais {
namespace {

using ::testing::ElementsAre;

#ifdef MAIS_LONG_TESTS
constexpr int kRounds = 50'000;
#elif defined(__SANITIZE_THREAD__)
constexpr int kRounds = 100;
#else
constexpr int kRounds = 500;
#endif

Request lease_of(Bytes bytes, std::uint64_t tag = 0) {
  return {.space = kPool, .bytes = bytes, .tag = tag};
}

Bytes used(Scheduler& scheduler) {
  return scheduler.snapshot().ledger.accounts.front().used;
}

using Answer = tl::expected<Lease, RequestEnd>;

// Keeps what it is told.
struct Answers {
  std::vector<Answer> list;
  OnLease callback() {
    return [this](Answer answer) { list.push_back(std::move(answer)); };
  }
};

// A coroutine that begins at once and belongs to whoever holds it.
struct Task {
  struct promise_type {
    Task get_return_object() {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  explicit Task(std::coroutine_handle<promise_type> of) : handle(of) {}
  Task(Task&& other) noexcept : handle(std::exchange(other.handle, {})) {}
  ~Task() {
    if (handle) handle.destroy();
  }
  bool done() const { return handle.done(); }
  std::coroutine_handle<promise_type> handle;
};

Detached count_answer(Scheduler& scheduler, Request request, std::stop_token stop,
                      std::atomic<int>& told) {
  const auto lease = co_await scheduler.acquired(request, std::move(stop));
  ++told;
}

Task await_lease(Scheduler& scheduler, Request request, std::optional<Answer>& answer,
                 std::stop_token stop = {}, std::optional<Time> deadline = {}) {
  answer.emplace(co_await scheduler.acquired(request, std::move(stop), deadline));
}

TEST(AcquireAsync, GrantsWhatFitsBeforeItReturns) {
  Scheduler scheduler = make_scheduler();
  Answers answers;
  const RequestId id = scheduler.acquire_async(lease_of(300_MiB), answers.callback());
  ASSERT_EQ(answers.list.size(), 1U);
  EXPECT_EQ(answers.list[0]->request(), id);
  EXPECT_EQ(used(scheduler), 300_MiB);
  answers.list.clear();
  EXPECT_EQ(used(scheduler), 0_B);
}

TEST(AcquireAsync, LeaseThatIsNotKeptGoesBack) {
  Scheduler scheduler = make_scheduler();
  scheduler.acquire_async(lease_of(300_MiB), [](Answer) {});
  EXPECT_EQ(used(scheduler), 0_B);
}

TEST(AcquireAsync, DroppedLeaseIsHandedOnAtOnceThoughNoThreadWaits) {
  Scheduler scheduler = make_scheduler();
  Answers answers;
  auto holder = scheduler.acquire(lease_of(800_MiB));
  scheduler.acquire_async(lease_of(800_MiB), answers.callback());
  EXPECT_TRUE(answers.list.empty());
  holder->release();  // and nobody calls the scheduler
  ASSERT_EQ(answers.list.size(), 1U);
  EXPECT_EQ(answers.list[0]->bytes(), 800_MiB);
}

TEST(AcquireAsync, ChainOfLeasesHandsEachOn) {
  Scheduler scheduler = make_scheduler();
  int granted = 0;
  {
    const auto holder = scheduler.acquire(lease_of(800_MiB));
    for (int i = 0; i < 100; ++i) {
      scheduler.acquire_async(lease_of(800_MiB), [&](Answer answer) { granted += answer ? 1 : 0; });
    }
    EXPECT_EQ(granted, 0);
  }
  EXPECT_EQ(granted, 100);
  EXPECT_EQ(used(scheduler), 0_B);
}

TEST(AcquireAsync, RefusedExpiredAndCancelledAreToldOnce) {
  ManualClock clock;
  Scheduler scheduler = make_scheduler(small_machine(), clock.options());
  Answers answers;
  const auto holder = scheduler.acquire(lease_of(800_MiB));
  scheduler.acquire_async(lease_of(2_GiB), answers.callback());
  scheduler.acquire_async(lease_of(800_MiB), answers.callback(), scheduler.now() + 10ms);
  const RequestId third = scheduler.acquire_async(lease_of(800_MiB), answers.callback());
  scheduler.acquire_async(lease_of(800_MiB), answers.callback());
  clock.advance(10ms);
  scheduler.tick();
  scheduler.cancel(third);
  scheduler.cancel(third);
  scheduler.shutdown();
  scheduler.acquire_async(lease_of(1_MiB), answers.callback());
  std::vector<EndKind> kinds;
  for (const Answer& answer : answers.list) kinds.push_back(answer.error().kind);
  EXPECT_THAT(kinds, ElementsAre(EndKind::refused, EndKind::expired, EndKind::cancelled,
                                 EndKind::cancelled, EndKind::cancelled));
  EXPECT_EQ(answers.list[0].error().refusal->reason, RefusalReason::can_never_fit);
}

TEST(AcquireAsync, CallbackMayAskForMore) {
  Scheduler scheduler = make_scheduler();
  Answers answers;
  scheduler.acquire_async(lease_of(300_MiB), [&](Answer answer) {
    answers.list.push_back(std::move(answer));
    scheduler.acquire_async(lease_of(300_MiB), answers.callback());
  });
  EXPECT_EQ(answers.list.size(), 2U);
}

TEST(AcquireAsync, LeaseMayBeDroppedAfterTheSchedulerWithOthersWaiting) {
  std::optional<Scheduler> scheduler(make_scheduler());
  Answers answers;
  auto holder = scheduler->acquire(lease_of(800_MiB));
  scheduler->acquire_async(lease_of(800_MiB), answers.callback());
  scheduler.reset();
  ASSERT_EQ(answers.list.size(), 1U);
  EXPECT_EQ(answers.list[0].error().kind, EndKind::cancelled);
  holder->release();
}

TEST(AcquireDeadline, EndsTheWaitAsExpired) {
  Scheduler scheduler = make_scheduler();
  const auto holder = scheduler.acquire(lease_of(800_MiB));
  const auto lease = scheduler.acquire(lease_of(800_MiB), {}, scheduler.now() + 10ms);
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().kind, EndKind::expired);
  EXPECT_GE(scheduler.now(), Time(10ms));
}

TEST(AcquireDeadline, InThePastExpiresAtOnce) {
  ManualClock clock;
  clock.advance(1s);
  Scheduler scheduler = make_scheduler(small_machine(), clock.options());
  EXPECT_EQ(scheduler.acquire(lease_of(800_MiB), {}, Time(1ms)).error().kind, EndKind::expired);
}

TEST(AcquireDeadline, DoesNotPutOffTheRequestsOwn) {
  Scheduler scheduler = make_scheduler();
  const auto holder = scheduler.acquire(lease_of(800_MiB));
  Request request = lease_of(800_MiB);
  request.give_up = 5ms;
  const auto lease = scheduler.acquire(request, {}, scheduler.now() + std::chrono::hours(1));
  EXPECT_EQ(lease.error().kind, EndKind::expired);
}

TEST(NextStepDeadline, EndsTheWait) {
  Scheduler scheduler = make_scheduler();
  core::Step step;
  EXPECT_FALSE(scheduler.next_step(kInstance, step, {}, scheduler.now() + 5ms));
  scheduler.submit({.model = kModel, .prompt = 32_tok, .max_new = 1_tok}, {});
  EXPECT_TRUE(scheduler.next_step(kInstance, step, {}, Time(0ns)));  // there is one already
}

TEST(Coroutine, GoesOnAtOnceWhenItIsItsTurn) {
  Scheduler scheduler = make_scheduler();
  std::optional<Answer> answer;
  const Task task = await_lease(scheduler, lease_of(300_MiB), answer);
  EXPECT_TRUE(task.done());
  EXPECT_EQ(answer.value()->bytes(), 300_MiB);
}

TEST(Coroutine, GoesOnInTheThreadThatDropsALease) {
  Scheduler scheduler = make_scheduler();
  auto holder = scheduler.acquire(lease_of(800_MiB));
  std::optional<Answer> answer;
  const Task task = await_lease(scheduler, lease_of(800_MiB), answer);
  EXPECT_FALSE(task.done());
  holder->release();
  EXPECT_TRUE(task.done());
  EXPECT_TRUE(answer.value());
}

TEST(Coroutine, HearsOfRefusalExpiryStopAndShutdown) {
  ManualClock clock;
  Scheduler scheduler = make_scheduler(small_machine(), clock.options());
  const auto holder = scheduler.acquire(lease_of(800_MiB));
  std::vector<std::optional<Answer>> answers(5);
  std::stop_source stop, stopped;
  stopped.request_stop();
  std::vector<Task> tasks;
  tasks.push_back(await_lease(scheduler, lease_of(2_GiB), answers[0]));
  tasks.push_back(await_lease(scheduler, lease_of(800_MiB), answers[1], {}, Time(10ms)));
  tasks.push_back(await_lease(scheduler, lease_of(800_MiB), answers[2], stop.get_token()));
  tasks.push_back(await_lease(scheduler, lease_of(800_MiB), answers[3], stopped.get_token()));
  tasks.push_back(await_lease(scheduler, lease_of(800_MiB), answers[4]));
  EXPECT_EQ(answers[0].value().error().kind, EndKind::refused);
  EXPECT_EQ(answers[3].value().error().kind, EndKind::cancelled);
  clock.advance(10ms);
  scheduler.tick();
  EXPECT_EQ(answers[1].value().error().kind, EndKind::expired);
  stop.request_stop();
  EXPECT_EQ(answers[2].value().error().kind, EndKind::cancelled);
  EXPECT_FALSE(tasks[4].done());
  scheduler.shutdown();
  EXPECT_EQ(answers[4].value().error().kind, EndKind::cancelled);
}

TEST(Coroutine, AskedToStopStillTakesWhatFitsAtOnce) {
  Scheduler scheduler = make_scheduler();
  std::stop_source stop;
  stop.request_stop();
  std::optional<Answer> answer;
  const Task task = await_lease(scheduler, lease_of(1_MiB), answer, stop.get_token());
  EXPECT_TRUE(answer.value());
}

TEST(Coroutine, DestroyedWhileItWaitsLeavesNothingBehind) {
  Scheduler scheduler = make_scheduler();
  auto holder = scheduler.acquire(lease_of(800_MiB));
  std::optional<Answer> answer;
  { const Task task = await_lease(scheduler, lease_of(800_MiB), answer); }
  EXPECT_EQ(scheduler.snapshot().requests.size(), 1U);
  holder->release();
  EXPECT_EQ(used(scheduler), 0_B);
  EXPECT_FALSE(answer);
}

TEST(Coroutine, DestroyedBetweenItsGrantAndItsTurnGivesBack) {
  Scheduler scheduler = make_scheduler();
  auto holder = scheduler.acquire(lease_of(800_MiB));
  std::optional<Answer> answer;
  std::optional<Task> task;
  // The first callback ends the coroutine that was granted together with it.
  scheduler.acquire_async(lease_of(400_MiB), [&](Answer) { task.reset(); });
  task.emplace(await_lease(scheduler, lease_of(400_MiB), answer));
  holder->release();
  EXPECT_FALSE(task);
  EXPECT_FALSE(answer);
  EXPECT_EQ(used(scheduler), 0_B);
}

TEST(Coroutine, NeverAwaitedAsksForNothing) {
  Scheduler scheduler = make_scheduler();
  { const AwaitedLease unused = scheduler.acquired(lease_of(300_MiB)); }
  EXPECT_EQ(scheduler.snapshot().submitted, 0U);
}

TEST(Coroutine, MayOutliveItsScheduler) {
  std::optional<Scheduler> scheduler(make_scheduler());
  auto holder = scheduler->acquire(lease_of(800_MiB));
  std::optional<Answer> answer;
  const Task task = await_lease(*scheduler, lease_of(800_MiB), answer);
  scheduler.reset();
  EXPECT_TRUE(task.done());
  EXPECT_EQ(answer.value().error().kind, EndKind::cancelled);
}

TEST(AcquisitionThreads, EveryAnswerComesOnceUnderStopsAndShutdown) {
  for (int round = 0; round < kRounds / 20 + 1; ++round) {
    std::optional<Scheduler> scheduler(make_scheduler());
    std::atomic<int> asked{0}, told{0};
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        std::minstd_rand random(t + 1 + 7U * static_cast<unsigned>(round));
        for (int i = 0; i < 20; ++i) {
          ++asked;
          const RequestId id = scheduler->acquire_async(lease_of(1_MiB * (200 + random() % 600)),
                                                        [&](Answer) { ++told; });
          if (random() % 3 == 0) scheduler->cancel(id);
          ++asked;
          std::stop_source stop;
          count_answer(*scheduler, lease_of(1_MiB * (200 + random() % 600)), stop.get_token(),
                       told);
          if (random() % 2 == 0) stop.request_stop();
        }
      });
    }
    std::this_thread::sleep_for(std::chrono::microseconds(37 * round % 500));
    scheduler->shutdown();
    threads.clear();
    scheduler.reset();
    EXPECT_EQ(told, asked);
  }
}

TEST(Drain, WaitsUntilEverythingHasEnded) {
  Scheduler scheduler = make_scheduler();
  std::vector<EndKind> ends;
  const auto on_end = [&](const RequestEnd& end) { ends.push_back(end.kind); };
  scheduler.submit({.model = kModel, .prompt = 32_tok, .max_new = 2_tok}, on_end);
  auto lease = std::make_optional(*scheduler.acquire(lease_of(300_MiB)));
  EXPECT_FALSE(scheduler.drain({}, scheduler.now() + 2ms));
  scheduler.submit({.model = kModel, .prompt = 32_tok, .max_new = 2_tok}, on_end);
  EXPECT_THAT(ends, ElementsAre(EndKind::cancelled));
  EXPECT_EQ(scheduler.acquire(lease_of(1_MiB)).error().kind, EndKind::cancelled);
  std::jthread worker([&] {
    core::Step step;
    while (scheduler.try_next_step(kInstance, step)) scheduler.report({.step = step.id});
    lease.reset();
  });
  EXPECT_TRUE(scheduler.drain());
  EXPECT_THAT(ends, ElementsAre(EndKind::cancelled, EndKind::finished));
  EXPECT_TRUE(scheduler.drain());
}

TEST(Drain, NobodyIsKeptBusyAfterwards) {
  struct Counter final : Observer {
    void observe(const Observation&) override { ++seen; }
    std::atomic<int> seen{0};
  };
  const auto counter = std::make_shared<Counter>();
  Scheduler scheduler = make_scheduler(small_machine(), {.observers = {counter}});
  std::jthread worker([&] {
    core::Step step;
    scheduler.next_step(kInstance, step);
  });
  while (counter->seen == 0) std::this_thread::yield();  // it waits, or is about to
  EXPECT_TRUE(scheduler.drain());
  std::this_thread::sleep_for(10ms);
  EXPECT_LT(counter->seen, 5);
  scheduler.shutdown();
}

TEST(Drain, StopEndsTheWait) {
  Scheduler scheduler = make_scheduler();
  const auto lease = scheduler.acquire(lease_of(300_MiB));
  std::stop_source stop;
  bool ended = true;
  {
    std::jthread drainer([&] { ended = scheduler.drain(stop.get_token()); });
    std::this_thread::sleep_for(2ms);
    stop.request_stop();
  }
  EXPECT_FALSE(ended);
}

TEST(AcquisitionsDeathTest, MisuseAbortsWithAMessage) {
  Scheduler scheduler = make_scheduler();
  EXPECT_DEATH(scheduler.acquire_async({.model = kModel}, [](Answer) {}), "are submit\\(\\)'s");
  EXPECT_DEATH(scheduler.acquire_async(lease_of(1_MiB), {}), "needs somebody to take it");
  EXPECT_DEATH((void)scheduler.acquired({.model = kModel}), "are submit\\(\\)'s");
}

}  // namespace
}  // namespace mais
