// The planner's state as plain data: what an audit recounts and a person looks at.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "mais/config.hpp"
#include "mais/core/action.hpp"
#include "mais/core/ledger_snapshot.hpp"

namespace mais::core {

enum class RequestPhase : std::uint8_t {
  waiting,  // queued, holds nothing of the pool (after a swap: pages of the host tier)
  running,  // has a place on an instance and holds pages
  leased,   // holds bytes of a space
  ended,    // ended while a step with it is under way; holds its pages until the report
};

struct RequestView {
  RequestId request{};
  RequestPhase phase = RequestPhase::waiting;
  std::optional<InstanceId> instance{};
  TenantId tenant{};
  ServiceClass service_class = ServiceClass::streaming;
  Tokens prompt{}, max_new{};
  Tokens generated{};  // tokens emitted so far
  Tokens computed{};   // tokens whose state is in the pool
  std::uint32_t preemptions = 0;
  std::uint32_t preemptions_without_progress = 0;  // since it last emitted a token
  std::vector<std::uint32_t> blocks{};       // pages of the pool, shared ones included, in order
  std::vector<std::uint32_t> host_blocks{};  // pages of the host tier
  Bytes state{};                             // bytes of state it is charged with alone
  Bytes leased{};
  SpaceId space{};  // of a lease
  bool in_step = false;
};

// A page of the pool that belongs to the prefix cache.
struct CachedBlockView {
  std::uint32_t block = 0;
  std::uint32_t users = 0;  // running sequences that share it; 0: kept for later, revocable
};

struct InstanceView {
  bool lost = false;
  Bytes state_limit{};  // now; lower than configured after failures
  Bytes page_bytes{};
  std::uint32_t pages = 0;  // ids are 0 ... pages - 1
  std::vector<std::uint32_t> free_pages{};
  std::vector<CachedBlockView> cached{};
  std::uint32_t host_pages = 0;  // of the host tier; ids are 0 ... host_pages - 1
  std::vector<std::uint32_t> host_free_pages{};
  std::vector<std::uint32_t> host_cached{};  // pages of blocks that are kept there
  std::optional<AccountId> host_account{};   // where the tier is charged, in `ledger`
  std::optional<Step> step{};                // under way
  std::size_t waiting = 0;
  AccountId state_account{};  // where its state is charged, in `ledger`
};

struct PlannerView {
  Time now{};
  std::vector<RequestView> requests{};  // that have not ended, or still hold something
  std::vector<InstanceView> instances{};
  LedgerSnapshot ledger{};
  std::uint64_t submitted = 0, finished = 0, refused = 0, expired = 0, cancelled = 0;
};

// The few figures that a picture or a gauge wants of an instance at every step.
struct InstanceLoad {
  std::size_t waiting = 0;
  std::size_t running = 0;
  Bytes state_used{};    // held by sequences, shared pages once
  Bytes state_cached{};  // kept for reuse, revocable
  Bytes state_limit{};
  Bytes host_used{};
  std::uint64_t preemptions = 0;        // since the start, like the next four
  std::uint64_t recomputed_tokens = 0;  // computed more than once
  std::uint64_t prompt_tokens = 0;      // of requests started
  std::uint64_t prefix_hits = 0;        // tokens among them found in the cache
  std::uint64_t swapped_tokens = 0;     // of preempted sequences, kept in the host tier
};

}  // namespace mais::core
