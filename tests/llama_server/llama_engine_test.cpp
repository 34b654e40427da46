// The engine without a scheduler: steps made by hand, in every way in which steps can be cut.
#include "llama_engine.hpp"

#include <map>
#include <random>

#include <gmock/gmock.h>

#include "plain_generation.hpp"
#include "small_llama.hpp"

// What llama_decode is to say, once, instead of decoding, after so many calls; linked with --wrap.
namespace {
std::int32_t next_status = 0;
int calls_before = 0;
}  // namespace
extern "C" std::int32_t __real_llama_decode(llama_context* context, llama_batch batch);
extern "C" std::int32_t __wrap_llama_decode(llama_context* context, llama_batch batch) {
  if (next_status == 0 || calls_before-- > 0) return __real_llama_decode(context, batch);
  calls_before = 0;
  return std::exchange(next_status, 0);
}

namespace llama_server {
namespace {

using mais::Bytes;
using mais::ErrorCode;
using mais::RequestId;
using mais::Tokens;
using mais::files::ElementType;
using Outcome = StepResult::Outcome;

constexpr std::int64_t kPage = 16;

// Requests that are given pages and put into steps, as a host does it.
class Steps {
 public:
  explicit Steps(LlamaEngine& engine) : engine_(engine) {
    for (auto page = static_cast<std::uint32_t>(engine.info().pages); page-- > 0;) {
      free_.push_back(page);
    }
  }

  struct One {
    Tokens32 tokens{};
    std::size_t prompt = 0;
    std::vector<std::uint32_t> pages{};
    std::int64_t computed = 0;
    bool restarts = true;
    Tokens32 emitted() const {
      return {tokens.begin() + static_cast<std::ptrdiff_t>(prompt), tokens.end()};
    }
  };

  void add(std::uint64_t request, Tokens32 prompt) {
    const std::size_t length = prompt.size();
    requests_[request] = {.tokens = std::move(prompt), .prompt = length};
  }
  // It loses its pages, and is computed anew when it is in a step again.
  void preempt(std::uint64_t request) {
    One& one = requests_.at(request);
    free_.insert(free_.end(), one.pages.rbegin(), one.pages.rend());
    one.pages.clear();
    one.computed = 0;
    one.restarts = true;
  }
  // It loses the pages behind so many tokens, and goes on from there.
  void trim(std::uint64_t request, std::int64_t tokens) {
    One& one = requests_.at(request);
    const auto kept = static_cast<std::size_t>(tokens / kPage);
    free_.insert(free_.end(), one.pages.rbegin(),
                 one.pages.rend() - static_cast<std::ptrdiff_t>(kept));
    one.pages.resize(kept);
    one.computed = tokens;
    engine_.forget(RequestId(request), Tokens(tokens));
  }
  // Computes so many tokens of each; what is behind the last known one is emitted.
  Outcome step(const std::map<std::uint64_t, std::int64_t>& tokens) {
    mais::core::Step step;
    std::vector<SequenceView> views;
    for (const auto& [request, count] : tokens) {
      if (!requests_.at(request).restarts) continue;
      for (auto& [page, holder] : holders_) {
        if (holder == request) holder.reset();
      }
    }
    for (const auto& [request, count] : tokens) {
      One& one = requests_.at(request);
      const auto known = static_cast<std::int64_t>(one.tokens.size());
      const std::int64_t end = std::min(known, one.computed + count);
      while (static_cast<std::int64_t>(one.pages.size()) * kPage < end) {
        auto& holder = holders_[free_.back()];
        if (holder && *holder != request) engine_.forget(RequestId(*holder), Tokens(0));
        holder = request;
        one.pages.push_back(free_.back());
        free_.pop_back();
      }
      step.entries.push_back({.request = RequestId(request),
                              .context = Tokens(one.computed),
                              .tokens = Tokens(end - one.computed),
                              .emits = end == known,
                              .restarts = one.restarts});
      views.push_back({.tokens = one.tokens, .pages = one.pages});
    }
    engine_.run(step, views, result);
    if (result.outcome != Outcome::done) return result.outcome;
    for (std::size_t i = 0; i < step.entries.size(); ++i) {
      One& one = requests_.at(static_cast<std::uint64_t>(step.entries[i].request));
      one.computed += step.entries[i].tokens.count();
      one.restarts = false;
      if (result.emitted[i]) one.tokens.push_back(*result.emitted[i]);
    }
    return Outcome::done;
  }
  const One& of(std::uint64_t request) const { return requests_.at(request); }
  const std::map<std::uint64_t, One>& all() const { return requests_; }

