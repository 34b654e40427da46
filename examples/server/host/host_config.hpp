// The scheduler's configuration for engines that share one memory budget.
#pragma once

#include <memory>
#include <span>

#include "engine.hpp"
#include "mais/config.hpp"
#include "mais/result.hpp"

namespace server {

struct HostConfigOptions {
  mais::Bytes memory{};  // the hard cap of everything that engines hold
  // What the CPU does, for predictions until times are measured.
  mais::FlopsPerSecond compute{5e10};
  mais::BytesPerSecond bandwidth{1e10};
  // What the largest step may be; the workspace is reserved for it.
  mais::Tokens max_step_tokens{512};
  std::int64_t max_sequences = 64;
  // Tokens that one prefix hash names: a multiple of every decoder's page; 0: prefixes off.
  mais::Tokens prefix_block{0};
  mais::BytesPerSecond tier_bandwidth{5e9};  // of copies between pool and host tier
};

// Fills machine, models, instances and prefix_block of `config` from the engines, one instance
// each, in their order; the rest (tenants, queue, policy) is the host's. Of a pool
// EngineInfo::guaranteed_pages are guaranteed; the rest may be lent to other instances. Workspace
// is the engines' bound for the largest step. invalid_argument with all faults of validate(config).
mais::Result<mais::Config> configured(std::span<const EngineInfo> engines,
                                      const HostConfigOptions& options, mais::Config config = {});

}  // namespace server
