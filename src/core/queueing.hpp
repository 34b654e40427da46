// What both batchers and the lease desk say to their queues in the same words.
#pragma once

#include "core/sequence.hpp"
#include "mais/config.hpp"

namespace mais::core {

inline void declare_tenants(AdmissionQueue& queue, const std::vector<Tenant>& tenants) {
  for (std::uint32_t i = 0; i < tenants.size(); ++i) {
    queue.set_tenant(TenantId(i),
                     {.weight = tenants[i].weight, .max_queued = tenants[i].max_queued});
  }
}

inline QueuedRequest queued(const Sequence& sequence, std::int64_t rank, std::int64_t work) {
  QueuedRequest request{.id = sequence.id,
                        .tenant = sequence.tenant,
                        .service_class = sequence.service_class,
                        .late = sequence.late,
                        .arrival = sequence.arrival,
                        .rank = rank,
                        .work = Tokens(work)};
  if (sequence.expires != kNever) request.expires = sequence.expires;
  return request;
}

inline Refusal refusal_of(const QueueRefusal& why) {
  Refusal refusal{.reason = RefusalReason::queue_full,
                  .asked = static_cast<std::int64_t>(why.queued),
                  .available = static_cast<std::int64_t>(why.limit),
                  .retry_after = why.estimated_wait};
  if (why.reason == QueueRefusal::Reason::tenant_full) {
    refusal.reason = RefusalReason::tenant_queue_full;
  } else if (why.reason == QueueRefusal::Reason::unknown_tenant) {
    refusal.reason = RefusalReason::unknown_tenant;
  }
  return refusal;
}

// Queues the request, or says which bound it meets.
inline std::optional<Refusal> push(AdmissionQueue& queue, Sequence& sequence, std::int64_t rank,
                                   std::int64_t work) {
  const auto handle = queue.push(queued(sequence, rank, work));
  if (!handle) return refusal_of(handle.error());
  sequence.handle = *handle;
  sequence.phase = RequestPhase::waiting;
  return std::nullopt;
}

// An action about a request, with what every action says.
inline Action action_of(const Sequence& sequence, ActionKind kind,
                        std::optional<InstanceId> instance = std::nullopt) {
  return {.kind = kind, .request = sequence.id, .tag = sequence.tag, .instance = instance};
}

// Ends a request that was accepted before, and is in no queue any more. It is gone afterwards.
inline void refuse(Context& context, Sequence& sequence, const Refusal& why,
                   std::optional<InstanceId> instance = std::nullopt) {
  Action action = action_of(sequence, ActionKind::refused, instance);
  action.refusal = why;
  context.out.list.push_back(action);
  context.sequences.remove(sequence);
}

}  // namespace mais::core
