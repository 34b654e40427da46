// The admission queue with a million requests queued: what coming, going and leaving cost.
// Asked: push + pop <= 500 ns, cancel <= 300 ns, <= 256 bytes for each request beyond itself, and
// no allocation once warm.
#include <array>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "mais/core/queue.hpp"

namespace {

// What this program has taken from the heap and not given back, and how often it took.
std::int64_t live_bytes = 0;
std::int64_t allocations = 0;

constexpr std::size_t kHeader = alignof(std::max_align_t);

}  // namespace

void* operator new(std::size_t size) {
  void* block = std::malloc(size + kHeader);
  if (block == nullptr) throw std::bad_alloc();
  *static_cast<std::size_t*>(block) = size;
  live_bytes += static_cast<std::int64_t>(size);
  ++allocations;
  return static_cast<char*>(block) + kHeader;
}

void operator delete(void* memory) noexcept {
  if (memory == nullptr) return;
  void* block = static_cast<char*>(memory) - kHeader;
  live_bytes -= static_cast<std::int64_t>(*static_cast<std::size_t*>(block));
  std::free(block);
}

void operator delete(void* memory, std::size_t) noexcept {
  operator delete(memory);
}

void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto header = static_cast<std::size_t>(alignment);
  void* block = std::aligned_alloc(header, (size + 2 * header - 1) / header * header);
  if (block == nullptr) throw std::bad_alloc();
  *static_cast<std::size_t*>(block) = size;
  live_bytes += static_cast<std::int64_t>(size);
  ++allocations;
  return static_cast<char*>(block) + header;
}

void operator delete(void* memory, std::align_val_t alignment) noexcept {
  if (memory == nullptr) return;
  void* block = static_cast<char*>(memory) - static_cast<std::size_t>(alignment);
  live_bytes -= static_cast<std::int64_t>(*static_cast<std::size_t*>(block));
  std::free(block);
}

void operator delete(void* memory, std::size_t, std::align_val_t alignment) noexcept {
  operator delete(memory, alignment);
}

namespace mais::core {
namespace {

using namespace mais::literals;

constexpr std::int64_t kQueued = 1'000'000;

// A linear congruential generator (Knuth, MMIX): the same keys everywhere.
struct Random {
  std::uint64_t state = 1;
  std::uint64_t next() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
  }
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
};

struct Setup {
  std::int64_t tenants = 1;
  bool ageing = false;
  bool expiry = false;
  bool classes = false;  // all three, else one
};

class Load {
 public:
  explicit Load(const Setup& setup) : setup_(setup), queue_(config(setup)) {
    for (std::int64_t i = 0; i < setup.tenants; ++i) {
      queue_.set_tenant(TenantId(static_cast<std::uint32_t>(i)),
                        {.weight = 1.0 + static_cast<double>(i % 3)});
    }
  }

  QueuedRequest request() {
    const std::uint64_t id = ++last_id_;
    QueuedRequest request;
    request.id = static_cast<RequestId>(id);
    request.tenant = TenantId(
        static_cast<std::uint32_t>(random_.below(static_cast<std::uint64_t>(setup_.tenants))));
    if (setup_.classes) request.service_class = kAllServiceClasses[random_.below(3)];
    request.arrival = Time(Duration(static_cast<std::int64_t>(id * 1000)));
    request.rank = static_cast<std::int64_t>(random_.next());
    if (setup_.expiry) request.expires = request.arrival + Duration(random_.next());
    request.work = Tokens(static_cast<std::int64_t>(1 + random_.below(4096)));
    return request;
  }

  // The backlog of a tenant swings, and strict classes leave most of it to the last: room for twice
  // a tenant's share in each.
  void reserve() {
    queue_.reserve(kQueued + 1);
    for (std::int64_t i = 0; i < setup_.tenants; ++i) {
      for (const ServiceClass service_class : kAllServiceClasses) {
        if (!setup_.classes && service_class != QueuedRequest{}.service_class) continue;
        queue_.reserve_tenant(TenantId(static_cast<std::uint32_t>(i)), service_class,
                              static_cast<std::size_t>(2 * kQueued / setup_.tenants));
      }
    }
  }

  QueueHandle push() { return *queue_.push(request()); }
  void fill(std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) push();
  }
  AdmissionQueue& queue() { return queue_; }
  Random& random() { return random_; }

 private:
  static QueueConfig config(const Setup& setup) {
    QueueConfig config;
    config.max_queued = 4 * kQueued;
    if (!setup.ageing) {
      for (ClassPolicy& policy : config.classes) policy.patience.reset();
    }
    return config;
  }

  Setup setup_;
  Random random_;
  std::uint64_t last_id_ = 0;
  AdmissionQueue queue_;
};

Setup setup_of(const benchmark::State& state) {
  return {state.range(0), state.range(1) != 0, state.range(2) != 0, state.range(3) != 0};
}

// One million queued, once for all repetitions of a benchmark.
Load& warm(const Setup& setup) {
  static std::unique_ptr<Load> load;
  static std::array<std::int64_t, 4> built{};
  const std::array<std::int64_t, 4> wanted = {setup.tenants, setup.ageing, setup.expiry,
                                              setup.classes};
  if (!load || built != wanted) {
    load.reset();
    load = std::make_unique<Load>(setup);
    load->reserve();
    built = wanted;
  }
  while (load->queue().size() < static_cast<std::size_t>(kQueued)) load->push();
  // Warm: the heaps of the tenants have seen their backlogs swing.
  for (int i = 0; i < 200'000; ++i) {
    load->queue().pop(*load->queue().head());
    load->push();
  }
  return *load;
}

