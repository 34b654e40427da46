// A synthetic workload for when no trace is at hand: arrivals and lengths drawn from the published
// quantiles of production traces. It is no recording, and every report says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "mais/result.hpp"
#include "mais/sim/trace.hpp"

namespace mais::sim {

enum class WorkloadKind : std::uint8_t {
  // Chat without shared prefixes, lengths as in the Azure LLM inference trace 2023, conversation
  // (Patel et al., Splitwise, ISCA 2024): median 1020 prompt and 129 output tokens.
  conversation,
  // Long prompts in sessions that grow, lengths as in Mooncake's conversation trace (Qin et al.,
  // FAST 2025): median 6909 prompt and 350 output tokens, 512-token prefix blocks.
  long_context,
};

std::string_view to_string(WorkloadKind kind) noexcept;

struct WorkloadOptions {
  WorkloadKind kind = WorkloadKind::conversation;
  std::size_t requests = 4000;
  std::uint64_t seed = 1;
  double rate = 0;         // mean requests per second of a Poisson process; 0: as published
  double continued = 0.4;  // long_context: part of the requests that carry on an earlier session
};

// The same options give the same trace. O(requests + prefix blocks). Any thread.
Trace synthetic_workload(const WorkloadOptions& options = {});

}  // namespace mais::sim
