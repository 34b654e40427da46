// What is learned while a server runs: to take in one measurement and to predict the next.
// Asked: <= 1 microsecond together, of a bound, of scratch memory and of step times.
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include "mais/core/calibration.hpp"
#include "mais/core/cost_fit.hpp"
#include "mais/core/workspace_fit.hpp"

namespace mais::core {
namespace {

using namespace mais::literals;

constexpr std::size_t kSteps = 4096;

struct Step {
  Tokens tokens{};
  std::int64_t sequences = 0;
  Tokens context{};
  double noise = 1;  // 0.9 ... 1.1
};

std::vector<Step> steps() {
  std::vector<Step> list;
  std::uint64_t state = 1;  // Knuth, MMIX
  const auto random = [&](std::uint64_t below) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::int64_t>((state >> 33) % below);
  };
  for (std::size_t i = 0; i < kSteps; ++i) {
    const std::int64_t sequences = 1 + random(64);
    list.push_back({.tokens = Tokens(sequences + random(1024)),
                    .sequences = sequences,
                    .context = Tokens(sequences * (50 + random(3000))),
                    .noise = 0.9 + static_cast<double>(random(1000)) * 0.0002});
  }
  return list;
}

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

// A workspace, and a bound of known confidence on top of it.
void ObserveAndPredictWorkspace(benchmark::State& state) {
  const Workspace truth{.fixed = 24_MiB,
                        .per_token = 96_KiB / 1_tok,
                        .per_sequence = 512_KiB,
                        .per_context_token = 640_B / 1_tok};
  const std::vector<Step> list = steps();
  WorkspaceFit fit;
  UpperBound bound;
  std::size_t at = 0;
  for (auto _ : state) {
    const Step& step = list[at++ % kSteps];
    const Bytes expected = fit.predict(step.tokens, step.sequences, step.context);
    benchmark::DoNotOptimize(expected * bound.factor());
    const Bytes measured = truth.bytes(step.tokens, step.sequences, step.context) * step.noise;
    if (expected > 0_B) {
      bound.observe(static_cast<double>(measured.count()) / static_cast<double>(expected.count()));
    }
    fit.observe(step.tokens, step.sequences, step.context, measured);
  }
  state.counters["error"] = fit.error();
}

void ObserveAndPredictStepTime(benchmark::State& state) {
  constexpr CostModel kTrue{.token_s = 220e-6,
                            .weights_s = 67e-3,
                            .pair_s = 7.2e-9,
                            .context_s = 546e-9,
                            .overhead_s = 1e-3};
  const std::vector<Step> list = steps();
  CostFit fit(CostModel{.token_s = 400e-6,
                        .weights_s = 40e-3,
                        .pair_s = 4e-9,
                        .context_s = 900e-9,
                        .overhead_s = 1e-3});
  std::size_t at = 0;
  for (auto _ : state) {
    const Step& step = list[at++ % kSteps];
    StepWork work;
    work.add(static_cast<double>(step.context.count()), static_cast<double>(step.tokens.count()));
    benchmark::DoNotOptimize(fit.model().seconds(work));
    fit.observe(work, kTrue.seconds(work) * step.noise);
  }
  state.counters["error"] = fit.error();
}

BENCHMARK(ObserveAndPredictWorkspace);
BENCHMARK(ObserveAndPredictStepTime);
BENCHMARK(ObserveAndBound)->ArgName("window")->Arg(128)->Arg(512)->Arg(4096);

}  // namespace
}  // namespace mais::core

BENCHMARK_MAIN();
