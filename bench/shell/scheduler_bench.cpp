// What a lease costs a host: alone, with an observer that does nothing, with a journal. Asked:
// uncontended acquire + release in at most 1 us; 8 threads on 2 cores at half the rate of one
// thread or more. The counter `allocations` is per iteration.
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "allocation_count.hpp"
#include "mais/journal.hpp"
#include "mais/scheduler.hpp"

namespace mais {
namespace {

using namespace mais::literals;

Scheduler make_scheduler(std::vector<std::shared_ptr<Observer>> observers = {}) {
  Config config;
  config.machine.spaces = {{.name = "gpu0", .capacity = 80_GiB}};
  return std::move(*Scheduler::create(config, {.observers = std::move(observers)}));
}

struct Idle final : Observer {
  void observe(const Observation& seen) override { benchmark::DoNotOptimize(&seen); }
};

std::vector<std::shared_ptr<Observer>> idle_observer() {
  return {std::make_shared<Idle>()};
}

// Where it is written costs what the file system takes; a bench of ours ends at the system call.
std::vector<std::shared_ptr<Observer>> journal() {
  return {std::move(*Journal::create("/dev/null", {.replace = true}))};
}

void acquire_and_release(benchmark::State& state, Scheduler& scheduler, Bytes bytes) {
  const Request request{.space = SpaceId(0), .bytes = bytes};
  for (auto _ : state) {
    auto lease = scheduler.acquire(request);
    benchmark::DoNotOptimize(lease);
  }
  state.SetItemsProcessed(state.iterations());
}

void uncontended(benchmark::State& state, std::vector<std::shared_ptr<Observer>> observers) {
  Scheduler scheduler = make_scheduler(std::move(observers));
  const std::int64_t before = bench::allocations();
  acquire_and_release(state, scheduler, 1_GiB);
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(bench::allocations() - before), benchmark::Counter::kAvgIterations);
}
void BM_Uncontended(benchmark::State& state) {
  uncontended(state, {});
}
BENCHMARK(BM_Uncontended);
void BM_UncontendedObserved(benchmark::State& state) {
  uncontended(state, idle_observer());
}
BENCHMARK(BM_UncontendedObserved);
void BM_UncontendedJournal(benchmark::State& state) {
  uncontended(state, journal());
}
BENCHMARK(BM_UncontendedJournal);

// The same by callback.
void BM_UncontendedAsync(benchmark::State& state) {
  Scheduler scheduler = make_scheduler();
  const Request request{.space = SpaceId(0), .bytes = 1_GiB};
  for (auto _ : state) {
    scheduler.acquire_async(request, [](auto lease) { benchmark::DoNotOptimize(lease); });
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_UncontendedAsync);

// Everybody's bytes fit: the threads meet at the mutex only.
void BM_ThreadsThatFit(benchmark::State& state) {
  static Scheduler scheduler = make_scheduler();
  acquire_and_release(state, scheduler, 1_GiB);
}
BENCHMARK(BM_ThreadsThatFit)->ThreadRange(1, 8)->UseRealTime();
void BM_ThreadsThatFitObserved(benchmark::State& state) {
  static Scheduler scheduler = make_scheduler(idle_observer());
  acquire_and_release(state, scheduler, 1_GiB);
}
BENCHMARK(BM_ThreadsThatFitObserved)->ThreadRange(1, 8)->UseRealTime();
void BM_ThreadsThatFitJournal(benchmark::State& state) {
  static Scheduler scheduler = make_scheduler(journal());
  acquire_and_release(state, scheduler, 1_GiB);
}
BENCHMARK(BM_ThreadsThatFitJournal)->ThreadRange(1, 8)->UseRealTime();

// One lease at a time: every other thread waits for its turn, and each hand-over is a change of
// threads.
void BM_ThreadsThatTakeTurns(benchmark::State& state) {
  static Scheduler scheduler = make_scheduler();
  acquire_and_release(state, scheduler, 80_GiB);
}
BENCHMARK(BM_ThreadsThatTakeTurns)->ThreadRange(1, 8)->UseRealTime();

}  // namespace
}  // namespace mais

BENCHMARK_MAIN();
