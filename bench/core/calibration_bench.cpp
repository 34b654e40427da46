// A bound of known confidence: to learn from one measurement and to give the next bound.
// Asked: <= 1 microsecond together.
#include <vector>

#include <benchmark/benchmark.h>

#include "mais/core/calibration.hpp"

namespace mais::core {
namespace {

void ObserveAndBound(benchmark::State& state) {
  UpperBound bound({.window = static_cast<std::size_t>(state.range(0))});
  std::vector<double> ratios;
  std::uint64_t random = 1;
  for (int i = 0; i < 4096; ++i) {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    ratios.push_back(1 + static_cast<double>(random >> 40) / static_cast<double>(1 << 24));
  }
  std::size_t at = 0;
  for (auto _ : state) {
    bound.observe(ratios[at++ & 4095]);
    benchmark::DoNotOptimize(bound.factor());
  }
}

BENCHMARK(ObserveAndBound)->ArgName("window")->Arg(128)->Arg(512)->Arg(4096);

}  // namespace
}  // namespace mais::core

BENCHMARK_MAIN();
