#include "mais/sim/simulator.hpp"

#include <gmock/gmock.h>

#include "fake_subject.hpp"
#include "mais/sim/step_cost.hpp"

namespace mais::sim {
namespace {

using namespace mais::literals;
using ::testing::HasSubstr;

// A device on which a step takes 10 ms for the weights, 1 ms of overhead, and 0.1 ms for each token
// beyond a hundred; the state costs nothing. 64 pages of 16 tokens.
Scenario small_box() {
  Scenario scenario{.name = "box", .config = {}, .tpot = 15ms};
  Config& config = scenario.config;
  config.machine.spaces.push_back(
      {.name = "m", .capacity = 1_GiB, .bandwidth = {1e9}, .numa_node = {}});
  config.machine.devices.push_back({.name = "d", .space = SpaceId(0), .compute = {1e12}});
  Model model;
  model.name = "model";
  model.state.push_back({.name = "s", .per_token = BytesPerToken(1024), .window = {}, .fixed = {}});
  model.cost = {.flops_per_token = 1e8,
                .attention_flops_per_pair = 0,
                .weights_read = Bytes(10'000'000),
                .state_read = {},
                .overhead = 1ms};
  config.models.push_back(model);
  config.instances.push_back(
      {.name = "i", .model = ModelId(0), .device = DeviceId(0), .state = 1_MiB});
  return scenario;
}

Trace trace_of(std::vector<TraceRequest> requests) {
  Trace trace;
  trace.name = "test";
  trace.requests = std::move(requests);
  return trace;
}

RunOptions with_max_new(Tokens max_new) {
  RunOptions options;
  options.max_new = max_new;
  return options;
}

Result<RunResult> run(const Trace& trace, FakeBugs bugs = {},
                      RunOptions options = with_max_new(20_tok)) {
  FakeSubject fake(64, 16, bugs);
  return simulate(trace, small_box(), fake, options);
}

std::string what_broke(FakeBugs bugs) {
  const Trace trace =
      trace_of({{.prompt = 100_tok, .output = 10_tok}, {.prompt = 50_tok, .output = 10_tok}});
  const auto result = run(trace, bugs);
  return result ? "nothing" : result.error().message;
}

TEST(Simulator, OneRequestTakesAStepForEachToken) {
  const auto result = run(trace_of({{.prompt = 200_tok, .output = 5_tok}}));
  ASSERT_TRUE(result) << result.error().message;
  // 200 tokens: 20 ms + 1 ms; then four decodes of 10 ms + 1 ms.
  EXPECT_EQ(result->steps, 5u);
  EXPECT_EQ(result->finished, 1u);
  EXPECT_EQ(result->good, 1u);
  EXPECT_EQ(result->makespan, 65ms);
  ASSERT_EQ(result->ttft_seconds.size(), 1u);
  EXPECT_DOUBLE_EQ(result->ttft_seconds[0], 0.021);
  EXPECT_DOUBLE_EQ(result->tpot_seconds[0], 0.011);
  EXPECT_DOUBLE_EQ(result->ttft_over_bound[0], 0.021 / (1 + 3 * 0.021));
  EXPECT_EQ(result->computed, 204_tok);
  EXPECT_EQ(result->recomputed, 0_tok);
  EXPECT_EQ(result->ooms, 0u);
  // 220 tokens are 14 pages of 64, for the whole of the run.
  EXPECT_DOUBLE_EQ(result->kv_peak, 14.0 / 64);
  EXPECT_DOUBLE_EQ(result->kv_mean, 14.0 / 64);
  EXPECT_DOUBLE_EQ(result->busy, 1.0);
}

TEST(Simulator, TheSchedulerSeesTheDeclaredBoundAndTheDeadlinesNeverTheOutput) {
  FakeSubject fake(64, 16);
  const Trace trace = trace_of({{.prompt = 200_tok, .output = 5_tok}});
  ASSERT_TRUE(simulate(trace, small_box(), fake, with_max_new(20_tok)));
  ASSERT_EQ(fake.submitted.size(), 1u);
  EXPECT_EQ(fake.submitted[0].max_new, 20_tok);
  EXPECT_EQ(fake.submitted[0].prompt, 200_tok);
  EXPECT_EQ(fake.submitted[0].deadlines.ttft, 1063ms);
  EXPECT_EQ(fake.submitted[0].deadlines.tpot, 15ms);
}

TEST(Simulator, ARequestIsGoodWhenBothBoundsHold) {
  // The second prompt makes the decodes of the first wait 1201 ms once: its mean is far above 15
  // ms.
  Trace trace = trace_of(
      {{.prompt = 1_tok, .output = 5_tok}, {.arrival = 15ms, .prompt = 900_tok, .output = 2_tok}});
  const auto slow = run(trace);
  ASSERT_TRUE(slow) << slow.error().message;
  EXPECT_EQ(slow->finished, 2u);
  EXPECT_EQ(slow->good, 1u);
  EXPECT_DOUBLE_EQ(slow->attainment, 0.5);

  // At a tenth of the rate the first is done when the second comes.
  RunOptions slower = with_max_new(20_tok);
  slower.rate = 0.1;
  const auto calm = run(trace, {}, slower);
  ASSERT_TRUE(calm);
  EXPECT_EQ(calm->good, 2u);
}

TEST(Simulator, OutputsAreCutAtTheDeclaredBound) {
  const auto result = run(trace_of({{.prompt = 10_tok, .output = 500_tok}}));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->steps, 20u);
  EXPECT_EQ(result->finished, 1u);
}

TEST(Simulator, RefusedRequestsAreNotGood) {
  const auto result =
      run(trace_of({{.prompt = 5000_tok, .output = 5_tok}, {.prompt = 10_tok, .output = 5_tok}}));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->refused, 1u);
  EXPECT_DOUBLE_EQ(result->attainment, 0.5);
}

