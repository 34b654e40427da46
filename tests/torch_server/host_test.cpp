// Generations through the real scheduler: whatever it does to them, they are what the model says.
#include <array>
#include <atomic>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>

#include "failing_resource.hpp"
#include "hosted.hpp"

namespace torch_server {
namespace {

using namespace mais::literals;
using mais::Bytes;
using mais::EndKind;
using mais::Tokens;

constexpr mais::InstanceId kFirst{0};

// Prompts of 12 ... 40 tokens, some with a common beginning.
std::vector<std::vector<Token>> prompts(std::size_t count, std::size_t common = 0) {
  std::vector<std::vector<Token>> result;
  for (std::size_t i = 0; i < count; ++i) {
    auto prompt = prompt_of(common, 99);
    for (const Token token : prompt_of(12 + 7 * (i % 5), i)) prompt.push_back(token);
    result.push_back(std::move(prompt));
  }
  return result;
}

class HostTest : public testing::Test {
 protected:
  // What each prompt goes on with, by the model alone.
  std::vector<std::vector<Token>> alone(const std::vector<std::vector<Token>>& all,
                                        std::size_t new_tokens) {
    SmallBudgets budgets;
    const auto engine = loaded_decoder(small_options(budgets));
    std::vector<std::vector<Token>> result;
    for (const auto& prompt : all) result.push_back(sequential(*engine, prompt, new_tokens));
    return result;
  }
  // Submits all and expects of each exactly that.
  void expect_all(Host& host, const std::vector<std::vector<Token>>& all, std::size_t new_tokens) {
    const auto expected = alone(all, new_tokens);
    Collector collector;
    for (std::size_t i = 0; i < all.size(); ++i) {
      ASSERT_TRUE(
          host.submit(job(all[i], static_cast<std::int64_t>(new_tokens)), collector.callbacks(i)));
    }
    for (const auto& [number, result] : collector.wait()) {
      ASSERT_TRUE(result.ended);
      EXPECT_EQ(result.ended->end.kind, EndKind::finished) << to_string(result.ended->end);
      EXPECT_EQ(result.ended->generated, static_cast<std::int64_t>(new_tokens));
      EXPECT_EQ(result.tokens, expected[number]) << "request " << number;
    }
  }

