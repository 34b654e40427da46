// GGUF models through the real scheduler and host.
#include <array>
#include <atomic>

#include <gmock/gmock.h>

#include "gguf_model.hpp"
#include "model_set.hpp"
#include "plain_generation.hpp"
#include "server/hosted.hpp"
#include "small_llama.hpp"

namespace llama_server {
namespace {

using namespace mais::literals;
using mais::Bytes;
using mais::EndKind;
using mais::Tokens;
using server::Callbacks;
using server::Collector;
using server::Host;

constexpr mais::InstanceId kFirst{0};
constexpr std::size_t kNew = 60;

// 256 cells, 16 pages: three or four sequences of 100 tokens.
Settings crowded(std::string path) {
  Settings settings = small_settings(std::move(path));
  settings.cells = 256;
  settings.fused_attention = false;
  return settings;
}

class LlamaHostTest : public testing::Test {
 protected:
  std::string written(std::uint64_t seed, const std::string& name = "model.gguf") {
    RandomGgufFile({.seed = seed}).write(folder_.at(name));
    return folder_.at(name);
  }
  std::unique_ptr<Host> hosting(const Settings& settings, mais::Config config) {
    auto made =
        LlamaEngine::make({.name = "small", .settings = settings, .budgets = budgets_.budgets()});
    if (!made) throw std::runtime_error(made.error().message);
    engine_ = made->get();
    std::vector<std::unique_ptr<Engine>> engines;
    engines.push_back(std::move(*made));
    return server::started(
        std::move(engines),
        {.memory = 1_GiB, .max_sequences = settings.step_sequences, .prefix_block = Tokens(16)},
        std::move(config));
  }
  static std::vector<Tokens32> prompts(std::size_t count) {
    std::vector<Tokens32> result;
    for (std::size_t i = 0; i < count; ++i) result.push_back(prompt_of(12 + 7 * (i % 5), i));
    return result;
  }
  static std::vector<Tokens32> plainly(const Settings& settings, const std::vector<Tokens32>& all,
                                       std::size_t new_tokens) {
    PlainGeneration plain(settings);
    std::vector<Tokens32> result;
    for (const Tokens32& prompt : all) result.push_back(plain(prompt, new_tokens));
    EXPECT_GT(plain.narrowest(), 1e-4F) << "take another seed";
    return result;
  }
  static mais::Config crowding() {
    mais::Config config;
    config.policy = server::optimistic_without_swap();
    config.policy.token_budget = Tokens(33);  // cuts prompts
    return config;
  }

