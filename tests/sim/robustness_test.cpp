// The default policy where the world is not as it should be: bursts, heavy tails, wrong
// declarations, wrong costs, a tenant that floods. Replays of a synthetic workload on a simulated
// L4 with an 8B model, and of the Azure trace where it is at hand.
#include <cmath>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "mais/sim/simulator.hpp"
#include "mais/sim/workload.hpp"

namespace mais::sim {
namespace {

using namespace mais::literals;

// About what the default policy carries with 90 % of the requests good (docs/evaluation.md).
constexpr double kCarried = 0.95;  // requests per second
// What a fault somewhere else may cost those who have no part in it.
constexpr double kHarm = 0.05;
constexpr double kMostRecomputed = 0.03;

double recomputed_part(const RunResult& run) {
  return static_cast<double>(run.recomputed.count()) / static_cast<double>(run.computed.count());
}

// What every run promises, however the world is.
void expect_sound(const RunResult& run) {
  EXPECT_EQ(run.ooms, 0U);
  EXPECT_EQ(run.unfinished, 0U);
  EXPECT_EQ(run.finished + run.refused, run.submitted);
  EXPECT_LE(recomputed_part(run), kMostRecomputed);
}

class Robustness : public ::testing::TestWithParam<const char*> {
 protected:
  static constexpr std::size_t kRequests = 3000;

  void SetUp() override {
    if (std::string(GetParam()) == "synthetic") {
      trace_ = synthetic_workload({.requests = kRequests, .seed = 11});
      return;
    }
#ifdef MAIS_SHARED_DATA
    std::ifstream file(MAIS_SHARED_DATA "/traces/azure_llm_2023_conv.csv");
    std::stringstream text;
    text << file.rdbuf();
    if (auto trace = parse_azure(text.str(), "azure")) trace_ = *std::move(trace);
#endif
    if (trace_.requests.empty()) GTEST_SKIP() << "the Azure trace is not at hand";
    trace_.requests.resize(kRequests);
  }

  RunResult replayed(const Trace& trace, double requests_per_second,
                     RunOptions options = {}) const {
    options.rate = requests_per_second / mean_rate(trace);
    const auto run = replay(trace, scenario_, policy_, options);
    EXPECT_TRUE(run) << run.error().message;
    return run.value_or(RunResult{});
  }

