// The gauges by which an inference gateway picks a server.
#include <string>

#include <gmock/gmock.h>

#include "adapters/watched_scheduler.hpp"

namespace mais::adapters {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

using PrometheusGatewayTest = WatchedScheduler;

TEST_F(PrometheusGatewayTest, GatewayReadsOneUnlabelledSeriesOfEach) {
  Scheduler& scheduler = start();
  for (int i = 0; i < 3; ++i) {
    scheduler.submit({.model = kModel, .prompt = 16_tok, .max_new = 16_tok}, {});
  }
  EXPECT_THAT(scrape().series("vllm:num_requests_waiting"), ElementsAre(Pair(Labels{}, 3)));
  ASSERT_TRUE(step(1ms));
  const Exposition at = scrape();
  EXPECT_THAT(at.series("vllm:num_requests_waiting"), ElementsAre(Pair(Labels{}, 0)));
  EXPECT_THAT(at.series("vllm:num_requests_running"), ElementsAre(Pair(Labels{}, 3)));
  const core::InstanceLoad load = scheduler.load(kInstance);
  ASSERT_GT(load.state_used, Bytes(0));
  EXPECT_THAT(at.series("vllm:kv_cache_usage_perc"),
              ElementsAre(Pair(Labels{}, static_cast<double>(load.state_used.count()) /
                                             static_cast<double>(load.state_limit.count()))));
  // 64 MiB of 16 tokens of 1 KiB.
  EXPECT_THAT(at.series("vllm:cache_config_info"),
              ElementsAre(Pair(Labels{{"block_size", "16"}, {"num_gpu_blocks", "4096"}}, 1)));
  EXPECT_EQ(at.value("mais_kv_blocks", kLoad), 4096);
  EXPECT_EQ(at.value("mais_kv_block_tokens", kLoad), 16);
  EXPECT_EQ(at.value("mais_kv_block_bytes", kLoad), 16 * 1024);
  for (const char* name : {"vllm:num_requests_waiting", "vllm:num_requests_running",
                           "vllm:kv_cache_usage_perc", "vllm:cache_config_info"}) {
    EXPECT_EQ(at.families().at(name).type, "gauge");
  }
}

TEST_F(PrometheusGatewayTest, GatewayCountsAllInstancesOrThoseOfOneModel) {
  PrometheusOptions options;
  Scheduler& scheduler = start(two_models(), options);
  for (int i = 0; i < 2; ++i) {
    scheduler.submit({.model = kModel, .prompt = 8_tok, .max_new = 8_tok}, {});
  }
  scheduler.submit({.model = ModelId(1), .prompt = 8_tok, .max_new = 8_tok}, {});
  Exposition at = scrape();
  EXPECT_THAT(at.series("vllm:num_requests_waiting"), ElementsAre(Pair(Labels{}, 3)));
  EXPECT_FALSE(at.has("vllm:cache_config_info"));  // no one block size

  watch_ = {};
  options.gateway_model = ModelId(1);
  Scheduler& second = start(two_models(), options);
  second.submit({.model = kModel, .prompt = 8_tok, .max_new = 8_tok}, {});
  second.submit({.model = ModelId(1), .prompt = 8_tok, .max_new = 8_tok}, {});
  at = scrape();
  EXPECT_EQ(at.value("vllm:num_requests_waiting"), 1);
  EXPECT_EQ(at.value("vllm:cache_config_info", {{"block_size", "8"}, {"num_gpu_blocks", "8"}}), 1);
  ASSERT_TRUE(step(1ms, InstanceId(1)) || step(1ms, InstanceId(2)));
  EXPECT_EQ(scrape().value("vllm:kv_cache_usage_perc"), 1. / 8 + 1. / 8);  // 2 of 8 blocks
}

TEST_F(PrometheusGatewayTest, LostInstanceIsDownAndItsCacheIsFull) {
  Scheduler& scheduler = start();
  scheduler.submit({.model = kModel, .prompt = 1_tok, .max_new = 9_tok}, {});
  core::Step step;
  ASSERT_TRUE(scheduler.try_next_step(kInstance, step));
  scheduler.instance_lost(kInstance);
  scheduler.report({.step = step.id});  // too late
  Exposition at = scrape();
  EXPECT_EQ(at.value("mais_instance_up", kEngine), 0);
  EXPECT_EQ(at.value("vllm:kv_cache_usage_perc"), 1);
  EXPECT_EQ(at.value("mais_step_seconds_count", kEngine), 0);
  scheduler.instance_back(kInstance);
  at = scrape();
  EXPECT_EQ(at.value("mais_instance_up", kEngine), 1);
  EXPECT_EQ(at.value("vllm:kv_cache_usage_perc"), 0);
}

TEST_F(PrometheusGatewayTest, CacheThatShrinksBelowWhatIsHeldIsFullAndNoMore) {
  Scheduler& scheduler = start();
  scheduler.submit({.model = kModel, .prompt = 64_tok, .max_new = 9_tok}, {});
  core::Step step;
  ASSERT_TRUE(scheduler.try_next_step(kInstance, step));
  scheduler.limit_changed(kInstance, 16_KiB);
  const core::InstanceLoad load = scheduler.load(kInstance);
  ASSERT_GT(load.state_used, load.state_limit);
  const Exposition at = scrape();
  EXPECT_EQ(at.value("mais_kv_limit_bytes", kLoad), static_cast<double>(load.state_limit.count()));
  EXPECT_EQ(at.value("mais_kv_utilization_ratio", kLoad), 1);
  EXPECT_EQ(at.value("vllm:kv_cache_usage_perc"), 1);
}

TEST_F(PrometheusGatewayTest, NamesOfTheGatewayAreTheHosts) {
  start(small_machine(), {.gateway = {.waiting = "queue",
                                      .running = "",
                                      .kv_utilization = "kv",
                                      .cache_info = "info",
                                      .block_size_label = "page_size",
                                      .block_count_label = "num_pages"}});
  const Exposition at = scrape();
  EXPECT_EQ(at.value("queue"), 0);
  EXPECT_EQ(at.value("kv"), 0);
  EXPECT_EQ(at.value("info", {{"page_size", "16"}, {"num_pages", "4096"}}), 1);
  EXPECT_FALSE(at.has("vllm:num_requests_running"));
}

}  // namespace
}  // namespace mais::adapters
