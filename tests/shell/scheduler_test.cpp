// The scheduler in one thread, or with threads that wait for each other: what each call promises.
#include "mais/scheduler.hpp"

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "shell/small_machine.hpp"

namespace mais {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Request lease_of(Bytes bytes) {
  return {.space = kPool, .bytes = bytes};
}

Request sequence(Tokens prompt = 32_tok, Tokens max_new = 4_tok) {
  return {.model = kModel, .prompt = prompt, .max_new = max_new};
}

// Waits until the planner counts so many requests that wait or run, so that a test knows that
// another thread is inside acquire().
void await_requests(Scheduler& scheduler, std::size_t count) {
  while (scheduler.snapshot().requests.size() < count) std::this_thread::yield();
}

// Keeps what it is told.
struct Ends {
  std::vector<EndKind> kinds;
  OnEnd callback() {
    return [this](const RequestEnd& end) { kinds.push_back(end.kind); };
  }
};

TEST(Scheduler, SaysEveryFaultOfAConfiguration) {
  Config config = small_machine();
  config.instances[0].model = ModelId(7);
  config.tenants[0].weight = -1;
  const auto scheduler = Scheduler::create(config);
  ASSERT_FALSE(scheduler);
  EXPECT_EQ(scheduler.error().code, ErrorCode::invalid_argument);
  EXPECT_THAT(scheduler.error().message, HasSubstr("instances[0].model"));
  EXPECT_THAT(scheduler.error().message, HasSubstr("tenants[0].weight"));
}

TEST(Scheduler, GrantsWhatFitsWithoutWaiting) {
  Scheduler scheduler = make_scheduler();
  const auto first = scheduler.acquire(lease_of(512_MiB));
  const auto second = scheduler.try_acquire(lease_of(512_MiB));
  EXPECT_TRUE(first);
  EXPECT_TRUE(second);
}

TEST(Scheduler, RefusesAtOnceWhatCanNeverFit) {
  Scheduler scheduler = make_scheduler();
  Request request = lease_of(2_GiB);
  request.tag = 17;
  const auto lease = scheduler.acquire(request);
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().kind, EndKind::refused);
  EXPECT_EQ(lease.error().tag, 17U);
  ASSERT_TRUE(lease.error().refusal);
  EXPECT_EQ(lease.error().refusal->reason, RefusalReason::can_never_fit);
  EXPECT_EQ(lease.error().refusal->asked, (2_GiB).count());
  EXPECT_EQ(lease.error().refusal->available, (1_GiB).count());
  EXPECT_THAT(to_string(lease.error()), HasSubstr("refused: "));
}

TEST(Scheduler, TryAcquireNeverWaits) {
  Scheduler scheduler = make_scheduler();
  const auto holder = scheduler.acquire(lease_of(800_MiB));
  const auto lease = scheduler.try_acquire(lease_of(800_MiB));
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().kind, EndKind::cancelled);
  EXPECT_EQ(scheduler.snapshot().requests.size(), 1U);  // nothing of it stays
}

TEST(Scheduler, WaiterIsGrantedWhenALeaseIsDropped) {
  Scheduler scheduler = make_scheduler();
  auto holder = scheduler.acquire(lease_of(800_MiB));
  std::optional<Bytes> granted;
  {
    std::jthread waiter([&] { granted = scheduler.acquire(lease_of(800_MiB))->bytes(); });
    await_requests(scheduler, 2);
    holder->release();
  }
  EXPECT_EQ(granted, 800_MiB);
}

TEST(Scheduler, OneDroppedLeaseGrantsAllThatFit) {
  Scheduler scheduler = make_scheduler();
  auto holder = scheduler.acquire(lease_of(1_GiB));
  std::vector<std::jthread> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.emplace_back([&] {
      const auto lease = scheduler.acquire(lease_of(256_MiB));
      EXPECT_TRUE(lease);
    });
  }
  await_requests(scheduler, 5);
  holder->release();
}

