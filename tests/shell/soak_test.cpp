// Leases in millions, by every way to get one, on four threads: at the end not a byte is left, in
// the ledger or on the heap.
#include <atomic>
#include <malloc.h>
#include <random>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "mais/scheduler.hpp"
#include "shell/small_machine.hpp"

namespace mais {
namespace {

#ifdef MAIS_LONG_TESTS
constexpr std::int64_t kLeases = 10'000'000;
#elif defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::int64_t kLeases = 20'000;
#else
constexpr std::int64_t kLeases = 400'000;
#endif
constexpr unsigned kThreads = 4;

struct Counter final : Observer {
  void observe(const Observation& seen) override {
    for (const core::Action& action : seen.actions) {
      granted += action.kind == core::ActionKind::granted;
    }
  }
  std::int64_t granted = 0;
};

// `leases` of them, some kept until the next one is asked for.
std::int64_t take(Scheduler& scheduler, unsigned seed, std::int64_t leases) {
  std::minstd_rand random(seed);
  std::atomic<std::int64_t> granted{0};
  std::atomic<std::int64_t> told{0};
  std::int64_t asked = 0;
  Lease kept;  // one at most, so that nobody waits for what he holds
  while (granted < leases) {
    const auto most = random() % 64 == 0 ? 1'000'000'000U : 100'000'000U;
    const Request request{.tenant = TenantId(static_cast<std::uint32_t>(random() % 2)),
                          .space = kPool,
                          .bytes = Bytes(static_cast<std::int64_t>(1 + random() % most))};
    switch (random() % 4) {
      case 0:
        kept.release();
        ++asked;
        scheduler.acquire_async(request, [&](tl::expected<Lease, RequestEnd> lease) {
          granted += lease.has_value();
          ++told;
        });
        break;
      case 1:
        if (auto lease = scheduler.try_acquire(request)) {
          kept = std::move(*lease);
          ++granted;
        }
        break;
      default:
        kept.release();
        if (auto lease = scheduler.acquire(request)) {
          kept = std::move(*lease);
          ++granted;
        }
    }
  }
  kept.release();
  while (told < asked) std::this_thread::yield();
  return granted;
}

std::size_t heap_in_use() {
  return ::mallinfo2().uordblks;
}

TEST(Soak, NothingIsLeftOfMillionsOfLeases) {
  const auto counter = std::make_shared<Counter>();
  Scheduler scheduler = make_scheduler(small_machine(), {.observers = {counter}});
  std::atomic<std::int64_t> granted{0};
  const auto run = [&](std::int64_t leases) {
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] { granted += take(scheduler, t + 1, leases / kThreads); });
    }
  };
  run(kLeases / 10);  // grows what is kept for later
  [[maybe_unused]] const std::size_t before = heap_in_use();
  run(kLeases);
  EXPECT_GE(granted, kLeases + kLeases / 10);
  const auto view = scheduler.snapshot();
  EXPECT_EQ(view.ledger.accounts.front().used, 0_B);
  EXPECT_TRUE(view.requests.empty());
  EXPECT_EQ(view.submitted, view.finished + view.refused + view.expired + view.cancelled);
  EXPECT_TRUE(scheduler.drain({}, scheduler.now() + 10s));
  scheduler.shutdown();
  EXPECT_EQ(counter->granted, granted);
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
  EXPECT_LT(heap_in_use(), before + (4 << 20));  // a byte a lease would be more in the long run
#endif
}

}  // namespace
}  // namespace mais
