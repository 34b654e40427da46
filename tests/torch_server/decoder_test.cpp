#include <set>

#include <gmock/gmock.h>

#include "naive_transformer.hpp"
#include "small_decoder.hpp"

namespace torch_server {
namespace {

using Outcome = StepResult::Outcome;
using testing::ElementsAreArray;

TEST(Decoder, GenerationsDependOnThePromptAndAreNotOneTokenForEver) {
  SmallBudgets budgets;
  const auto engine = loaded_decoder(small_options(budgets));
  const auto a = sequential(*engine, prompt_of(20, 1), 40);
  const auto b = sequential(*engine, prompt_of(20, 2), 40);
  EXPECT_NE(a, b);
  EXPECT_GT(std::set<Token>(a.begin(), a.end()).size(), 8U);
  // Nor on what pages held before.
  EXPECT_EQ(sequential(*engine, prompt_of(20, 1), 40), a);
}

TEST(Decoder, AgreesWithTheDefinitionInDoublePrecision) {
  SmallBudgets budgets;
  auto options = small_options(budgets);
  const auto engine = loaded_decoder(options);
  options.shape.tied = true;
  const auto tied = loaded_decoder(options);
  NaiveTransformer naive(small_shape(), 1);
  NaiveTransformer naive_tied(options.shape, 1);
  EXPECT_EQ(sequential(*engine, prompt_of(9, 1), 12), naive.generate(prompt_of(9, 1), 12));
  EXPECT_EQ(sequential(*tied, prompt_of(9, 1), 12), naive_tied.generate(prompt_of(9, 1), 12));
}

TEST(Decoder, OtherSeedsAreOtherModels) {
  SmallBudgets budgets;
  const auto one = loaded_decoder(small_options(budgets), 1);
  const auto two = loaded_decoder(small_options(budgets), 2);
  EXPECT_NE(sequential(*one, prompt_of(20, 1), 20), sequential(*two, prompt_of(20, 1), 20));
}

TEST(Decoder, APromptCutIntoChunksGivesTheSameTokens) {
  SmallBudgets budgets;
  const auto engine = loaded_decoder(small_options(budgets));
  const auto prompt = prompt_of(93, 3);
  const auto expected = sequential(*engine, prompt, 30);
  for (const std::int64_t chunk : {1, 2, 3, 5, 7, 8, 16, 31, 64, 93}) {
    Sequence sequence{.tokens = prompt, .pages = pages_from(0, 123)};
    HandDrivenSteps steps(*engine);
    while (sequence.computed < 93) {
      steps.add(sequence, std::min(chunk, 93 - sequence.computed));
      ASSERT_EQ(steps.run(), Outcome::done) << steps.result.error;
    }
    while (sequence.tokens.size() < 123) {
      steps.add(sequence, 1);
      ASSERT_EQ(steps.run(), Outcome::done);
    }
    EXPECT_THAT(std::vector(sequence.tokens.begin() + 93, sequence.tokens.end()),
                ElementsAreArray(expected))
        << "chunks of " << chunk;
  }
}

TEST(Decoder, SequencesInOneBatchGiveTheSameTokensAsAlone) {
  SmallBudgets budgets;
  const auto engine = loaded_decoder(small_options(budgets, 160));
  std::vector<Sequence> sequences;
  std::vector<std::vector<Token>> expected;
  std::uint32_t page = 0;
  for (std::uint64_t i = 0; i < 9; ++i) {
    const std::size_t length = 1 + 13 * i;
    const auto prompt = prompt_of(length, 10 + i);
    expected.push_back(sequential(*engine, prompt, 24));
    sequences.push_back({.tokens = prompt, .pages = pages_from(page, length + 24)});
    page += static_cast<std::uint32_t>(sequences.back().pages.size());
  }
  ASSERT_LE(page, 160U);
  // Chunks of many sizes beside decodes, in an order that turns.
  HandDrivenSteps steps(*engine);
  for (std::size_t round = 0; round < 200; ++round) {
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      Sequence& sequence = sequences[(i + round) % sequences.size()];
      const auto known = static_cast<std::int64_t>(sequence.tokens.size());
      if (sequence.computed == known) continue;
      if (sequence.tokens.size() == expected[(i + round) % sequences.size()].size() + 1 +
                                        13 * ((i + round) % sequences.size())) {
        continue;
      }
      const auto chunk = static_cast<std::int64_t>(1 + (round * 7 + i * 5) % 40);
      steps.add(sequence, std::min(chunk, known - sequence.computed));
    }
    ASSERT_EQ(steps.run(), Outcome::done) << steps.result.error;
  }
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    EXPECT_THAT(std::vector(sequences[i].tokens.end() - 24, sequences[i].tokens.end()),
                ElementsAreArray(expected[i]))
        << "sequence " << i;
  }
}

