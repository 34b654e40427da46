// All orders in which a few calls of the scheduler can meet, up to a bound of preemptions: nobody
// waits for ever, every answer comes once, nothing stays held.
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "mais/scheduler.hpp"
#include "shell/detached.hpp"
#include "shell/interleaver.hpp"
#include "shell/small_machine.hpp"

namespace mais {
namespace {

#ifdef MAIS_LONG_TESTS
constexpr int kOfTwo = 4;  // preemptions, with two threads
constexpr int kOfThree = 3;
#else
constexpr int kOfTwo = 2;
constexpr int kOfThree = 1;
#endif

using Answer = tl::expected<Lease, RequestEnd>;

Request lease_of(Bytes bytes) {
  return {.space = kPool, .bytes = bytes};
}

// A run's world; the threads are made of it by the test.
struct World {
  explicit World(SchedulerOptions options = {}) {
    options.clock = [] { return Time(); };  // nothing ever is late
    scheduler.emplace(make_scheduler(small_machine(), std::move(options)));
  }
  void hold() { holder = std::move(*scheduler->acquire(lease_of(800_MiB))); }
  OnLease count() {
    return [this](const Answer& answer) {
      ++answers;
      granted += answer.has_value();
    };
  }
  // When all has ended: nothing is held.
  void check() {
    holder.release();
    const auto view = scheduler->snapshot();
    ASSERT_EQ(view.ledger.accounts.front().used, 0_B);
    ASSERT_TRUE(view.requests.empty());
  }

