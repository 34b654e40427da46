#include "mais/core/variants.hpp"

#include <gmock/gmock.h>

namespace mais::core {
namespace {

using namespace mais::literals;
using testing::HasSubstr;

// One GPU of 24 GB at 900 GB/s, 80 TFLOP/s.
Machine one_gpu() {
  Machine machine;
  machine.spaces = {{.name = "hbm",
                     .kind = SpaceKind::device,
                     .capacity = 24_GiB,
                     .bandwidth = {900e9},
                     .numa_node = {}}};
  machine.devices = {
      {.name = "gpu", .kind = DeviceKind::gpu, .space = SpaceId(0), .compute = {80e12}}};
  return machine;
}

// Ten layers that weigh so much together.
LayeredModel model_of(Bytes weights) {
  LayeredModel model{.name = "model", .layers = std::vector<ModelLayer>(10), .overhead = 1ms};
  for (ModelLayer& layer : model.layers) {
    layer.weights = {{weights / 10, 8}};
    layer.flops_per_token = 2e9;
  }
  return model;
}

std::vector<Variant> three() {
  return {
      {"q4", 4.5, model_of(9_GiB)}, {"q16", 16, model_of(32_GiB)}, {"q8", 8.5, model_of(17_GiB)}};
}

TEST(Variants, TheBestThatFitsIsChosenWhereNothingElseIsAsked) {
  const auto choice = choose_variant(three(), one_gpu(), {});
  ASSERT_TRUE(choice) << choice.error().message;
  EXPECT_EQ(choice->chosen, 2U);
  ASSERT_EQ(choice->verdicts.size(), 3U);
  EXPECT_EQ(choice->verdicts[0].variant, 1U);
  EXPECT_FALSE(choice->verdicts[0].split);
  EXPECT_THAT(choice->verdicts[0].why_not,
              HasSubstr("needs 32.00 GiB in all (weights, state of 1 x 8192 tokens, workspace); "
                        "the device has 24.00 GiB: 8.00 GiB are missing"));
  EXPECT_EQ(choice->verdicts[1].why_not, "");
  EXPECT_EQ(choice->verdicts[2].why_not, "");
}

TEST(Variants, OfEachBetterOneItIsSaidWhatItMisses) {
  // 17 GiB are read in 20.3 ms, 9 in 10.7; a prompt of 1,024 tokens computes 256 ms.
  const auto choice =
      choose_variant(three(), one_gpu(), {}, {.ttft = 300ms, .tpot = Duration(15ms)});
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->chosen, 0U);
  EXPECT_EQ(choice->verdicts[1].why_not, "TPOT 21 ms > 15 ms");
  const auto none = choose_variant(three(), one_gpu(), {}, {.ttft = 200ms, .tpot = Duration(15ms)});
  EXPECT_FALSE(none->chosen);
  EXPECT_EQ(none->verdicts[1].why_not, "TTFT 257 ms > 200 ms, TPOT 21 ms > 15 ms");
  EXPECT_EQ(none->verdicts[2].why_not, "TTFT 257 ms > 200 ms");
}

TEST(Variants, AreSpreadWhereThatMeetsABound) {
  Machine machine = one_gpu();
  machine.spaces.push_back(machine.spaces[0]);
  machine.devices.push_back(machine.devices[0]);
  machine.devices[1].space = SpaceId(1);
  machine.spaces[1].name = machine.devices[1].name = "gpu1";
  machine.links = {{SpaceId(0), SpaceId(1), {200e9}, 5us}, {SpaceId(1), SpaceId(0), {200e9}, 5us}};
  const LayeredModel model = model_of(17_GiB);
  EXPECT_TRUE(split_within(model, machine, {})->whole());
  const auto spread = split_within(model, machine, {}, {.ttft = {}, .tpot = Duration(15ms)});
  ASSERT_TRUE(spread);
  EXPECT_EQ(spread->tensor_parallel, 2);
  EXPECT_EQ(missed(spread->speed, {.ttft = {}, .tpot = Duration(15ms)}), "");
}

TEST(Variants, WithoutRoomForPromptsSomeBoundIsMet) {
  Machine machine = one_gpu();
  machine.spaces.push_back({.name = "dram",
                            .kind = SpaceKind::host,
                            .capacity = 64_GiB,
                            .bandwidth = {60e9},
                            .numa_node = {}});
  machine.devices.push_back(
      {.name = "cpu", .kind = DeviceKind::cpu, .space = SpaceId(1), .compute = {1e12}});
  machine.links = {{SpaceId(1), SpaceId(0), {10e9}, 10us}, {SpaceId(0), SpaceId(1), {10e9}, 10us}};
  const LayeredModel model = model_of(32_GiB);
  const Split with = *split(model, machine, {});
  const Split without = *split(model, machine, {.prompts_on_device = false});
  ASSERT_LT(without.speed.step_s, 0.9 * with.speed.step_s);
  ASSERT_LT(with.speed.ttft_s, without.speed.ttft_s);
  const Duration between = from_seconds((with.speed.step_s + without.speed.step_s) / 2);
  EXPECT_EQ(split_within(model, machine, {}, {.ttft = {}, .tpot = between})->speed.step_s,
            without.speed.step_s);
  const Duration prompt = from_seconds((with.speed.ttft_s + without.speed.ttft_s) / 2);
  EXPECT_EQ(split_within(model, machine, {}, {.ttft = prompt, .tpot = {}})->speed.ttft_s,
            with.speed.ttft_s);
}

TEST(Variants, FaultsAreNamed) {
  EXPECT_THAT(choose_variant({}, one_gpu(), {}).error().message, HasSubstr("no variants"));
  std::vector<Variant> variants = three();
  variants[0].model.layers.clear();
  EXPECT_THAT(choose_variant(variants, one_gpu(), {}).error().message,
              HasSubstr("q4: model.layers: is empty"));
}

}  // namespace
}  // namespace mais::core
