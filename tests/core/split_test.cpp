#include "mais/core/split.hpp"

#include <gmock/gmock.h>

#include <random>

#include "naive_split.hpp"

namespace mais::core {
namespace {

using namespace mais::literals;
using testing::HasSubstr;

#ifdef MAIS_LONG_TESTS
constexpr int kWorlds = 3000;
#else
constexpr int kWorlds = 150;
#endif

struct World {
  LayeredModel model;
  Machine machine;
  SplitOptions options;
};

// One to two GPUs and a host, three to four layers of a few bytes, seconds for each of them.
World small_world(unsigned seed) {
  std::mt19937 random(seed);
  const auto pick = [&](int low, int high) {
    return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
  };
  World world;
  const int gpus = pick(1, 2);
  Machine& machine = world.machine;
  machine.spaces.push_back({.name = "host",
                            .kind = SpaceKind::host,
                            .capacity = Bytes(pick(20, 120)),
                            .bandwidth = {static_cast<double>(pick(2, 12))},
                            .numa_node = {}});
  if (pick(0, 5) > 0) {
    machine.devices.push_back({.name = "cpu",
                               .kind = DeviceKind::cpu,
                               .space = SpaceId(0),
                               .compute = {static_cast<double>(pick(1, 10))}});
  }
  const bool alike = pick(0, 1) == 0;
  const int capacity = pick(8, 60), bandwidth = pick(5, 40), link = pick(2, 20);
  for (int g = 0; g < gpus; ++g) {
    const auto space = SpaceId(static_cast<std::uint32_t>(machine.spaces.size()));
    machine.spaces.push_back(
        {.name = "gpu" + std::to_string(g),
         .kind = SpaceKind::device,
         .capacity = Bytes(alike ? capacity : pick(8, 60)),
         .bandwidth = {static_cast<double>(alike ? bandwidth : pick(5, 40))},
         .numa_node = {}});
    machine.devices.push_back({.name = "gpu" + std::to_string(g),
                               .kind = DeviceKind::gpu,
                               .space = space,
                               .compute = {static_cast<double>(pick(20, 60))}});
    const double rate = alike ? link : pick(2, 20);
    machine.links.push_back({SpaceId(0), space, {rate}, std::chrono::milliseconds(pick(0, 200))});
    machine.links.push_back({space, SpaceId(0), {rate}, std::chrono::milliseconds(pick(0, 200))});
  }
  LayeredModel& model = world.model;
  model.name = "small";
  model.activation = BytesPerToken(pick(1, 3));
  model.overhead = std::chrono::milliseconds(pick(0, 500));
  model.workspace.fixed = Bytes(pick(0, 2));
  const bool experts = pick(0, 1) == 0;
  const int layers = pick(3, experts ? 3 : 4);
  const int weights = pick(4, 20);
  for (int i = 0; i < layers; ++i) {
    ModelLayer layer;
    layer.weights = {{Bytes(pick(0, 2) > 0 ? weights : pick(1, 20)), 4}, {Bytes(1), 0}};
    layer.flops_per_token = pick(1, 30);
    layer.flops_per_pair = pick(0, 2);
    layer.state = {{.name = "attention", .per_token = BytesPerToken(pick(0, 2)), .window = {}, .fixed = Bytes(pick(0, 1))}};
    if (pick(0, 3) == 0) layer.state[0].window = Tokens(2);
    layer.state_units = 2;
    layer.all_reduces = 2;
    if (experts && pick(0, 2) > 0) {
      layer.experts = {Bytes(pick(4, 40)), 8};
      layer.expert_share = pick(1, 4) / 8.0;
      layer.expert_flops_per_token = pick(1, 10);
    }
    model.layers.push_back(std::move(layer));
  }
  if (pick(0, 2) == 0) {
    model.layers.front() = {};
    model.layers.front().table = {Bytes(pick(2, 10)), 4};
    model.tied = pick(0, 1) == 0;
    if (model.tied) model.layers.back().weights[0].bytes = model.layers.front().table.bytes + Bytes(1);
  }
  world.options = {.parallel = pick(1, 3),
                   .context = Tokens(pick(1, 4)),
                   .prompt = Tokens(1),
                   .chunk = Tokens(2),
                   .page = TokensPerBlock(1),
                   .spread = true,
                   .more = Bytes(0)};
  return world;
}

std::string told(const World& world, const Split& split) {
  std::string text = "tp " + std::to_string(split.tensor_parallel) + ", groups " + std::to_string(split.groups) + ":";
  for (const LayerPlace& place : split.layers) {
    text += " " + std::to_string(place.stage) + ":" + std::string(to_string(place.mode));
  }
  return text + " of " + std::to_string(world.model.layers.size());
}

TEST(Split, OfSmallModelsIsTheFastestOfAllPlacements) {
  int fits = 0, slower = 0;
  double worst = 1;
  for (unsigned seed = 0; seed < kWorlds; ++seed) {
    const World world = small_world(seed);
    const Result<Split> split = core::split(world.model, world.machine, world.options);
    NaiveSplit naive(world.model, world.machine, world.options);
    const std::optional<double> best = naive.best_step();
    ASSERT_EQ(split.has_value(), best.has_value())
        << "seed " << seed << (split ? told(world, *split) : split.error().message);
    if (!split) continue;
    ++fits;
    EXPECT_TRUE(split->complete) << "seed " << seed;
    EXPECT_TRUE(naive.fits(*split)) << "seed " << seed << " " << told(world, *split);
    const auto again = naive.step(*split);
    ASSERT_TRUE(again);
    EXPECT_NEAR(split->speed.step_s, *again, 1e-9 * *again) << "seed " << seed << " " << told(world, *split);
    EXPECT_GE(split->speed.step_s, *best * (1 - 1e-9)) << "seed " << seed;
    worst = std::max(worst, split->speed.step_s / *best);
    if (split->speed.step_s > *best * (1 + 1e-9)) {
      ++slower;
      if (std::getenv("SHOW")) std::printf("seed %u: %.4f of %.4f %s\n", seed, split->speed.step_s, *best, told(world, *split).c_str());
    }
  }
  std::printf("%d fit, %d slower than the best, worst %.4f\n", fits, slower, worst);
}

}  // namespace
}  // namespace mais::core
