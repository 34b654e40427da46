#include "mais/files/config_json.hpp"

#include <random>

#include <gmock/gmock.h>

#include "mais/files/machine_json.hpp"
#include "mais/files/model_json.hpp"

namespace mais::files {
namespace {

using namespace mais::literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Draws valid configurations; the same seed draws the same one.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}

  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(high - low + 1));
  }
  bool coin() { return random_() % 2 == 0; }
  double real() { return static_cast<double>(random_()) * 0x1p-30; }
  Bytes bytes() { return Bytes(between(1, 1 << 20) << between(0, 20)); }
  Duration duration() { return Duration(between(1, 1 << 20) * (coin() ? 1 : 1'000'000)); }
  template <class T>
  std::optional<T> maybe(T value) {
    return coin() ? std::optional<T>(value) : std::nullopt;
  }
  std::string name(const char* stem, std::size_t i) {
    return std::string(stem) + (coin() ? " \"\\\u00e9\n" : "-") + std::to_string(i);
  }

 private:
  std::mt19937_64 random_;
};

Machine draw_machine(Dice& dice) {
  Machine machine{.name = dice.name("box", 0), .spaces = {}, .devices = {}, .links = {}};
  const auto count = static_cast<std::size_t>(dice.between(1, 4));
  for (std::size_t i = 0; i < count; ++i) {
    machine.spaces.push_back({.name = dice.name("space", i),
                              .kind = dice.coin() ? SpaceKind::device : SpaceKind::host,
                              .capacity = dice.bytes() * (1 << 20),
                              .bandwidth = {dice.real()},
                              .numa_node = dice.maybe(static_cast<int>(dice.between(0, 7)))});
    machine.devices.push_back({.name = dice.name("device", i),
                               .kind = dice.coin() ? DeviceKind::cpu : DeviceKind::gpu,
                               .space = SpaceId(static_cast<std::uint32_t>(i)),
                               .compute = {dice.real()}});
    if (i > 0) {
      machine.links.push_back({.from = SpaceId(static_cast<std::uint32_t>(i)),
                               .to = SpaceId(static_cast<std::uint32_t>(i - 1)),
                               .bandwidth = {dice.real() + 1},
                               .latency = dice.duration()});
    }
  }
  return machine;
}

Model draw_model(Dice& dice, std::size_t i) {
  Model model;
  model.name = dice.name("model", i);
  model.weights = dice.bytes();
  model.state.push_back({.name = "attention",
                         .per_token = BytesPerToken(dice.between(1, 1 << 20)),
                         .window = dice.maybe(Tokens(dice.between(1, 9999))),
                         .fixed = dice.bytes()});
  model.workspace = {.fixed = dice.bytes(),
                     .per_token = BytesPerToken(dice.between(0, 99)),
                     .per_sequence = dice.bytes(),
                     .per_context_token = BytesPerToken(dice.between(0, 3))};
  model.cost = {.flops_per_token = dice.real(),
                .attention_flops_per_pair = dice.real(),
                .weights_read = dice.bytes(),
                .state_read = BytesPerToken(dice.between(0, 9999)),
                .overhead = dice.duration()};
  model.max_context = dice.maybe(Tokens(dice.between(1, 1 << 30)));
  if (dice.coin()) model.shape_buckets = {16_tok, 64_tok};
  return model;
}

Deadlines draw_deadlines(Dice& dice) {
  return {.ttft = dice.maybe(dice.duration()),
          .tpot = dice.maybe(dice.duration()),
          .completion = dice.maybe(dice.duration())};
}

