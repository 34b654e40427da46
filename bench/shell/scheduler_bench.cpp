// What a lease costs a host. Asked (issue 5): uncontended acquire + release in at most 1 us; with 8
// threads on 2 cores no collapse. The counter `allocations` is per iteration.
#include <cstdint>
#include <utility>

#include <benchmark/benchmark.h>

#include "allocation_count.hpp"
#include "mais/scheduler.hpp"

namespace mais {
namespace {

using namespace mais::literals;

Scheduler make_scheduler() {
  Config config;
  config.machine.spaces = {{.name = "gpu0", .capacity = 80_GiB}};
  return std::move(*Scheduler::create(config));
}

void acquire_and_release(benchmark::State& state, Scheduler& scheduler, Bytes bytes) {
  const Request request{.space = SpaceId(0), .bytes = bytes};
  for (auto _ : state) {
    auto lease = scheduler.acquire(request);
    benchmark::DoNotOptimize(lease);
  }
  state.SetItemsProcessed(state.iterations());
}

void BM_Uncontended(benchmark::State& state) {
  Scheduler scheduler = make_scheduler();
  const std::int64_t before = bench::allocations();
  acquire_and_release(state, scheduler, 1_GiB);
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(bench::allocations() - before), benchmark::Counter::kAvgIterations);
}
BENCHMARK(BM_Uncontended);

// Everybody's bytes fit: the threads meet at the mutex only.
void BM_ThreadsThatFit(benchmark::State& state) {
  static Scheduler scheduler = make_scheduler();
  acquire_and_release(state, scheduler, 1_GiB);
}
BENCHMARK(BM_ThreadsThatFit)->ThreadRange(1, 8)->UseRealTime();

// One lease at a time: every other thread waits for its turn.
void BM_ThreadsThatTakeTurns(benchmark::State& state) {
  static Scheduler scheduler = make_scheduler();
  acquire_and_release(state, scheduler, 80_GiB);
}
BENCHMARK(BM_ThreadsThatTakeTurns)->ThreadRange(1, 8)->UseRealTime();

}  // namespace
}  // namespace mais

BENCHMARK_MAIN();