TEST(Scheduler, StopEndsAWait) {
  Scheduler scheduler = make_scheduler();
  const auto holder = scheduler.acquire(lease_of(800_MiB));
  std::stop_source stop;
  std::optional<EndKind> end;
  {
    std::jthread waiter(
        [&] { end = scheduler.acquire(lease_of(800_MiB), stop.get_token()).error().kind; });
    await_requests(scheduler, 2);
    stop.request_stop();
  }
  EXPECT_EQ(end, EndKind::cancelled);
  EXPECT_EQ(scheduler.snapshot().requests.size(), 1U);
}

TEST(Scheduler, WaitEndsWhenTheRequestGivesUp) {
  Scheduler scheduler = make_scheduler();
  const auto holder = scheduler.acquire(lease_of(800_MiB));
  Request request = lease_of(800_MiB);
  request.give_up = 20ms;
  const auto lease = scheduler.acquire(request);
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().kind, EndKind::expired);
}

TEST(Scheduler, TickWakesAWaitWhenTheHostsOwnClockJumped) {
  ManualClock clock;
  Scheduler scheduler = make_scheduler(small_machine(), clock.options());
  const auto holder = scheduler.acquire(lease_of(800_MiB));
  std::optional<EndKind> end;
  {
    std::jthread waiter([&] {
      Request request = lease_of(800_MiB);
      request.give_up = std::chrono::hours(5);
      end = scheduler.acquire(request).error().kind;
    });
    await_requests(scheduler, 2);
    clock.advance(std::chrono::hours(6));
    scheduler.tick();
  }
  EXPECT_EQ(end, EndKind::expired);
}

TEST(Scheduler, StepsRunASequenceToItsEnd) {
  Scheduler scheduler = make_scheduler();
  Ends ends;
  scheduler.submit(sequence(32_tok, 4_tok), ends.callback());
  core::Step step;
  int emitted = 0;
  while (scheduler.try_next_step(kInstance, step)) {
    for (const core::StepEntry& entry : step.entries) emitted += entry.emits;
    scheduler.report({.step = step.id});
  }
  EXPECT_EQ(emitted, 4);
  EXPECT_THAT(ends.kinds, ElementsAre(EndKind::finished));
  EXPECT_EQ(scheduler.load(kInstance).state_used, 0_B);
}

TEST(Scheduler, WorkerWakesUpForASubmittedRequest) {
  Scheduler scheduler = make_scheduler();
  Ends ends;
  std::stop_source stop;
  int steps = 0;
  {
    std::jthread worker([&] {
      core::Step step;
      while (scheduler.next_step(kInstance, step, stop.get_token())) {
        ++steps;
        scheduler.report({.step = step.id});
        if (ends.kinds.size() == 2) stop.request_stop();
      }
    });
    std::this_thread::sleep_for(5ms);  // so that it most likely waits
    scheduler.submit(sequence(), ends.callback());
    scheduler.submit(sequence(), ends.callback());
  }
  EXPECT_THAT(ends.kinds, ElementsAre(EndKind::finished, EndKind::finished));
  EXPECT_GE(steps, 4);
}

TEST(Scheduler, StopEndsAWaitForAStep) {
  Scheduler scheduler = make_scheduler();
  std::stop_source stop;
  std::jthread worker([&] {
    core::Step step;
    EXPECT_FALSE(scheduler.next_step(kInstance, step, stop.get_token()));
  });
  std::this_thread::sleep_for(5ms);
  stop.request_stop();
}

TEST(Scheduler, RefusedSequenceHearsOfItOnce) {
  Scheduler scheduler = make_scheduler();
  Ends ends;
  scheduler.submit(sequence(100'000_tok, 100'000_tok), ends.callback());
  EXPECT_THAT(ends.kinds, ElementsAre(EndKind::refused));
}

