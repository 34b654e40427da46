// What a budget costs over the allocator below it, and what a block of a pool costs.
#include <memory_resource>
#include <optional>
#include <vector>

#include <benchmark/benchmark.h>

#include "mais/memory/block_pool.hpp"
#include "mais/memory/budgeted_resource.hpp"
#include "mais/memory/host_source.hpp"

namespace mais::memory {
namespace {

using namespace mais::literals;

struct Host {
  core::Ledger ledger;
  core::AccountId account = [this] {
    core::AccountId at = ledger.root(ledger.add_space("host", 64_GiB));
    for (const char* name : {"engine", "tenant", "model", "kv"}) {
      at = *ledger.add_account(at, {.name = name});
    }
    return at;
  }();
  SharedLedger shared{ledger};
};

void Upstream(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  std::pmr::memory_resource& resource = *std::pmr::new_delete_resource();
  for (auto _ : state) {
    void* const pointer = resource.allocate(size);
    benchmark::DoNotOptimize(pointer);
    resource.deallocate(pointer, size);
  }
}
BENCHMARK(Upstream)->Arg(64)->Arg(4096)->Arg(1 << 20)->UseRealTime();
BENCHMARK(Upstream)->Arg(4096)->Threads(2)->UseRealTime();

// Beside Upstream: the difference is what the budget costs.
void Budgeted(benchmark::State& state) {
  static std::optional<Host> host;
  static std::optional<BudgetedResource> resource;
  if (state.thread_index() == 0) {
    host.emplace();
    resource.emplace(host->shared.open(host->account));
  }
  const auto size = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    void* const pointer = resource->allocate(size);
    benchmark::DoNotOptimize(pointer);
    resource->deallocate(pointer, size);
  }
  if (state.thread_index() == 0) {
    resource.reset();
    host.reset();
  }
}
BENCHMARK(Budgeted)->Arg(64)->Arg(4096)->Arg(1 << 20)->UseRealTime();
BENCHMARK(Budgeted)->Arg(4096)->Threads(2)->UseRealTime();

// Of a pool of which half is in use.
void AcquireAndRelease(benchmark::State& state) {
  Host host;
  HostSource source;
  auto pool = *BlockPool::create(source, host.shared.open(host.account),
                                 {.block = 64_KiB, .blocks = 16384});
  std::vector<BlockId> half(8192);
  if (!pool.acquire(half)) return state.SkipWithError("the pool is refused its memory");
  for (auto _ : state) pool.release(*pool.acquire());
}
BENCHMARK(AcquireAndRelease);

// A sequence's table at once, each block.
void AcquireAndReleaseMany(benchmark::State& state) {
  Host host;
  HostSource source;
  auto pool = *BlockPool::create(source, host.shared.open(host.account),
                                 {.block = 64_KiB, .blocks = 16384});
  std::vector<BlockId> table(256);
  for (auto _ : state) {
    benchmark::DoNotOptimize(pool.acquire(table));
    pool.release(table);
  }
  state.SetItemsProcessed(state.iterations() * 256);
}
BENCHMARK(AcquireAndReleaseMany);

void Address(benchmark::State& state) {
  Host host;
  HostSource source;
  auto pool =
      *BlockPool::create(source, host.shared.open(host.account), {.block = 64_KiB, .blocks = 1024});
  std::vector<BlockId> all(1024);
  if (!pool.acquire(all)) return state.SkipWithError("the pool is refused its memory");
  BlockId next = 0;
  for (auto _ : state) benchmark::DoNotOptimize(pool.address(all[next++ % 1024]));
}
BENCHMARK(Address);

// A slab of 32 MiB from the machine and back, not touched in between.
void MapAndUnmapASlab(benchmark::State& state) {
  Host host;
  HostSource source;
  auto backing = *BlockBacking::create(source, host.shared.open(host.account),
                                       {.block = 64_KiB, .blocks = 16384});
  for (auto _ : state) {
    benchmark::DoNotOptimize(backing.map(0));
    backing.unmap(0);
  }
}
BENCHMARK(MapAndUnmapASlab)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace mais::memory

BENCHMARK_MAIN();
