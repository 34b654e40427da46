#include "llama_engine.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <llama.h>
#include <string>
#include <utility>

#include "gguf_tokenizer.hpp"
#include "loaded_model.hpp"
#include "sequence_table.hpp"

namespace llama_server {

namespace {

using mais::Bytes;
using mais::Tokens;
using Outcome = StepResult::Outcome;

// The arrays of a llama_batch, in which every token belongs to one sequence.
class Batch {
 public:
  explicit Batch(Tokens most)
      : batch_(llama_batch_init(static_cast<std::int32_t>(most.count()), 0, 1)) {}
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  ~Batch() { llama_batch_free(batch_); }

  void clear() { batch_.n_tokens = 0; }
  std::int32_t size() const { return batch_.n_tokens; }
  void add(Token token, std::int64_t position, Sequence sequence, bool output) {
    const std::int32_t i = batch_.n_tokens++;
    batch_.token[i] = token;
    batch_.pos[i] = static_cast<llama_pos>(position);
    batch_.n_seq_id[i] = 1;
    batch_.seq_id[i][0] = sequence;
    batch_.logits[i] = output ? 1 : 0;
  }
  const llama_batch& get() const { return batch_; }

 private:
  llama_batch batch_;
};

// In whole blocks of cells, so that a cache that was made for one request has room for it.
Tokens longest(Tokens trained, std::optional<Tokens> wanted) {
  const Tokens most = std::min(wanted.value_or(trained), trained);
  return most < Tokens(kCellBlock) ? most : Tokens(most.count() / kCellBlock * kCellBlock);
}

// What belongs to a loaded model; its charges outlive what they are for.
struct Loaded {
  mais::SharedLedger::Charge weights, state, workspace;
  LoadedModel model;
  SequenceTable table;
  Batch batch;
};

class GgufDecoder final : public LlamaEngine {
 public:
  GgufDecoder(LlamaOptions options, Forecast forecast, const LoadedModel& rehearsal,
              std::shared_ptr<const Tokenizer> tokenizer)
      : options_(std::move(options)),
        forecast_(std::move(forecast)),
        plan_(plan_memory(forecast_, rehearsal, options_.settings)),
        tokenizer_(std::move(tokenizer)),
        weights_(options_.budgets.ledger->open(options_.budgets.weights_account)),
        state_(options_.budgets.ledger->open(options_.budgets.state)),
        workspace_(options_.budgets.ledger->open(options_.budgets.workspace_account)) {
    info_.model = forecast_.footprint.model;
    info_.model.name = options_.name;
    info_.model.weights = plan_.weights;
    info_.model.workspace = {.fixed = plan_.workspace};
    const std::int64_t cell = (plan_.state.count() + settings().cells - 1) / settings().cells;
    info_.model.state = {{.name = "cells", .per_token = mais::BytesPerToken(cell)}};
    info_.model.max_context =
        longest(Tokens(llama_model_n_ctx_train(rehearsal.model())), options_.max_context);
    info_.page = options_.page;
    info_.pages = info_.guaranteed_pages = settings().cells / options_.page.count();
    info_.shares_pages = false;
    info_.vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(rehearsal.model()));
    info_.weights_from = settings().path;
    info_.remarks =
        "llama.cpp; its sums depend on the batch, so that tokens of nearly equal score "
        "may change places";
  }

  const EngineInfo& info() const override { return info_; }
  std::shared_ptr<const Tokenizer> tokenizer() const override { return tokenizer_; }
  const Forecast& forecast() const override { return forecast_; }
  const MemoryPlan& plan() const override { return plan_; }
  BufferSizes sizes() const override { return loaded_ ? loaded_->model.sizes() : BufferSizes{}; }

