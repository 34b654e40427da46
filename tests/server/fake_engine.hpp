// An engine that is none: what it "computes" is arithmetic on the content of pages, so that a wrong
// block table, a page that was not written or not copied, or a position left out shows in the very
// next token. It takes its memory from budgets as real engines do, and does what a test wants it
// to.
//
// A decoder keeps eight bytes for each token: a word of the token and its position. The next token
// comes from a digest over the words of all positions, read from the pages, as attention reads keys
// and values. fake_continuation() says the same of the tokens alone.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "byte_tokenizer.hpp"
#include "engine_maker.hpp"
#include "metered_resource.hpp"
#include "page_store.hpp"

namespace server {

struct FakeOptions {
  std::string name = "fake";
  EngineBudgets budgets{};
  bool embeds = false;
  mais::TokensPerBlock page{8};
  std::int64_t pages = 64;
  std::int64_t host_pages = 0;
  bool map_pages_ahead = false;
  mais::Tokens max_context{256};
  mais::Bytes weights = mais::Bytes(1 << 16);
  std::optional<Token> end_of_text{};
  mais::Duration step_takes{};  // slept in each step
  // Before each step, counted from 1: what becomes of it. None: it is done.
  std::function<StepResult::Outcome(std::uint64_t step)> outcome{};
  // Before each move, counted from 1: false, it finds no memory.
  std::function<bool(std::uint64_t move)> can_move{};
};

constexpr std::size_t kFakeEmbeddingWidth = 4;

class FakeModel {
 public:
  using Word = std::uint64_t;

  static Word word(Token token, std::int64_t position) {
    return mixed(static_cast<Word>(static_cast<std::uint32_t>(token)) | static_cast<Word>(position)
                                                                            << 32);
  }
  static Word digest(Word before, Word of) { return mixed(before ^ of); }

  // What the model thinks of each token after a text with that digest.
  static std::array<float, ByteTokenizer::kVocabulary> logits(Word text) {
    std::array<float, ByteTokenizer::kVocabulary> all{};
    for (std::size_t i = 0; i < 256; ++i) {
      all[i] = static_cast<float>(mixed(text + i) >> 40) * 0x1p-21F;  // 0 ... 8
    }
    for (std::size_t i = 256; i < all.size(); ++i) all[i] = -1e9F;
    return all;
  }
  static std::array<float, kFakeEmbeddingWidth> embedding(std::span<const Token> tokens) {
    std::array<float, kFakeEmbeddingWidth> all{};
    Word text = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      text = digest(text, word(tokens[i], static_cast<std::int64_t>(i)));
    }
    for (float& value : all) value = static_cast<float>((text = mixed(text)) >> 40) * 0x1p-24F;
    return all;
  }

 private:
  // The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
  static Word mixed(Word bits) {
    bits += 0x9e3779b97f4a7c15ULL;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ULL;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebULL;
    return bits ^ (bits >> 31);
  }
};

// What a prompt goes on with, without pages, steps or batches.
inline std::vector<Token> fake_continuation(std::vector<Token> tokens, std::size_t new_tokens,
                                            const Sampling& sampling = {}) {
  const std::size_t prompt = tokens.size();
  Sampler sampler;
  FakeModel::Word text = 0;
  for (std::size_t read = 0; tokens.size() < prompt + new_tokens;) {
    for (; read < tokens.size(); ++read) {
      text =
          FakeModel::digest(text, FakeModel::word(tokens[read], static_cast<std::int64_t>(read)));
    }
    tokens.push_back(
        sampler.choose(FakeModel::logits(text), sampling, static_cast<std::int64_t>(read)));
  }
  return {tokens.begin() + static_cast<std::ptrdiff_t>(prompt), tokens.end()};
}