  mais::files::ScratchFolder folder_;
  server::SmallBudgets budgets_;
  const LlamaEngine* engine_ = nullptr;
};

// An overload that is taken optimistically: everybody ends, with the tokens of plain decoding,
// whoever was preempted; and llama.cpp always finds its cells.
TEST_F(LlamaHostTest, GenerationsUnderOverloadAreThoseOfPlainDecoding) {
  const Settings settings = crowded(written(3));
  const auto all = prompts(16);
  const auto expected = plainly(settings, all, kNew);
  const auto host = hosting(settings, crowding());
  Collector collector;
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_TRUE(host->submit(server::job(all[i], kNew), collector.callbacks(i)));
  }
  for (const auto& [i, result] : collector.wait()) {
    ASSERT_TRUE(result.ended);
    EXPECT_EQ(result.ended->end.kind, EndKind::finished) << to_string(result.ended->end);
    EXPECT_EQ(result.tokens, expected[i]) << "request " << i;
  }
  const auto load = host->scheduler().load(kFirst);
  EXPECT_GT(load.preemptions, 0U);
  EXPECT_GT(load.recomputed_tokens, 0U);
  EXPECT_EQ(host->counts().failed_steps, 0U);
  const LlamaCounts counts = engine_->counts();
  EXPECT_EQ(counts.no_cells, 0U);
  EXPECT_EQ(counts.tokens_again, 0U);
  EXPECT_GT(counts.cells_peak, 200);
  EXPECT_LE(counts.cells_peak, settings.cells);
}

// Clients that leave (cancel, or want no more) give their cells back; the others do not notice.
TEST_F(LlamaHostTest, CellsOfCancelledRequestsAreGivenBack) {
  const Settings settings = crowded(written(3));
  const auto all = prompts(12);
  const auto expected = plainly(settings, all, kNew);
  const auto host = hosting(settings, crowding());
  Collector collector;
  std::array<std::atomic<mais::RequestId>, 12> ids{};
  std::atomic<bool> all_asked{false};
  for (std::size_t i = 0; i < all.size(); ++i) {
    Callbacks callbacks = collector.callbacks(i);
    callbacks.on_token = [on = callbacks.on_token, &all_asked, &host, i, &id = ids[i],
                          given = 0](Token token) mutable {
      all_asked.wait(false);  // so that nobody is done before
      on(token);
      if (i % 3 == 1 && ++given == 20) host->cancel(id);
      return i % 3 != 2 || ++given < 20;
    };
    const auto id = host->submit(server::job(all[i], kNew), std::move(callbacks));
    ASSERT_TRUE(id);
    ids[i] = *id;
  }
  all_asked = true;
  all_asked.notify_all();
  for (const auto& [i, result] : collector.wait()) {
    ASSERT_TRUE(result.ended);
    EXPECT_EQ(result.ended->end.kind, i % 3 == 1 ? EndKind::cancelled : EndKind::finished);
    Tokens32 wanted = expected[i];
    if (i % 3 != 0) wanted.resize(20);
    EXPECT_EQ(result.tokens, wanted) << "request " << i;
  }
  // The engine hears of the last ones before the next step.
  Collector last;
  ASSERT_TRUE(host->submit(server::job(prompt_of(30, 99), 1), last.callbacks(0)));
  last.wait();
  EXPECT_EQ(engine_->counts().cells_used, 30);
  EXPECT_EQ(engine_->counts().no_cells, 0U);
  EXPECT_LE(engine_->counts().cells_peak, settings.cells);
}

TEST_F(LlamaHostTest, SampledTokensDoNotDependOnWhatRunsBesideThem) {
  const Settings settings = crowded(written(3));
  const auto all = prompts(6);
  const auto host = hosting(settings, crowding());
  const auto ask = [&](Collector& collector, std::size_t i) {
    server::Job job = server::job(all[i], kNew);
    job.sampling = {.temperature = 0.9, .top_p = 0.9, .seed = i};
    ASSERT_TRUE(host->submit(std::move(job), collector.callbacks(i)));
  };
  Collector together;
  for (std::size_t i = 0; i < all.size(); ++i) ask(together, i);
  const auto results = together.wait();
  for (std::size_t i = 0; i < all.size(); ++i) {
    Collector alone;
    ask(alone, i);
    EXPECT_EQ(alone.wait().at(i).tokens, results.at(i).tokens) << "request " << i;
  }
}

// As the server makes them of a command line.
TEST_F(LlamaHostTest, TwoModelsServeInOneBudgetAndNeverTakeMore) {
  const std::array paths{written(3, "one.gguf"), written(5, "other.gguf")};
  const GgufModelOptions options{.max_context = Tokens(256),
                                 .kv_type = mais::files::ElementType::f32,
                                 .fused_attention = false};
  std::vector<server::EngineMaker> makers;
  makers.push_back(*gguf_model("one=" + paths[0], options));
  makers.push_back(*gguf_model("other=" + paths[1], options));
  const server::ModelSetOptions set{
      .memory = 96_MiB, .max_step_tokens = Tokens(64), .max_sequences = 12};
  const Bytes before = heap_in_use();
  auto models = server::ModelSet::make(makers, set);
  ASSERT_TRUE(models) << models.error().message;
  for (const EngineInfo& info : (*models)->infos()) {
    EXPECT_EQ(info.guaranteed_pages, info.pages);
    EXPECT_GT(info.pages, 16);  // both have more than one sequence needs
  }
  auto config = server::configured((*models)->infos(), (*models)->host_options(), crowding());
  ASSERT_TRUE(config) << config.error().message;
  auto host = Host::start((*models)->take_engines(), std::move(*config), {.prefix_key = 1});
  ASSERT_TRUE(host) << host.error().message;
  const auto all = prompts(16);
  std::array<std::vector<Tokens32>, 2> expected;
  for (std::size_t model : {0U, 1U}) expected[model] = plainly(crowded(paths[model]), all, 30);
  Collector collector;
  for (std::size_t i = 0; i < 2 * all.size(); ++i) {
    ASSERT_TRUE((*host)->submit(server::job(all[i / 2], 30, static_cast<std::uint32_t>(i % 2)),
                                collector.callbacks(i)));
  }
  for (const auto& [i, result] : collector.wait()) {
    ASSERT_TRUE(result.ended);
    EXPECT_EQ(result.ended->end.kind, EndKind::finished) << to_string(result.ended->end);
    EXPECT_EQ(result.tokens, expected[i % 2][i / 2]) << "request " << i;
  }
  const Bytes taken = (*host)->memory(0).weights.used + (*host)->memory(0).state.used +
                      (*host)->memory(0).workspace.used + (*host)->memory(1).weights.used +
                      (*host)->memory(1).state.used + (*host)->memory(1).workspace.used;
  EXPECT_LE(taken, set.memory);
  EXPECT_GE(taken, set.memory - 1_MiB);                   // nothing lies idle either
  EXPECT_LE(heap_in_use() - before, set.memory + 1_MiB);  // the scheduler's is in it, too
}

TEST_F(LlamaHostTest, ACapThatIsTooSmallForTwoModelsSaysWhatTheyTake) {
  const std::string path = written(1);
  std::vector<server::EngineMaker> makers;
  for (const char* name : {"one=", "other="}) makers.push_back(*gguf_model(name + path, {}));
  const auto models = server::ModelSet::make(makers, {.memory = 4_MiB});
  ASSERT_FALSE(models);
  EXPECT_EQ(models.error().code, mais::ErrorCode::over_capacity);
  EXPECT_THAT(models.error().message, testing::HasSubstr("weights and workspace take "));
}

TEST(GgufModelTest, AModelIsANameAndAFile) {
  for (const char* text : {"", "file.gguf", "=file.gguf", "name="}) {
    const auto model = gguf_model(text, {});
    ASSERT_FALSE(model) << text;
    EXPECT_THAT(model.error().message, testing::HasSubstr("is no NAME=FILE"));
  }
  const auto model = gguf_model("name=a=b.gguf", {});
  ASSERT_TRUE(model);
  EXPECT_EQ(model->name, "name");
  server::SmallBudgets budgets;
  const auto engine = model->make({.budgets = budgets.budgets()});
  ASSERT_FALSE(engine);
  EXPECT_THAT(engine.error().message, testing::HasSubstr("a=b.gguf"));
}

}  // namespace
}  // namespace llama_server