  StepResult result;

 private:
  LlamaEngine& engine_;
  std::vector<std::uint32_t> free_;
  std::map<std::uint32_t, std::optional<std::uint64_t>> holders_;  // who had a page last
  std::map<std::uint64_t, One> requests_;
};

class LlamaEngineTest : public testing::Test {
 protected:
  std::string written(const RandomGguf& model, const std::string& name = "model.gguf") {
    RandomGgufFile(model).write(folder_.at(name));
    return folder_.at(name);
  }
  std::unique_ptr<LlamaEngine> made(Settings settings) {
    auto engine = LlamaEngine::make({.name = "small",
                                     .settings = std::move(settings),
                                     .budgets = budget_.budgets(),
                                     .page = mais::TokensPerBlock(kPage)});
    if (!engine) throw std::runtime_error(engine.error().message);
    return std::move(*engine);
  }
  std::unique_ptr<LlamaEngine> loaded(Settings settings) {
    auto engine = made(std::move(settings));
    if (auto done = engine->load(); !done) throw std::runtime_error(done.error().message);
    return engine;
  }
  // What the model says of each prompt, and that it is clear enough to be compared.
  std::vector<Tokens32> plainly(const Settings& settings, const std::vector<Tokens32>& prompts,
                                std::size_t new_tokens, float clear) {
    PlainGeneration plain(settings);
    std::vector<Tokens32> result;
    for (const Tokens32& prompt : prompts) result.push_back(plain(prompt, new_tokens));
    EXPECT_GT(plain.narrowest(), clear) << "take another seed";
    return result;
  }