  std::optional<Scheduler> scheduler;
  Lease holder;
  int answers = 0;
  int granted = 0;
};

using Bodies = std::vector<std::function<void()>>;

// Every order of what `threads(world)` gives; then `check(world)`.
template <class Make, class Threads, class Check>
void explore(int preemptions, Make make, Threads threads, Check check) {
  shell::Interleaver interleaver(preemptions);
  do {
    const std::unique_ptr<World> world = make();
    interleaver.run(threads(*world));
    check(*world);
    if (::testing::Test::HasFatalFailure()) {
      std::cerr << "in run " << interleaver.runs() << '\n';
      return;
    }
  } while (interleaver.next());
  std::cout << interleaver.runs() << " orders\n";
  EXPECT_GT(interleaver.runs(), 20U);  // or nobody met anybody
}

std::unique_ptr<World> plain() {
  return std::make_unique<World>();
}
std::unique_ptr<World> held() {
  auto world = std::make_unique<World>();
  world->hold();
  return world;
}

TEST(Interleavings, TwoThatTakeTurns) {
  const auto threads = [](World& world) {
    const auto take = [&world] {
      const auto lease = world.scheduler->acquire(lease_of(800_MiB));
      world.granted += lease.has_value();
    };
    return Bodies{take, take};
  };
  explore(kOfTwo, plain, threads, [](World& world) {
    ASSERT_EQ(world.granted, 2);
    world.check();
  });
}

TEST(Interleavings, ThreeThatTakeTurns) {
  const auto threads = [](World& world) {
    const auto take = [&world] {
      const auto lease = world.scheduler->acquire(lease_of(800_MiB));
      world.granted += lease.has_value();
    };
    return Bodies{take, take, take};
  };
  explore(kOfThree, plain, threads, [](World& world) {
    ASSERT_EQ(world.granted, 3);
    world.check();
  });
}

TEST(Interleavings, LeaseDroppedWhileAnotherBeginsToWait) {
  const auto threads = [](World& world) {
    return Bodies{[&] { world.granted += world.scheduler->acquire(lease_of(800_MiB)).has_value(); },
                  [&] { world.holder.release(); }};
  };
  explore(kOfTwo + 1, held, threads, [](World& world) {
    ASSERT_EQ(world.granted, 1);
    world.check();
  });
}

TEST(Interleavings, LeaseDroppedWhileOneIsAskedForWithoutAThread) {
  const auto threads = [](World& world) {
    return Bodies{[&] { world.scheduler->acquire_async(lease_of(800_MiB), world.count()); },
                  [&] { world.holder.release(); }};
  };
  explore(kOfTwo + 1, held, threads, [](World& world) {
    ASSERT_EQ(world.answers, 1);  // and nobody called the scheduler since
    ASSERT_EQ(world.granted, 1);
    world.check();
  });
}

TEST(Interleavings, WaiterLeavesWhileALeaseIsDroppedForOneWithoutAThread) {
  const auto make = [] {
    auto world = held();
    world->scheduler->acquire_async(lease_of(800_MiB), world->count());
    return world;
  };
  // The first goes in and out as one that waits; the ring for the dropped lease may go to it.
  const auto threads = [](World& world) {
    return Bodies{[&] { world.scheduler->drain({}, Time()); }, [&] { world.holder.release(); }};
  };
  explore(kOfTwo + 1, make, threads, [](World& world) {
    ASSERT_EQ(world.answers, 1);
    ASSERT_EQ(world.granted, 1);
    world.check();
  });
}

TEST(Interleavings, CancelledWhileItsLeaseComes) {
  std::optional<RequestId> id;
  const auto make = [&id] {
    auto world = held();
    id = world->scheduler->acquire_async(lease_of(800_MiB), world->count());
    return world;
  };
  int granted = 0, cancelled = 0;
  const auto threads = [&id](World& world) {
    return Bodies{[&world, &id] { world.scheduler->cancel(*id); },
                  [&world] { world.holder.release(); }};
  };
  explore(kOfTwo + 1, make, threads, [&](World& world) {
    ASSERT_EQ(world.answers, 1);
    ++(world.granted == 1 ? granted : cancelled);
    world.check();
  });
  EXPECT_GT(granted, 0);  // both orders were there
  EXPECT_GT(cancelled, 0);
}

TEST(Interleavings, ShutDownAtEveryPointOfAWait) {
  const auto threads = [](World& world) {
    return Bodies{[&] {
                    world.granted += world.scheduler->acquire(lease_of(800_MiB)).has_value();
                    ++world.answers;
                  },
                  [&] { world.scheduler->shutdown(); }, [&] { world.holder.release(); }};
  };
  explore(kOfThree, held, threads, [](World& world) {
    ASSERT_EQ(world.answers, 1);
    world.check();
  });
}

TEST(Interleavings, ShutDownAtEveryPointOfAnAsynchronousWait) {
  const auto threads = [](World& world) {
    return Bodies{[&] { world.scheduler->acquire_async(lease_of(800_MiB), world.count()); },
                  [&] { world.scheduler->shutdown(); }, [&] { world.holder.release(); }};
  };
  explore(kOfThree, held, threads, [](World& world) {
    ASSERT_EQ(world.answers, 1);
    world.check();
  });
}

Detached await_lease(World& world) {
  const auto lease = co_await world.scheduler->acquired(lease_of(800_MiB));
  ++world.answers;
  world.granted += lease.has_value();
}

TEST(Interleavings, CoroutineIsResumedOnceWhoeverBringsTheAnswer) {
  const auto threads = [](World& world) {
    return Bodies{[&] { await_lease(world); }, [&] { world.scheduler->shutdown(); },
                  [&] { world.holder.release(); }};
  };
  explore(kOfThree, held, threads, [](World& world) {
    ASSERT_EQ(world.answers, 1);
    world.check();
  });
}

TEST(Interleavings, SchedulerDestroyedAtEveryPointOfDroppingALease) {
  const auto make = [] {
    auto world = held();
    world->scheduler->acquire_async(lease_of(800_MiB), world->count());
    return world;
  };
  const auto threads = [](World& world) {
    return Bodies{[&] { world.scheduler.reset(); }, [&] { world.holder.release(); }};
  };
  explore(kOfTwo + 1, make, threads, [](World& world) { ASSERT_EQ(world.answers, 1); });
}

TEST(Interleavings, StepRequestAndShutdown) {
  const auto threads = [](World& world) {
    return Bodies{[&] {
                    core::Step step;
                    while (world.scheduler->next_step(kInstance, step)) {
                      world.scheduler->report({.step = step.id});
                    }
                  },
                  [&] {
                    world.scheduler->submit({.model = kModel, .prompt = 1_tok, .max_new = 1_tok},
                                            [&](const RequestEnd&) { ++world.answers; });
                    world.scheduler->shutdown();
                  }};
  };
  explore(kOfTwo, plain, threads, [](World& world) {
    ASSERT_EQ(world.answers, 1);
    world.check();
  });
}

TEST(Interleavings, WorkerHearsOfARequestHoweverTheyMeet) {
  const auto threads = [](World& world) {
    return Bodies{[&] {
                    core::Step step;
                    if (!world.scheduler->next_step(kInstance, step)) return;
                    world.scheduler->report({.step = step.id});
                  },
                  [&] {
                    world.scheduler->submit({.model = kModel, .prompt = 1_tok, .max_new = 1_tok},
                                            [&](const RequestEnd&) { ++world.answers; });
                  }};
  };
  explore(kOfTwo + 1, plain, threads, [](World& world) {
    ASSERT_EQ(world.answers, 1);  // the worker would wait for ever if it missed it
    world.check();
  });
}

TEST(Interleavings, DrainReturnsWhenTheLastLeaseGoes) {
  const auto threads = [](World& world) {
    return Bodies{[&] { world.granted += world.scheduler->drain(); },
                  [&] { world.holder.release(); },
                  [&] { world.scheduler->acquire_async(lease_of(1_MiB), world.count()); }};
  };
  explore(kOfThree, held, threads, [](World& world) {
    ASSERT_GE(world.granted, 1);
    ASSERT_EQ(world.answers, 1);
    world.check();
  });
}

struct InOrder final : Observer {
  void observe(const Observation& seen) override {
    wrong = wrong || seen.number != last + 1 || inside;
    inside = true;
    last = seen.number;
    if (seen.number == 1) scheduler->tick();  // calls back
    inside = false;
  }
  Scheduler* scheduler = nullptr;
  std::uint64_t last = 0;
  bool inside = false;
  bool wrong = false;
};

TEST(Interleavings, ObserverHearsInOrderThoughItIsWaitedFor) {
  std::shared_ptr<InOrder> observer;
  const auto make = [&observer] {
    observer = std::make_shared<InOrder>();
    auto world = std::make_unique<World>(
        SchedulerOptions{.observers = {observer}, .delivery = {.capacity = 1}});
    observer->scheduler = &*world->scheduler;
    return world;
  };
  const auto threads = [](World& world) {
    const auto tick = [&world] {
      world.scheduler->tick();
      world.scheduler->tick();
    };
    return Bodies{tick, tick};
  };
  explore(kOfTwo, make, threads, [&](World& world) {
    world.scheduler->shutdown();
    ASSERT_EQ(observer->last, 5U);
    ASSERT_FALSE(observer->wrong);
  });
}

// The interleaver itself: it finds a wake-up that is lost.
TEST(InterleaverDeathTest, FindsALostWakeUp) {
  EXPECT_DEATH(
      {
        shell::Interleaver interleaver(1);
        do {
          shell::Mutex mutex;
          shell::ConditionVariable changed;
          bool there = false;
          interleaver.run({[&] {
                             bool seen = false;
                             {
                               std::unique_lock lock(mutex);
                               seen = there;
                             }
                             std::unique_lock lock(mutex);
                             if (!seen) changed.wait(lock);  // it may have come in between
                           },
                           [&] {
                             const std::unique_lock lock(mutex);
                             there = true;
                             changed.notify_all();
                           }});
        } while (interleaver.next());
      },
      "interleaver: nobody can go on");
}

TEST(Interleaver, GoesThroughEveryOrder) {
  shell::Interleaver interleaver(10);
  std::vector<std::pair<int, int>> results;
  do {
    shell::Atomic<int> value{0};
    int first = 0, second = 0;
    interleaver.run({[&] {
                       value.exchange(1);
                       first = value.load();
                     },
                     [&] {
                       value.exchange(2);
                       second = value.load();
                     }});
    results.emplace_back(first, second);
  } while (interleaver.next());
  for (const auto& [first, second] : {std::pair(1, 2), std::pair(1, 1), std::pair(2, 2)}) {
    EXPECT_THAT(results, ::testing::Contains(std::pair(first, second)));
  }
  EXPECT_THAT(results, ::testing::Not(::testing::Contains(std::pair(2, 1))));
}

}  // namespace
}  // namespace mais