  SmallBudgets budgets_;
};

TEST_F(HostTest, BatchedAndChunkedGenerationsAreThoseOfTheModelAlone) {
  mais::Config config;
  config.policy.step = mais::StepPolicy::budget;
  config.policy.token_budget = Tokens(19);  // cuts prompts
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(made_decoder(small_options(budgets_, 256)));
  const auto host = started(std::move(engines), {.memory = 1_GiB}, config);
  expect_all(*host, prompts(12), 40);
  EXPECT_LT(host->counts().steps, 12U * 40U);  // so they ran together
}

TEST_F(HostTest, PreemptedAndRecomputedGenerationsAreThoseOfTheModelAlone) {
  mais::Config config;
  config.policy = optimistic_without_swap();
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(made_decoder(small_options(budgets_, 24)));  // 192 tokens
  const auto host = started(std::move(engines), {.memory = 1_GiB}, config);
  expect_all(*host, prompts(8), 60);
  const auto load = host->scheduler().load(kFirst);
  EXPECT_GT(load.preemptions, 0U);
  EXPECT_GT(load.recomputed_tokens, 0U);
  EXPECT_EQ(host->counts().pages_in, 0U);
}

// The first request is late, and has generated 30 tokens, when one that can be in time needs its
// memory. What it generated exists in the host tier alone, then.
TEST_F(HostTest, SwappedGenerationsAreThoseOfTheModelAlone) {
  mais::Config config;
  config.policy.learn_costs = false;           // copying is said to be faster than computing
  auto options = small_options(budgets_, 24);  // 192 tokens
  options.host_pages = 64;
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(made_decoder(std::move(options)));
  std::atomic<int> readings{0};
  const auto host = started(
      std::move(engines),
      {.memory = 1_GiB, .compute = {1e8}, .prefix_block = Tokens(8), .tier_bandwidth = {1e12}},
      config,
      {.prefix_key = 1, .scheduler = {.clock = [&] { return mais::Time(readings++ * 100ms); }}});
  const auto late = prompt_of(20, 1), good = prompt_of(150, 2);
  const auto expected = alone({late, good}, 40);
  Collector collector;
  Callbacks callbacks = collector.callbacks(0);
  const Callbacks others = collector.callbacks(1);
  callbacks.on_token = [&, on = callbacks.on_token, given = 0](Token token) mutable {
    on(token);
    if (++given == 30) {
      Job in_time = job(good, 40);
      in_time.request.deadlines.ttft = 1h;
      EXPECT_TRUE(host->submit(std::move(in_time), others));
    }
    return true;
  };
  Job first = job(late, 40);
  first.request.deadlines.ttft = 150ms;
  ASSERT_TRUE(host->submit(std::move(first), std::move(callbacks)));
  const auto results = collector.wait();
  EXPECT_EQ(results.at(0).tokens, expected[0]);
  EXPECT_EQ(results.at(1).tokens, expected[1]);
  const auto load = host->scheduler().load(kFirst);
  EXPECT_EQ(load.preemptions, 1U);
  EXPECT_LT(load.recomputed_tokens, 10U);  // but the rest of a block, nothing
  EXPECT_GE(host->counts().pages_in, 6U);  // 2 of the prompt, 4 of what was generated
}

TEST_F(HostTest, GenerationsThatShareAPrefixAreThoseOfTheModelAlone) {
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(made_decoder(small_options(budgets_, 256)));
  const auto host = started(std::move(engines), {.memory = 1_GiB, .prefix_block = Tokens(16)}, {});
  const auto all = prompts(10, 70);
  expect_all(*host, all, 20);
  expect_all(*host, all, 20);  // finds what the first left
  EXPECT_GT(host->scheduler().load(kFirst).prefix_hits, 10U * 64U);
}

TEST_F(HostTest, ManyGenerationsUnderEveryPressureAtOnceAreThoseOfTheModelAlone) {
  mais::Config config;
  config.policy = mais::Policy::optimistic();
  config.policy.learn_costs = false;
  config.policy.token_budget = Tokens(33);
  auto options = small_options(budgets_, 30);
  options.host_pages = 16;
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(made_decoder(std::move(options)));
  const auto host = started(
      std::move(engines),
      {.memory = 1_GiB, .compute = {1e8}, .prefix_block = Tokens(16), .tier_bandwidth = {1e12}},
      config);
  for (int round = 0; round < 3; ++round) expect_all(*host, prompts(16, 24), 50);
  const auto load = host->scheduler().load(kFirst);
  EXPECT_GT(load.preemptions, 0U);
  EXPECT_GT(load.prefix_hits, 0U);
  EXPECT_GT(host->counts().pages_in, 0U);
}

TEST_F(HostTest, EmbeddingsInBatchesAreThoseOfEachTextAlone) {
  const auto encoder = [&] {
    return *make_encoder(
        {.name = "embedder", .shape = small_shape(), .budgets = budgets_.budgets()},
        random_weights(1));
  };
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(encoder());
  const auto host = started(std::move(engines), {.memory = 1_GiB}, {});
  Collector collector;
  const auto all = prompts(20);
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_TRUE(host->submit(job(all[i], 0), collector.callbacks(i)));
  }
  const auto results = collector.wait();
  EXPECT_LT(host->counts().steps, 20U);
  Collector one_by_one;
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_TRUE(host->submit(job(all[i], 0), one_by_one.callbacks(i)));
    EXPECT_EQ(one_by_one.wait().at(i).embedding, results.at(i).embedding) << i;
    EXPECT_EQ(results.at(i).embedding.size(), 64U);
  }
}

TEST_F(HostTest, ACallerMayEndItsGenerationAtAnyToken) {
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(made_decoder(small_options(budgets_, 256)));
  const auto host = started(std::move(engines), {.memory = 1_GiB}, {});
  const auto all = prompts(6);
  const auto expected = alone(all, 30);
  Collector collector;
  for (std::size_t i = 0; i < all.size(); ++i) {
    Callbacks callbacks = collector.callbacks(i);
    callbacks.on_token = [on = callbacks.on_token, i, given = std::size_t{0}](Token token) mutable {
      on(token);
      return ++given < i + 3;
    };
    ASSERT_TRUE(host->submit(job(all[i], 30), std::move(callbacks)));
  }
  for (const auto& [i, result] : collector.wait()) {
    EXPECT_EQ(result.ended->end.kind, EndKind::finished);
    EXPECT_TRUE(result.ended->stopped);
    EXPECT_EQ(result.tokens, std::vector(expected[i].begin(),
                                         expected[i].begin() + static_cast<std::ptrdiff_t>(i + 3)));
  }
}

