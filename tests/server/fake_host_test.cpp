// The tests of the host with a fake engine, and with one that keeps its state by sequences.
#include <atomic>
#include <map>

#include <gmock/gmock.h>

#include "fake_engine.hpp"
#include "hosted.hpp"
#include "small_budgets.hpp"

namespace server {
namespace {

using namespace mais::literals;

class FakeSubject final : public HostSubject {
 public:
  FakeOptions options(const SubjectWish& wish) {
    FakeOptions made{.budgets = budgets_.budgets(),
                     .pages = wish.pages,
                     .host_pages = wish.host_pages,
                     .end_of_text = wish.end_of_text};
    if (wish.workspace != nullptr) made.budgets.workspace = wish.workspace;
    return made;
  }
  std::unique_ptr<Engine> decoder(const SubjectWish& wish) override {
    return std::make_unique<FakeEngine>(options(wish));
  }
  std::unique_ptr<Engine> encoder() override {
    FakeOptions made = options({});
    made.embeds = true;
    return std::make_unique<FakeEngine>(std::move(made));
  }
  std::vector<Token> alone(const std::vector<Token>& prompt, std::size_t new_tokens,
                           const Sampling& sampling) override {
    return fake_continuation(prompt, new_tokens, sampling);
  }
  std::pmr::memory_resource& workspace() override { return *budgets_.budgets().workspace; }
  mais::Bytes used() override { return budgets_.used(); }

 private:
  SmallBudgets budgets_;
};

// Keeps the words of each sequence itself, in as many tokens as its pages have, and never looks at
// a page.
class SequenceEngine final : public FakeEngine {
 public:
  SequenceEngine(FakeOptions options, std::atomic<std::size_t>& kept)
      : FakeEngine(std::move(options)), kept_(kept) {
    info_.shares_pages = false;
  }
  void forget(mais::RequestId sequence, mais::Tokens from) override {
    const auto found = states_.find(sequence);
    if (found == states_.end()) return;
    auto& words = found->second;
    words.resize(std::min(words.size(), static_cast<std::size_t>(from.count())));
    if (words.empty()) states_.erase(found);
    kept_ = states_.size();
  }

 protected:
  Word attend(const mais::core::StepEntry& entry, const SequenceView& sequence) override {
    auto& state = states_[entry.request];
    EXPECT_GE(static_cast<std::int64_t>(state.size()), entry.context.count());
    state.resize(static_cast<std::size_t>(entry.context.count()));
    for (std::int64_t i = 0; i < entry.tokens.count(); ++i) {
      const std::int64_t at = entry.context.count() + i;
      state.push_back(FakeModel::word(sequence.tokens[static_cast<std::size_t>(at)], at));
    }
    std::size_t pages = 0;
    for (const auto& [request, words] : states_) pages += (words.size() + 7) / 8;
    EXPECT_LE(pages, static_cast<std::size_t>(options_.pages)) << "what is over was not forgotten";
    kept_ = states_.size();
    Word text = 0;
    for (const Word word : state) text = FakeModel::digest(text, word);
    return text;
  }
  mais::Result<void> back(const mais::core::Step&, std::span<const SequenceView>) override {
    return {};
  }

 private:
  std::map<mais::RequestId, std::vector<Word>> states_;
  std::atomic<std::size_t>& kept_;  // sequences
};

class SequenceEngineTest : public HostTest {
 protected:
  std::unique_ptr<Host> hosting_sequences(std::int64_t pages) {
    mais::Config config;
    config.policy = optimistic_without_swap();
    return hosting(std::make_unique<SequenceEngine>(fakes_.options({.pages = pages}), kept_),
                   {.memory = 1_GiB, .prefix_block = mais::Tokens(8)}, config);
  }
  FakeSubject fakes_;
  std::atomic<std::size_t> kept_{0};
};

TEST_F(SequenceEngineTest, AnEngineWithStateBySequencesHearsWhenASequenceLostItsPages) {
  const auto host = hosting_sequences(24);
  expect_all(*host, prompts(8, 24), 60);
  EXPECT_GT(host->scheduler().load(mais::InstanceId(0)).preemptions, 0U);
}

TEST_F(SequenceEngineTest, AnEngineWithStateBySequencesHearsWhenASequenceEnded) {
  const auto host = hosting_sequences(64);
  Collector collector;
  for (std::size_t i = 0; i < 6; ++i) {
    Callbacks callbacks = collector.callbacks(i);
    if (i % 2 == 1) {  // cancelled on its way
      callbacks.on_token = [on = callbacks.on_token, given = 0](Token token) mutable {
        on(token);
        return ++given < 5;
      };
    }
    ASSERT_TRUE(host->submit(job(prompt_of(20, i), 30), std::move(callbacks)));
  }
  collector.wait();
  expect_all(*host, prompts(1), 3);  // a step, before which it hears
  EXPECT_EQ(kept_, 1U);
}

}  // namespace

std::unique_ptr<HostSubject> make_host_subject() {
  return std::make_unique<FakeSubject>();
}

}  // namespace server