TEST(Simulator, PreemptionIsCountedWithWhatIsComputedAgain) {
  const auto result =
      run(trace_of({{.prompt = 100_tok, .output = 10_tok}}), {.preempts_at_step = 4});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->finished, 1u);
  EXPECT_EQ(result->preemptions, 1u);
  EXPECT_EQ(result->max_preemptions, 1u);
  // Three steps had computed 102 tokens; the fourth computes 103 from the start.
  EXPECT_EQ(result->recomputed, 102_tok);
}

TEST(Simulator, APageBeyondThePoolIsAnOutOfMemory) {
  const Trace trace = trace_of({{.prompt = 100_tok, .output = 10_tok}});
  const auto result = run(trace, {.page_beyond_pool_at_step = 3});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->ooms, 8u);  // from the third step to the tenth
  EXPECT_EQ(run(trace)->ooms, 0u);
}

TEST(Simulator, ABrokenContractEndsTheReplayAndIsNamed) {
  EXPECT_EQ(what_broke({}), "nothing");
  EXPECT_THAT(what_broke({.page_given_twice_at_step = 2}),
              HasSubstr("at step 2: request 1 (number 1 of the trace) writes page 0, which another "
                        "sequence holds"));
  EXPECT_THAT(what_broke({.skips_a_token_at_step = 1}),
              HasSubstr("attends to 1 tokens, but page 0 of its table does not hold them"));
  EXPECT_THAT(what_broke({.forgets_to_emit_at_step = 3}), HasSubstr("does not emit"));
}

TEST(Simulator, ASchedulerThatStallsIsReportedNotWaitedFor) {
  const Trace trace = trace_of({{.prompt = 100_tok, .output = 10_tok}});
  const auto stalled = run(trace, {.never_schedules = true});
  ASSERT_TRUE(stalled);
  EXPECT_EQ(stalled->unfinished, 1u);
  EXPECT_EQ(stalled->attainment, 0);
  const auto spinning = run(trace, {.asks_to_be_woken = true});
  ASSERT_FALSE(spinning);
  EXPECT_THAT(spinning.error().message, HasSubstr("makes no progress"));
}

TEST(Simulator, OfflineEverythingIsThereAtOnceWithoutDeadlines) {
  FakeSubject fake(64, 16);
  const Trace trace = trace_of(
      {{.prompt = 10_tok, .output = 5_tok}, {.arrival = 100s, .prompt = 10_tok, .output = 5_tok}});
  RunOptions options = with_max_new(20_tok);
  options.offline = true;
  const auto result = simulate(trace, small_box(), fake, options);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_FALSE(fake.submitted[0].deadlines.ttft);
  EXPECT_EQ(result->steps, 6u);
  EXPECT_EQ(result->makespan, 66ms);
  ASSERT_TRUE(result->makespan_ratio);
  EXPECT_DOUBLE_EQ(*result->makespan_ratio,
                   to_seconds(result->makespan) / to_seconds(result->makespan_bound));
  EXPECT_GT(*result->makespan_ratio, 1);
}

TEST(Simulator, StopsAsSoonAsTheLevelCannotBeReached) {
  std::vector<TraceRequest> requests;
  for (int i = 0; i < 200; ++i) {
    requests.push_back({.arrival = i * 1ms, .prompt = 900_tok, .output = 5_tok});
  }
  RunOptions options = with_max_new(20_tok);
  const auto whole = run(trace_of(requests), {}, options);
  options.stop_below = 0.9;
  const auto stopped = run(trace_of(requests), {}, options);
  ASSERT_TRUE(whole && stopped);
  EXPECT_FALSE(whole->stopped_early);
  EXPECT_TRUE(stopped->stopped_early);
  EXPECT_LT(stopped->steps, whole->steps / 2);
  EXPECT_LT(stopped->attainment, 0.9);
  EXPECT_GE(stopped->attainment, whole->attainment);
}

TEST(Simulator, TheCourseIsBoundedAndKeepsThePeak) {
  std::vector<TraceRequest> requests;
  for (int i = 0; i < 500; ++i) {
    requests.push_back({.arrival = i * 100ms, .prompt = 50_tok, .output = 15_tok});
  }
  RunOptions options = with_max_new(20_tok);
  options.course_points = 50;
  const auto result = run(trace_of(requests), {}, options);
  ASSERT_TRUE(result);
  EXPECT_LE(result->course.size(), 52u);
  EXPECT_GE(result->course.size(), 12u);
  Bytes peak;
  for (std::size_t i = 0; i < result->course.size(); ++i) {
    peak = std::max(peak, result->course[i].sequences);
    if (i > 0) {
      EXPECT_GE(result->course[i].time, result->course[i - 1].time);
    }
  }
  EXPECT_DOUBLE_EQ(static_cast<double>(peak.count()) / static_cast<double>(result->pool.count()),
                   result->kv_peak);
}

TEST(Simulator, SameInputSameResult) {
  const Trace trace = trace_of(
      {{.prompt = 100_tok, .output = 10_tok}, {.arrival = 3ms, .prompt = 70_tok, .output = 9_tok}});
  const auto a = run(trace);
  const auto b = run(trace);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->makespan, b->makespan);
  EXPECT_EQ(a->ttft_seconds, b->ttft_seconds);
}

TEST(Simulator, NonsenseOptionsAreRefused) {
  const Trace trace = trace_of({{.prompt = 100_tok, .output = 10_tok}});
  for (const double rate : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    RunOptions options;
    options.rate = rate;
    EXPECT_FALSE(run(trace, {}, options));
  }
  EXPECT_FALSE(run(trace_of({})));
}

}  // namespace
}  // namespace mais::sim