  mais::Result<void> load() override {
    if (loaded_) return {};
    auto weights = weights_.charge(plan_.weights);
    if (!weights) return refused(weights_refusals_, weights.error());
    auto state = state_.charge(plan_.state);
    if (!state) return refused(state_refusals_, state.error());
    auto workspace = workspace_.charge(plan_.workspace);
    if (!workspace) return refused(workspace_refusals_, workspace.error());
    auto model = LoadedModel::load(settings(), Extent::whole);
    if (!model) return tl::unexpected<mais::Error>(std::move(model.error()));
    if (auto kept = check_plan(model->sizes()); !kept) return kept;
    loaded_.reset(new Loaded{.weights = std::move(*weights),
                             .state = std::move(*state),
                             .workspace = std::move(*workspace),
                             .model = std::move(*model),
                             .table = SequenceTable(settings().sequences),
                             .batch = Batch(settings().step_tokens)});
    holds_ = true;
    return {};
  }
  void unload() override {
    loaded_.reset();
    holds_ = false;
    cells_used_ = 0;
  }

  bool move(const mais::core::StateMove&) override {
    MAIS_EXPECTS(false, "there is no host tier");
    return false;
  }
  Bytes trim(std::span<const std::uint32_t>) override { return Bytes(0); }
  std::span<const std::byte> page(std::uint32_t id) const override {
    MAIS_EXPECTS(id < static_cast<std::uint64_t>(info_.pages), "there is no such page");
    return {};
  }

  void run(const mais::core::Step& step, std::span<const SequenceView> sequences,
           StepResult& result) override {
    MAIS_EXPECTS(loaded_, "run() before load()");
    server::expect_fitting(step, sequences, info_.page);
    const auto began = std::chrono::steady_clock::now();
    result.outcome = Outcome::done;
    result.missing.reset();
    result.error.clear();
    result.emitted.assign(step.entries.size(), std::nullopt);
    result.embeddings.clear();
    if (static_cast<std::int64_t>(sequences.size()) > settings().step_sequences) {
      result.outcome = Outcome::allocation_failed;  // logits have room for so many
    } else {
      place(step);
      compute(step, sequences, result);
      count_cells();
    }
    result.took = std::chrono::steady_clock::now() - began;
  }

  void forget(mais::RequestId request, Tokens from) override {
    if (!loaded_) return;
    const auto sequence = loaded_->table.find(request);
    const bool some = from > Tokens(0) && sequence &&
                      llama_memory_seq_rm(cache(), *sequence, position(from.count()), -1);
    if (!some) loaded_->table.release(request, gone_);
    drop_gone();
    count_cells();
  }

  EngineMemory memory() const override {
    const auto use = [&](Bytes planned, const std::atomic<std::uint64_t>& refusals) {
      return EngineMemory::Use{
          .used = holds_ ? planned : Bytes(0), .peak = planned, .refusals = refusals};
    };
    return {.weights = use(plan_.weights, weights_refusals_),
            .state = use(plan_.state, state_refusals_),
            .workspace = use(plan_.workspace, workspace_refusals_)};
  }

  LlamaCounts counts() const override {
    return {.cells = settings().cells,
            .cells_used = cells_used_,
            .cells_peak = cells_peak_,
            .no_cells = no_cells_,
            .tokens_again = tokens_again_};
  }

 private:
  const Settings& settings() const { return options_.settings; }
  llama_context* context() const { return loaded_->model.context(); }
  static llama_pos position(std::int64_t token) { return static_cast<llama_pos>(token); }
  llama_memory_t cache() const { return llama_get_memory(context()); }

  mais::Result<void> refused(std::atomic<std::uint64_t>& count, mais::Error error) {
    ++count;
    error.message = options_.name + ": its budget is too small: " + error.message;
    return tl::unexpected<mais::Error>(std::move(error));
  }

  // A rehearsal that did not tell the truth: nothing may be held beyond what is charged.
  mais::Result<void> check_plan(const BufferSizes& sizes) const {
    const Bytes weights = at_least(sizes.weights);
    const Bytes others = at_least(sizes.state) + at_least(sizes.compute) + at_least(sizes.output);
    if (weights <= plan_.weights && others <= plan_.state + plan_.workspace) return {};
    const auto beside = [](Bytes took, Bytes planned) {
      return std::to_string(took.count()) + " bytes instead of " + std::to_string(planned.count());
    };
    return mais::fail(mais::ErrorCode::over_limit,
                      options_.name + ": llama.cpp took more than its rehearsal said: weights " +
                          beside(weights, plan_.weights) + ", all else " +
                          beside(others, plan_.state + plan_.workspace));
  }

