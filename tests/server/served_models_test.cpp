// Models in one budget behind a backend: what is shared out, what /metrics says of a running
// server.
#include <gmock/gmock.h>

#include "../adapters/exposition.hpp"
#include "fake_engine.hpp"
#include "host_backend.hpp"
#include "hosted.hpp"
#include "plain_backend.hpp"

namespace server {
namespace {

using namespace mais::literals;
using mais::Exposition;

constexpr mais::Bytes kWeights{1 << 16};

EngineMaker fake_model(const std::string& name, bool embeds = false, mais::Duration takes = {}) {
  return {.name = name,
          .make = [=](const EngineRoom& room) -> mais::Result<std::unique_ptr<Engine>> {
            return std::make_unique<FakeEngine>(FakeOptions{.name = name,
                                                            .budgets = room.budgets,
                                                            .embeds = embeds,
                                                            .page = room.page,
                                                            .pages = room.pages,
                                                            .weights = kWeights,
                                                            .step_takes = takes});
          }};
}

mais::Config two_tenants() {
  mais::Config config;
  config.tenants = {{.name = "people"}, {.name = "reports"}};
  config.queue.max_queued = 4;
  return config;
}

class ServedModelsTest : public testing::Test {
 protected:
  std::unique_ptr<ModelSet> models(mais::Bytes memory, mais::Duration takes = {}) {
    auto made = ModelSet::make(std::vector{fake_model("one", false, takes), fake_model("other"),
                                           fake_model("embeds", true)},
                               {.memory = memory, .max_step_tokens = mais::Tokens(64)});
    if (!made) throw std::runtime_error(made.error().message);
    return std::move(*made);
  }
  Job job_of(std::uint32_t model, std::int64_t max_new, std::uint64_t seed) {
    return job(prompt_of(20, seed), max_new, model);
  }
};

TEST_F(ServedModelsTest, WhatWeightsAndWorkspaceLeaveIsHalfSureAndHalfForWhoNeedsIt) {
  const auto set = models(1_MiB);
  const auto& infos = set->infos();
  ASSERT_EQ(infos.size(), 3U);
  EXPECT_EQ(infos[2].pages, 0);
  const auto page = infos[0].model.page_bytes(infos[0].page);
  // Both pools together are larger than what there is, and what is sure of both is not.
  const auto sure = page * (infos[0].guaranteed_pages + infos[1].guaranteed_pages);
  EXPECT_GT(page * (infos[0].pages + infos[1].pages), 1_MiB - 3 * kWeights);
  EXPECT_LT(sure, (1_MiB - 3 * kWeights) / 2 + page);
  EXPECT_GT(sure, (1_MiB - 3 * kWeights) / 4);
}

TEST_F(ServedModelsTest, AMemoryThatIsTooSmallSaysWhatItTakes) {
  const auto made = ModelSet::make(std::vector{fake_model("one")}, {.memory = 70_KiB});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, mais::ErrorCode::over_capacity);
  EXPECT_THAT(made.error().message, testing::HasSubstr("weights and workspace take"));
}

TEST_F(ServedModelsTest, TheMetricsOfAServerMoveAsItServes) {
  if (!SchedulerMetrics::missing().empty()) GTEST_SKIP() << SchedulerMetrics::missing();
  const auto set = models(1_MiB, 1ms);
  auto backend = *HostBackend::start(*set, {.config = two_tenants()});
  const Exposition before(backend->metrics());
  for (const char* name :
       {"vllm:num_requests_waiting", "vllm:num_requests_running", "vllm:kv_cache_usage_perc"}) {
    const auto series = before.series(name);
    ASSERT_EQ(series.size(), 1U) << name;
    EXPECT_TRUE(series.begin()->first.empty()) << name << " has labels";
    EXPECT_EQ(series.begin()->second, 0) << name;
  }
  const auto info = before.series("vllm:cache_config_info");
  ASSERT_EQ(info.size(), 1U);
  EXPECT_EQ(info.begin()->first.at("block_size"), "16");
  EXPECT_EQ(info.begin()->first.at("num_gpu_blocks"),
            std::to_string(set->infos()[0].pages + set->infos()[1].pages));

  // One generation that a callback holds up while another scrape is made, and two refusals.
  Collector collector;
  std::atomic<bool> scraped{false};
  Callbacks held = collector.callbacks(0);
  held.on_token = [&, on = held.on_token](Token token) {
    on(token);
    scraped.wait(false);
    return true;
  };
  ASSERT_TRUE(backend->submit(job_of(0, 9, 1), std::move(held)));
  Job never = job_of(0, 9, 2);
  never.prompt = prompt_of(4000, 2);
  ASSERT_TRUE(backend->submit(std::move(never), collector.callbacks(1)));
  while (Exposition(backend->metrics()).value("vllm:num_requests_running") < 1) {
    std::this_thread::yield();
  }
  const Exposition during(backend->metrics());
  EXPECT_GT(during.value("vllm:kv_cache_usage_perc"), 0);
  EXPECT_LT(during.value("vllm:kv_cache_usage_perc"), 1);
  scraped = true;
  scraped.notify_all();
  ASSERT_TRUE(backend->submit(job_of(2, 0, 3), collector.callbacks(2)));
  collector.wait();
  backend->host().stop();

  const Exposition after(backend->metrics());
  EXPECT_EQ(after.value("vllm:num_requests_running"), 0);
  EXPECT_EQ(after.value("mais_time_to_first_token_seconds_count",
                        {{"model", "one"}, {"class", "streaming"}}),
            1);
  EXPECT_EQ(after.value("mais_time_per_output_token_seconds_count",
                        {{"model", "one"}, {"class", "streaming"}}),
            1);
  EXPECT_GE(after.value("mais_step_seconds_count", {{"engine", "one"}}), 9);
  EXPECT_GE(after.value("mais_step_seconds_sum", {{"engine", "one"}}), 0.009);  // 1 ms each
  EXPECT_EQ(after.value("mais_refusals_total", {{"tenant", "people"}, {"reason", "can_never_fit"}}),
            1);
  EXPECT_EQ(after.value("mais_generated_tokens_total", {{"engine", "one"}}), 9);
  EXPECT_TRUE(after.has("mais_preemptions_total"));
  EXPECT_TRUE(after.has("mais_recomputed_tokens_total"));
  EXPECT_TRUE(after.has("mais_account_used_bytes"));
  // What engines hold for real.
  EXPECT_EQ(after.value("server_account_used_bytes", {{"account", "one weights"}}),
            kWeights.count());
  EXPECT_GE(after.value("server_steps_total"), 10);
  EXPECT_EQ(after.value("server_memory_cap_bytes"), (1_MiB).count());
  EXPECT_GE(after.value("server_memory_peak_bytes"), 3 * kWeights.count());
}

TEST_F(ServedModelsTest, AGatewaySeesTheModelThatItRoutesFor) {
  if (!SchedulerMetrics::missing().empty()) GTEST_SKIP() << SchedulerMetrics::missing();
  const auto set = models(1_MiB);
  auto backend =
      *HostBackend::start(*set, {.config = two_tenants(), .gateway_model = mais::ModelId(1)});
  Collector collector;
  std::atomic<bool> seen{false};
  for (std::uint32_t model = 0; model < 2; ++model) {
    Callbacks held = collector.callbacks(model);
    held.on_token = [&, on = held.on_token](Token token) {
      on(token);
      seen.wait(false);
      return true;
    };
    ASSERT_TRUE(backend->submit(job_of(model, 5, model), std::move(held)));
  }
  const auto running = [&](const char* engine) {
    return Exposition(backend->metrics())
        .value("mais_requests_running", {{"engine", engine}, {"model", engine}});
  };
  while (running("one") + running("other") < 2) std::this_thread::yield();
  EXPECT_EQ(Exposition(backend->metrics()).value("vllm:num_requests_running"), 1);
  seen = true;
  seen.notify_all();
  collector.wait();
}

// The loop without the library serves the same, and fails when memory does.
TEST_F(ServedModelsTest, WithoutTheLibraryRequestsFailWhereMemoryDoes) {
  // Weights, workspace and a few slabs of 4 KiB, for more than they can hold.
  const auto set = models(3 * kWeights + 36_KiB, 200us);
  auto backend = *PlainBackend::start(*set);
  Collector collector;
  constexpr std::size_t kCount = 24;
  for (std::size_t i = 0; i < kCount; ++i) {
    ASSERT_TRUE(backend->submit(job_of(i % 2, 200, i), collector.callbacks(i)));
  }
  std::size_t failed = 0;
  for (const auto& [i, result] : collector.wait()) {
    ASSERT_TRUE(result.ended);
    const auto expected = fake_continuation(prompt_of(20, i), 200);
    EXPECT_TRUE(std::equal(result.tokens.begin(), result.tokens.end(), expected.begin())) << i;
    if (result.ended->end.kind == mais::EndKind::finished) {
      EXPECT_EQ(result.tokens.size(), 200U);
    } else {
      EXPECT_EQ(result.ended->end.kind, mais::EndKind::refused);
      ++failed;
    }
  }
  EXPECT_GT(failed, 0U);
  EXPECT_LT(failed, kCount);
  backend->stop();
  const Exposition after(backend->metrics());
  EXPECT_EQ(after.value("server_failed_requests_total"), failed);
  EXPECT_EQ(after.value("vllm:num_requests_running"), 0);
  EXPECT_LE(after.value("server_memory_peak_bytes"), after.value("server_memory_cap_bytes"));
}

}  // namespace
}  // namespace server
