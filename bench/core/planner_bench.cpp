// One planning step, decided and accounted for (next_step and report), with so many running and so
// many waiting: median and 99th percentile of single steps, and heap allocations.
//
// The rates are those of an 80 GB accelerator with an 8B model, with a pool large enough for all to
// decode to the end; those that wait have no place. Simulated time: only the planner's own work is
// measured. Every report says how long the step took, the predicted time within 1 %, so that
// learning step costs is part of it.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <vector>

#include <benchmark/benchmark.h>

#include "allocation_count.hpp"
#include "mais/core/planner.hpp"

namespace {

using namespace mais;
using namespace mais::literals;

Config config_of(const Policy& policy, std::int64_t running) {
  Config config;
  config.machine.spaces = {
      {.name = "gpu0", .capacity = 800_GiB, .bandwidth = BytesPerSecond{1.63e12}}};
  config.machine.devices = {{.name = "gpu0", .compute = FlopsPerSecond{187e12}}};
  config.models = {{.name = "8b",
                    .weights = 16_GiB,
                    .state = {{.name = "kv", .per_token = 128_KiB / 1_tok}},
                    .cost = {.flops_per_token = 2 * 8.03e9,
                             .attention_flops_per_pair = 4.0 * 32 * 4096,
                             .weights_read = 16_GiB,
                             .state_read = 128_KiB / 1_tok,
                             .overhead = 1ms}}};
  config.instances = {{.name = "8b", .state = 700_GiB, .max_sequences = running}};
  config.queue.max_queued = 1'000'000;
  config.policy = policy;
  config.policy.token_budget =
      2048_tok;  // beside the decodes of all there must be room for prompts
  return config;
}

// Runs until `running` sequences decode and nobody else has a place.
class Bench {
 public:
  Bench(const Policy& policy, std::int64_t running, std::int64_t waiting)
      : planner_(*core::Planner::create(config_of(policy, running))) {
    for (std::int64_t i = 0; i < running + waiting; ++i) {
      planner_.submit(now_,
                      {.model = ModelId(0),
                       .prompt = Tokens(128 + i % 512),
                       .max_new = 4000_tok,
                       .deadlines = {.ttft = 100h, .tpot = 200ms}},
                      out_);
      out_.clear();
    }
    std::size_t decoding = 0;
    while (decoding < static_cast<std::size_t>(running)) {
      step();
      decoding = static_cast<std::size_t>(
          std::count_if(step_.entries.begin(), step_.entries.end(),
                        [](const core::StepEntry& e) { return e.tokens == 1_tok && e.emits; }));
    }
    for (int i = 0; i < 200; ++i) step();  // every vector has its room
  }

  void step() {
    if (!planner_.next_step(now_, InstanceId(0), out_, step_)) std::abort();
    // Up to 1 % off either way, the same in every run.
    jitter_ = jitter_ * 6364136223846793005ULL + 1442695040888963407ULL;
    const double off = static_cast<double>(jitter_ >> 33) / static_cast<double>(1ULL << 30) - 1;
    report_.took = from_seconds(to_seconds(step_.predicted) * (1 + 0.01 * off));
    now_ += 40ms;
    report_.step = step_.id;
    planner_.report(now_, report_, out_);
    out_.clear();
  }

 private:
  core::Planner planner_;
  core::Actions out_;
  core::Step step_;
  core::StepReport report_;
  Time now_{};
  std::uint64_t jitter_ = 1;
};

void step_cost(benchmark::State& state, const Policy& policy) {
  Bench bench(policy, state.range(0), state.range(1));
  std::vector<double> us;
  us.reserve(1 << 20);
  const auto allocations = bench::allocations();
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    bench.step();
    const auto end = std::chrono::steady_clock::now();
    us.push_back(std::chrono::duration<double, std::micro>(end - begin).count());
    state.SetIterationTime(us.back() * 1e-6);
  }
  const auto made = bench::allocations() - allocations;
  std::sort(us.begin(), us.end());
  state.counters["p50_us"] = us[us.size() / 2];
  state.counters["p99_us"] = us[us.size() * 99 / 100];
  state.counters["allocations"] =
      benchmark::Counter(static_cast<double>(made), benchmark::Counter::kAvgIterations);
}

void loads(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"running", "waiting"});
  for (const std::int64_t running : {64, 256, 1024}) {
    for (const std::int64_t waiting : {0, 1'000, 100'000}) bench->Args({running, waiting});
  }
  bench->UseManualTime()->Iterations(1000)->Unit(benchmark::kMicrosecond);
}

BENCHMARK_CAPTURE(step_cost, no_evict, Policy::no_evict())->Apply(loads);
BENCHMARK_CAPTURE(step_cost, optimistic, Policy::optimistic())->Apply(loads);
BENCHMARK_CAPTURE(step_cost, projected, Policy::projected())->Apply(loads);

}  // namespace

BENCHMARK_MAIN();
