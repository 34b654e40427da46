// What a charge through the thread-safe front costs, with one to four threads on one account.
#include <mutex>
#include <optional>

#include <benchmark/benchmark.h>

#include "allocation_count.hpp"
#include "mais/shared_ledger.hpp"

namespace mais {
namespace {

using namespace mais::literals;

struct Host {
  core::Ledger ledger;
  core::AccountId account = [this] {
    core::AccountId at = ledger.root(ledger.add_space("gpu", 80_GiB));
    for (const char* name : {"engine", "tenant", "model", "kv"}) {
      at = *ledger.add_account(at, {.name = name, .guarantee = 10_GiB});
    }
    return at;
  }();
  SharedLedger shared{ledger, {.quantum = 1_MiB}};
  SharedLedger::Gate gate = shared.open(account);
};

// The common case: small pieces, taken and given back by one thread.
void ChargeAndGiveBack(benchmark::State& state) {
  static std::optional<Host> host;
  if (state.thread_index() == 0) host.emplace();
  const std::int64_t before = bench::allocations();
  for (auto _ : state) {
    benchmark::DoNotOptimize(host->gate.try_charge(4_KiB));
    host->gate.give_back(4_KiB);
  }
  if (state.thread_index() == 0) {
    state.counters["allocations"] = static_cast<double>(bench::allocations() - before) /
                                    static_cast<double>(state.iterations());
    host.reset();
  }
}
BENCHMARK(ChargeAndGiveBack)->ThreadRange(1, 4)->UseRealTime();

// Larger than a quantum: every charge asks the ledger.
void ChargeAndGiveBackLarge(benchmark::State& state) {
  static std::optional<Host> host;
  if (state.thread_index() == 0) host.emplace();
  for (auto _ : state) {
    benchmark::DoNotOptimize(host->gate.try_charge(8_MiB));
    host->gate.give_back(8_MiB);
  }
  if (state.thread_index() == 0) host.reset();
}
BENCHMARK(ChargeAndGiveBackLarge)->ThreadRange(1, 4)->UseRealTime();

// For comparison: the plain ledger behind a mutex.
void MutexAroundTheLedger(benchmark::State& state) {
  static std::optional<Host> host;
  static std::mutex mutex;
  if (state.thread_index() == 0) host.emplace();
  for (auto _ : state) {
    std::optional<core::ReservationId> id;
    {
      const std::scoped_lock lock(mutex);
      id = host->ledger.try_reserve(host->account, 4_KiB);
    }
    const std::scoped_lock lock(mutex);
    host->ledger.release(*id);
  }
  if (state.thread_index() == 0) host.reset();
}
BENCHMARK(MutexAroundTheLedger)->ThreadRange(1, 4)->UseRealTime();

}  // namespace
}  // namespace mais

BENCHMARK_MAIN();
