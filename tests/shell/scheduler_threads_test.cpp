// The scheduler under many threads: nothing is lost, nothing is told twice, nothing stays held.
#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "mais/scheduler.hpp"
#include "shell/small_machine.hpp"

namespace mais {
namespace {

#ifdef MAIS_LONG_TESTS
constexpr int kRounds = 100'000;
#elif defined(__SANITIZE_THREAD__)
constexpr int kRounds = 100;  // each a dozen times slower
#else
constexpr int kRounds = 500;
#endif

// What the ledger must agree with: bytes in leases right now, counted by the threads themselves.
class Occupancy {
 public:
  void enter(Bytes bytes) { check(held_ += bytes.count()); }
  void leave(Bytes bytes) { held_ -= bytes.count(); }
  bool was_exceeded() const { return exceeded_; }

 private:
  void check(std::int64_t held) {
    if (held > (1_GiB).count()) exceeded_ = true;
  }
  std::atomic<std::int64_t> held_{0};
  std::atomic<bool> exceeded_{false};
};

TEST(SchedulerThreads, LeasesNeverHoldMoreThanTheSpace) {
  Scheduler scheduler = make_scheduler();
  Occupancy occupancy;
  std::atomic<int> granted{0};
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        std::minstd_rand random(t + 1);
        for (int i = 0; i < kRounds; ++i) {
          const Bytes bytes = 1_MiB * (1 + random() % 500);
          Request request{.tenant = TenantId(t % 2), .space = kPool, .bytes = bytes};
          const auto lease = scheduler.acquire(request);
          if (!lease) continue;
          occupancy.enter(bytes);
          ++granted;
          if (i % 7 == 0) std::this_thread::yield();
          occupancy.leave(bytes);
        }
      });
    }
  }
  EXPECT_FALSE(occupancy.was_exceeded());
  EXPECT_EQ(granted, 6 * kRounds);
  EXPECT_EQ(scheduler.snapshot().ledger.accounts.front().used, 0_B);
}

TEST(SchedulerThreads, StoppedExpiredAndTriedLeasesLeaveNothingBehind) {
  Scheduler scheduler = make_scheduler();
  std::atomic<int> answers{0};
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        std::minstd_rand random(t + 1);
        for (int i = 0; i < kRounds; ++i) {
          Request request{.space = kPool, .bytes = 1_MiB * (200 + random() % 400)};
          if (random() % 3 == 0) {
            answers += scheduler.try_acquire(request).has_value() ? 1 : 1;
          } else if (random() % 2 == 0) {
            request.give_up = std::chrono::microseconds(random() % 200);
            answers += scheduler.acquire(request).has_value() ? 1 : 1;
          } else {
            std::stop_source stop;
            std::jthread stopper([&] { stop.request_stop(); });
            answers += scheduler.acquire(request, stop.get_token()).has_value() ? 1 : 1;
          }
        }
      });
    }
  }
  EXPECT_EQ(answers, 6 * kRounds);
  const auto view = scheduler.snapshot();
  EXPECT_EQ(view.ledger.accounts.front().used, 0_B);
  EXPECT_TRUE(view.requests.empty());
}

TEST(SchedulerThreads, EveryEndIsToldExactlyOnceUnderProducersWorkersAndCancels) {
  Scheduler scheduler = make_scheduler();
  constexpr int kProducers = 4;
  std::vector<std::atomic<int>> told(kProducers * kRounds);
  std::atomic<int> ended{0};
  std::stop_source stop;
  std::jthread worker([&] {
    core::Step step;
    while (scheduler.next_step(kInstance, step, stop.get_token())) {
      scheduler.report({.step = step.id});
    }
  });
  {
    std::vector<std::jthread> producers;
    for (int p = 0; p < kProducers; ++p) {
      producers.emplace_back([&, p] {
        std::minstd_rand random(static_cast<unsigned>(p) + 1);
        for (int i = 0; i < kRounds; ++i) {
          const int number = p * kRounds + i;
          Request request{.model = kModel,
                          .tenant = TenantId(static_cast<std::uint32_t>(p % 2)),
                          .prompt = Tokens(1 + static_cast<std::int64_t>(random() % 200)),
                          .max_new = Tokens(1 + static_cast<std::int64_t>(random() % 8)),
                          .tag = static_cast<std::uint64_t>(number)};
          if (random() % 5 == 0) request.give_up = std::chrono::microseconds(random() % 2000);
          const RequestId id = scheduler.submit(request, [&](const RequestEnd& end) {
            ++told[end.tag];
            ++ended;
          });
          if (random() % 4 == 0) scheduler.cancel(id);
        }
      });
    }
  }
  while (ended < kProducers * kRounds) std::this_thread::yield();
  stop.request_stop();
  worker.join();
  for (const auto& count : told) ASSERT_EQ(count, 1);
  EXPECT_EQ(scheduler.load(kInstance).state_used, 0_B);
}

TEST(SchedulerThreads, ShutdownInTheMiddleTellsEveryEndOnce) {
  for (int round = 0; round < kRounds / 20 + 1; ++round) {
    std::optional<Scheduler> scheduler(make_scheduler());
    std::atomic<int> submitted{0};
    std::atomic<int> told{0};
    std::vector<std::jthread> threads;
    for (int p = 0; p < 3; ++p) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20; ++i) {
          ++submitted;
          scheduler->submit({.model = kModel, .prompt = 16_tok, .max_new = 2_tok},
                            [&](const RequestEnd&) { ++told; });
          const auto lease = scheduler->acquire({.space = kPool, .bytes = 600_MiB});
        }
      });
    }
    threads.emplace_back([&] {
      core::Step step;
      while (scheduler->next_step(kInstance, step)) scheduler->report({.step = step.id});
    });
    std::this_thread::sleep_for(std::chrono::microseconds(37 * round % 500));
    scheduler->shutdown();
    threads.clear();  // joins: nobody hangs
    scheduler.reset();
    EXPECT_EQ(told, submitted);
  }
}

TEST(SchedulerThreads, LeasesDroppedWhileTheSchedulerGoesAreSafe) {
  for (int round = 0; round < kRounds / 20 + 1; ++round) {
    std::optional<Scheduler> scheduler(make_scheduler());
    std::vector<Lease> leases;
    for (int i = 0; i < 8; ++i) {
      leases.push_back(*scheduler->acquire({.space = kPool, .bytes = 100_MiB}));
    }
    std::jthread dropper([&] { leases.clear(); });
    scheduler.reset();
  }
}

}  // namespace
}  // namespace mais