class FakeEngine : public Engine {
 public:
  explicit FakeEngine(FakeOptions options)
      : options_(std::move(options)),
        tokenizer_(std::make_shared<ByteTokenizer>(options_.end_of_text)),
        weights_memory_(*options_.budgets.weights),
        workspace_memory_(*options_.budgets.workspace) {
    using namespace mais::literals;
    info_.model.name = options_.name;
    info_.model.weights = options_.weights;
    info_.model.workspace = {.fixed = mais::Bytes(4096),
                             .per_token = mais::BytesPerToken(kWordBytes)};
    info_.model.max_context = options_.max_context;
    info_.model.cost = {.flops_per_token = 2e5, .attention_flops_per_pair = 1e3, .overhead = 500us};
    info_.vocabulary = ByteTokenizer::kVocabulary;
    info_.weights_from = "a fake";
    if (options_.embeds) {
      info_.model.batching = mais::Batching::request;
      info_.model.shape_buckets = {mais::Tokens(64), options_.max_context};
      info_.embedding_width = kFakeEmbeddingWidth;
      return;
    }
    info_.model.batching = mais::Batching::iteration;
    info_.model.state = {{.name = "words", .per_token = mais::BytesPerToken(kWordBytes)}};
    info_.page = options_.page;
    info_.pages = options_.pages;
    info_.maps_pages_ahead = options_.map_pages_ahead;
    info_.guaranteed_pages = options_.map_pages_ahead ? options_.pages : 0;
    info_.host_pages = options_.host_pages;
  }

  const EngineInfo& info() const override { return info_; }
  std::shared_ptr<const Tokenizer> tokenizer() const override { return tokenizer_; }

  mais::Result<void> load() override {
    if (weights_) return {};
    const auto bytes = static_cast<std::size_t>(options_.weights.count());
    try {
      weights_ = weights_memory_.allocate(bytes);
    } catch (const std::bad_alloc&) {
      return mais::fail(mais::ErrorCode::over_limit, options_.name + ": no room for weights");
    }
    auto opened = open_pages();
    if (!opened) unload();
    return opened;
  }
  void unload() override {
    if (weights_ != nullptr) {
      weights_memory_.deallocate(weights_, static_cast<std::size_t>(options_.weights.count()));
    }
    weights_ = nullptr;
    pool_.close();
    host_.close();
  }
  ~FakeEngine() override { unload(); }

  bool move(const mais::core::StateMove& move) override {
    if (options_.can_move && !options_.can_move(++moves_)) return false;
    const bool out = move.kind == mais::core::StateMove::Kind::out;
    if (!out && !pool_.back(std::span(&move.block, 1))) return false;
    std::byte* page = pool_.page(move.block);
    std::byte* host = host_.page(move.host_block);
    std::memcpy(out ? host : page, out ? page : host, page_bytes());
    return true;
  }
  mais::Bytes trim(std::span<const std::uint32_t> free) override { return pool_.unback(free); }
  std::span<const std::byte> page(std::uint32_t id) const override {
    return {pool_.page(id), page_bytes()};
  }

  void run(const mais::core::Step& step, std::span<const SequenceView> sequences,
           StepResult& result) override {
    const auto began = std::chrono::steady_clock::now();
    if (options_.step_takes > mais::Duration(0)) std::this_thread::sleep_for(options_.step_takes);
    MAIS_EXPECTS(sequences.size() == step.entries.size(), "a view for each entry");
    result.outcome = options_.outcome ? options_.outcome(++steps_) : StepResult::Outcome::done;
    result.missing.reset();
    result.error = result.outcome == StepResult::Outcome::broken ? "as the test wants" : "";
    result.emitted.assign(step.entries.size(), std::nullopt);
    result.embeddings.clear();
    if (result.outcome == StepResult::Outcome::done) compute(step, sequences, result);
    result.took = std::chrono::steady_clock::now() - began;
  }
  EngineMemory memory() const override {
    return {.weights = weights_memory_.use(),
            .state = pool_.use(),
            .host_state = host_.use(),
            .workspace = workspace_memory_.use()};
  }

 protected:
  using Word = FakeModel::Word;
  static constexpr std::int64_t kWordBytes = sizeof(Word);

