// What a host asks for, and the typed refusals it may get.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mais/service_class.hpp"
#include "mais/units.hpp"

namespace mais {

// Goals, each counted from the moment the request was submitted. What is not set is not promised.
struct Deadlines {
  std::optional<Duration> ttft{};        // time to first token (iteration batching)
  std::optional<Duration> tpot{};        // mean time per output token after the first
  std::optional<Duration> completion{};  // until the last token, or the result of a batch
};

// A hash of a block of prompt tokens together with all that stands before it, so that equal hashes
// mean equal prefixes.
using BlockHash = std::uint64_t;

// A unit of work. One of three kinds, by the model it names: a sequence for iteration batching
// (prompt, max_new), an item for request batching (prompt = its length), or, without a model, a
// lease of plain bytes on a space (bytes, space).
struct Request {
  std::optional<ModelId> model{};
  TenantId tenant{};
  ServiceClass service_class = ServiceClass::streaming;
  Tokens prompt{};        // >= 1 where a model is named
  Tokens max_new{};       // upper bound of generated tokens, >= 1 for iteration batching
  Deadlines deadlines{};  // what is unset comes from the class's defaults
  std::optional<Duration> give_up{};  // expires when not started this long after submission
  std::vector<BlockHash> prefix{};    // of whole blocks of Config::prefix_block tokens, in order
  std::optional<SpaceId> space{};     // lease: where
  Bytes bytes{};                      // lease: how much
  std::uint64_t tag = 0;              // the host's own, returned with every action
};

// Why a request was not taken, or not kept.
enum class RefusalReason : std::uint8_t {
  invalid_request,  // a field is out of range
  unknown_model,    // no instance runs it
  unknown_tenant,
  can_never_fit,        // larger than any instance or space could ever hold
  queue_full,           // bound of the whole queue or of the class
  tenant_queue_full,    // the tenant's bound
  tenant_over_limit,    // larger than the tenant's own limit
  deadline_impossible,  // even alone on the machine it would be late
  instance_lost,        // the only instance that could run it is gone
};

struct Refusal {
  RefusalReason reason = RefusalReason::invalid_request;
  std::int64_t asked = 0;                 // bytes, tokens, requests or nanoseconds, by reason
  std::int64_t available = 0;             // the bound it met, in the same unit
  std::optional<Duration> retry_after{};  // an estimate of when a place is free, where there is one
};

std::string_view to_string(RefusalReason reason) noexcept;
// One sentence with the numbers and what would help.
std::string to_string(const Refusal& refusal);

}  // namespace mais
