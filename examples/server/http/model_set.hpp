// The engines of a server, in one budget with a hard cap.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "backend.hpp"
#include "budgets.hpp"
#include "engine.hpp"
#include "engine_maker.hpp"
#include "gauge_text.hpp"
#include "host_config.hpp"
#include "mais/core/ledger.hpp"
#include "mais/memory/budgeted_resource.hpp"
#include "mais/memory/host_source.hpp"
#include "mais/result.hpp"
#include "mais/shared_ledger.hpp"

namespace server {

struct ModelSetOptions {
  mais::Bytes memory{};  // the cap of everything that engines allocate
  mais::Tokens max_step_tokens{256};
  std::int64_t max_sequences = 32;
  mais::TokensPerBlock page{16};
};

// Weights and the workspace of the largest steps come first. What the cap leaves belongs to the
// pages of all decoders: half of it is shared out to be theirs for sure, the other half goes to who
// needs it, and so engines are made that map pages when a step names them. Engines that cannot
// share evenly what one sequence of each leaves, and lend nothing.
class ModelSet {
 public:
  // over_capacity: the cap is too small, with what would do; the errors of the makers.
  static mais::Result<std::unique_ptr<ModelSet>> make(std::span<const EngineMaker> models,
                                                      const ModelSetOptions& options);
  ModelSet(const ModelSet&) = delete;
  ModelSet& operator=(const ModelSet&) = delete;

  // Once. They are not loaded; this outlives them.
  std::vector<std::unique_ptr<Engine>> take_engines() { return std::move(engines_); }
  // As the engines say it, but for guaranteed_pages: what is theirs for sure.
  const std::vector<EngineInfo>& infos() const { return infos_; }
  const std::vector<ServedModel>& served() const { return served_; }
  HostConfigOptions host_options() const;

  // What all engines hold and held at most, and the cap, as metrics.
  void tell_memory(GaugeText& text);

 private:
  struct Budget {
    mais::core::AccountId state{};
    std::unique_ptr<mais::memory::BudgetedResource> weights, workspace;
  };
  explicit ModelSet(const ModelSetOptions& options);
  EngineBudgets add_budget(const std::string& name);
  mais::Bytes fixed_bytes(const EngineInfo& info) const;

  const ModelSetOptions options_;
  mais::core::Ledger ledger_;
  mais::SharedLedger shared_;
  mais::core::AccountId root_;
  mais::memory::HostSource source_;
  std::deque<Budget> budgets_;
  std::vector<std::unique_ptr<Engine>> engines_;
  std::vector<EngineInfo> infos_;
  std::vector<ServedModel> served_;
};

}  // namespace server