  // Sequences for all entries. State of others that had to go, and beyond an entry's context (it
  // begins anew, or the step did not get done before), is dropped before anything is computed.
  void place(const mais::core::Step& step) {
    ++steps_;
    SequenceTable& table = loaded_->table;
    for (const mais::core::StepEntry& entry : step.entries) table.enter(entry.request, steps_);
    placed_.clear();
    for (const mais::core::StepEntry& entry : step.entries) {
      placed_.push_back(table.place(entry.request, gone_));
    }
    drop_gone();
    for (std::size_t i = 0; i < placed_.size(); ++i) {
      const std::int64_t context_end = step.entries[i].context.count();
      if (known(placed_[i]) <= context_end) continue;
      const bool cut = llama_memory_seq_rm(cache(), placed_[i], position(context_end), -1);
      if (!cut) llama_memory_seq_rm(cache(), placed_[i], -1, -1);
    }
  }
  // Tokens whose cells a sequence has.
  std::int64_t known(Sequence sequence) const {
    return llama_memory_seq_pos_max(cache(), sequence) + 1;
  }

  void drop_gone() {
    for (const Sequence sequence : gone_) llama_memory_seq_rm(cache(), sequence, -1, -1);
    gone_.clear();
  }

  // From the first token whose cell is not there.
  void compute(const mais::core::Step& step, std::span<const SequenceView> sequences,
               StepResult& result) {
    loaded_->batch.clear();
    outputs_.clear();
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      const mais::core::StepEntry& entry = step.entries[i];
      const std::int64_t context_end = entry.context.count();
      const std::int64_t end = context_end + entry.tokens.count();
      std::int64_t at = known(placed_[i]);
      tokens_again_ += static_cast<std::uint64_t>(context_end - at);
      for (; at < end; ++at) {
        const bool output = entry.emits && at + 1 == end;
        if (output) outputs_.push_back({i, loaded_->batch.size(), end});
        loaded_->batch.add(sequences[i].tokens[static_cast<std::size_t>(at)], at, placed_[i],
                           output);
        if (loaded_->batch.size() < settings().step_tokens.count()) continue;
        if (!decode(sequences, result)) return;
      }
    }
    if (loaded_->batch.size() > 0) decode(sequences, result);
  }

  // The batch, which is empty afterwards. False: `result` says why not.
  bool decode(std::span<const SequenceView> sequences, StepResult& result) {
    const BufferLog log;
    const std::int32_t status = llama_decode(context(), loaded_->batch.get());
    constexpr std::int32_t kNoCells = 1;
    if (status == kNoCells) {
      ++no_cells_;
      result.outcome = Outcome::allocation_failed;
      result.missing = info_.model.page_bytes(info_.page);
      return false;
    }
    if (status != 0) {
      result.outcome = Outcome::broken;
      result.error = "llama_decode gave " + std::to_string(status) + ": " + log.complaint();
      return false;
    }
    for (const Output& output : outputs_) {
      const std::span logits(llama_get_logits_ith(context(), output.row),
                             static_cast<std::size_t>(info_.vocabulary));
      result.emitted[output.entry] =
          sampler_.choose(logits, sequences[output.entry].sampling, output.position);
    }
    outputs_.clear();
    loaded_->batch.clear();
    return true;
  }

  // As llama.cpp says it: a sequence has all positions from 0 to its last.
  void count_cells() {
    std::int64_t used = 0;
    for (Sequence sequence = 0; sequence < settings().sequences; ++sequence) {
      used += known(sequence);
    }
    cells_used_ = used;
    cells_peak_ = std::max(cells_peak_.load(), used);
  }

