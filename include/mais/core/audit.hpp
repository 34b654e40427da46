// Recounts a planner from its view, the plain way, and shares no code with it.
#pragma once

#include <string>
#include <vector>

#include "mais/config.hpp"
#include "mais/core/view.hpp"

namespace mais::core {

// Every fault of the planner's state, one sentence each; empty when all is right. Checked:
//   pages       each page of a pool is free, or of one sequence, or of the prefix cache, never two
//               of these; none beyond the pool; none twice in a block table; a page that sequences
//               share is the cache's, which counts as many users as there are
//   bytes       each sequence is charged for its own pages and state, each tenant for its
//               sequences, the cache for its pages, each step for its workspace, each instance for
//               its weights, each lease for its bytes; nothing else is charged; and the ledger
//               itself is right (core/ledger_audit.hpp), so that no limit is passed
//   sequences   nothing is computed that no page holds; whoever waits holds nothing of the pool;
//               lengths stay within their bounds; a lost instance has nobody and holds nothing
//   steps       the step under way and the flags of those in it agree, token for token
//   progress    nobody is preempted many times without a token in between
//   counts      every submitted request is present or has ended, in exactly one way
// O(everything), allocates. Pure: any thread, on its own view.
std::vector<std::string> audit(const PlannerView& view, const Config& config);

// How often a sequence may lose its place before its next token, by pressure that is not of its own
// making (limits that fall again and again) included.
inline constexpr std::uint32_t kMostPreemptionsWithoutProgress = 32;

}  // namespace mais::core
