#include "model_set.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace server {

using mais::Bytes;
using mais::Tokens;

namespace {

bool is_encoder(const EngineInfo& info) {
  return info.model.batching == mais::Batching::request;
}
Bytes page_of(const EngineInfo& info) {
  return info.model.page_bytes(info.page);
}
// Pages of one sequence of the longest context.
Bytes longest_of(const EngineInfo& info) {
  const std::int64_t page = info.page.count();
  return page_of(info) * ((info.model.max_context->count() + page - 1) / page);
}

}  // namespace

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
  const mais::core::AccountId weights = account("weights"), workspace = account("workspace");
  budget.state = account("state");
  budget.weights = std::make_unique<mais::memory::BudgetedResource>(shared_.open(weights));
  budget.workspace = std::make_unique<mais::memory::BudgetedResource>(shared_.open(workspace));
  return {.weights = budget.weights.get(),
          .workspace = budget.workspace.get(),
          .weights_account = weights,
          .workspace_account = workspace,
          .ledger = &shared_,
          .state_source = &source_,
          .state = budget.state};
}

// As host_config.cpp reserves it.
Bytes ModelSet::fixed_bytes(const EngineInfo& info) const {
  Tokens tokens = options_.max_step_tokens;
  if (!info.model.shape_buckets.empty()) {
    tokens = std::max(tokens, info.model.shape_buckets.back());
  }
  return info.model.weights + info.model.workspace.bytes(tokens, options_.max_sequences, tokens);
}

mais::Result<std::unique_ptr<ModelSet>> ModelSet::make(std::span<const EngineMaker> models,
                                                       const ModelSetOptions& options) {
  std::unique_ptr<ModelSet> set(new ModelSet(options));
  std::vector<EngineRoom> rooms;
  std::vector<EngineInfo> plain;  // what each is, apart from its pages
  Bytes fixed;
  Bytes longest;  // of all decoders
  std::int64_t decoders = 0;
  for (const EngineMaker& model : models) {
    rooms.push_back({.budgets = set->add_budget(model.name),
                     .page = options.page,
                     .max_step_tokens = options.max_step_tokens,
                     .max_sequences = options.max_sequences});
    auto engine = model.make(rooms.back());
    if (!engine) return tl::unexpected<mais::Error>(std::move(engine.error()));
    const EngineInfo& info = plain.emplace_back((*engine)->info());
    MAIS_EXPECTS(info.model.max_context, "a model that is served says how long a context may be");
    fixed += set->fixed_bytes(info);
    if (is_encoder(info)) continue;
    ++decoders;
    longest += longest_of(info);
  }
  // Without room for a sequence that a client may ask for, every such request would be refused.
  if (options.memory < fixed + longest) {
    return mais::fail(mais::ErrorCode::over_capacity,
                      "weights and workspace take " + std::to_string(fixed.count()) +
                          " bytes and one sequence of each model " +
                          std::to_string(longest.count()) + "; a memory of " +
                          std::to_string(options.memory.count()) + " bytes is too small");
  }
  const Bytes left = options.memory - fixed;
  const Bytes sure = decoders > 0 ? left / 2 / decoders : Bytes(0);
  for (std::size_t i = 0; i < models.size(); ++i) {
    const EngineInfo& one = plain[i];
    std::int64_t sure_pages = 0;
    if (!is_encoder(one)) {
      const Bytes most = one.maps_pages_ahead ? longest_of(one) + (left - longest) / decoders
                                              : left - sure * (decoders - 1);
      rooms[i].pages = std::max<std::int64_t>(1, most.count() / page_of(one).count());
      sure_pages = sure.count() / page_of(one).count();
    }
    auto engine = models[i].make(rooms[i]);
    if (!engine) return tl::unexpected<mais::Error>(std::move(engine.error()));
    EngineInfo& info = set->infos_.emplace_back((*engine)->info());
    if (!info.maps_pages_ahead) info.guaranteed_pages = sure_pages;
    set->served_.push_back({.name = models[i].name,
                            .id = mais::ModelId(static_cast<std::uint32_t>(i)),
                            .embeds = is_encoder(info),
                            .max_context = info.model.max_context->count(),
                            .vocabulary = info.vocabulary,
                            .tokenizer = (*engine)->tokenizer()});
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
  text.metric("server_memory_used_bytes", Kind::gauge, "Bytes that all engines hold.")
      .value(shared_.exclusively([&](mais::core::Ledger& ledger) { return ledger.used(root_); })
                 .count())
      .metric("server_memory_peak_bytes", Kind::gauge, "The most that they held at once.")
      .value(shared_.exclusively([&](mais::core::Ledger& ledger) { return ledger.peak(root_); })
                 .count())
      .metric("server_memory_cap_bytes", Kind::gauge, "What they may hold.")
      .value(options_.memory.count());
}

}  // namespace server