  mais::files::ScratchFolder folder_;
  SmallBudgets budget_;
};

// How clear the model must be in its choices for sums in another order not to change them: above
// the largest difference of a score that was seen between tokens decoded one by one and eight
// sequences in chunks, which is 5e-6 where all is kept in 32 bits. Where products round what they
// multiply to 16 bits, or to 8 in blocks, or attention is fused, the last bit may become one of a
// rounding.
struct Clarity {
  const char* name;
  ElementType type, kv_type;
  bool fused;
  float clear;
  std::uint64_t seed;
  std::size_t prompts, new_tokens;
};

class LlamaEngineTypeTest : public LlamaEngineTest, public testing::WithParamInterface<Clarity> {};

TEST_P(LlamaEngineTypeTest, BatchedChunkedAndRestartedGenerationsAreThoseOfPlainDecoding) {
  const Clarity& with = GetParam();
  const std::string path = written({.seed = with.seed, .type = with.type});
  std::vector<Tokens32> prompts;
  for (std::uint64_t i = 0; i < with.prompts; ++i) prompts.push_back(prompt_of(9 + 5 * i, i));
  Settings settings = small_settings(path);
  settings.kv_type = with.kv_type;
  settings.fused_attention = with.fused;
  const auto expected = plainly(settings, prompts, with.new_tokens, with.clear);
  const auto engine = loaded(settings);
  Steps steps(*engine);
  for (std::uint64_t i = 0; i < prompts.size(); ++i) steps.add(i, prompts[i]);
  std::mt19937_64 random(with.seed);
  for (bool all = false; !all;) {
    std::map<std::uint64_t, std::int64_t> entries;
    all = true;
    for (const auto& [request, one] : steps.all()) {
      if (one.tokens.size() >= one.prompt + with.new_tokens) continue;
      all = false;
      if (random() % 16 == 0) steps.preempt(request);
      if (random() % 2 == 0) entries[request] = 1 + static_cast<std::int64_t>(random() % 30);
    }
    if (entries.empty()) continue;
    ASSERT_EQ(steps.step(entries), Outcome::done) << steps.result.error;
    ASSERT_LE(engine->counts().cells_used, settings.cells);
  }
  for (std::uint64_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(steps.of(i).emitted(), expected[i]) << "request " << i;
  }
  EXPECT_EQ(engine->counts().no_cells, 0U);
  EXPECT_EQ(engine->counts().tokens_again, 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Types, LlamaEngineTypeTest,
    testing::Values(  // seeds whose models are clear enough
        Clarity{"f32", ElementType::f32, ElementType::f32, false, 1e-4F, 1, 8, 20},
        Clarity{"f32_fused", ElementType::f32, ElementType::f16, true, 0.02F, 10, 4, 8},
        Clarity{"f16", ElementType::f16, ElementType::f16, false, 0.005F, 3, 6, 10},
        Clarity{"q8_0", ElementType::q8_0, ElementType::f16, false, 0.03F, 26, 4, 8},
        Clarity{"q4_0", ElementType::q4_0, ElementType::f16, false, 0.03F, 53, 4, 8}),
    [](const auto& test) { return std::string(test.param.name); });

Settings exact_settings(std::string path) {
  Settings settings = small_settings(std::move(path));
  settings.fused_attention = false;
  return settings;
}

// With three requests in turns and two sequences, each finds its state gone whenever it is back.
TEST_F(LlamaEngineTest, StateThatIsGoneIsComputedAgain) {
  const std::string path = written({});
  Settings settings = exact_settings(path);
  settings.sequences = settings.step_sequences = 2;
  const std::vector<Tokens32> prompts{prompt_of(20, 1), prompt_of(70, 2), prompt_of(33, 3)};
  const auto expected = plainly(settings, prompts, 6, 1e-4F);
  const auto engine = loaded(settings);
  Steps steps(*engine);
  for (std::uint64_t i = 0; i < 3; ++i) steps.add(i, prompts[i]);
  for (int round = 0; round < 6; ++round) {
    for (std::uint64_t i = 0; i < 3; ++i) ASSERT_EQ(steps.step({{i, 100}}), Outcome::done);
  }
  for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(steps.of(i).emitted(), expected[i]);
  EXPECT_GT(engine->counts().tokens_again, 5U * (20 + 70 + 33));
}

TEST_F(LlamaEngineTest, CellsAreGivenBackByRequestsThatEndAndByThoseThatLoseTheirPages) {
  const auto engine = loaded(exact_settings(written({})));
  Steps steps(*engine);
  steps.add(1, prompt_of(40, 1));
  steps.add(2, prompt_of(50, 2));
  ASSERT_EQ(steps.step({{1, 100}, {2, 100}}), Outcome::done);
  EXPECT_EQ(engine->counts().cells_used, 90);
  engine->forget(RequestId(1), Tokens(0));
  EXPECT_EQ(engine->counts().cells_used, 50);
  steps.preempt(2);
  steps.add(3, prompt_of(10, 3));  // is given a page of 2
  ASSERT_EQ(steps.step({{3, 100}}), Outcome::done);
  EXPECT_EQ(engine->counts().cells_used, 10);
  EXPECT_EQ(engine->counts().cells_peak, 90);
}

TEST_F(LlamaEngineTest, ASequenceThatLosesItsLastPagesGoesOnFromTheOthers) {
  const std::string path = written({});
  const auto expected = plainly(exact_settings(path), {prompt_of(75, 1)}, 3, 1e-4F);
  const auto engine = loaded(exact_settings(path));
  Steps steps(*engine);
  steps.add(1, prompt_of(75, 1));
  ASSERT_EQ(steps.step({{1, 70}}), Outcome::done);
  steps.trim(1, 32);
  EXPECT_EQ(engine->counts().cells_used, 32);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(steps.step({{1, 75}}), Outcome::done);
  EXPECT_EQ(steps.of(1).emitted(), expected[0]);
  EXPECT_EQ(engine->counts().tokens_again, 0U);
}

// Every cell there is can be had, by sequences that begin and end within each other's.
TEST_F(LlamaEngineTest, TheCacheFillsToTheLastCell) {
  const auto engine = loaded(exact_settings(written({})));
  Steps steps(*engine);
  for (std::uint64_t i = 0; i < 8; ++i) steps.add(i, prompt_of(16 + 16 * (i % 4), i));  // 320 cells
  for (int chunk = 0; chunk < 8; ++chunk) {
    std::map<std::uint64_t, std::int64_t> entries;
    for (std::uint64_t i = 0; i < 8; ++i) {
      if (steps.of(i).computed < static_cast<std::int64_t>(steps.of(i).prompt)) entries[i] = 8;
    }
    if (entries.empty()) break;
    ASSERT_EQ(steps.step(entries), Outcome::done);
  }
  for (const std::uint64_t i : {0U, 2U, 4U, 6U}) {  // holes all over the cache
    engine->forget(RequestId(i), Tokens(0));
    steps.preempt(i);
  }
  EXPECT_EQ(engine->counts().cells_used, 2 * (32 + 64));
  steps.add(9, prompt_of(320, 9));
  ASSERT_EQ(steps.step({{9, 320}}), Outcome::done);
  EXPECT_EQ(engine->counts().cells_used, 512);
  EXPECT_EQ(engine->counts().no_cells, 0U);
}

// At once, or in the midst of a step that is cut in four.
TEST_F(LlamaEngineTest, AStepThatFindsNoCellsCanBeRunAgain) {
  const std::string path = written({});
  const std::vector<Tokens32> prompts{prompt_of(20, 1), prompt_of(300, 2)};
  const auto expected = plainly(exact_settings(path), prompts, 3, 1e-4F);
  const auto engine = loaded(exact_settings(path));
  Steps steps(*engine);
  for (std::uint64_t i = 0; i < 2; ++i) steps.add(i, prompts[i]);
  ASSERT_EQ(steps.step({{0, 20}, {1, 50}}), Outcome::done);
  constexpr std::int32_t kNoCells = 1;
  for (const int before : {2, 0}) {
    next_status = kNoCells;
    calls_before = before;
    ASSERT_EQ(steps.step({{0, 1}, {1, 300}}), Outcome::allocation_failed);
    EXPECT_GT(steps.result.missing, Bytes(0));
    ASSERT_EQ(steps.step({{0, 1}, {1, 300}}), Outcome::done);
  }
  EXPECT_THAT(steps.of(0).emitted(), testing::ElementsAreArray(expected[0]));
  EXPECT_THAT(steps.of(1).emitted(), testing::ElementsAre(expected[1][0], expected[1][1]));
  EXPECT_EQ(engine->counts().no_cells, 2U);
  EXPECT_EQ(engine->counts().tokens_again, 0U);
}

// A request begins anew in the very step that gives its cells to another, which comes first.
TEST_F(LlamaEngineTest, CellsAreCutToTheirContextsBeforeAnythingIsComputed) {
  const auto engine = loaded(exact_settings(written({})));
  Steps steps(*engine);
  steps.add(2, prompt_of(400, 2));
  ASSERT_EQ(steps.step({{2, 400}}), Outcome::done);
  steps.preempt(2);
  steps.add(1, prompt_of(400, 1));
  ASSERT_EQ(steps.step({{1, 400}, {2, 30}}), Outcome::done);
  EXPECT_EQ(engine->counts().cells_used, 430);
  EXPECT_EQ(engine->counts().cells_peak, 430);
}

TEST_F(LlamaEngineTest, AStepOfTooManySequencesFindsNoRoomForThem) {
  Settings settings = exact_settings(written({}));
  settings.step_sequences = 2;
  const auto engine = loaded(settings);
  Steps steps(*engine);
  for (std::uint64_t i = 0; i < 3; ++i) steps.add(i, prompt_of(10, i));
  EXPECT_EQ(steps.step({{0, 10}, {1, 10}, {2, 10}}), Outcome::allocation_failed);
  EXPECT_EQ(steps.step({{0, 10}, {1, 10}}), Outcome::done);
  EXPECT_EQ(steps.step({{2, 10}}), Outcome::done);
}

TEST_F(LlamaEngineTest, WhatElseGoesWrongIsBrokenAndLoadingAnewHelps) {
  const std::string path = written({});
  const auto expected = plainly(exact_settings(path), {prompt_of(20, 1)}, 1, 1e-4F);
  const auto engine = loaded(exact_settings(path));
  Steps steps(*engine);
  steps.add(1, prompt_of(20, 1));
  next_status = -3;
  ASSERT_EQ(steps.step({{1, 20}}), Outcome::broken);
  EXPECT_THAT(steps.result.error, testing::StartsWith("llama_decode gave -3"));
  engine->unload();
  ASSERT_TRUE(engine->load());
  EXPECT_EQ(engine->counts().cells_used, 0);
  ASSERT_EQ(steps.step({{1, 20}}), Outcome::done);
  EXPECT_EQ(steps.of(1).emitted(), expected[0]);
}

}  // namespace
}  // namespace llama_server