  // Computes a decoder's entry and returns the digest of all that is before its end.
  virtual Word attend(const mais::core::StepEntry& entry, const SequenceView& sequence) {
    const std::int64_t end = (entry.context + entry.tokens).count();
    for (std::int64_t at = entry.context.count(); at < end; ++at) {
      const Word written = FakeModel::word(sequence.tokens[static_cast<std::size_t>(at)], at);
      std::memcpy(place(sequence, at), &written, sizeof written);
    }
    Word text = 0;
    for (std::int64_t at = 0; at < end; ++at) {
      Word read = 0;
      std::memcpy(&read, place(sequence, at), sizeof read);
      text = FakeModel::digest(text, read);
    }
    return text;
  }
  virtual mais::Result<void> back(const mais::core::Step& step,
                                  std::span<const SequenceView> sequences) {
    std::vector<std::uint32_t> written;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      const mais::core::StepEntry& entry = step.entries[i];
      const std::int64_t end = (entry.context + entry.tokens).count();
      for (std::int64_t page = entry.context.count() / options_.page.count();
           page * options_.page.count() < end; ++page) {
        written.push_back(sequences[i].pages[static_cast<std::size_t>(page)]);
      }
    }
    return pool_.back(written);
  }

  const FakeOptions options_;
  EngineInfo info_;

 private:
  std::size_t page_bytes() const {
    return static_cast<std::size_t>(options_.page.count() * kWordBytes);
  }
  std::byte* place(const SequenceView& sequence, std::int64_t at) const {
    const std::int64_t page = at / options_.page.count();
    return pool_.page(sequence.pages[static_cast<std::size_t>(page)]) +
           at % options_.page.count() * kWordBytes;
  }
  mais::Result<void> open_pages() {
    if (options_.embeds) return {};
    const EngineBudgets& budgets = options_.budgets;
    const auto bytes = static_cast<std::int64_t>(page_bytes());
    auto opened = pool_.open(budgets.state_source, budgets.ledger, budgets.state,
                             {.page_bytes = bytes,
                              .pages = options_.pages,
                              .ahead = options_.map_pages_ahead,
                              .slab = mais::Bytes(4096)});
    if (!opened) return opened;
    return host_.open(budgets.host_source, budgets.ledger, budgets.host_state,
                      {.page_bytes = bytes,
                       .pages = options_.host_pages,
                       .ahead = true,
                       .slab = mais::Bytes(4096)});
  }

  void compute(const mais::core::Step& step, std::span<const SequenceView> sequences,
               StepResult& result) {
    try {
      for (const auto& entry : step.entries) {  // at several places, so that each may fail
        const auto scratch = static_cast<std::size_t>(entry.tokens.count() * kWordBytes);
        workspace_memory_.deallocate(workspace_memory_.allocate(scratch), scratch);
      }
      if (!options_.embeds && !back(step, sequences)) throw std::bad_alloc();
    } catch (const std::bad_alloc&) {
      result.outcome = StepResult::Outcome::allocation_failed;
      result.missing = pool_.slab_size();
      return;
    }
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      const mais::core::StepEntry& entry = step.entries[i];
      if (options_.embeds) {
        const auto embedding = FakeModel::embedding(sequences[i].tokens);
        result.embeddings.insert(result.embeddings.end(), embedding.begin(), embedding.end());
        continue;
      }
      const Word text = attend(entry, sequences[i]);
      if (!entry.emits) continue;
      result.emitted[i] = sampler_.choose(FakeModel::logits(text), sequences[i].sampling,
                                          (entry.context + entry.tokens).count());
    }
  }

  const std::shared_ptr<const Tokenizer> tokenizer_;
  MeteredResource weights_memory_, workspace_memory_;
  void* weights_ = nullptr;
  PageStore pool_, host_;
  Sampler sampler_;
  std::uint64_t steps_ = 0, moves_ = 0;
};

}  // namespace server