TEST_F(HostTest, TheEndOfTextEndsAGenerationAndIsNotGiven) {
  const auto all = prompts(1);
  const auto expected = alone(all, 30)[0];
  auto options = small_options(budgets_, 256);
  options.end_of_text = expected[9];
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(made_decoder(std::move(options)));
  const auto host = started(std::move(engines), {.memory = 1_GiB}, {});
  Collector collector;
  ASSERT_TRUE(host->submit(job(all[0], 30), collector.callbacks(0)));
  const auto result = collector.wait().at(0);
  const auto end = std::find(expected.begin(), expected.end(), expected[9]);
  EXPECT_EQ(result.tokens, std::vector(expected.begin(), end));
  EXPECT_TRUE(result.ended->stopped);
}

TEST_F(HostTest, AGenerationEndsWhereTheLongestContextEnds) {
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(made_decoder(small_options(budgets_, 256)));
  const auto host = started(std::move(engines), {.memory = 1_GiB}, {});
  Collector collector;
  ASSERT_TRUE(host->submit(job(prompt_of(200, 1), 100'000), collector.callbacks(0)));
  ASSERT_TRUE(host->submit(job(prompt_of(255, 1), 100'000), collector.callbacks(1)));
  const auto results = collector.wait();
  for (const std::size_t i : {0U, 1U}) {
    EXPECT_EQ(results.at(i).ended->end.kind, EndKind::finished);
    EXPECT_EQ(results.at(i).ended->generated, i == 0 ? 56 : 1);
    EXPECT_FALSE(results.at(i).ended->stopped);
  }
}

// A decoder that does as it is told, but for what a test changes.
class Wrapped : public Engine {
 public:
  explicit Wrapped(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}
  const EngineInfo& info() const override { return engine_->info(); }
  mais::Result<void> load() override { return engine_->load(); }
  void unload() override { engine_->unload(); }
  bool move(const mais::core::StateMove& move) override { return engine_->move(move); }
  Bytes trim(std::span<const std::uint32_t> free) override { return engine_->trim(free); }
  std::span<const std::byte> page(std::uint32_t id) const override { return engine_->page(id); }
  void run(const mais::core::Step& step, std::span<const SequenceView> sequences,
           StepResult& result) override {
    engine_->run(step, sequences, result);
  }
  EngineMemory memory() const override { return engine_->memory(); }

 private:
  std::unique_ptr<Engine> engine_;
};

// Its third step breaks.
class Fragile final : public Wrapped {
 public:
  using Wrapped::Wrapped;
  void run(const mais::core::Step& step, std::span<const SequenceView> sequences,
           StepResult& result) override {
    Wrapped::run(step, sequences, result);
    if (++steps_ != 3) return;
    result.outcome = StepResult::Outcome::broken;
    result.error = "planted";
  }

 private:
  int steps_ = 0;
};

// Some of its moves find no memory at first.
class Crowded final : public Wrapped {
 public:
  using Wrapped::Wrapped;
  bool move(const mais::core::StateMove& move) override {
    return ++moves_ % 23 != 0 && Wrapped::move(move);
  }

 private:
  int moves_ = 0;
};

// The planner names a move once: one that failed is made good before anything else runs.
TEST_F(HostTest, MovesThatFindNoMemoryAreMadeGoodBeforeTheNextStepRuns) {
  mais::Config config;
  config.policy = mais::Policy::optimistic();
  config.policy.learn_costs = false;
  auto options = small_options(budgets_, 40);
  options.host_pages = 64;
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(std::make_unique<Crowded>(made_decoder(std::move(options))));
  const auto host = started(
      std::move(engines),
      {.memory = 1_GiB, .compute = {1e8}, .prefix_block = Tokens(8), .tier_bandwidth = {1e12}},
      config);
  const auto all = prompts(12, 24);
  const auto expected = alone(all, 30);
  std::size_t finished = 0;
  for (int round = 0; round < 3; ++round) {
    Collector collector;
    for (std::size_t i = 0; i < all.size(); ++i) {
      ASSERT_TRUE(host->submit(job(all[i], 30), collector.callbacks(i)));
    }
    for (const auto& [i, result] : collector.wait()) {
      ASSERT_TRUE(result.ended);
      finished += result.ended->end.kind == EndKind::finished;
      EXPECT_TRUE(std::equal(result.tokens.begin(), result.tokens.end(), expected[i].begin()))
          << "round " << round << ", request " << i;
    }
  }
  EXPECT_GT(finished, 24U);
  EXPECT_GT(host->counts().failed_steps, 0U);
  EXPECT_GT(host->counts().pages_in, 0U);
}

TEST_F(HostTest, AnEngineThatBreaksIsLoadedAnewAndServesTheNextOnes) {
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(std::make_unique<Fragile>(made_decoder(small_options(budgets_, 64))));
  std::mutex mutex;
  std::string log;
  const auto host = started(std::move(engines), {.memory = 1_GiB}, {},
                            {.prefix_key = 1, .log = [&](const std::string& line) {
                               const std::scoped_lock lock(mutex);
                               log += line + "\n";
                             }});
  Collector collector;
  ASSERT_TRUE(host->submit(job(prompt_of(20, 1), 30), collector.callbacks(0)));
  const auto broken = collector.wait().at(0);
  EXPECT_EQ(broken.ended->end.kind, EndKind::refused);
  EXPECT_EQ(broken.ended->end.refusal->reason, mais::RefusalReason::instance_lost);
  EXPECT_EQ(broken.tokens.size(), 2U);
  while (host->scheduler().snapshot().instances[0].lost) std::this_thread::yield();
  expect_all(*host, prompts(4), 20);
  EXPECT_EQ(host->counts().broken_steps, 1U);
  const std::scoped_lock lock(mutex);
  EXPECT_THAT(log, testing::HasSubstr("small: random weights, seed 1, "));
  EXPECT_THAT(log, testing::HasSubstr("small: a step broke: planted"));
}

TEST_F(HostTest, CancelledGenerationsEndOnceAndTheOthersGoOn) {
  mais::Config config;
  config.policy = optimistic_without_swap();
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(made_decoder(small_options(budgets_, 24)));
  const auto host = started(std::move(engines), {.memory = 1_GiB}, config);
  const auto all = prompts(12);
  const auto expected = alone(all, 100);
  Collector collector;
  std::array<std::atomic<mais::RequestId>, 12> ids{};  // the first one's stays 0
  for (std::size_t i = 0; i < all.size(); ++i) {
    Callbacks callbacks = collector.callbacks(i);
    if (i % 3 == 1) {  // from within a callback
      callbacks.on_token = [on = callbacks.on_token, &host, &id = ids[i]](Token token) {
        on(token);
        if (id.load() != mais::RequestId{}) host->cancel(id);
        return true;
      };
    }
    const auto id = host->submit(job(all[i], 100), std::move(callbacks));
    ASSERT_TRUE(id);
    ids[i] = *id;
    if (i % 3 == 2) host->cancel(*id);
  }
  for (const auto& [i, result] : collector.wait()) {
    ASSERT_TRUE(result.ended);
    if (i % 3 == 0) {
      EXPECT_EQ(result.ended->end.kind, EndKind::finished);
      EXPECT_EQ(result.tokens, expected[i]);
    } else {
      EXPECT_EQ(result.ended->end.kind, EndKind::cancelled);
    }
  }
  EXPECT_EQ(host->scheduler().load(kFirst).running, 0U);
}

TEST_F(HostTest, StoppingEndsEverythingAndGivesEveryByteBack) {
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(made_decoder(small_options(budgets_, 64)));
  auto host = started(std::move(engines), {.memory = 1_GiB}, {});
  Collector collector;
  for (std::size_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(host->submit(job(prompt_of(20, i), 200), collector.callbacks(i)));
  }
  host->stop();
  EXPECT_EQ(collector.ended(), 20U);
  host.reset();
  EXPECT_EQ(budgets_.used(), Bytes(0));
}

TEST_F(HostTest, WhatCannotBeTakenIsAnErrorAndWhatCanNeverFitIsRefused) {
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(made_decoder(small_options(budgets_, 8)));
  const auto host = started(std::move(engines), {.memory = 1_GiB}, {});
  Collector none;
  EXPECT_FALSE(host->submit(job({}, 1), {}));
  EXPECT_FALSE(host->submit(job({272}, 1), {}));
  EXPECT_FALSE(host->submit(job({-1}, 1), {}));
  EXPECT_FALSE(host->submit(job({1}, 1, 7), {}));
  Collector collector;
  ASSERT_TRUE(host->submit(job(prompt_of(64, 1), 1), collector.callbacks(0)));    // no page is left
  ASSERT_TRUE(host->submit(job(prompt_of(1000, 1), 1), collector.callbacks(1)));  // nor context
  for (const auto& [i, result] : collector.wait()) {
    EXPECT_EQ(result.ended->end.kind, EndKind::refused) << i;
    EXPECT_EQ(result.ended->end.refusal->reason, mais::RefusalReason::can_never_fit) << i;
  }
}

// A budget that fails again and again, at any place: nobody hangs, nothing leaks, and whoever is
// served is served right.
TEST_F(HostTest, FailingAllocationsAreRetriedOrRefusedAndOthersAreNotHurt) {
  const auto all = prompts(10);
  const auto expected = alone(all, 30);
  for (const int every : {3, 11, 40, 150}) {
    SmallBudgets budgets;
    FailingResource failing(*budgets.budgets().workspace);
    auto options = small_options(budgets, 48);
    options.budgets.workspace = &failing;
    std::vector<std::unique_ptr<Engine>> engines;
    engines.push_back(made_decoder(std::move(options)));
    mais::Config config;
    config.policy = optimistic_without_swap();
    auto host = started(std::move(engines), {.memory = 1_GiB}, config);
    failing.fail_every(every);
    Collector collector;
    for (std::size_t i = 0; i < all.size(); ++i) {
      ASSERT_TRUE(host->submit(job(all[i], 30), collector.callbacks(i)));
    }
    for (const auto& [i, result] : collector.wait()) {
      ASSERT_TRUE(result.ended);
      if (result.ended->end.kind == EndKind::finished) {
        EXPECT_EQ(result.tokens, expected[i]) << "every " << every << ", request " << i;
      } else {
        EXPECT_EQ(result.ended->end.kind, EndKind::refused);
        // What it was given before was right too.
        EXPECT_TRUE(std::equal(result.tokens.begin(), result.tokens.end(), expected[i].begin()));
      }
    }
    EXPECT_GT(host->counts().failed_steps, 0U) << "every " << every;
    if (every >= 150) {
      EXPECT_EQ(collector.wait().at(0).ended->end.kind, EndKind::finished);
    }
    EXPECT_EQ(host->memory(0).workspace.used, Bytes(0));
    host.reset();
    EXPECT_EQ(budgets.used(), Bytes(0));
  }
}

// Two models whose pools together are larger than the budget: one lends what it does not use.
TEST_F(HostTest, ModelsThatShareABudgetStayUnderTheCapAndGiveTheRightTokens) {
  // Workspace has a budget of its own here: what steps do not use of it would hide what is lent.
  SmallBudgets workspace;
  const EngineInfo info = made_decoder(small_options(budgets_))->info();
  // Weights, and 60 pages of 4 KiB for two pools of 48.
  const Bytes cap = info.model.weights * 2 + 60 * 4_KiB;
  SmallBudgets budgets(cap);
  std::vector<std::unique_ptr<Engine>> engines;
  for (int i = 0; i < 2; ++i) {
    auto options = small_options(budgets, 48);
    options.budgets.workspace = workspace.budgets().workspace;
    options.name = i == 0 ? "one" : "other";
    options.pages_ahead = 8;
    options.slab = 4_KiB;
    engines.push_back(made_decoder(std::move(options)));
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
    EXPECT_EQ(result.ended->end.kind, EndKind::finished) << to_string(result.ended->end);
    EXPECT_EQ(result.tokens, expected[i]) << i;
  }
  EXPECT_LE(budgets.peak(), cap);
  EXPECT_GT(host->memory(0).state.peak + host->memory(1).state.peak, 60 * 4_KiB);
  EXPECT_GT(host->counts().saved_steps, 0U);
  host.reset();
  EXPECT_EQ(budgets.used(), Bytes(0));
}

}  // namespace
}  // namespace torch_server
