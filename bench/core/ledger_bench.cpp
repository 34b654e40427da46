// What one charge costs. Asked: reserve + release on a path of depth 4 in at most 60 ns without a
// heap allocation, and 10,000 accounts no dearer than 10. The counter `allocations` is per
// iteration.
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include "allocation_count.hpp"
#include "mais/core/ledger.hpp"

namespace mais::core {
namespace {

using namespace mais::literals;

// Counts the allocations of the timed loop.
class AllocationCount {
 public:
  explicit AllocationCount(benchmark::State& state)
      : state_(state), before_(bench::allocations()) {}
  ~AllocationCount() {
    state_.counters["allocations"] = benchmark::Counter(
        static_cast<double>(bench::allocations() - before_), benchmark::Counter::kAvgIterations);
  }

 private:
  benchmark::State& state_;
  std::int64_t before_;
};

// A path of four accounts as in the design, device -> tenant -> model -> kv cache, with `accounts`
// of them in the tree; the lowest are given back.
struct Tree {
  explicit Tree(std::int64_t accounts) {
    const AccountId device = ledger.root(ledger.add_space("gpu", 80_GiB));
    const AccountId tenant =
        *ledger.add_account(device, {.name = "tenant", .guarantee = 30_GiB, .limit = 78_GiB});
    const AccountId model = *ledger.add_account(tenant, {.name = "model", .guarantee = 20_GiB});
    for (std::int64_t i = 3; i < accounts; ++i) {
      leaves.push_back(*ledger.add_account(model, {.name = "kv", .guarantee = 1_MiB}));
    }
    stride = 7919 % leaves.size();
    ledger.prepare(1024);
  }
  // Leaves in an order that no prefetcher follows.
  AccountId next() {
    at += stride;
    if (at >= leaves.size()) at -= leaves.size();
    return leaves[at];
  }
  Ledger ledger;
  std::vector<AccountId> leaves;
  std::size_t at = 0;
  std::size_t stride = 0;
};

void ReserveAndRelease(benchmark::State& state, Hold hold) {
  Tree tree(state.range(0));
  const AllocationCount count(state);
  for (auto _ : state) {
    const auto id = tree.ledger.try_reserve(tree.next(), 2_MiB, hold);
    tree.ledger.release(*id);
  }
}
BENCHMARK_CAPTURE(ReserveAndRelease, firm, Hold::firm)->Arg(10)->Arg(10'000);
BENCHMARK_CAPTURE(ReserveAndRelease, revocable, Hold::revocable)->Arg(10)->Arg(10'000);

void ReserveAndReleaseAsResult(benchmark::State& state) {
  Tree tree(state.range(0));
  const AllocationCount count(state);
  for (auto _ : state) {
    const Result<ReservationId> id = tree.ledger.reserve(tree.next(), 2_MiB);
    tree.ledger.release(*id);
  }
}
BENCHMARK(ReserveAndReleaseAsResult)->Arg(10)->Arg(10'000);

void GrowAndShrink(benchmark::State& state) {
  Tree tree(state.range(0));
  const ReservationId id = *tree.ledger.try_reserve(tree.next(), 2_MiB);
  const AllocationCount count(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(tree.ledger.try_grow(id, 64_KiB));
    tree.ledger.shrink(id, 64_KiB);
  }
}
BENCHMARK(GrowAndShrink)->Arg(10)->Arg(10'000);

void RefusedReserve(benchmark::State& state) {
  Tree tree(state.range(0));
  const AllocationCount count(state);
  for (auto _ : state) benchmark::DoNotOptimize(tree.ledger.try_reserve(tree.next(), 81_GiB));
}
BENCHMARK(RefusedReserve)->Arg(10)->Arg(10'000);

void Headroom(benchmark::State& state) {
  Tree tree(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(tree.ledger.headroom(tree.next(), Hold::firm));
}
BENCHMARK(Headroom)->Arg(10)->Arg(10'000);

// A full space: 1,024 revocable reservations, and a firm request that needs `range` of them.
void PlanReclaim(benchmark::State& state) {
  Tree tree(10);
  for (int i = 0; i < 1024; ++i) {
    (void)tree.ledger.try_reserve(tree.next(), 70_GiB / 1024, Hold::revocable, i % 17);
  }
  const AccountId asker = tree.next();
  const Bytes asked = tree.ledger.headroom(asker) + 70_GiB / 1024 * state.range(0);
  for (auto _ : state) benchmark::DoNotOptimize(tree.ledger.plan_reclaim(asker, asked));
}
BENCHMARK(PlanReclaim)->Arg(1)->Arg(64);

}  // namespace
}  // namespace mais::core

BENCHMARK_MAIN();
