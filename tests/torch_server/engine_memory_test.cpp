// The engines under hard budgets: bounds that hold, failures that leave nothing behind.
#include <gmock/gmock.h>

#include "server/failing_resource.hpp"
#include "small_decoder.hpp"

namespace torch_server {
namespace {

using mais::Bytes;
using mais::Tokens;
using Outcome = StepResult::Outcome;
using testing::ElementsAreArray;

std::unique_ptr<Engine> made_encoder(EngineBudgets budgets) {
  auto made = make_encoder({.name = "small", .shape = small_shape(), .budgets = budgets},
                           random_weights(1));
  return std::move(made).value();
}

TEST(EngineMemory, LoadTakesExactlyTheDeclaredWeightsAndUnloadGivesAllBack) {
  SmallBudgets budgets;
  const auto decoder = loaded_decoder(small_options(budgets));
  EXPECT_EQ(decoder->memory().weights.used, decoder->info().model.weights);
  const std::int64_t floats = parameters(small_shape(), Role::decoder) * 4;
  EXPECT_GE(decoder->info().model.weights, Bytes(floats));
  EXPECT_LE(decoder->info().model.weights, Bytes(floats + 20 * 128));  // headers of 15 tensors
  EXPECT_EQ(decoder->memory().workspace.used, Bytes(0));
  EXPECT_GE(decoder->memory().state.used,
            decoder->info().model.state_bytes(Tokens(64 * 8), mais::TokensPerBlock(8)));
  decoder->unload();
  EXPECT_EQ(budgets.used(), Bytes(0));

  const auto encoder = made_encoder(budgets.budgets());
  ASSERT_TRUE(encoder->load());
  EXPECT_EQ(encoder->memory().weights.used, encoder->info().model.weights);
  EXPECT_EQ(budgets.used(), encoder->info().model.weights);
  encoder->unload();
  EXPECT_EQ(budgets.used(), Bytes(0));
}

TEST(EngineMemory, LoadFailsWholeUnderEveryCapThatIsTooSmall) {
  SmallBudgets ample;
  const auto engine = loaded_decoder(small_options(ample));
  const Bytes needed = ample.peak();
  for (int part = 1; part < 16; ++part) {
    SmallBudgets budgets(needed * part / 16);
    auto tight = make_decoder(small_options(budgets), random_weights(1));
    ASSERT_TRUE(tight);
    const auto loaded = (*tight)->load();
    ASSERT_FALSE(loaded) << part;
    EXPECT_TRUE(loaded.error().code == mais::ErrorCode::over_limit ||
                loaded.error().code == mais::ErrorCode::over_capacity)
        << loaded.error().message;
    EXPECT_EQ(budgets.used(), Bytes(0)) << part;
    EXPECT_LE(budgets.peak(), needed * part / 16);
    // And succeeds once there is room.
    budgets.cap(needed);
    EXPECT_TRUE((*tight)->load());
  }
}

// The declared bound is kept by every mix of chunks and decodes, and is not far from what is used.
TEST(EngineMemory, StepsStayWithinTheDeclaredWorkspace) {
  for (const std::int64_t entries : {1, 2, 7, 31}) {
    for (const std::int64_t tokens : {1, 3, 8, 40, 150}) {
      SmallBudgets budgets;
      const auto engine = loaded_decoder(small_options(budgets, 31 * 19));
      const Bytes before = engine->memory().workspace.peak;
      const auto& workspace = engine->info().model.workspace;
      EXPECT_LE(before, workspace.fixed);  // the probe's
      std::vector<Sequence> sequences;
      HandDrivenSteps steps(*engine);
      for (std::int64_t i = 0; i < entries; ++i) {
        sequences.push_back(
            {.tokens = prompt_of(static_cast<std::size_t>(tokens), static_cast<std::uint64_t>(i)),
             .pages = pages_from(static_cast<std::uint32_t>(i * 19), 150)});
      }
      for (Sequence& sequence : sequences) steps.add(sequence, tokens);
      ASSERT_EQ(steps.run(), Outcome::done);
      const Bytes bound = workspace.bytes(Tokens(entries * tokens), entries, Tokens(0));
      EXPECT_LE(engine->memory().workspace.peak, bound) << entries << " x " << tokens;
      if (entries * tokens >= 128) {  // a full tile: what `fixed` is there for
        EXPECT_GE(engine->memory().workspace.peak * 2, bound) << entries << " x " << tokens;
      }
      EXPECT_EQ(engine->memory().workspace.used, Bytes(0));
    }
  }
}

TEST(EngineMemory, EncoderStepsStayWithinTheDeclaredWorkspace) {
  for (const std::int64_t texts : {1, 2, 9}) {
    for (const std::int64_t padded : {16, 17, 64, 256}) {
      SmallBudgets budgets;
      const auto engine = made_encoder(budgets.budgets());
      ASSERT_TRUE(engine->load());
      const auto& workspace = engine->info().model.workspace;
      EXPECT_LE(engine->memory().workspace.peak, workspace.fixed);
      mais::core::Step step{.padded = Tokens(padded)};
      const auto text = prompt_of(static_cast<std::size_t>(padded), 1);
      std::vector<SequenceView> views(static_cast<std::size_t>(texts), {.tokens = text});
      step.entries.resize(views.size(), {.tokens = Tokens(padded), .emits = true});
      StepResult result;
      engine->run(step, views, result);
      ASSERT_EQ(result.outcome, Outcome::done) << result.error;
      const Bytes bound = workspace.bytes(Tokens(texts * padded), texts, Tokens(texts * padded));
      EXPECT_LE(engine->memory().workspace.peak, bound) << texts << " x " << padded;
      if (texts * padded >= 128) {
        EXPECT_GE(engine->memory().workspace.peak * 2, bound) << texts << " x " << padded;
      }
      EXPECT_EQ(engine->memory().workspace.used, Bytes(0));
    }
  }
}

// Fails the first, the second, ... allocation of a step, until one passes. Nothing may stay taken,
// and the same step must then give what it would have given.
TEST(EngineMemory, AFailureAtAnyAllocationOfAStepLeavesNothingBehind) {
  SmallBudgets budgets;
  server::FailingResource failing(*budgets.budgets().workspace);
  auto options = small_options(budgets);
  options.budgets.workspace = &failing;
  const auto engine = loaded_decoder(std::move(options));
  const auto prompt = prompt_of(50, 1);
  const auto other = prompt_of(20, 2);
  const auto expected = sequential(*engine, prompt, 8);
  const auto other_expected = sequential(*engine, other, 8);

  Sequence a{.tokens = prompt, .pages = pages_from(0, 60)};
  Sequence b{.tokens = other, .pages = pages_from(20, 40)};
  HandDrivenSteps steps(*engine);
  const auto used = budgets.used();
  int failures = 0;
  for (std::size_t round = 0; a.tokens.size() < 58; ++round) {
    for (int site = 0;; ++site) {
      failing.fail_after(site);
      steps.add(a, a.computed == 0 ? 23 : a.computed == 23 ? 27 : 1);
      if (b.tokens.size() < 28) steps.add(b, b.computed == 0 ? 20 : 1);
      const Outcome outcome = steps.run();
      EXPECT_EQ(engine->memory().workspace.used, Bytes(0));
      EXPECT_EQ(budgets.used(), used);
      if (outcome == Outcome::done) {
        EXPECT_GE(site, 8) << "sites of a step";
        break;
      }
      ASSERT_EQ(outcome, Outcome::allocation_failed) << steps.result.error;
      EXPECT_TRUE(steps.result.missing && *steps.result.missing > Bytes(0));
      ++failures;
    }
  }
  EXPECT_GE(failures, 8 * 9);
  EXPECT_EQ(engine->memory().workspace.refusals, static_cast<std::uint64_t>(failures));
  EXPECT_THAT(std::vector(a.tokens.begin() + 50, a.tokens.end()), ElementsAreArray(expected));
  EXPECT_THAT(std::vector(b.tokens.begin() + 20, b.tokens.end()), ElementsAreArray(other_expected));
}

TEST(EngineMemory, AFailureAtAnyAllocationOfAnEncoderStepLeavesNothingBehind) {
  SmallBudgets budgets;
  server::FailingResource failing(*budgets.budgets().workspace);
  EngineBudgets with = budgets.budgets();
  with.workspace = &failing;
  const auto engine = made_encoder(with);
  ASSERT_TRUE(engine->load());
  const auto text = prompt_of(30, 1);
  const std::vector<SequenceView> views(3, {.tokens = text});
  mais::core::Step step{.padded = Tokens(32)};
  step.entries.resize(3, {.tokens = Tokens(30), .emits = true});
  StepResult whole;
  engine->run(step, views, whole);
  StepResult result;
  int site = 0;
  for (;; ++site) {
    failing.fail_after(site);
    engine->run(step, views, result);
    EXPECT_EQ(engine->memory().workspace.used, Bytes(0));
    if (result.outcome == Outcome::done) break;
    ASSERT_EQ(result.outcome, Outcome::allocation_failed);
  }
  EXPECT_GE(site, 8);
  EXPECT_EQ(result.embeddings, whole.embeddings);
}

TEST(EngineMemory, AFailureAtAnyAllocationOfLoadLeavesNothingBehind) {
  SmallBudgets budgets;
  server::FailingResource weights(*budgets.budgets().weights);
  server::FailingResource workspace(*budgets.budgets().workspace);
  auto options = small_options(budgets);
  options.budgets.weights = &weights;
  options.budgets.workspace = &workspace;
  auto made = make_decoder(std::move(options), random_weights(1));
  ASSERT_TRUE(made);
  int sites = 0;
  for (server::FailingResource* resource : {&weights, &workspace}) {
    for (int site = 0;; ++site, ++sites) {
      resource->fail_after(site);
      if ((*made)->load()) break;
      EXPECT_EQ(budgets.used(), Bytes(0));
    }
    (*made)->unload();
    EXPECT_EQ(budgets.used(), Bytes(0));
  }
  EXPECT_GE(sites, 15 + 50);
}

TEST(EngineMemory, PagesGetMemoryWhenTheyAreWrittenAndGiveItBackWhenTheyAreFree) {
  SmallBudgets budgets;
  auto options = small_options(budgets, 512);  // 4 KiB each
  options.map_pages_ahead = false;
  options.slab = Bytes(64 << 10);
  const auto engine = loaded_decoder(std::move(options));
  const Bytes loaded = budgets.used();
  EXPECT_EQ(engine->memory().state.used, Bytes(0));
  const auto prompt = prompt_of(100, 1);
  const auto expected = sequential(*engine, prompt, 6);
  EXPECT_EQ(engine->memory().state.used, Bytes(64 << 10));

  // The cap stands in the way of the next slab: the step says so, and runs once there is room.
  std::vector<Token> tokens = prompt;
  tokens.insert(tokens.end(), expected.begin(), expected.end() - 1);
  Sequence sequence{.tokens = tokens, .pages = pages_from(100, 106)};
  budgets.cap(budgets.used() + Bytes(32 << 10));
  HandDrivenSteps steps(*engine);
  steps.add(sequence, 105);
  ASSERT_EQ(steps.run(), Outcome::allocation_failed);
  EXPECT_EQ(steps.result.missing, Bytes(64 << 10));
  EXPECT_EQ(engine->memory().state.used, Bytes(64 << 10));

  EXPECT_EQ(engine->trim(pages_from(0, 128)), Bytes(64 << 10));
  EXPECT_EQ(budgets.used(), loaded);
  budgets.cap(Bytes(1 << 30));
  steps.add(sequence, 105);
  ASSERT_EQ(steps.run(), Outcome::done);
  EXPECT_EQ(sequence.tokens.back(), expected.back());
  EXPECT_EQ(engine->trim(pages_from(0, 128)), Bytes(0));
}

TEST(EngineMemory, PagesThatWereMappedAheadKeepTheirMemory) {
  SmallBudgets budgets;
  auto options = small_options(budgets, 128);
  options.slab = Bytes(64 << 10);
  const auto engine = loaded_decoder(std::move(options));
  EXPECT_EQ(engine->memory().state.used, Bytes(512 << 10));
  Sequence sequence{.tokens = prompt_of(100, 1), .pages = pages_from(40, 100)};
  HandDrivenSteps steps(*engine);
  steps.add(sequence, 100);
  ASSERT_EQ(steps.run(), Outcome::done);
  EXPECT_EQ(engine->trim(pages_from(0, 1024)), Bytes(0));
  EXPECT_EQ(engine->memory().state.used, Bytes(512 << 10));
}

}  // namespace
}  // namespace torch_server
