// A decoder small enough for tests, and its plain sequential greedy generation: one sequence, one
// token a step, pages of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <memory_resource>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "server/prompts.hpp"
#include "server/small_budgets.hpp"
#include "transformer_engine.hpp"

namespace torch_server {

using server::prompt_of;
using server::SmallBudgets;

inline Shape small_shape() {
  return {.vocabulary = 272,
          .hidden = 64,
          .layers = 2,
          .heads = 6,
          .kv_heads = 2,
          .head_width = 16,
          .feed_forward = 160,
          .max_context = 256};
}

inline DecoderOptions small_options(SmallBudgets& budgets, std::int64_t pages = 64) {
  return {.name = "small",
          .shape = small_shape(),
          .budgets = budgets.budgets(),
          .page = mais::TokensPerBlock(8),
          .pages = pages};
}

inline std::unique_ptr<Engine> loaded_decoder(DecoderOptions options, std::uint64_t seed = 1) {
  auto engine = make_decoder(std::move(options), random_weights(seed));
  if (!engine) throw std::runtime_error(engine.error().message);
  if (auto loaded = (*engine)->load(); !loaded) throw std::runtime_error(loaded.error().message);
  return std::move(*engine);
}

// A sequence and its pages, and steps built of them by hand.
struct Sequence {
  std::vector<Token> tokens;
  std::vector<std::uint32_t> pages;
  std::int64_t computed = 0;
  server::Sampling sampling{};
};

class HandDrivenSteps {
 public:
  explicit HandDrivenSteps(Engine& engine) : engine_(engine) {}

  // Computes `tokens` more of the sequence in the next step; emits when these are the last known.
  void add(Sequence& sequence, std::int64_t tokens) {
    const bool emits =
        sequence.computed + tokens == static_cast<std::int64_t>(sequence.tokens.size());
    step_.entries.push_back({.context = mais::Tokens(sequence.computed),
                             .tokens = mais::Tokens(tokens),
                             .emits = emits});
    sequences_.push_back(&sequence);
  }
  StepResult::Outcome run() {
    std::vector<SequenceView> views;
    for (Sequence* sequence : sequences_) {
      views.push_back({sequence->tokens, sequence->pages, sequence->sampling});
    }
    engine_.run(step_, views, result);
    if (result.outcome == StepResult::Outcome::done) {
      for (std::size_t i = 0; i < sequences_.size(); ++i) {
        sequences_[i]->computed += step_.entries[i].tokens.count();
        EXPECT_EQ(result.emitted[i].has_value(), step_.entries[i].emits);
        if (result.emitted[i]) sequences_[i]->tokens.push_back(*result.emitted[i]);
      }
    }
    step_.entries.clear();
    sequences_.clear();
    return result.outcome;
  }

  StepResult result;

 private:
  Engine& engine_;
  mais::core::Step step_;
  std::vector<Sequence*> sequences_;
};

// Pages `first`, `first` + 1, ...: enough for so many tokens.
inline std::vector<std::uint32_t> pages_from(std::uint32_t first, std::size_t tokens,
                                             std::size_t page = 8) {
  std::vector<std::uint32_t> pages((tokens + page - 1) / page);
  std::iota(pages.begin(), pages.end(), first);
  return pages;
}

// What a prompt goes on with, computed one token at a time.
inline std::vector<Token> sequential(Engine& engine, std::vector<Token> prompt,
                                     std::size_t new_tokens,
                                     const server::Sampling& sampling = {}) {
  Sequence sequence{
      .tokens = prompt, .pages = pages_from(0, prompt.size() + new_tokens), .sampling = sampling};
  HandDrivenSteps steps(engine);
  while (sequence.tokens.size() < prompt.size() + new_tokens) {
    steps.add(sequence, 1);
    EXPECT_EQ(steps.run(), StepResult::Outcome::done) << steps.result.error;
  }
  return {sequence.tokens.begin() + static_cast<std::ptrdiff_t>(prompt.size()),
          sequence.tokens.end()};
}

}  // namespace torch_server
