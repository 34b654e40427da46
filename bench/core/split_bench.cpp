// A split of a large model: 128 layers, 160 experts in each, over eight GPUs and a host.
#include <benchmark/benchmark.h>

#include "mais/core/split.hpp"

namespace {

using namespace mais;
using namespace mais::literals;

core::LayeredModel large_model() {
  core::LayeredModel model{.name = "large",
                           .layers = std::vector<core::ModelLayer>(130),
                           .workspace = {.fixed = 1_GiB},
                           .activation = BytesPerToken(12288),
                           .overhead = 1ms};
  model.layers.front().table = {Bytes(1'600'000'000), 130'000};
  model.layers.back().weights = {{Bytes(1'600'000'000), 130'000}};
  model.layers.back().flops_per_token = 1.6e9;
  for (std::size_t i = 1; i <= 128; ++i) {
    core::ModelLayer& layer = model.layers[i];
    // As mixed quantisations do: not all layers weigh the same.
    layer.weights = {{Bytes(i % 3 == 0 ? 340'000'000 : 300'000'000), 96}};
    layer.flops_per_token = 6e8;
    if (i > 3) {
      layer.experts = {Bytes(i % 3 == 0 ? 7'000'000'000 : 6'000'000'000), 160};
      layer.expert_share = 8.0 / 160;
      layer.expert_flops_per_token = 6e8;
    }
    layer.flops_per_pair = 49152;
    layer.state = {{.name = "attention",
                    .per_token = BytesPerToken(4096),
                    .window = i % 4 == 0 ? std::nullopt : std::optional(Tokens(4096)),
                    .fixed = {}}};
    layer.state_units = 8;
    layer.all_reduces = 2;
  }
  return model;
}

Machine eight_gpus() {
  Machine machine;
  machine.spaces.push_back({.name = "dram",
                            .kind = SpaceKind::host,
                            .capacity = 2_TiB,
                            .bandwidth = {300e9},
                            .numa_node = {}});
  machine.devices.push_back(
      {.name = "cpu", .kind = DeviceKind::cpu, .space = SpaceId(0), .compute = {5e12}});
  for (std::uint32_t i = 1; i <= 8; ++i) {
    const std::string name = "gpu" + std::to_string(i);
    machine.spaces.push_back({.name = name,
                              .kind = SpaceKind::device,
                              .capacity = 79_GiB,
                              .bandwidth = {2.8e12},
                              .numa_node = {}});
    machine.devices.push_back(
        {.name = name, .kind = DeviceKind::gpu, .space = SpaceId(i), .compute = {700e12}});
    machine.links.push_back({SpaceId(0), SpaceId(i), {50e9}, 10us});
    machine.links.push_back({SpaceId(i), SpaceId(0), {50e9}, 10us});
    for (std::uint32_t j = 1; j <= 8; ++j) {
      if (i != j) machine.links.push_back({SpaceId(i), SpaceId(j), {300e9}, 5us});
    }
  }
  return machine;
}

// Arguments: sequences at once; whether what a gigabyte more buys is asked for.
void large(benchmark::State& state) {
  const core::LayeredModel model = large_model();
  const Machine machine = eight_gpus();
  const core::SplitOptions options{.parallel = state.range(0),
                                   .context = Tokens(4096),
                                   .more = state.range(1) != 0 ? 1_GiB : 0_GiB};
  for (auto _ : state) {
    const Result<core::Split> split = core::split(model, machine, options);
    if (!split) return state.SkipWithError(split.error().message.c_str());
    state.counters["tokens/s"] = split->speed.tokens_per_second;
    state.counters["stages"] = static_cast<double>(split->stages.size());
  }
}
BENCHMARK(large)
    ->ArgNames({"parallel", "gains"})
    ->ArgsProduct({{1, 16}, {0, 1}})
    ->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
