#include "mais/sim/step_cost.hpp"

#include <gmock/gmock.h>

#include "mais/sim/presets.hpp"

namespace mais::sim {
namespace {

using namespace mais::literals;
using ::testing::HasSubstr;

SimulatedDevice device(std::string_view name) {
  const Scenario scenario = *preset(name);
  return device_of(scenario.config, scenario.config.instances[0]);
}

StepWork batch(std::initializer_list<std::pair<int, int>> sequences) {
  StepWork work;
  for (const auto& [cached, computed] : sequences) work.add(Tokens(cached), Tokens(computed));
  return work;
}

// The figures below are worked out by hand from the formula and the table of the evaluation.

TEST(StepCost, ALoneDecodeReadsTheWeightsAndItsState) {
  // linear: 16.06e9 / 240e9 = 66.916667 ms over 2 * 8.03e9 / 73e12 = 0.22 ms
  // attention: 1000 * 131072 / 240e9 = 0.546133 ms over 4 * 32 * 4096 * 1000 / 73e12
  EXPECT_NEAR(to_seconds(device("l4-llama3-8b").step(batch({{999, 1}}))), 0.068462800, 2e-9);
}

TEST(StepCost, ALongPromptIsBoundByCompute) {
  // linear: 2 * 8.03e9 * 2048 / 73e12 = 450.560 ms (over 66.917 ms of weights)
  // attention: 4 * 32 * 4096 * 2048 * 1024.5 / 73e12 = 15.068855 ms over 2048 * 131072 / 240e9
  EXPECT_NEAR(to_seconds(device("l4-llama3-8b").step(batch({{0, 2048}}))), 0.466628855, 1e-6);
}

TEST(StepCost, AMixedBatchSumsItsSequences) {
  // N = 513; linear: 2 * 8.03e9 * 513 / 187e12 = 44.057647 ms
  // pairs: 512 * (1024 + 256.5) + 2000 = 657616; * 524288 / 187e12 = 1.843743 ms
  // context: 1536 + 2000 = 3536; * 131072 / 1.63e12 = 0.284337 ms
  EXPECT_NEAR(to_seconds(device("a100-llama3-8b").step(batch({{1024, 512}, {1999, 1}}))),
              0.046901390, 1e-7);
}

TEST(StepCost, TtftBoundIsASecondAndThreePrefillsAlone) {
  const SimulatedDevice h200 = device("h200-llama3-70b-fp8");
  // linear: 2 * 70.6e9 * 8192 / 1180e12 = 980.257 ms
  // attention: 4 * 80 * 8192 * 8192 * 4096.5 / 1180e12 = 74.554 ms
  EXPECT_NEAR(to_seconds(h200.prefill_alone(8192_tok)), 1.055811, 1e-4);
  EXPECT_EQ(h200.ttft_bound(8192_tok), 1s + 3 * h200.prefill_alone(8192_tok));
  // A prompt of one token still waits for the weights: 1 s + 3 * (70.6e9 / 3.84e12 + 1 ms + ...).
  EXPECT_NEAR(to_seconds(h200.ttft_bound(1_tok)), 1.058156, 1e-5);
}

TEST(StepCost, OfflineBoundIsTheLargerOfComputeAndMemory) {
  Trace trace;
  trace.requests = {{.prompt = 100_tok, .output = 10_tok}, {.prompt = 50_tok, .output = 2_tok}};
  const SimulatedDevice l4 = device("l4-llama3-8b");
  // slots: (10 * 100 + 55) + (2 * 50 + 3) = 1158; context read: 150 + 1158 = 1308
  // memory: 1158 / pool * (66.916667 + 1) ms + 1308 * 131072 / 240e9 = 0.714342 ms
  // compute: 2 * 8.03e9 * 162 / 73e12 = 35.640 ms + 0.714342 ms
  EXPECT_NEAR(to_seconds(l4.offline_bound(trace, 32768_tok)), 0.036354342, 1e-7);
  EXPECT_NEAR(to_seconds(l4.offline_bound(trace, 1158_tok)), 0.068631009, 1e-7);
}

TEST(Presets, HaveThePoolsOfTheEvaluation) {
  EXPECT_EQ(pool_tokens(*preset("l4-llama3-8b")), 32'768_tok);
  EXPECT_EQ(pool_tokens(*preset("a100-llama3-8b")), 393'216_tok);
  // 55 GiB / 163840 bytes = 360,448 tokens
  EXPECT_EQ(pool_tokens(*preset("h200-llama3-70b-fp8")), 360'448_tok);
  for (const std::string& name : preset_names()) {
    for (const auto tier : {std::optional<Bytes>(), std::optional<Bytes>(1_TiB)}) {
      const Scenario scenario = *preset(name, tier);
      EXPECT_TRUE(validate(scenario.config).empty()) << to_string(validate(scenario.config));
      EXPECT_EQ(scenario.config.instances[0].host_tier.has_value(), tier.has_value());
    }
  }
}

TEST(Presets, UnknownNamesAreAnsweredWithTheKnownOnes) {
  const auto unknown = preset("h100");
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("presets are l4-llama3-8b, a100-llama3-8b, "));
  EXPECT_THAT(policy_named("best").error().message,
              HasSubstr("there are no_evict, optimistic, projected"));
}

}  // namespace
}  // namespace mais::sim