TEST(Scheduler, CancelledSequenceHearsOfItOnceAlsoInsideAStep) {
  Scheduler scheduler = make_scheduler();
  Ends ends;
  core::Step step;
  const RequestId waiting = scheduler.submit(sequence(), ends.callback());
  scheduler.cancel(waiting);
  scheduler.cancel(waiting);
  EXPECT_THAT(ends.kinds, ElementsAre(EndKind::cancelled));

  const RequestId running = scheduler.submit(sequence(), ends.callback());
  ASSERT_TRUE(scheduler.try_next_step(kInstance, step));
  scheduler.cancel(running);
  EXPECT_THAT(ends.kinds, ElementsAre(EndKind::cancelled, EndKind::cancelled));
  scheduler.report({.step = step.id});
  EXPECT_EQ(ends.kinds.size(), 2U);
  EXPECT_EQ(scheduler.load(kInstance).state_used, 0_B);
}

TEST(Scheduler, CancellingAGrantedLeaseDoesNothing) {
  Scheduler scheduler = make_scheduler();
  const auto lease = scheduler.acquire(lease_of(300_MiB));
  scheduler.cancel(lease->request());
  EXPECT_EQ(scheduler.snapshot().ledger.accounts.front().used, 300_MiB);
}

TEST(Scheduler, CallbackMayCallBack) {
  Scheduler scheduler = make_scheduler();
  Ends ends;
  RequestId second{};
  const RequestId first = scheduler.submit(sequence(), [&](const RequestEnd& end) {
    ends.kinds.push_back(end.kind);
    second = scheduler.submit(sequence(), ends.callback());
    scheduler.cancel(second);
    EXPECT_EQ(ends.kinds.size(), 1U);  // its own end comes after this one
  });
  scheduler.cancel(first);
  EXPECT_THAT(ends.kinds, ElementsAre(EndKind::cancelled, EndKind::cancelled));
}

TEST(Scheduler, ShutdownEndsEveryRequestOnce) {
  Scheduler scheduler = make_scheduler();
  Ends ends;
  scheduler.submit(sequence(), ends.callback());
  core::Step step;
  ASSERT_TRUE(scheduler.try_next_step(kInstance, step));
  scheduler.submit(sequence(), ends.callback());
  scheduler.shutdown();
  EXPECT_THAT(ends.kinds, ElementsAre(EndKind::cancelled, EndKind::cancelled));
  scheduler.report({.step = step.id});  // taken
  scheduler.submit(sequence(), ends.callback());
  EXPECT_EQ(ends.kinds.size(), 3U);
  EXPECT_EQ(ends.kinds.back(), EndKind::cancelled);
  EXPECT_FALSE(scheduler.acquire(lease_of(1_MiB)));
  EXPECT_FALSE(scheduler.next_step(kInstance, step));
  scheduler.shutdown();
  EXPECT_EQ(ends.kinds.size(), 3U);
}

TEST(Scheduler, ShutdownByACallbackDoesNotWaitForItself) {
  Scheduler scheduler = make_scheduler();
  Ends ends;
  const RequestId first = scheduler.submit(sequence(), [&](const RequestEnd& end) {
    ends.kinds.push_back(end.kind);
    scheduler.shutdown();
  });
  scheduler.submit(sequence(), ends.callback());
  scheduler.cancel(first);
  EXPECT_THAT(ends.kinds, ElementsAre(EndKind::cancelled, EndKind::cancelled));
}

TEST(Scheduler, ShutdownWaitsForACallbackThatRuns) {
  Scheduler scheduler = make_scheduler();
  std::atomic<bool> inside{false};
  std::atomic<bool> done{false};
  const RequestId request = scheduler.submit(sequence(), [&](const RequestEnd&) {
    inside = true;
    std::this_thread::sleep_for(20ms);
    done = true;
  });
  const std::jthread canceller([&] { scheduler.cancel(request); });
  while (!inside) std::this_thread::yield();
  scheduler.shutdown();
  EXPECT_TRUE(done);
}