// Spaces are made large enough for whatever the instances need.
Config draw_config(std::uint64_t seed) {
  Dice dice(seed);
  Config config;
  config.machine = draw_machine(dice);
  for (Space& space : config.machine.spaces) space.capacity = Bytes::max();
  for (std::size_t i = 0; i < 2; ++i) config.models.push_back(draw_model(dice, i));
  for (std::size_t i = 0; i < 2; ++i) {
    const Model& model = config.models[i];
    Instance instance;
    instance.name = dice.name("instance", i);
    instance.model = ModelId(static_cast<std::uint32_t>(i));
    instance.state = model.state_bytes(4096_tok, instance.block) * 64;
    instance.guaranteed_state = dice.maybe(instance.state / 2);
    instance.workspace = model.workspace.bytes(512_tok, 16, 4096_tok);
    if (dice.coin()) {
      instance.host_tier = SpaceId(0);
      instance.host_state = dice.bytes();
    }
    instance.max_sequences = dice.maybe(dice.between(1, 512));
    instance.max_step_tokens = dice.maybe(Tokens(dice.between(1, 9999)));
    config.instances.push_back(instance);
  }
  config.tenants.push_back({.name = dice.name("ann", 1),
                            .weight = dice.real() + 0.1,
                            .guarantee = 1_MiB,
                            .limit = dice.maybe(2_MiB),
                            .max_queued = dice.maybe(std::size_t{9})});
  config.queue.order = dice.coin() ? ClassOrder::strict : ClassOrder::weighted;
  for (ClassPolicy& policy : config.queue.classes) {
    policy = {.weight = dice.real() + 0.5,
              .patience = dice.maybe(dice.duration()),
              .max_queued = dice.maybe(std::size_t{77}),
              .deadlines = draw_deadlines(dice)};
  }
  config.queue.max_bypass = static_cast<std::uint32_t>(dice.between(0, 99));
  config.policy = dice.coin() ? Policy::optimistic() : Policy::projected();
  config.policy.token_budget = Tokens(dice.between(1, 4096));
  config.prefix_block = Tokens(dice.between(0, 512));
  config.max_requests = static_cast<std::uint64_t>(dice.between(1, 1 << 30));
  return config;
}

// Texts are compared: they name every field, and a difference is easy to see.
TEST(ConfigJson, RoundTripKeepsEveryField) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Config config = draw_config(seed);
    ASSERT_THAT(validate(config), IsEmpty()) << to_string(validate(config));
    const std::string text = to_json(config);
    const auto read = parse_config(text, "round.json");
    ASSERT_TRUE(read) << read.error().message << '\n' << text;
    EXPECT_EQ(to_json(*read), text);

    EXPECT_EQ(read->machine.spaces[0].name, config.machine.spaces[0].name);
    EXPECT_EQ(read->machine.devices[0].compute, config.machine.devices[0].compute);
    EXPECT_EQ(read->models[1].cost.flops_per_token, config.models[1].cost.flops_per_token);
    EXPECT_EQ(read->instances[1].model, config.instances[1].model);
    EXPECT_EQ(read->instances[1].host_tier, config.instances[1].host_tier);
    EXPECT_EQ(read->queue.classes[2].patience, config.queue.classes[2].patience);
    EXPECT_EQ(read->queue.classes[1].deadlines.tpot, config.queue.classes[1].deadlines.tpot);
    EXPECT_EQ(read->policy.memory, config.policy.memory);

    const auto machine = parse_machine(to_json(config.machine), "m");
    ASSERT_TRUE(machine) << machine.error().message;
    EXPECT_EQ(to_json(*machine), to_json(config.machine));
    const auto models = parse_models(to_json(config.models), "m");
    ASSERT_TRUE(models) << models.error().message;
    EXPECT_EQ(to_json(*models), to_json(config.models));
  }
}

TEST(ConfigJson, WhatIsLeftOutKeepsItsDefault) {
  const auto config = parse_config(R"({"machine": {"spaces": [{"name": "a", "capacity": 1}]},
    "queue": {"classes": {"batch": {"patience": null}}}})",
                                   "c.json");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->tenants.at(0).name, "default");
  EXPECT_EQ(config->policy.memory, MemoryPolicy::projected);
  EXPECT_EQ(config->queue.classes[0].patience, 30s);
  EXPECT_EQ(config->queue.classes[2].patience, std::nullopt);
}

TEST(ConfigJson, FaultsOfTheWholeNameTheLineOfTheirField) {
  const auto config = parse_config(R"({
    "machine": {"spaces": [{"name": "a", "capacity": 1}]},
    "tenants": [{"name": "ann"},
                {"name": "ann"}]})",
                                   "c.json");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().message,
            "c.json:4: tenants[1].name: 'ann' is used twice; names are unique within a list");
}

// Whatever bytes come in: a value or one error, nothing else. The same function is what a
// libFuzzer build would call.
TEST(ConfigJson, MangledTextIsReadOrRefusedNeverACrash) {
  std::mt19937_64 random(7);
  const std::string good = to_json(draw_config(3));
  for (int i = 0; i < 400; ++i) {
    std::string text = good;
    for (std::uint64_t n = random() % 4 + 1; n > 0; --n) {
      const std::size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, random() % 40);
          break;
        case 2:
          text.insert(at, text.substr(random() % text.size(), random() % 40));
          break;
        default:
          text.resize(at + 1);
      }
    }
    const auto config = parse_config(text, "mangled");
    if (!config) {
      EXPECT_THAT(config.error().message, HasSubstr("mangled:"));
    }
  }
}

}  // namespace
}  // namespace mais::files
