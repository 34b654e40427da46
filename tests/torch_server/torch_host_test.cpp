// The tests of the host with engines on LibTorch, and two of them in one budget.
#include <gmock/gmock.h>

#include "server/hosted.hpp"
#include "small_decoder.hpp"

namespace torch_server {
namespace {

class TorchSubject final : public server::HostSubject {
 public:
  std::unique_ptr<Engine> decoder(const server::SubjectWish& wish) override {
    DecoderOptions options = small_options(budgets_, wish.pages);
    options.host_pages = wish.host_pages;
    options.end_of_text = wish.end_of_text;
    if (wish.workspace != nullptr) options.budgets.workspace = wish.workspace;
    return *make_decoder(std::move(options), random_weights(1));
  }
  std::unique_ptr<Engine> encoder() override {
    return *make_encoder(
        {.name = "embedder", .shape = small_shape(), .budgets = budgets_.budgets()},
        random_weights(1));
  }
  std::vector<Token> alone(const std::vector<Token>& prompt, std::size_t new_tokens,
                           const server::Sampling& sampling) override {
    SmallBudgets budgets;
    const auto engine = loaded_decoder(small_options(budgets));
    return sequential(*engine, prompt, new_tokens, sampling);
  }
  std::pmr::memory_resource& workspace() override { return *budgets_.budgets().workspace; }
  mais::Bytes used() override { return budgets_.used(); }

 private:
  SmallBudgets budgets_;
};

}  // namespace
}  // namespace torch_server

std::unique_ptr<server::HostSubject> server::make_host_subject() {
  return std::make_unique<torch_server::TorchSubject>();
}

namespace server {
namespace {

using namespace mais::literals;
using namespace torch_server;
using mais::Bytes;
using mais::Tokens;

std::unique_ptr<Engine> made(DecoderOptions options) {
  return *make_decoder(std::move(options), random_weights(1));
}

// Two models whose pools together are larger than the budget: one lends what it does not use.
TEST_F(HostTest, ModelsThatShareABudgetStayUnderTheCapAndGiveTheRightTokens) {
  // Workspace has a budget of its own here: what steps do not use of it would hide what is lent.
  server::SmallBudgets workspace;
  const EngineInfo info = made(small_options(workspace))->info();
  // Weights, and 60 pages of 4 KiB for two pools of 48.
  const Bytes cap = info.model.weights * 2 + 60 * 4_KiB;
  server::SmallBudgets budgets(cap);
  std::vector<std::unique_ptr<Engine>> engines;
  for (int i = 0; i < 2; ++i) {
    auto options = small_options(budgets, 48);
    options.budgets.workspace = workspace.budgets().workspace;
    options.name = i == 0 ? "one" : "other";
    options.map_pages_ahead = false;
    options.slab = 4_KiB;
    engines.push_back(made(std::move(options)));
  }
  mais::Config config;
  config.policy = optimistic_without_swap();
  auto host = started(std::move(engines),
                      {.memory = cap + info.model.workspace.bytes(Tokens(64), 16, Tokens(64)) * 2,
                       .max_step_tokens = Tokens(64),
                       .max_sequences = 16},
                      config);
  const auto all = prompts(16);
  const auto expected = alone(all, 40);
  Collector collector;
  for (std::size_t i = 0; i < all.size(); ++i) {  // first the one, then the other
    ASSERT_TRUE(host->submit(job(all[i], 40, i < 8 ? 0 : 1), collector.callbacks(i)));
    if (i == 7) collector.wait();
  }
  for (const auto& [i, result] : collector.wait()) {
    ASSERT_TRUE(result.ended);
    EXPECT_EQ(result.ended->end.kind, mais::EndKind::finished) << to_string(result.ended->end);
    EXPECT_EQ(result.tokens, expected[i]) << i;
  }
  EXPECT_LE(budgets.peak(), cap);
  EXPECT_GT(host->memory(0).state.peak + host->memory(1).state.peak, 60 * 4_KiB);
  EXPECT_GT(host->counts().saved_steps, 0U);
  host.reset();
  EXPECT_EQ(budgets.used(), Bytes(0));
}

}  // namespace
}  // namespace server