// Greedy tokens forgive a last bit. Keys and values do not: they are what all later tokens see.
TEST(Decoder, BatchesAndChunksWriteTheSameBitsToPagesAsOneTokenAtATime) {
  SmallBudgets budgets;
  const auto engine = loaded_decoder(small_options(budgets));
  const auto prompt = prompt_of(200, 4);
  Sequence alone{.tokens = prompt, .pages = pages_from(0, 200)};
  HandDrivenSteps steps(*engine);
  while (alone.computed < 199) {
    steps.add(alone, 1);
    ASSERT_EQ(steps.run(), Outcome::done);
  }
  for (const std::int64_t chunk : {2, 3, 4, 6, 8, 12, 13, 32, 60, 100, 128, 199}) {
    Sequence chunked{.tokens = prompt, .pages = pages_from(30, 200)};
    Sequence beside{.tokens = prompt_of(40, 6), .pages = pages_from(55, 72)};
    while (chunked.computed < 199) {
      if (beside.computed < 40) steps.add(beside, std::min(7 - chunk % 3, 40 - beside.computed));
      steps.add(chunked, std::min(chunk, 199 - chunked.computed));
      ASSERT_EQ(steps.run(), Outcome::done);
    }
    for (std::uint32_t i = 0; i < 24; ++i) {
      const auto expected = engine->page(i);
      const auto written = engine->page(30 + i);
      ASSERT_TRUE(std::equal(expected.begin(), expected.end(), written.begin(), written.end()))
          << "chunks of " << chunk << ": page " << i << " of 24";
    }
  }
}

TEST(Decoder, SharedPagesMayBeReadByManyAndComputedTwice) {
  SmallBudgets budgets;
  const auto engine = loaded_decoder(small_options(budgets));
  const auto prefix = prompt_of(32, 5);
  auto left = prefix, right = prefix;
  for (const Token t : prompt_of(9, 6)) left.push_back(t);
  for (const Token t : prompt_of(5, 7)) right.push_back(t);
  const auto left_alone = sequential(*engine, left, 20);
  const auto right_alone = sequential(*engine, right, 20);

  Sequence a{.tokens = left, .pages = pages_from(0, 61)};
  Sequence b{.tokens = right, .pages = pages_from(0, 32), .computed = 32};
  for (const std::uint32_t page : pages_from(20, 25)) b.pages.push_back(page);
  HandDrivenSteps steps(*engine);
  steps.add(a, 32);
  ASSERT_EQ(steps.run(), Outcome::done);
  steps.add(a, 9);
  steps.add(b, 5);
  ASSERT_EQ(steps.run(), Outcome::done);
  b.computed = 24;  // a page that both hold is computed again, while the other reads it
  steps.add(a, 1);
  steps.add(b, 14);
  ASSERT_EQ(steps.run(), Outcome::done);
  while (a.tokens.size() < left.size() + 20) {
    steps.add(a, 1);
    if (b.tokens.size() < right.size() + 20) steps.add(b, 1);
    ASSERT_EQ(steps.run(), Outcome::done);
  }
  b.tokens.resize(right.size() + 20);
  EXPECT_THAT(std::vector(a.tokens.end() - 20, a.tokens.end()), ElementsAreArray(left_alone));
  EXPECT_THAT(std::vector(b.tokens.end() - 20, b.tokens.end()), ElementsAreArray(right_alone));
}

