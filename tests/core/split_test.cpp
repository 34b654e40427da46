#include "mais/core/split.hpp"

#include <random>

#include <gmock/gmock.h>

#include "naive_split.hpp"

namespace mais::core {
namespace {

using namespace mais::literals;
using testing::HasSubstr;

#ifdef MAIS_LONG_TESTS
constexpr unsigned kWorlds = 20000;
#else
constexpr unsigned kWorlds = 100;
#endif
// The small worlds that are tried: a run of them, and some that told planted bugs apart.
std::vector<unsigned> seeds() {
  std::vector<unsigned> all{400, 1536, 2375, 2523, 4298};
  for (unsigned seed = 0; seed < kWorlds; ++seed) all.push_back(seed);
  return all;
}

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
    machine.spaces.push_back({.name = "gpu" + std::to_string(g),
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
    layer.weights = {{Bytes(pick(0, 2) > 0 ? weights : pick(1, 20)), i % 2 == 0 ? 4 : 3},
                     {Bytes(1), 0}};
    layer.flops_per_token = pick(1, 30);
    layer.flops_per_pair = pick(0, 2);
    layer.state = {{.name = "attention",
                    .per_token = BytesPerToken(pick(0, 2)),
                    .window = {},
                    .fixed = Bytes(pick(0, 1))}};
    if (pick(0, 3) == 0) layer.state[0].window = Tokens(2);
    layer.state_units = 2;
    layer.all_reduces = 2;
    if (experts && pick(0, 2) > 0) {
      layer.experts = {Bytes(pick(4, 40)), 5};
      layer.expert_share = pick(1, 4) / 8.0;
      layer.expert_flops_per_token = pick(1, 10);
    }
    model.layers.push_back(std::move(layer));
  }
  if (pick(0, 2) == 0) {
    model.layers.front() = {};
    model.layers.front().table = {Bytes(pick(2, 10)), 4};
    model.tied = pick(0, 1) == 0;
    if (model.tied)
      model.layers.back().weights[0].bytes = model.layers.front().table.bytes + Bytes(1);
  }
  world.options = {.parallel = pick(1, 3),
                   .context = Tokens(pick(1, 4)),
                   .prompt = Tokens(pick(1, 4)),
                   .chunk = Tokens(pick(1, 2)),
                   .page = TokensPerBlock(1),
                   .spread = true,
                   .prompts_on_device = pick(0, 1) == 0,
                   .more = Bytes(0)};
  return world;
}

std::string told(const Split& split) {
  std::string text = " tp " + std::to_string(split.tensor_parallel) + ", groups " +
                     std::to_string(split.groups) + ":";
  for (const LayerPlace& place : split.layers) {
    text += " " + std::to_string(place.stage) + ":" + std::string(to_string(place.mode));
  }
  return text;
}

TEST(Split, OfSmallModelsIsTheFastestOfAllPlacements) {
  unsigned fits = 0;
  for (const unsigned seed : seeds()) {
    const World world = small_world(seed);
    const Result<Split> split = core::split(world.model, world.machine, world.options);
    NaiveSplit naive(world.model, world.machine, world.options);
    const std::optional<double> best = naive.best_step();
    ASSERT_EQ(split.has_value(), best.has_value())
        << "seed " << seed << ": " << (split ? told(*split) : split.error().message);
    if (!split) continue;
    ++fits;
    EXPECT_NEAR(split->speed.step_s, *best, 1e-9 * *best) << "seed " << seed << told(*split);
  }
  EXPECT_GT(fits, kWorlds / 2);
}

TEST(Split, SaysOfItsPlacementWhatASimulationSays) {
  for (const unsigned seed : seeds()) {
    const World world = small_world(seed);
    const Result<Split> split = core::split(world.model, world.machine, world.options);
    if (!split) continue;
    NaiveSplit naive(world.model, world.machine, world.options);
    EXPECT_TRUE(naive.fits(*split)) << "seed " << seed << told(*split);
    auto held = naive.held_by(*split);
    for (const SpaceUse& use : split->spaces) {
      // Devices after the first of a group have no more than it.
      const std::int64_t first = held[use.space.value()];
      EXPECT_LE(use.used().count(), first) << "seed " << seed << told(*split);
      if (split->tensor_parallel == 1) {
        EXPECT_EQ(use.used().count(), first) << "seed " << seed << told(*split);
      }
    }
    const double step_s = naive.step(*split).value_or(0), ttft_s = naive.first_token(*split);
    EXPECT_NEAR(split->speed.step_s, step_s, 1e-9 * step_s) << "seed " << seed << told(*split);
    EXPECT_NEAR(split->speed.ttft_s, ttft_s, 1e-9 * ttft_s) << "seed " << seed << told(*split);
    EXPECT_DOUBLE_EQ(split->speed.tokens_per_second * split->speed.step_s,
                     static_cast<double>(world.options.parallel));
  }
}

// The world with more memory, or faster links, everything else being equal.
TEST(Split, WithMoreMemoryIsNeverSlower) {
  for (const unsigned seed : seeds()) {
    World world = small_world(seed);
    const Result<Split> before = core::split(world.model, world.machine, world.options);
    Bytes& capacity = world.machine.spaces[seed % world.machine.spaces.size()].capacity;
    capacity += Bytes(1 + seed % 7);
    const Result<Split> after = core::split(world.model, world.machine, world.options);
    if (!before) continue;
    ASSERT_TRUE(after) << "seed " << seed;
    EXPECT_LE(after->speed.step_s, before->speed.step_s * (1 + 1e-9))
        << "seed " << seed << told(*before) << " ->" << told(*after);
  }
}

// Groups of sequences that share the host are served first come, first served, and that can lose by
// coming earlier (Graham, Bounds on Multiprocessing Timing Anomalies, 1969).
TEST(Split, WithAFasterLinkIsNeverSlower) {
  for (const unsigned seed : seeds()) {
    World world = small_world(seed);
    const Result<Split> before = core::split(world.model, world.machine, world.options);
    if (!before) continue;
    world.machine.links[seed % world.machine.links.size()].bandwidth.value *= 1.5;
    const Result<Split> after = core::split(world.model, world.machine, world.options);
    ASSERT_TRUE(after) << "seed " << seed;
    const double anomaly = after->groups > 1 && after->host ? 0.1 : 1e-9;
    EXPECT_LE(after->speed.step_s, before->speed.step_s * (1 + anomaly))
        << "seed " << seed << told(*before) << " ->" << told(*after);
  }
}

// 48 equal layers of 1 GB on one GPU of 24 GB and a host.
World even_world() {
  World world;
  world.machine.spaces = {{.name = "dram",
                           .kind = SpaceKind::host,
                           .capacity = 64_GiB,
                           .bandwidth = {60e9},
                           .numa_node = {}},
                          {.name = "hbm",
                           .kind = SpaceKind::device,
                           .capacity = 24_GiB,
                           .bandwidth = {900e9},
                           .numa_node = {}}};
  world.machine.devices = {
      {.name = "cpu", .kind = DeviceKind::cpu, .space = SpaceId(0), .compute = {1e12}},
      {.name = "gpu", .kind = DeviceKind::gpu, .space = SpaceId(1), .compute = {80e12}}};
  world.machine.links = {{SpaceId(0), SpaceId(1), {24e9}, 10us},
                         {SpaceId(1), SpaceId(0), {24e9}, 10us}};
  world.model = {.name = "even",
                 .layers = std::vector<ModelLayer>(48),
                 .workspace = {.fixed = 1_GiB},
                 .activation = BytesPerToken(16384),
                 .overhead = 1ms};
  for (ModelLayer& layer : world.model.layers) {
    layer.weights = {{Bytes(1'000'000'000), 8}};
    layer.flops_per_token = 2e9;
    layer.flops_per_pair = 32768;
    layer.state = {
        {.name = "attention", .per_token = BytesPerToken(4096), .window = {}, .fixed = {}}};
    layer.state_units = 8;
    layer.all_reduces = 2;
  }
  return world;
}

// Of every number of resident, streamed and host layers: the longest of what has to be done one
// after the other. No order of layers is faster.
double even_floor(const World& world, bool host) {
  const double state = 4096.0 * static_cast<double>(world.options.context.count()) *
                       static_cast<double>(world.options.parallel);
  const double on_gpu = 1e9 / 900e9 + state / 900e9, in_host = 1e9 / 60e9 + state / 60e9;
  double best = 1e9;
  for (int streamed = 0; streamed <= 48; ++streamed) {
    for (int away = 0; streamed + away <= 48; ++away) {
      const int resident = 48 - streamed - away;
      const double bytes = resident * 1e9 + (resident + streamed) * state +
                           (streamed + away > 0 ? 2e9 : 0) + static_cast<double>((1_GiB).count());
      if (bytes > static_cast<double>((24_GiB).count()) || (away > 0 && !host)) continue;
      const double chain = 0.001 + (resident + streamed) * on_gpu + away * in_host;
      const double copies = streamed * (1e9 / world.machine.links[0].bandwidth.value + 10e-6);
      const double traffic = (streamed * 1e9 + away * (1e9 + state)) / 60e9;
      best = std::min(best, std::max({chain, copies, traffic}));
    }
  }
  return best;
}

TEST(Split, OfALargeModelIsWithinTwoPercentOfTheFloor) {
  for (const double link : {24e9, 55e9}) {
    for (const std::int64_t parallel : {1, 4}) {
      for (const bool host : {false, true}) {
        World world = even_world();
        world.options.host_computes = host;
        world.options.parallel = parallel;
        world.machine.links[0].bandwidth.value = link;
        const Result<Split> split = core::split(world.model, world.machine, world.options);
        ASSERT_TRUE(split) << split.error().message;
        const double floor = even_floor(world, host);
        EXPECT_GE(split->speed.step_s, floor * (1 - 1e-9));
        EXPECT_LE(split->speed.step_s, floor * 1.02) << link << " " << parallel << told(*split);
        for (const SpaceUse& use : split->spaces) EXPECT_LE(use.used(), use.capacity);
      }
    }
  }
}

TEST(Split, OfALargeModelWithMoreMemoryIsHardlyEverSlower) {
  for (const std::int64_t parallel : {1, 8}) {
    double before = 1e9;
    for (std::int64_t capacity = 12; capacity < 40; capacity += 2) {
      World world = even_world();
      world.model.layers[0].weights[0].bytes = Bytes(450'000'000);
      world.model.layers = std::vector<ModelLayer>(80, world.model.layers[0]);
      world.options.parallel = parallel;
      world.options.context = Tokens(2048);
      world.options.more = Bytes(0);
      world.machine.spaces[1].capacity = capacity * 1_GiB;
      const Result<Split> split = core::split(world.model, world.machine, world.options);
      ASSERT_TRUE(split) << split.error().message;
      EXPECT_LE(split->speed.step_s, before * 1.02) << capacity << told(*split);
      before = split->speed.step_s;
    }
  }
}

TEST(Split, StreamedLayersLieBetweenResidentOnes) {
  World world = even_world();
  world.options.host_computes = false;
  const Result<Split> split = core::split(world.model, world.machine, world.options);
  ASSERT_TRUE(split);
  int run = 0, longest = 0, resident = 0;
  for (const LayerPlace& place : split->layers) {
    run = place.mode == LayerMode::resident ? run + 1 : 0;
    resident += place.mode == LayerMode::resident;
    longest = std::max(longest, run);
  }
  EXPECT_EQ(resident, 21);  // of 24 GiB: buffers of two layers, workspace, state of all
  EXPECT_LE(longest, 4);
  EXPECT_EQ(split->speed.bound.kind, BoundKind::link);
  EXPECT_EQ(split->speed.bound.where, "dram -> hbm");
  EXPECT_GT(split->speed.bound.share, 0.99);
}

// A long layer on the device, then four that are copied in 2 s each and computed in 2 ms. While the
// long one runs, two buffers fill; the third copy waits until the first of them was used.
TEST(Split, CopiesWaitForABufferToBeFree) {
  World world = even_world();
  world.model.layers.resize(5);
  world.model.workspace = {};
  world.model.overhead = {};
  for (ModelLayer& layer : world.model.layers) {
    layer.weights = {{Bytes(2'000'000'000), 8}};
    layer.flops_per_token = layer.flops_per_pair = 0;
    layer.state.clear();
  }
  world.model.layers[0].weights = {{Bytes(1'000'000'000), 8}};
  world.model.layers[0].flops_per_token = 10 * 80e12;
  world.machine.spaces[1].capacity = Bytes(5'500'000'000);
  world.machine.spaces[1].bandwidth = {1e12};
  world.machine.links[0] = {SpaceId(0), SpaceId(1), {1e9}, {}};
  world.options.host_computes = false;
  const Result<Split> split = core::split(world.model, world.machine, world.options);
  ASSERT_TRUE(split) << split.error().message;
  EXPECT_EQ(split->layers[0].mode, LayerMode::resident);
  EXPECT_EQ(split->layers[4].mode, LayerMode::streamed);
  EXPECT_NEAR(split->speed.step_s, 10 + 0.002 + 2 + 2 + 0.002, 1e-9);
}

TEST(Split, OfWhatFitsOneDeviceIsWhole) {
  World world = even_world();
  world.machine.spaces[1].capacity = 80_GiB;
  const Result<Split> split = core::split(world.model, world.machine, world.options);
  ASSERT_TRUE(split);
  EXPECT_TRUE(split->whole());
  EXPECT_FALSE(split->host);
  ASSERT_EQ(split->spaces.size(), 1U);
  EXPECT_EQ(split->spaces[0].weights, Bytes(48'000'000'000));
  EXPECT_EQ(split->spaces[0].state, Bytes(48) * 4096 * 8192);
  EXPECT_EQ(split->spaces[0].workspace, 1_GiB);
  EXPECT_NEAR(split->speed.token_s, 0.001 + (48e9 + 48 * 4096 * 8192.0) / 900e9, 1e-9);
  EXPECT_EQ(split->speed.bound.kind, BoundKind::memory);
  EXPECT_EQ(split->speed.bound.where, "gpu");
  // A gigabyte more buys nothing.
  ASSERT_EQ(split->gains.size(), 1U);
  EXPECT_EQ(split->gains[0].tokens_per_second, split->speed.tokens_per_second);
}

TEST(Split, SaysWhatAGigabyteMoreBuys) {
  World world = even_world();
  const Result<Split> split = core::split(world.model, world.machine, world.options);
  ASSERT_TRUE(split);
  ASSERT_EQ(split->gains.size(), 2U);
  EXPECT_EQ(split->gains[0].spaces, std::vector{SpaceId(1)});
  EXPECT_EQ(split->gains[1].spaces, std::vector{SpaceId(0)});
  EXPECT_EQ(split->gains[1].tokens_per_second, split->speed.tokens_per_second);
  world.machine.spaces[1].capacity += world.options.more;
  const Result<Split> with = core::split(world.model, world.machine, world.options);
  EXPECT_GT(with->speed.tokens_per_second, 1.02 * split->speed.tokens_per_second);
  EXPECT_DOUBLE_EQ(split->gains[0].tokens_per_second, with->speed.tokens_per_second);
}

World two_gpus(double rate, Duration latency) {
  World world = even_world();
  world.machine.spaces.push_back(world.machine.spaces[1]);
  world.machine.devices.push_back(world.machine.devices[1]);
  world.machine.spaces[2].name = world.machine.devices[2].name = "gpu1";
  world.machine.devices[2].space = SpaceId(2);
  for (Space& space : world.machine.spaces) space.capacity = 40_GiB;
  world.machine.links.push_back({SpaceId(0), SpaceId(2), {24e9}, 10us});
  world.machine.links.push_back({SpaceId(2), SpaceId(0), {24e9}, 10us});
  world.machine.links.push_back({SpaceId(1), SpaceId(2), {rate}, latency});
  world.machine.links.push_back({SpaceId(2), SpaceId(1), {rate}, latency});
  return world;
}

TEST(Split, SharesLayersOverAFastLinkAndStagesThemOverASlowOne) {
  World world = two_gpus(200e9, 5us);
  const Result<Split> fast = core::split(world.model, world.machine, world.options);
  ASSERT_TRUE(fast);
  EXPECT_EQ(fast->tensor_parallel, 2);
  EXPECT_EQ(fast->stages.size(), 1U);
  // 96 all-reduces of 16 KiB, by doubling: one step.
  const double reduce = 96 * (16384 / 200e9 + 5e-6);
  EXPECT_NEAR(fast->speed.token_s, 0.001 + (24e9 + 24 * 4096 * 8192.0) / 900e9 + reduce, 1e-9);
  world = two_gpus(200e9, 1ms);
  const Result<Split> slow = core::split(world.model, world.machine, world.options);
  ASSERT_TRUE(slow);
  EXPECT_EQ(slow->tensor_parallel, 1);
  EXPECT_EQ(slow->stages.size(), 2U);
  EXPECT_NEAR(slow->speed.token_s,
              0.001 + (48e9 + 48 * 4096 * 8192.0) / 900e9 + 0.001 + 16384 / 200e9, 1e-9);
  // Two groups of sequences keep both stages at work.
  world.options.parallel = 8;
  const Result<Split> many = core::split(world.model, world.machine, world.options);
  ASSERT_TRUE(many);
  EXPECT_EQ(many->groups, 2);
  EXPECT_LT(many->speed.step_s, 1.2 * slow->speed.token_s);
}

TEST(Split, SaysHowMuchIsMissing) {
  World world = even_world();
  world.machine.spaces[0].capacity = 8_GiB;
  const Result<Split> split = core::split(world.model, world.machine, world.options);
  ASSERT_FALSE(split);
  EXPECT_EQ(split.error().code, ErrorCode::over_capacity);
  EXPECT_THAT(split.error().message,
              HasSubstr("even needs 47.20 GiB in all (weights, state of 1 x 8192 tokens, "
                        "workspace); the device has together with the host 32.00 GiB: 15.20 GiB "
                        "are missing"));
  EXPECT_EQ(split.error().available, (32_GiB).count());
  world.machine.links.clear();
  const Result<Split> apart = core::split(world.model, world.machine, world.options);
  ASSERT_FALSE(apart);
  EXPECT_THAT(apart.error().message, HasSubstr("the device has"));
}

TEST(Split, RefusesWhatItCannotReckonWith) {
  World world = even_world();
  world.machine.spaces[1].bandwidth = {};
  EXPECT_THAT(core::split(world.model, world.machine, world.options).error().message,
              HasSubstr("the bandwidth of hbm is not known"));
  world = even_world();
  world.model.layers[3].expert_share = 0;
  world.model.layers[5].weights[0].bytes = Bytes(-1);
  const std::string faults = core::split(world.model, world.machine, world.options).error().message;
  EXPECT_THAT(faults, HasSubstr("model.layers[3].expert_share: is not in (0, 1]"));
  EXPECT_THAT(faults, HasSubstr("model.layers[5].weights[0].bytes: is negative"));
  world = even_world();
  world.options.width = 0;
  EXPECT_THAT(core::split(world.model, world.machine, world.options).error().message,
              HasSubstr("width of a split are 1 or more"));
  world.options.width = 1;
  world.model.layers.resize(1025);
  EXPECT_THAT(core::split(world.model, world.machine, world.options).error().message,
              HasSubstr("at most 1024 layers and 64 devices; there are 1025 and 1"));
  world.model.layers.resize(1);
  world.machine.devices.clear();
  EXPECT_THAT(core::split(world.model, world.machine, world.options).error().message,
              HasSubstr("the machine has no device"));
}

}  // namespace
}  // namespace mais::core