  struct Output {
    std::size_t entry = 0;
    std::int32_t row = 0;       // of the batch
    std::int64_t position = 0;  // of the token that it emits
  };

  const LlamaOptions options_;
  const Forecast forecast_;
  const MemoryPlan plan_;
  const std::shared_ptr<const Tokenizer> tokenizer_;
  EngineInfo info_;
  mais::SharedLedger::Gate weights_, state_, workspace_;  // outlive what is charged
  std::unique_ptr<Loaded> loaded_;

  std::uint64_t steps_ = 0;
  // Of the step, kept for their room.
  std::vector<Sequence> gone_, placed_;
  std::vector<Output> outputs_;
  Sampler sampler_;

  std::atomic<bool> holds_{false};
  std::atomic<std::int64_t> cells_used_{0}, cells_peak_{0};
  std::atomic<std::uint64_t> no_cells_{0}, tokens_again_{0};
  std::atomic<std::uint64_t> weights_refusals_{0}, state_refusals_{0}, workspace_refusals_{0};
};

std::vector<mais::Fault> faults_of(const LlamaOptions& options) {
  std::vector<mais::Fault> faults;
  const Settings& settings = options.settings;
  const auto want = [&](bool fine, const char* path, std::int64_t is, std::string remedy) {
    if (!fine) faults.push_back({path, "is " + std::to_string(is), std::move(remedy)});
  };
  const std::int64_t page = options.page.count();
  want(settings.cells >= kCellBlock && settings.cells % kCellBlock == 0, "cells", settings.cells,
       "a multiple of 256, of 256 at least");
  want(page >= 1 && page <= settings.cells, "page", page, "from 1 to the number of cells");
  want(settings.step_tokens >= Tokens(1) && settings.step_tokens <= Tokens(settings.cells),
       "step_tokens", settings.step_tokens.count(), "from 1 to the number of cells");
  const auto most = static_cast<std::int64_t>(llama_max_parallel_sequences());
  want(settings.sequences >= 1 && settings.sequences <= most &&
           Tokens(settings.sequences) <= settings.step_tokens,
       "sequences", settings.sequences,
       "from 1 to step_tokens and to " + std::to_string(most) + ", which llama.cpp can have");
  want(settings.step_sequences >= 1 && settings.step_sequences <= settings.sequences,
       "step_sequences", settings.step_sequences, "from 1 to sequences");
  if (const auto most_tokens = options.max_context) {
    want(*most_tokens >= Tokens(1), "max_context", most_tokens->count(), "1 or more");
  }
  want(settings.threads >= 1, "threads", settings.threads, "1 or more");
  return faults;
}

}  // namespace

mais::Result<std::unique_ptr<LlamaEngine>> LlamaEngine::make(LlamaOptions options) {
  MAIS_EXPECTS(options.budgets.ledger != nullptr, "an engine needs a ledger");
  if (const auto faults = faults_of(options); !faults.empty()) {
    return mais::fail(mais::ErrorCode::invalid_argument, to_string(faults));
  }
  auto expected = llama_server::forecast(options.settings);
  if (!expected) return tl::unexpected<mais::Error>(std::move(expected.error()));
  auto rehearsal = LoadedModel::load(options.settings, Extent::rehearsal);
  if (!rehearsal) return tl::unexpected<mais::Error>(std::move(rehearsal.error()));
  if (rehearsal->sizes().compute == Bytes(0) || rehearsal->sizes().state == Bytes(0)) {
    return mais::fail(mais::ErrorCode::unavailable,
                      "this version of llama.cpp does not log the sizes of its buffers");
  }
  auto tokenizer = gguf_tokenizer(options.settings.path);
  if (!tokenizer) return tl::unexpected<mais::Error>(std::move(tokenizer.error()));
  return std::make_unique<GgufDecoder>(std::move(options), std::move(*expected), *rehearsal,
                                       std::move(*tokenizer));
}

}  // namespace llama_server
