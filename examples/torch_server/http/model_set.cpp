#include "model_set.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "tokenizer.hpp"
#include "transformer_engine.hpp"

namespace torch_server {

using mais::Bytes;
using mais::Tokens;

ModelSet::ModelSet(const ModelSetOptions& options)
    : options_(options),
      shared_(ledger_, {.quantum = Bytes(4096), .shards = 2}),
      root_(ledger_.root(ledger_.add_space("engines", options.memory))) {}

EngineBudgets ModelSet::add_budget(const std::string& name) {
  const auto account = [&](const char* part) {
    return shared_.exclusively([&](mais::core::Ledger& ledger) {
      return *ledger.add_account(root_, {.name = name + " " + part});
    });
  };
  Budget& budget = budgets_.emplace_back();
  budget.state = account("state");
  budget.weights =
      std::make_unique<mais::memory::BudgetedResource>(shared_.open(account("weights")));
  budget.workspace =
      std::make_unique<mais::memory::BudgetedResource>(shared_.open(account("workspace")));
  return {.weights = budget.weights.get(),
          .workspace = budget.workspace.get(),
          .ledger = &shared_,
          .state_source = &source_,
          .state = budget.state};
}

mais::Result<std::unique_ptr<Engine>> ModelSet::make_one(const ModelArgument& model,
                                                         std::int64_t pages) {
  auto weights = weights_of(model);
  if (!weights) return tl::unexpected<mais::Error>(std::move(weights.error()));
  EngineBudgets budgets = add_budget(model.name);
  if (model.role == Role::encoder) {
    return make_encoder({.name = model.name, .shape = model.shape, .budgets = budgets},
                        std::move(*weights));
  }
  const Bytes page = state_per_token(model.shape) * options_.page.count();
  // Random weights mean nothing when they say that the text ends.
  std::optional<Token> end_of_text;
  if (!model.folder.empty()) end_of_text = ByteTokenizer::kEndOfText;
  return make_decoder({.name = model.name,
                       .shape = model.shape,
                       .budgets = budgets,
                       .page = options_.page,
                       .pages = pages,
                       .pages_ahead = 0,
                       .slab = page,
                       .end_of_text = end_of_text},
                      std::move(*weights));
}

// As host_config.cpp reserves it.
Bytes ModelSet::fixed_bytes(const EngineInfo& info) const {
  Tokens tokens = options_.max_step_tokens;
  if (!info.model.shape_buckets.empty()) {
    tokens = std::max(tokens, info.model.shape_buckets.back());
  }
  return info.model.weights + info.model.workspace.bytes(tokens, options_.max_sequences, tokens);
}

mais::Result<std::unique_ptr<ModelSet>> ModelSet::make(std::span<const ModelArgument> models,
                                                       const ModelSetOptions& options) {
  std::unique_ptr<ModelSet> set(new ModelSet(options));
  Bytes fixed;
  std::int64_t decoders = 0;
  for (const ModelArgument& model : models) {  // what each is, apart from its pages
    auto engine = set->make_one(model, 1);
    if (!engine) return tl::unexpected<mais::Error>(std::move(engine.error()));
    fixed += set->fixed_bytes((*engine)->info());
    if (model.role == Role::decoder) ++decoders;
  }
  Bytes longest;  // pages of one sequence of the longest context, of each decoder
  for (const ModelArgument& model : models) {
    if (model.role == Role::decoder) {
      longest += state_per_token(model.shape) * model.shape.max_context;
    }
  }
  // Without room for a sequence that a client may ask for, every such request would be refused.
  if (options.memory < fixed + longest) {
    return mais::fail(mais::ErrorCode::over_capacity,
                      "weights and workspace take " + std::to_string(fixed.count()) +
                          " bytes and one sequence of each model " +
                          std::to_string(longest.count()) + "; a memory of " +
                          std::to_string(options.memory.count()) + " bytes is too small");
  }
  const Bytes left = options.memory - std::min(fixed, options.memory);
  for (const ModelArgument& model : models) {
    const Bytes page = state_per_token(model.shape) * options.page.count();
    const Bytes sure = decoders > 0 ? left / 2 / decoders : Bytes(0);
    const std::int64_t pages =
        std::max<std::int64_t>(1, (left - sure * (decoders - 1)).count() / page.count());
    auto engine = set->make_one(model, pages);
    if (!engine) return tl::unexpected<mais::Error>(std::move(engine.error()));
    const mais::ModelId id(static_cast<std::uint32_t>(set->infos_.size()));
    set->infos_.push_back((*engine)->info());
    if (model.role == Role::decoder) set->infos_.back().pages_ahead = sure.count() / page.count();
    set->served_.push_back({.name = model.name,
                            .id = id,
                            .embeds = model.role == Role::encoder,
                            .max_context = model.shape.max_context,
                            .vocabulary = model.shape.vocabulary});
    set->engines_.push_back(std::move(*engine));
  }
  return set;
}

HostConfigOptions ModelSet::host_options() const {
  return {.memory = options_.memory,
          .max_step_tokens = options_.max_step_tokens,
          .max_sequences = options_.max_sequences,
          .prefix_block = Tokens(options_.page.count())};
}

void ModelSet::tell_memory(GaugeText& text) {
  using Kind = GaugeText::Kind;
  text.metric("torch_server_memory_used_bytes", Kind::gauge, "Bytes that all engines hold.")
      .value(shared_.exclusively([&](mais::core::Ledger& ledger) { return ledger.used(root_); })
                 .count())
      .metric("torch_server_memory_peak_bytes", Kind::gauge, "The most that they held at once.")
      .value(shared_.exclusively([&](mais::core::Ledger& ledger) { return ledger.peak(root_); })
                 .count())
      .metric("torch_server_memory_cap_bytes", Kind::gauge, "What they may hold.")
      .value(options_.memory.count());
}

}  // namespace torch_server