TEST(Scheduler, TimePassesThroughAnyThreadThatWaits) {
  Config config = small_machine();
  config.models.push_back(config.models[0]);
  config.instances.push_back(config.instances[0]);
  config.models[1].name = config.instances[1].name = "second";
  config.instances[1].model = ModelId(1);
  Scheduler scheduler = make_scheduler(config);
  std::stop_source stop;
  const std::jthread idle_worker([&] {
    core::Step step;
    scheduler.next_step(InstanceId(1), step, stop.get_token());
  });
  std::this_thread::sleep_for(5ms);  // so that it most likely waits, with no timer set

  scheduler.submit(sequence(), {});
  core::Step step;
  ASSERT_TRUE(scheduler.try_next_step(kInstance, step));  // and never reports
  std::atomic<bool> expired{false};
  Request request = sequence();
  request.give_up = 10ms;
  scheduler.submit(request, [&](const RequestEnd& end) { expired = end.kind == EndKind::expired; });
  const auto patience = std::chrono::steady_clock::now() + 10s;
  while (!expired && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
  EXPECT_TRUE(expired);
  stop.request_stop();
}

TEST(Scheduler, DestructionEndsWaitsInOtherThreads) {
  std::optional<Scheduler> scheduler(make_scheduler());
  std::optional<Lease> holder = *scheduler->acquire(lease_of(800_MiB));
  std::optional<EndKind> end;
  std::jthread waiter([&] { end = scheduler->acquire(lease_of(800_MiB)).error().kind; });
  await_requests(*scheduler, 2);  // the waiter is inside: nobody may come in any more
  scheduler.reset();
  waiter.join();
  EXPECT_EQ(end, EndKind::cancelled);
  holder.reset();
}

TEST(Scheduler, ShutdownEndsTheWaitForAStep) {
  Scheduler scheduler = make_scheduler();
  bool got_step = true;
  std::jthread worker([&] {  // before or after the shutdown: it comes back without a step
    core::Step step;
    got_step = scheduler.next_step(kInstance, step);
  });
  scheduler.shutdown();
  worker.join();
  EXPECT_FALSE(got_step);
}

TEST(Scheduler, LostInstanceRefusesItsRequestsOnce) {
  Scheduler scheduler = make_scheduler();
  Ends ends;
  scheduler.submit(sequence(), ends.callback());
  scheduler.instance_lost(kInstance);
  EXPECT_LE(ends.kinds.size(), 1U);
  scheduler.shutdown();
  EXPECT_EQ(ends.kinds.size(), 1U);
}

TEST(Scheduler, AccountsAreThoseOfTheSnapshot) {
  Scheduler scheduler = make_scheduler();
  const auto lease = scheduler.acquire(lease_of(5_MiB));
  ASSERT_TRUE(lease.has_value());
  const auto accounts = scheduler.accounts();
  EXPECT_EQ(accounts.front().used, 5_MiB);
  EXPECT_EQ(accounts, scheduler.snapshot().ledger.accounts);
}

TEST(SchedulerDeathTest, MisuseAbortsWithAMessage) {
  Scheduler scheduler = make_scheduler();
  core::Step step;
  EXPECT_DEATH(scheduler.submit(lease_of(1_MiB), {}), "leases are acquire\\(\\)'s");
  EXPECT_DEATH((void)scheduler.acquire(sequence()), "are submit\\(\\)'s");
  EXPECT_DEATH((void)scheduler.try_acquire(sequence()), "are submit\\(\\)'s");
  EXPECT_DEATH(scheduler.try_next_step(InstanceId(9), step), "no such instance was configured");
  EXPECT_DEATH(
      {
        std::jthread worker([&] {
          core::Step other;
          scheduler.next_step(kInstance, other);
        });
        std::this_thread::sleep_for(20ms);
        scheduler.next_step(kInstance, step);
      },
      "another thread waits for a step of this instance");
  const Scheduler moved = std::move(scheduler);
  EXPECT_DEATH(scheduler.tick(),
               "the scheduler was moved from");  // NOLINT(bugprone-use-after-move)
}

}  // namespace
}  // namespace mais
