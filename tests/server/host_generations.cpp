// Generations through the real scheduler: whatever it does to them, they are what the model says.
#include <array>
#include <atomic>

#include <gmock/gmock.h>

#include "hosted.hpp"

namespace server {
namespace {

using namespace mais::literals;
using mais::Bytes;
using mais::EndKind;
using mais::Tokens;

constexpr mais::InstanceId kFirst{0};

class PressedHostTest : public HostTest {
 protected:
  // Prompts are cut, prefixes shared, sequences preempted and swapped.
  std::unique_ptr<Host> under_every_pressure() {
    mais::Config config;
    config.policy = mais::Policy::optimistic();
    config.policy.learn_costs = false;
    config.policy.token_budget = Tokens(33);
    return hosting(
        SubjectWish{.pages = 30, .host_pages = 16},
        {.memory = 1_GiB, .compute = {1e8}, .prefix_block = Tokens(16), .tier_bandwidth = {1e12}},
        config);
  }
};

TEST_F(HostTest, BatchedAndChunkedGenerationsAreThoseOfTheModelAlone) {
  mais::Config config;
  config.policy.step = mais::StepPolicy::budget;
  config.policy.token_budget = Tokens(19);  // cuts prompts
  const auto host = hosting(SubjectWish{.pages = 256}, {.memory = 1_GiB}, config);
  expect_all(*host, prompts(12), 40);
  EXPECT_LT(host->counts().steps, 12U * 40U);  // so they ran together
}

TEST_F(HostTest, PreemptedAndRecomputedGenerationsAreThoseOfTheModelAlone) {
  mais::Config config;
  config.policy = optimistic_without_swap();
  const auto host = hosting(SubjectWish{.pages = 24}, {.memory = 1_GiB}, config);
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
  config.policy.learn_costs = false;  // copying is said to be faster than computing
  std::atomic<int> readings{0};
  const auto host = hosting(
      SubjectWish{.pages = 24, .host_pages = 64},
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
  const auto host =
      hosting(SubjectWish{.pages = 256}, {.memory = 1_GiB, .prefix_block = Tokens(16)}, {});
  const auto all = prompts(10, 70);
  expect_all(*host, all, 20);
  expect_all(*host, all, 20);  // finds what the first left
  EXPECT_GT(host->scheduler().load(kFirst).prefix_hits, 10U * 64U);
}

TEST_F(PressedHostTest, ManyGenerationsUnderEveryPressureAtOnceAreThoseOfTheModelAlone) {
  const auto host = under_every_pressure();
  for (int round = 0; round < 3; ++round) expect_all(*host, prompts(16, 24), 50);
  const auto load = host->scheduler().load(kFirst);
  EXPECT_GT(load.preemptions, 0U);
  EXPECT_GT(load.prefix_hits, 0U);
  EXPECT_GT(host->counts().pages_in, 0U);
}

// Whatever is done to them: what is drawn depends on the seed and the position.
TEST_F(PressedHostTest, SampledGenerationsAreThoseOfTheModelAlone) {
  const auto host = under_every_pressure();
  const auto all = prompts(16, 24);
  const Sampling sampling{.temperature = 0.8, .top_p = 0.9, .seed = 4};
  for (int round = 0; round < 2; ++round) expect_all(*host, all, 40, sampling);
  EXPECT_GT(host->scheduler().load(kFirst).preemptions, 0U);
  EXPECT_NE(alone(all, 40), alone(all, 40, sampling));
}

TEST_F(HostTest, EmbeddingsInBatchesAreThoseOfEachTextAlone) {
  const auto host = hosting(subject_->encoder(), {.memory = 1_GiB});
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
    EXPECT_EQ(results.at(i).embedding.size(), host->info(0).embedding_width);
  }
}

TEST_F(HostTest, ACallerMayEndItsGenerationAtAnyToken) {
  const auto host = hosting(SubjectWish{.pages = 256}, {.memory = 1_GiB}, {});
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
  const auto host = hosting(SubjectWish{.end_of_text = expected[9]}, {.memory = 1_GiB}, {});
  Collector collector;
  ASSERT_TRUE(host->submit(job(all[0], 30), collector.callbacks(0)));
  const auto result = collector.wait().at(0);
  const auto end = std::find(expected.begin(), expected.end(), expected[9]);
  EXPECT_EQ(result.tokens, std::vector(expected.begin(), end));
  EXPECT_TRUE(result.ended->stopped);
}

TEST_F(HostTest, AGenerationEndsWhereTheLongestContextEnds) {
  const auto host = hosting(SubjectWish{.pages = 256}, {.memory = 1_GiB}, {});
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

TEST_F(HostTest, CancelledGenerationsEndOnceAndTheOthersGoOn) {
  mais::Config config;
  config.policy = optimistic_without_swap();
  const auto host = hosting(SubjectWish{.pages = 24}, {.memory = 1_GiB}, config);
  const auto all = prompts(12);
  const auto expected = alone(all, 100);
  Collector collector;
  std::array<std::atomic<mais::RequestId>, 12> ids{};
  std::atomic<bool> all_asked{false};
  for (std::size_t i = 0; i < all.size(); ++i) {
    Callbacks callbacks = collector.callbacks(i);
    callbacks.on_token = [on = callbacks.on_token, &all_asked, &host, i,
                          &id = ids[i]](Token token) {
      all_asked.wait(false);  // so that nobody is done before
      on(token);
      if (i % 3 == 1) host->cancel(id);  // from within a callback
      return true;
    };
    const auto id = host->submit(job(all[i], 100), std::move(callbacks));
    ASSERT_TRUE(id);
    ids[i] = *id;
    if (i % 3 == 2) host->cancel(*id);
  }
  all_asked = true;
  all_asked.notify_all();
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

TEST_F(HostTest, WhatCannotBeTakenIsAnErrorAndWhatCanNeverFitIsRefused) {
  const auto host = hosting(SubjectWish{.pages = 8}, {.memory = 1_GiB}, {});
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

}  // namespace
}  // namespace server
