// The metrics: each moves as it must, their names and labels are bounded, and a scraper can read
// them.
#include "mais/adapters/prometheus_metrics.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include "adapters/watched_scheduler.hpp"

namespace mais::adapters {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

Labels ended(const std::string& tenant, const std::string& kind) {
  return {{"tenant", tenant}, {"kind", kind}};
}
Labels refused(const std::string& tenant, const std::string& reason) {
  return {{"tenant", tenant}, {"reason", reason}};
}
Labels bucket(Labels labels, const std::string& bound) {
  labels["le"] = bound;
  return labels;
}

using PrometheusMetricsTest = WatchedScheduler;

TEST_F(PrometheusMetricsTest, EverySeriesIsThereFromTheStartAtZero) {
  start();
  const Exposition at = scrape();
  EXPECT_EQ(at.series("mais_requests_ended_total").size(), 2U * 4U);
  EXPECT_EQ(at.series("mais_refusals_total").size(), 2U * 9U);
  EXPECT_EQ(at.series("mais_requests_submitted_total").size(), 2U * 3U);
  EXPECT_EQ(at.series("mais_time_to_first_token_seconds_count").size(), 3U);
  for (const auto& [name, family] : at.families()) {
    if (family.type == "gauge") continue;
    for (const auto& [sample, series] : family.series) {
      for (const auto& [labels, value] : series) EXPECT_EQ(value, 0) << sample;
    }
  }
  EXPECT_EQ(at.value("mais_instance_up", kEngine), 1);
}

TEST_F(PrometheusMetricsTest, PageListsEveryMetricWithItsTypeAndLabels) {
  start();
  const Exposition at = scrape();
  std::map<std::string, std::string> listed;  // what stands behind the name
  std::ifstream page(MAIS_METRICS_PAGE);
  for (std::string line; std::getline(page, line);) {
    const bool is_row = line.starts_with("| `mais_") || line.starts_with("| `vllm:");
    if (!is_row) continue;
    const std::size_t end = line.find('`', 3);
    listed[line.substr(3, end - 3)] = line.substr(end + 1);
  }
  for (const auto& [name, family] : at.families()) {
    ASSERT_TRUE(listed.contains(name)) << name;
    const std::string row = listed[name];
    listed.erase(name);
    if (name.starts_with("vllm:")) continue;
    for (const auto& [label, value] : family.series.begin()->second.begin()->first) {
      if (label == "le") continue;
      EXPECT_THAT(row, HasSubstr(label)) << name;
    }
    EXPECT_THAT(row, StartsWith(" | " + family.type + " | ")) << name;
  }
  EXPECT_THAT(listed, IsEmpty());  // and no other
}

TEST_F(PrometheusMetricsTest, LatenciesAreCountedFromSubmissionAndPerToken) {
  Config config = small_machine();
  config.policy = Policy::no_evict();  // the whole prompt in one step
  Scheduler& scheduler = start(config);
  scheduler.submit({.model = kModel, .tenant = TenantId(1), .prompt = 32_tok, .max_new = 3_tok},
                   {});
  clock_.advance(70ms);
  EXPECT_EQ(scrape().value("mais_requests_waiting", kLoad), 1);
  ASSERT_TRUE(step(30ms));  // the first token, 100 ms after submission
  Exposition at = scrape();
  EXPECT_EQ(at.value("mais_requests_waiting", kLoad), 0);
  EXPECT_EQ(at.value("mais_requests_running", kLoad), 1);
  EXPECT_EQ(at.value("mais_time_to_first_token_seconds_count", kStreaming), 1);
  EXPECT_DOUBLE_EQ(at.value("mais_time_to_first_token_seconds_sum", kStreaming), 0.1);
  // A bound is in its bucket.
  EXPECT_EQ(at.value("mais_time_to_first_token_seconds_bucket", bucket(kStreaming, "0.1")), 1);
  EXPECT_EQ(at.value("mais_time_to_first_token_seconds_bucket", bucket(kStreaming, "0.05")), 0);
  EXPECT_EQ(at.value("mais_time_per_output_token_seconds_count", kStreaming), 0);
  ASSERT_TRUE(step(15ms));
  ASSERT_TRUE(step(25ms));
  at = scrape();
  EXPECT_EQ(at.value("mais_time_to_first_token_seconds_count", kStreaming), 1);
  EXPECT_EQ(at.value("mais_time_per_output_token_seconds_count", kStreaming), 1);
  EXPECT_DOUBLE_EQ(at.value("mais_time_per_output_token_seconds_sum", kStreaming), 0.02);
  EXPECT_EQ(at.value("mais_request_seconds_count", kStreaming), 1);
  EXPECT_DOUBLE_EQ(at.value("mais_request_seconds_sum", kStreaming), 0.14);
  EXPECT_EQ(at.value("mais_step_seconds_count", kEngine), 3);
  EXPECT_DOUBLE_EQ(at.value("mais_step_seconds_sum", kEngine), 0.07);
  EXPECT_EQ(at.value("mais_step_seconds_bucket", bucket(kEngine, "0.02")), 1);
  EXPECT_EQ(at.value("mais_generated_tokens_total", kEngine), 3);
  EXPECT_EQ(at.value("mais_computed_tokens_total", kEngine), 34);
  EXPECT_EQ(at.value("mais_prompt_tokens_total", kLoad), 32);
  EXPECT_EQ(at.value("mais_requests_submitted_total", {{"tenant", "b"}, {"class", "streaming"}}),
            1);
  EXPECT_EQ(at.value("mais_requests_ended_total", ended("b", "finished")), 1);
  EXPECT_EQ(at.value("mais_requests_ended_total", ended("a", "finished")), 0);
  EXPECT_EQ(at.value("mais_requests_running", kLoad), 0);
}

TEST_F(PrometheusMetricsTest, StepThatReportsNoTimeIsMeasuredByTheClock) {
  Scheduler& scheduler = start();
  scheduler.submit({.model = kModel, .prompt = 1_tok, .max_new = 1_tok}, {});
  core::Step step;
  ASSERT_TRUE(scheduler.try_next_step(kInstance, step));
  clock_.advance(250ms);
  scheduler.report({.step = step.id});
  EXPECT_DOUBLE_EQ(scrape().value("mais_step_seconds_sum", kEngine), 0.25);
}

TEST_F(PrometheusMetricsTest, ClockThatJumpsBackTakesNothingOffASum) {
  Scheduler& scheduler = start();
  scheduler.submit({.model = kModel, .prompt = 1_tok, .max_new = 2_tok}, {});
  ASSERT_TRUE(step(-50ms));
  ASSERT_TRUE(step(-50ms));
  const Exposition at = scrape();
  for (const char* name : {"mais_time_to_first_token_seconds", "mais_request_seconds",
                           "mais_time_per_output_token_seconds"}) {
    EXPECT_EQ(at.value(std::string(name) + "_count", kStreaming), 1);
    EXPECT_EQ(at.value(std::string(name) + "_sum", kStreaming), 0);
  }
  EXPECT_EQ(at.value("mais_step_seconds_sum", kEngine), 0);
}

TEST_F(PrometheusMetricsTest, FailedStepComputesNothing) {
  Scheduler& scheduler = start();
  scheduler.submit({.model = kModel, .prompt = 4_tok, .max_new = 1_tok}, {});
  core::Step step;
  ASSERT_TRUE(scheduler.try_next_step(kInstance, step));
  scheduler.report({.step = step.id, .outcome = core::StepReport::Outcome::allocation_failed});
  const Exposition at = scrape();
  EXPECT_EQ(at.value("mais_steps_total", {{"engine", "decoder"}, {"outcome", "done"}}), 0);
  EXPECT_EQ(at.value("mais_steps_total", {{"engine", "decoder"}, {"outcome", "allocation_failed"}}),
            1);
  EXPECT_EQ(at.value("mais_step_seconds_count", kEngine), 0);
  EXPECT_EQ(at.value("mais_computed_tokens_total", kEngine), 0);
  EXPECT_EQ(at.value("mais_time_to_first_token_seconds_count", kStreaming), 0);
}

TEST_F(PrometheusMetricsTest, EndsAreCountedByKindAndRefusalsByReason) {
  Scheduler& scheduler = start();
  (void)scheduler.acquire({.tenant = TenantId(1), .space = kPool, .bytes = 2_GiB});
  scheduler.submit({.model = ModelId(7), .prompt = 1_tok, .max_new = 1_tok}, {});
  const RequestId gone = scheduler.submit({.model = kModel, .prompt = 1_tok, .max_new = 1_tok}, {});
  scheduler.cancel(gone);
  scheduler.submit({.model = kModel, .prompt = 1_tok, .max_new = 1_tok, .give_up = 5ms}, {});
  clock_.advance(6ms);
  scheduler.tick();
  { const auto lease = scheduler.acquire({.space = kPool, .bytes = 2_KiB}); }
  const Exposition at = scrape();
  EXPECT_EQ(at.value("mais_refusals_total", refused("b", "can_never_fit")), 1);
  EXPECT_EQ(at.value("mais_refusals_total", refused("a", "unknown_model")), 1);
  EXPECT_EQ(at.value("mais_refusals_total", refused("a", "can_never_fit")), 0);
  EXPECT_EQ(at.value("mais_requests_ended_total", ended("a", "refused")), 1);
  EXPECT_EQ(at.value("mais_requests_ended_total", ended("b", "refused")), 1);
  EXPECT_EQ(at.value("mais_requests_ended_total", ended("a", "cancelled")), 1);
  EXPECT_EQ(at.value("mais_requests_ended_total", ended("a", "expired")), 1);
  EXPECT_EQ(at.value("mais_requests_ended_total", ended("a", "finished")), 1);
  EXPECT_EQ(at.value("mais_leases_granted_total", {{"space", "pool"}}), 1);
  // What did not finish is in no histogram of requests.
  EXPECT_EQ(at.value("mais_request_seconds_count", kStreaming), 0);
}

TEST_F(PrometheusMetricsTest, UnknownNamesMakeNoLabel) {
  Scheduler& scheduler = start();
  const std::size_t before = scrape().series("mais_refusals_total").size();
  for (std::uint32_t i = 0; i < 100; ++i) {
    scheduler.submit(
        {.model = kModel, .tenant = TenantId(2 + i), .prompt = 1_tok, .max_new = 1_tok}, {});
    scheduler.submit({.model = ModelId(1 + i), .prompt = 1_tok, .max_new = 1_tok}, {});
  }
  const Exposition at = scrape();
  EXPECT_EQ(at.value("mais_refusals_total", {{"reason", "unknown_tenant"}}), 100);
  EXPECT_EQ(at.value("mais_requests_ended_total", {{"kind", "refused"}}), 100);
  EXPECT_EQ(at.value("mais_refusals_total", refused("a", "unknown_model")), 100);
  EXPECT_EQ(at.series("mais_refusals_total").size(), before + 9);
  EXPECT_EQ(at.series("mais_request_seconds_count").size(), 3U);
}

TEST_F(PrometheusMetricsTest, PreemptionAndWhatItCostsAreCounted) {
  Config config = small_machine();
  config.policy = Policy::optimistic();
  config.instances[0].state = 64_KiB;  // four blocks of 16 tokens
  Scheduler& scheduler = start(config);
  for (int i = 0; i < 3; ++i) {
    scheduler.submit({.model = kModel, .prompt = 15_tok, .max_new = 30_tok}, {});
  }
  double most = 0, before = 0;
  while (step(1ms)) {
    const Exposition at = scrape();
    const double ratio = at.value("mais_kv_utilization_ratio", kLoad);
    EXPECT_EQ(ratio, at.value("mais_kv_used_bytes", kLoad) / (64 * 1024));
    EXPECT_EQ(ratio, at.value("vllm:kv_cache_usage_perc"));
    most = std::max(most, ratio);
    EXPECT_GE(at.value("mais_preemptions_total", kLoad), before);
    before = at.value("mais_preemptions_total", kLoad);
  }
  const Exposition at = scrape();
  const core::InstanceLoad load = scheduler.load(kInstance);
  EXPECT_EQ(most, 1);
  EXPECT_GT(load.preemptions, 0U);
  EXPECT_GT(load.recomputed_tokens, 0U);
  EXPECT_EQ(at.value("mais_preemptions_total", kLoad), static_cast<double>(load.preemptions));
  EXPECT_EQ(at.value("mais_recomputed_tokens_total", kLoad),
            static_cast<double>(load.recomputed_tokens));
  EXPECT_EQ(at.value("mais_requests_ended_total", ended("a", "finished")), 3);
  EXPECT_EQ(at.value("mais_generated_tokens_total", kEngine), 90);
  EXPECT_EQ(at.value("mais_time_to_first_token_seconds_count", kStreaming), 3);
  EXPECT_EQ(at.value("mais_kv_used_bytes", kLoad), 0);
}

TEST_F(PrometheusMetricsTest, BytesStandInTheAccountsThatHoldThem) {
  Scheduler& scheduler = start();
  const Labels pool = {{"space", "pool"}, {"account", "pool"}};
  const Labels tenant = {{"space", "pool"}, {"account", "pool/leases/b"}};
  EXPECT_EQ(scrape().value("mais_account_limit_bytes", pool), 1024. * 1024 * 1024);
  {
    const auto lease =
        scheduler.acquire({.tenant = TenantId(1), .space = kPool, .bytes = 12345_KiB});
    ASSERT_TRUE(lease.has_value());
    const Exposition at = scrape();
    EXPECT_EQ(at.value("mais_account_used_bytes", tenant), 12345. * 1024);
    EXPECT_EQ(at.value("mais_account_used_bytes", pool), 12345. * 1024);
  }
  scheduler.tick();
  const Exposition at = scrape();
  EXPECT_EQ(at.value("mais_account_used_bytes", tenant), 0);
  EXPECT_EQ(at.value("mais_account_peak_bytes", tenant), 12345. * 1024);
  EXPECT_EQ(
      at.value("mais_account_used_bytes", {{"space", "gpu"}, {"account", "gpu/decoder/weights"}}),
      16. * 1024 * 1024);
}

TEST_F(PrometheusMetricsTest, AccountsOfOneNameStayApart) {
  Config config = small_machine();
  config.tenants[0].name = "prefix";  // as the account of the prefix cache
  start(config);
  const auto used = scrape().series("mais_account_used_bytes");
  EXPECT_TRUE(used.contains({{"space", "gpu"}, {"account", "gpu/decoder/state/prefix"}}));
  EXPECT_TRUE(used.contains({{"space", "gpu"}, {"account", "gpu/decoder/state/prefix#2"}}));
}

TEST_F(PrometheusMetricsTest, NamesCannotMakeUpLabelsOrLines) {
  Config config = small_machine();
  const std::string hostile = "a\",tenant=\"b\\\"} 7\nforged 1\n# TYPE x";
  config.tenants[0].name = hostile;
  config.models[0].name = hostile;
  config.instances[0].name = hostile;
  Scheduler& scheduler = start(config);
  scheduler.submit({.model = kModel, .prompt = 1_tok, .max_new = 1_tok}, {});
  ASSERT_TRUE(step(1ms));
  const Exposition at = scrape();
  EXPECT_FALSE(at.has("forged"));
  EXPECT_EQ(at.value("mais_requests_ended_total", ended(hostile, "finished")), 1);
}

TEST_F(PrometheusMetricsTest, CountersOnlyRise) {
  Config config = two_models();
  config.policy = Policy::optimistic();
  Scheduler& scheduler = start(config);
  Exposition before = scrape();
  for (int round = 0; round < 60; ++round) {
    const auto i = static_cast<std::uint32_t>(round);
    scheduler.submit({.model = ModelId(i % 3),
                      .tenant = TenantId(i % 4),
                      .service_class = kAllServiceClasses[i % 3],
                      .prompt = Tokens(1 + round % 12),
                      .max_new = Tokens(1 + round % 7),
                      .give_up = 30ms},
                     {});
    step(2ms, InstanceId(i % 3));
    if (round == 40) scheduler.instance_lost(InstanceId(1));
    if (round == 50) scheduler.instance_back(InstanceId(1));
    Exposition at = scrape();
    for (const auto& [name, family] : before.families()) {
      if (family.type == "gauge") continue;
      for (const auto& [sample, series] : family.series) {
        for (const auto& [labels, value] : series) EXPECT_GE(at.value(sample, labels), value);
      }
    }
    before = std::move(at);
  }
}

TEST_F(PrometheusMetricsTest, WithoutAWatchOnlyEventsAreTold) {
  Scheduler& scheduler = start();
  watch_ = {};
  scheduler.submit({.model = ModelId(9), .prompt = 1_tok, .max_new = 1_tok}, {});
  const Exposition at = scrape();
  EXPECT_FALSE(at.has("mais_requests_waiting"));
  EXPECT_FALSE(at.has("vllm:num_requests_waiting"));
  EXPECT_EQ(at.value("mais_requests_ended_total", ended("a", "refused")), 1);
  const auto again = metrics_->watch(scheduler);
  EXPECT_TRUE(scrape().has("mais_requests_waiting"));
}

TEST(PrometheusMetricsAlone, SaysNothingBeforeASchedulerBegins) {
  EXPECT_EQ(make_metrics()->text(), "");
}

TEST_F(PrometheusMetricsTest, CollectableTellsTheSameAndOutlivesUs) {
  start();
  const std::shared_ptr<prometheus::Collectable> collectable = metrics_->collectable();
  EXPECT_EQ(collectable->Collect().size(), scrape().families().size());
  watch_ = {};
  scheduler_.reset();
  metrics_.reset();
  EXPECT_FALSE(collectable->Collect().empty());
}

TEST_F(PrometheusMetricsTest, CallbackMayScrape) {
  Scheduler& scheduler = start();
  double waiting = -1;
  const RequestId request = scheduler.submit(
      {.model = kModel, .prompt = 1_tok, .max_new = 1_tok, .give_up = 1ms},
      [&](const RequestEnd&) { waiting = scrape().value("mais_requests_waiting", kLoad); });
  (void)request;
  clock_.advance(2ms);
  (void)scrape();  // which finds it expired, and calls back
  EXPECT_EQ(waiting, 0);
}

TEST(PrometheusMetricsAlone, MissedObservationsAreCountedAndLeaveNothingBehind) {
  const auto metrics = make_metrics();
  metrics->begin(small_machine());
  const auto submit = [&](std::uint64_t number, RequestId id) {
    metrics->observe({.number = number,
                      .event = core::event::Submit{{.model = kModel}},
                      .actions = {{.kind = core::ActionKind::accepted, .request = id}}});
  };
  submit(1, RequestId{1});
  submit(5, RequestId{2});  // three are missing
  const auto finish = [&](std::uint64_t number, RequestId id) {
    metrics->observe({.number = number,
                      .event = core::event::Tick{},
                      .actions = {{.kind = core::ActionKind::finished, .request = id}}});
  };
  finish(6, RequestId{1});  // forgotten with its tenant
  finish(7, RequestId{2});
  finish(8, RequestId{2});  // nothing is left of it
  const Exposition at(metrics->text());
  EXPECT_EQ(at.value("mais_observations_missed_total"), 3);
  EXPECT_EQ(at.value("mais_requests_ended_total", {{"kind", "finished"}}), 2);
  EXPECT_EQ(at.value("mais_requests_ended_total", ended("a", "finished")), 1);
  EXPECT_EQ(at.value("mais_request_seconds_count", kStreaming), 1);
}

TEST(PrometheusMetricsAlone, OptionsAreRefusedWithEveryFault) {
  PrometheusOptions options;
  options.gateway = {.waiting = "no name",
                     .running = "twice",
                     .kv_utilization = "twice",
                     .cache_info = "mais_info",
                     .block_size_label = "a:b",
                     .block_count_label = "b"};
  options.ttft_bounds = {0ms, 5ms, 5ms};
  const auto metrics = PrometheusMetrics::create(options);
  ASSERT_FALSE(metrics.has_value());
  EXPECT_EQ(metrics.error().code, ErrorCode::invalid_argument);
  for (const char* fault :
       {"gateway.waiting: 'no name' is no name", "gateway.kv_utilization: 'twice' is used twice",
        "gateway.cache_info: 'mais_info' begins", "gateway.block_size_label: 'a:b' is no name",
        "ttft_bounds[0]: is not above 0", "ttft_bounds[2]: is not above the one before"}) {
    EXPECT_THAT(metrics.error().message, HasSubstr(fault));
  }
}

TEST(PrometheusMetricsDeathTest, ServeOneSchedulerAtATime) {
  const auto metrics = make_metrics();
  Scheduler scheduler = make_scheduler(small_machine(), {.observers = {metrics}});
  const auto watch = metrics->watch(scheduler);
  EXPECT_DEATH(metrics->begin(small_machine()), "observer of one scheduler");
  EXPECT_DEATH((void)metrics->watch(scheduler), "watch one scheduler at a time");
  EXPECT_DEATH(make_metrics({.gateway_model = ModelId(9)})->begin(small_machine()),
               "gateway_model is a model");
}

}  // namespace
}  // namespace mais::adapters