TEST(Decoder, PagesThatWentToTheHostTierAndBackHoldWhatTheyHeld) {
  SmallBudgets budgets;
  auto options = small_options(budgets);
  options.host_pages = 16;
  const auto engine = loaded_decoder(std::move(options));
  const auto prompt = prompt_of(40, 8);
  const auto expected = sequential(*engine, prompt, 20);

  Sequence sequence{.tokens = prompt, .pages = pages_from(0, 60)};
  HandDrivenSteps steps(*engine);
  steps.add(sequence, 40);
  ASSERT_EQ(steps.run(), Outcome::done);
  using Kind = mais::core::StateMove::Kind;
  for (std::uint32_t i = 0; i < 5; ++i) {
    engine->move({.kind = Kind::out, .block = i, .host_block = 15 - i});
  }
  sequential(*engine, prompt_of(60, 9), 20);  // writes over the pages
  for (std::uint32_t i = 0; i < 5; ++i) {
    engine->move({.kind = Kind::in, .block = 30 + i, .host_block = 15 - i});
  }
  sequence.pages = pages_from(30, 60);
  while (sequence.tokens.size() < 60) {
    steps.add(sequence, 1);
    ASSERT_EQ(steps.run(), Outcome::done);
  }
  EXPECT_THAT(std::vector(sequence.tokens.begin() + 40, sequence.tokens.end()),
              ElementsAreArray(expected));
}

TEST(Decoder, TiedWeightsWorkToo) {
  SmallBudgets budgets;
  auto options = small_options(budgets);
  options.shape.tied = true;
  const std::int64_t tied = options.shape.vocabulary * options.shape.hidden;
  EXPECT_EQ(parameters(small_shape(), Role::decoder) - parameters(options.shape, Role::decoder),
            tied);
  const auto engine = loaded_decoder(std::move(options));
  const auto prompt = prompt_of(30, 1);
  const auto expected = sequential(*engine, prompt, 10);
  Sequence sequence{.tokens = prompt, .pages = pages_from(0, 40)};
  HandDrivenSteps steps(*engine);
  steps.add(sequence, 30);
  ASSERT_EQ(steps.run(), Outcome::done);
  EXPECT_EQ(sequence.tokens.back(), expected.front());
}

TEST(Decoder, FaultyShapesAreRefusedWithEveryFault) {
  SmallBudgets budgets;
  auto options = small_options(budgets, 0);
  options.shape.hidden = 60;
  options.shape.kv_heads = 4;
  options.page = mais::TokensPerBlock(12);
  const auto refused = make_decoder(std::move(options), random_weights(1));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              testing::AllOf(testing::HasSubstr("hidden_size: is 60; a multiple of 16"),
                             testing::HasSubstr("page: is 12 tokens"),
                             testing::HasSubstr("pages: is below 1")));
}

TEST(DecoderDeathTest, EntriesThatDoNotFitTheirViewsAbort) {
  SmallBudgets budgets;
  const auto engine = loaded_decoder(small_options(budgets));
  Sequence sequence{.tokens = prompt_of(20, 1), .pages = pages_from(0, 10)};
  HandDrivenSteps steps(*engine);
  steps.add(sequence, 20);
  EXPECT_DEATH(steps.run(), "computes beyond its pages");
  sequence.pages = pages_from(62, 40);
  EXPECT_DEATH(steps.run(), "block 64 is not one of this pool");
}

}  // namespace
}  // namespace torch_server
