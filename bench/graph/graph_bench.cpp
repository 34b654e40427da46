// Speed and quality of orders and offsets. Counters: ratio = result / bound.
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

void BM_TrainingOrder(benchmark::State& state) {
  const OperatorGraph graph = training_graph(static_cast<std::size_t>(state.range(0)) / 10, 1);
  OrderPlan plan;
  for (auto _ : state) plan = plan_order(graph, {.max_states = 0, .max_windows = 0});
  state.counters["ratio"] = ratio(plan.peak, plan.lower_bound);
}
BENCHMARK(BM_TrainingOrder)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMillisecond);

void BM_TrainingOffsets(benchmark::State& state) {
  const OperatorGraph graph = training_graph(static_cast<std::size_t>(state.range(0)) / 10, 1);
  const OrderPlan order = plan_order(graph, {.max_states = 0, .max_windows = 0});
  const Lifetimes lives = lifetimes(graph, order.order).value();
  ArenaPlan plan;
  for (auto _ : state) plan = plan_arena(lives.arenas[0], {.max_rounds = 0}).value();
  state.counters["buffers"] = static_cast<double>(lives.arenas[0].buffers.size());
  state.counters["ratio"] = ratio(plan.height, plan.lower_bound);
}
BENCHMARK(BM_TrainingOffsets)->Arg(48'000)->Arg(100'000)->Unit(benchmark::kMillisecond);

#ifdef MAIS_SHARED_DATA
void BM_ChallengingInstance(benchmark::State& state, const std::filesystem::path& path) {
  ArenaProblem problem{{}, Bytes(1 << 20)};
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
  }
  return true;
}();
#endif

}  // namespace
}  // namespace mais::graph
