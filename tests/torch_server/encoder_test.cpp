#include <gmock/gmock.h>

#include "naive_transformer.hpp"
#include "small_decoder.hpp"

namespace torch_server {
namespace {

using Outcome = StepResult::Outcome;

std::unique_ptr<Engine> loaded_encoder(SmallBudgets& budgets) {
  Shape shape = small_shape();
  auto engine = make_encoder({.name = "small", .shape = shape, .budgets = budgets.budgets()},
                             random_weights(1));
  if (!engine) throw std::runtime_error(engine.error().message);
  if (auto loaded = (*engine)->load(); !loaded) throw std::runtime_error(loaded.error().message);
  return std::move(*engine);
}

std::vector<std::vector<float>> embeddings(Engine& engine,
                                           const std::vector<std::vector<Token>>& texts,
                                           std::int64_t padded) {
  mais::core::Step step;
  step.padded = mais::Tokens(padded);
  std::vector<SequenceView> views;
  for (const auto& text : texts) {
    step.entries.push_back(
        {.tokens = mais::Tokens(static_cast<std::int64_t>(text.size())), .emits = true});
    views.push_back({.tokens = text});
  }
  StepResult result;
  engine.run(step, views, result);
  EXPECT_EQ(result.outcome, Outcome::done) << result.error;
  const std::int64_t width = engine.info().embedding_width;
  std::vector<std::vector<float>> out;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto at = result.embeddings.begin() + static_cast<std::int64_t>(i) * width;
    out.emplace_back(at, at + width);
  }
  return out;
}

double product(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * b[i];
  return sum;
}

TEST(Encoder, EmbeddingsHaveLengthOneAndTellTextsApart) {
  SmallBudgets budgets;
  const auto engine = loaded_encoder(budgets);
  const auto out = embeddings(*engine, {prompt_of(20, 1), prompt_of(20, 2)}, 32);
  EXPECT_NEAR(product(out[0], out[0]), 1, 1e-6);
  EXPECT_NEAR(product(out[1], out[1]), 1, 1e-6);
  EXPECT_LT(product(out[0], out[1]), 0.99);
}

TEST(Encoder, AgreesWithTheDefinitionInDoublePrecision) {
  SmallBudgets budgets;
  const auto engine = loaded_encoder(budgets);
  NaiveTransformer naive(small_shape(), 1);
  for (const std::size_t length : {1U, 2U, 19U, 40U}) {
    const auto text = prompt_of(length, length);
    const auto out = embeddings(*engine, {text}, 64)[0];
    const auto expected = naive.embedding(text);
    for (std::size_t i = 0; i < out.size(); ++i) {
      EXPECT_NEAR(out[i], expected[i], 2e-6) << length << " tokens, element " << i;
    }
  }
}

TEST(Encoder, ABatchGivesTheSameBitsAsEachTextAloneWhateverThePadding) {
  SmallBudgets budgets;
  const auto engine = loaded_encoder(budgets);
  std::vector<std::vector<Token>> texts;
  for (std::uint64_t i = 0; i < 7; ++i) texts.push_back(prompt_of(1 + 9 * i, i));
  const auto together = embeddings(*engine, texts, 64);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    for (const std::int64_t padded : {55, 64, 100, 256}) {
      EXPECT_EQ(embeddings(*engine, {texts[i]}, padded)[0], together[i])
          << "text " << i << " padded to " << padded;
    }
  }
}

TEST(Encoder, BucketsMustRise) {
  SmallBudgets budgets;
  const auto refused = make_encoder({.name = "small",
                                     .shape = small_shape(),
                                     .budgets = budgets.budgets(),
                                     .buckets = {mais::Tokens(64), mais::Tokens(32)}},
                                    random_weights(1));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("buckets: do not rise"));
}

}  // namespace
}  // namespace torch_server
