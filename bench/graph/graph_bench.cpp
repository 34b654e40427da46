// Speed and quality of orders and offsets. Counters: ratio = result / bound.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include <benchmark/benchmark.h>

#include "cell_networks.hpp"
#include "mais/graph/lifetimes.hpp"
#include "mais/graph/order.hpp"
#include "training_graph.hpp"

namespace mais::graph {
namespace {

double ratio(Bytes a, Bytes b) {
  return static_cast<double>(a.count()) / static_cast<double>(b.count());
}

void BM_CellNetworkOrder(benchmark::State& state) {
  const CellNetwork network = cell_networks()[static_cast<std::size_t>(state.range(0))];
  const OperatorGraph graph = CellNetworkBuilder::build(network);
  std::vector<OpId> given;
  for (std::uint32_t v = 0; v < graph.operators().size(); ++v) given.emplace_back(v);
  const OrderPlan fast = plan_order(graph, {.max_states = 0, .max_windows = 0});
  OrderPlan plan;
  for (auto _ : state) plan = plan_order(graph);
  state.SetLabel(network.name + (plan.optimal() ? ", proven" : ", not proven"));
  state.counters["operators"] = static_cast<double>(graph.operators().size());
  state.counters["portfolio_ratio"] = ratio(fast.peak, plan.lower_bound);
  state.counters["given_ratio"] = ratio(measure(graph, given)->peak_level, plan.lower_bound);
}
BENCHMARK(BM_CellNetworkOrder)->DenseRange(0, 3)->Unit(benchmark::kMillisecond);

// The same networks, about ten times as deep.
void BM_DeepCellNetworkOrder(benchmark::State& state) {
  CellNetwork network = cell_networks()[static_cast<std::size_t>(state.range(0))];
  network.cells_each *= 12;
  const OperatorGraph graph = CellNetworkBuilder::build(network);
  OrderPlan plan;
  for (auto _ : state) plan = plan_order(graph);
  state.SetLabel(network.name + (plan.optimal() ? ", proven" : ", not proven"));
  state.counters["operators"] = static_cast<double>(graph.operators().size());
}
BENCHMARK(BM_DeepCellNetworkOrder)->DenseRange(0, 3)->Unit(benchmark::kMillisecond);

void BM_TrainingOrder(benchmark::State& state) {
  const OperatorGraph graph = training_graph(static_cast<std::size_t>(state.range(0)) / 10, 1);
  OrderPlan plan;
  for (auto _ : state) plan = plan_order(graph);
  state.counters["ratio"] = ratio(plan.peak, plan.lower_bound);
}
BENCHMARK(BM_TrainingOrder)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMillisecond);

void BM_TrainingOffsets(benchmark::State& state) {
  const OperatorGraph graph = training_graph(static_cast<std::size_t>(state.range(0)) / 10, 1);
  const OrderPlan order = plan_order(graph, {.max_states = 0, .max_windows = 0});
  const Lifetimes lives = lifetimes(graph, order.order).value();
  ArenaPlan plan;
  for (auto _ : state) plan = plan_arena(lives.arenas[0]).value();
  state.counters["buffers"] = static_cast<double>(lives.arenas[0].buffers.size());
  state.counters["ratio"] = ratio(plan.height, plan.lower_bound);
}
BENCHMARK(BM_TrainingOffsets)->Arg(48'000)->Arg(100'000)->Unit(benchmark::kMillisecond);

// Activations nested from the forward to the backward pass, gradients that stay, temporaries of a
// few steps, sizes over four orders of magnitude.
void BM_MixedOffsets(benchmark::State& state) {
  std::mt19937_64 random(1);
  const auto size = [&random](int most) {
    return Bytes(
        512 *
        (1 + static_cast<std::int64_t>(random() % (std::uint64_t{1} << random() % 14)) % most));
  };
  ArenaProblem problem;
  const std::int64_t layers = state.range(0) / 6;
  const std::int64_t end = 6 * layers;
  for (std::int64_t i = 0; i < layers; ++i) {
    problem.buffers.push_back({3 * i, end - 3 * i, size(8192), Bytes(512)});
    problem.buffers.push_back({end - 3 * i - 2, end, size(64), Bytes(512)});
    for (int k = 0; k < 4; ++k) {
      const std::int64_t start =
          static_cast<std::int64_t>(random() % 3) + (k < 2 ? 3 * i : end - 3 * i - 3);
      const auto life = 1 + static_cast<std::int64_t>(random() % 6);
      problem.buffers.push_back({start, std::min(start + life, end), size(16'384), Bytes(512)});
    }
  }
  ArenaPlan plan;
  for (auto _ : state) plan = plan_arena(problem).value();
  state.counters["buffers"] = static_cast<double>(problem.buffers.size());
  state.counters["ratio"] = ratio(plan.height, plan.lower_bound);
}
BENCHMARK(BM_MixedOffsets)->Arg(60'000)->Unit(benchmark::kMillisecond);

#ifdef MAIS_SHARED_DATA
ArenaProblem read_instance(const std::filesystem::path& path) {
  ArenaProblem problem;
  std::ifstream in(path);
  std::string line;
  long long id = 0;
  long long lower = 0;
  long long upper = 0;
  long long size = 0;
  while (std::getline(in, line)) {
    if (std::sscanf(line.c_str(), "%lld,%lld,%lld,%lld", &id, &lower, &upper, &size) == 4) {
      problem.buffers.push_back({lower, upper, Bytes(size)});
    }
  }
  return problem;
}

// As low as 10 s allow.
void BM_Minimise(benchmark::State& state, const std::filesystem::path& path) {
  const ArenaProblem problem = read_instance(path);
  ArenaPlan plan;
  for (auto _ : state) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    ArenaOptions options{.max_nodes = INT64_MAX / 4, .max_rounds = INT64_MAX / 4};
    options.control.stop = [end] { return std::chrono::steady_clock::now() >= end; };
    plan = plan_arena(problem, options).value();
  }
  state.counters["ratio"] = ratio(plan.height, load_bound(problem.buffers).value());
}

void BM_ChallengingInstance(benchmark::State& state, const std::filesystem::path& path) {
  ArenaProblem problem = read_instance(path);
  problem.capacity = Bytes(1 << 20);
  std::uint64_t seed = 1;
  for (auto _ : state) {
    if (!plan_arena(problem, {.seed = seed++})) state.SkipWithError("not solved");
  }
}
const bool registered = [] {
  const std::filesystem::path folder = std::filesystem::path(MAIS_SHARED_DATA) / "minimalloc";
  if (!std::filesystem::exists(folder)) return false;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = "BM_ChallengingInstance/" + entry.path().stem().string();
    benchmark::RegisterBenchmark(name.c_str(), BM_ChallengingInstance, entry.path())
        ->Unit(benchmark::kMillisecond)
        ->Iterations(8);
    const std::string minimise = "BM_Minimise/" + entry.path().stem().string();
    benchmark::RegisterBenchmark(minimise.c_str(), BM_Minimise, entry.path())
        ->Unit(benchmark::kMillisecond)
        ->Iterations(1);
  }
  return true;
}();
#endif

}  // namespace
}  // namespace mais::graph
