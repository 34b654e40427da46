// A host in trouble: budgets that fail, engines that break, models that share too little memory.
#include <algorithm>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>

#include "failing_resource.hpp"
#include "hosted.hpp"

namespace server {
namespace {

using namespace mais::literals;
using mais::Bytes;
using mais::EndKind;
using mais::Tokens;

// A decoder that does as it is told, but for what a test changes.
class Wrapped : public Engine {
 public:
  explicit Wrapped(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}
  const EngineInfo& info() const override { return engine_->info(); }
  std::shared_ptr<const Tokenizer> tokenizer() const override { return engine_->tokenizer(); }
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
  const auto host = hosting(
      std::make_unique<Crowded>(subject_->decoder({.pages = 40, .host_pages = 64})),
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
  std::mutex mutex;
  std::string log;
  const auto host =
      hosting(std::make_unique<Fragile>(subject_->decoder({.pages = 64})), {.memory = 1_GiB}, {},
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
  EXPECT_THAT(log,
              testing::HasSubstr(host->info(0).model.name + ": " + host->info(0).weights_from));
  EXPECT_THAT(log, testing::HasSubstr(": a step broke: planted"));
}

TEST_F(HostTest, StoppingEndsEverythingAndGivesEveryByteBack) {
  auto host = hosting(SubjectWish{.pages = 64}, {.memory = 1_GiB}, {});
  Collector collector;
  for (std::size_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(host->submit(job(prompt_of(20, i), 200), collector.callbacks(i)));
  }
  collector.release();
  host->stop();
  EXPECT_EQ(collector.ended(), 20U);
  host.reset();
  EXPECT_EQ(subject_->used(), Bytes(0));
}

// A budget that fails again and again, at any place: nobody hangs, nothing leaks, and whoever is
// served is served right.
TEST_F(HostTest, FailingAllocationsAreRetriedOrRefusedAndOthersAreNotHurt) {
  const auto all = prompts(10);
  const auto expected = alone(all, 30);
  for (const int every : {3, 11, 40, 150}) {
    FailingResource failing(subject_->workspace());
    mais::Config config;
    config.policy = optimistic_without_swap();
    auto host = hosting(SubjectWish{.pages = 48, .workspace = &failing}, {.memory = 1_GiB}, config);
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
    EXPECT_EQ(subject_->used(), Bytes(0));
  }
}

}  // namespace
}  // namespace server