void PushPop(benchmark::State& state) {
  Load& load = warm(setup_of(state));
  const std::int64_t before = allocations;
  for (auto _ : state) {
    benchmark::DoNotOptimize(load.queue().pop(*load.queue().head()));
    load.push();
  }
  state.counters["allocations"] =
      benchmark::Counter(static_cast<double>(allocations - before), benchmark::Counter::kDefaults);
}

void Cancel(benchmark::State& state) {
  Load& load = warm(setup_of(state));
  std::vector<QueueHandle> all;
  std::vector<QueueHandle> chosen;
  constexpr std::size_t kBatch = 10'000;
  chosen.reserve(kBatch);
  all.reserve(kQueued);
  load.queue().for_each([&](QueueHandle handle, const QueuedRequest&) { all.push_back(handle); });
  for (auto _ : state) {
    chosen.clear();
    for (std::size_t i = 0; i < kBatch; ++i) {
      const std::size_t at = load.random().below(all.size());
      chosen.push_back(all[at]);
      all[at] = all.back();
      all.pop_back();
    }
    const std::clock_t start = std::clock();  // of this process: others on the machine do not count
    for (const QueueHandle handle : chosen) {
      benchmark::DoNotOptimize(load.queue().cancel(handle));
    }
    const auto spent = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    state.SetIterationTime(spent / static_cast<double>(kBatch));
    for (std::size_t i = 0; i < kBatch; ++i) all.push_back(load.push());
  }
}

void Rerank(benchmark::State& state) {
  Load& load = warm(setup_of(state));
  std::vector<QueueHandle> all;
  load.queue().for_each([&](QueueHandle handle, const QueuedRequest&) { all.push_back(handle); });
  for (auto _ : state) {
    const QueueHandle handle = all[load.random().below(all.size())];
    benchmark::DoNotOptimize(
        load.queue().rerank(handle, static_cast<std::int64_t>(load.random().next())));
  }
}

// A planner's scan: the first eight do not fit, then memory is given back.
void BlockEightAndUnblock(benchmark::State& state) {
  Load& load = warm(setup_of(state));
  for (auto _ : state) {
    for (int i = 0; i < 8; ++i) load.queue().block(*load.queue().head(), 1_GiB);
    benchmark::DoNotOptimize(load.queue().unblock());
  }
}

void LookAheadEight(benchmark::State& state) {
  Load& load = warm(setup_of(state));
  std::array<QueueHandle, 8> ahead;
  for (auto _ : state) benchmark::DoNotOptimize(load.queue().look_ahead(ahead));
}

// A step in which nothing happens: the time is told, the blocked head asked for.
void IdleStepWithAThousandBlocked(benchmark::State& state) {
  Load& load = warm(setup_of(state));
  for (int i = 0; i < 1000; ++i) load.queue().block(*load.queue().head(), 1_GiB);
  std::vector<QueuedRequest> expired;
  std::int64_t now = 0;
  for (auto _ : state) {
    load.queue().advance(Time(Duration(++now)), expired);
    benchmark::DoNotOptimize(load.queue().unblock(1_MiB));
    benchmark::DoNotOptimize(load.queue().head());
  }
  load.queue().unblock();
}

// Bytes for each request beyond QueuedRequest itself, at a million and just after the arrays have
// doubled, the worst place.
void Memory(benchmark::State& state) {
  const Setup setup{state.range(0), true, true, true};
  for (auto _ : state) {
    const std::int64_t before = live_bytes;
    Load load(setup);
    const auto per_request = [&] {
      return static_cast<double>(live_bytes - before) / static_cast<double>(load.queue().size()) -
             static_cast<double>(sizeof(QueuedRequest));
    };
    load.fill(kQueued);
    state.counters["bytes_at_1000000"] = per_request();
    load.fill((1 << 20) + 1 - kQueued);
    state.counters["bytes_at_1048577"] = per_request();
  }
}

const std::vector<std::string> kArguments = {"tenants", "ageing", "expiry", "classes"};

void arguments(benchmark::internal::Benchmark* bench) {
  bench->ArgNames(kArguments);
  bench->Args({1, 0, 0, 0})->Args({1, 1, 1, 1})->Args({1000, 0, 0, 0})->Args({1000, 1, 1, 1});
}

BENCHMARK(PushPop)->Apply(arguments);
BENCHMARK(Cancel)->Apply(arguments)->UseManualTime()->Iterations(30);
BENCHMARK(Rerank)->Apply(arguments);
BENCHMARK(BlockEightAndUnblock)->Apply(arguments);
BENCHMARK(LookAheadEight)->Apply(arguments);
BENCHMARK(IdleStepWithAThousandBlocked)->Apply(arguments);
BENCHMARK(Memory)->ArgName("tenants")->Arg(1)->Arg(1000)->Iterations(1);

}  // namespace
}  // namespace mais::core

BENCHMARK_MAIN();