  Trace trace_;
  Scenario scenario_ = *preset("l4-llama3-8b");
  Policy policy_;
};

TEST_P(Robustness, ABurstHarmsOnlyThoseNearIt) {
  // Half of what is carried, and for ten minutes in the middle twice of it.
  const double quiet = 0.5 * kCarried, busy = 2 * kCarried;
  const std::size_t middle = kRequests / 2;
  const auto in_burst = static_cast<std::size_t>(busy * 600);
  Trace burst = trace_;
  double at = 0;
  std::vector<bool> near(kRequests, false);
  for (std::size_t i = 1; i < kRequests; ++i) {
    const Duration gap = trace_.requests[i].arrival - trace_.requests[i - 1].arrival;
    near[i] = i >= middle && i < middle + in_burst;
    at += to_seconds(gap) * mean_rate(trace_) / (near[i] ? busy : quiet);
    burst.requests[i].arrival = from_seconds(at);
  }
  const RunResult calm = replayed(trace_, quiet);
  const RunResult run = replayed(burst, mean_rate(burst));
  expect_sound(run);
  std::size_t others = 0, good_before = 0, good = 0;
  for (std::size_t i = 0; i < kRequests; ++i) {
    if (near[i]) continue;
    ++others;
    good_before += calm.good_requests[i] ? 1 : 0;
    good += run.good_requests[i] ? 1 : 0;
  }
  EXPECT_GE(static_cast<double>(good),
            static_cast<double>(good_before) - kHarm * static_cast<double>(others))
      << good << " of " << others << ", in a calm world " << good_before;
}

TEST_P(Robustness, DeclaringMuchTooMuchCostsNothing) {
  const RunResult honest = replayed(trace_, 0.9 * kCarried);
  const RunResult run = replayed(trace_, 0.9 * kCarried, {.max_new = 32'768_tok});
  expect_sound(run);
  EXPECT_GE(run.attainment, honest.attainment - kHarm);
}

// Before the first outputs have ended nothing is known of lengths.
TEST_P(Robustness, DeclaringMuchTooMuchCostsNothingAtTheStartEither) {
  trace_.requests.resize(60);
  const RunResult honest = replayed(trace_, 0.9 * kCarried);
  const RunResult run = replayed(trace_, 0.9 * kCarried, {.max_new = 32'768_tok});
  expect_sound(run);
  EXPECT_GE(run.attainment, honest.attainment - kHarm);
}

TEST_P(Robustness, HeavyTailsCauseNoPreemptionStorm) {
  std::uint64_t state = 1;
  for (TraceRequest& request : trace_.requests) {  // Pareto, 1.1, from 60 tokens on
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const double u = (static_cast<double>(state >> 11) + 1) / 9007199254740993.0;
    request.output = Tokens(static_cast<std::int64_t>(std::min(2048.0, 60 / std::pow(u, 1 / 1.1))));
  }
  const RunResult run = replayed(trace_, 0.7 * kCarried);
  expect_sound(run);
  EXPECT_GE(run.attainment, 0.9);
}

TEST_P(Robustness, AFloodingTenantHarmsNobodyElse) {
  scenario_.config.tenants = {{.name = "steady"}, {.name = "flood"}};
  // Every tenth request is the steady tenant's; the flood begins when it would have its share too.
  Trace shared = trace_;
  for (std::size_t i = 0; i < kRequests; ++i) shared.requests[i].tenant = TenantId(i % 2);
  const RunResult fair = replayed(shared, 0.6 * kCarried);
  Trace flooded = trace_;
  for (std::size_t i = 0; i < kRequests; ++i) {
    flooded.requests[i].tenant = TenantId(i % 10 == 0 ? 0 : 1);
  }
  const RunResult run = replayed(flooded, 3 * kCarried);
  const auto part_good = [](const Trace& trace, const RunResult& of) {
    double all = 0, good = 0;
    for (std::size_t i = 0; i < kRequests; ++i) {
      if (trace.requests[i].tenant != TenantId(0)) continue;
      ++all;
      good += of.good_requests[i] ? 1 : 0;
    }
    return good / all;
  };
  expect_sound(run);
  EXPECT_GE(part_good(flooded, run), part_good(shared, fair) - kHarm);
}

TEST_P(Robustness, WrongStepCostsAreLearned) {
  const RunResult knowing = replayed(trace_, 0.9 * kCarried);
  for (const std::array<double, 5> wrong :
       {std::array{2.0, 0.5, 2.0, 0.5, 0.5}, std::array{0.5, 2.0, 0.5, 2.0, 2.0},
        std::array{0.7, 1.9, 1.6, 0.6, 1.1}}) {
    Scenario believed = scenario_;
    StepCost& cost = believed.config.models[0].cost;
    cost.flops_per_token *= wrong[0];
    cost.weights_read = cost.weights_read * wrong[1];
    cost.attention_flops_per_pair *= wrong[2];
    cost.state_read = BytesPerToken(
        static_cast<std::int64_t>(static_cast<double>(cost.state_read.count()) * wrong[3]));
    cost.overhead = from_seconds(to_seconds(cost.overhead) * wrong[4]);
    auto planner = core::Planner::create(believed.config);
    ASSERT_TRUE(planner);
    PlannerSubject subject(*std::move(planner));
    RunOptions options;
    options.rate = 0.9 * kCarried / mean_rate(trace_);
    const auto run = simulate(trace_, scenario_, subject, options);
    ASSERT_TRUE(run) << run.error().message;
    EXPECT_EQ(run->ooms, 0U);
    EXPECT_GE(run->attainment, knowing.attainment - 0.03);
  }
}

TEST_P(Robustness, NobodyWaitsLongerThanTheBoundAllows) {
  const double load = std::string(GetParam()) == "synthetic" ? 1.2 * kCarried : kCarried;
  policy_.overdue_after = 1e9;
  const double unbounded = replayed(trace_, load).longest_wait;
  for (const double bound : {200.0, 400.0}) {
    policy_.overdue_after = bound;
    const RunResult run = replayed(trace_, load);
    EXPECT_LE(run.longest_wait, 1.15 * bound);
    EXPECT_GE(unbounded, 1.15 * bound) << "nothing was bounded: the load is too light";
  }
}

INSTANTIATE_TEST_SUITE_P(Of, Robustness, ::testing::Values("synthetic", "azure"),
                         [](const auto& of) { return std::string(of.param); });

}  // namespace
}  // namespace mais::sim
