// What of each type is in a journal: all of it. The bindings name every member, so that a type that
// gets another one does not compile here before it is written, too, and the version counted up.
#pragma once

#include <type_traits>
#include <variant>

#include "mais/config.hpp"
#include "mais/core/action.hpp"
#include "mais/observer.hpp"
#include "shell/journal_archive.hpp"

namespace mais::shell {

template <>
struct LastOf<SpaceKind> : std::integral_constant<SpaceKind, SpaceKind::disk> {};
template <>
struct LastOf<DeviceKind> : std::integral_constant<DeviceKind, DeviceKind::gpu> {};
template <>
struct LastOf<Batching> : std::integral_constant<Batching, Batching::request> {};
template <>
struct LastOf<ClassOrder> : std::integral_constant<ClassOrder, ClassOrder::weighted> {};
template <>
struct LastOf<MemoryPolicy> : std::integral_constant<MemoryPolicy, MemoryPolicy::projected> {};
template <>
struct LastOf<OrderPolicy> : std::integral_constant<OrderPolicy, OrderPolicy::triage> {};
template <>
struct LastOf<StepPolicy> : std::integral_constant<StepPolicy, StepPolicy::paced> {};
template <>
struct LastOf<ServiceClass> : std::integral_constant<ServiceClass, ServiceClass::batch> {};
template <>
struct LastOf<RefusalReason> : std::integral_constant<RefusalReason, RefusalReason::instance_lost> {
};
template <>
struct LastOf<core::ActionKind>
    : std::integral_constant<core::ActionKind, core::ActionKind::granted> {};
template <>
struct LastOf<core::RouteReason>
    : std::integral_constant<core::RouteReason, core::RouteReason::only_fit> {};
template <>
struct LastOf<core::StateMove::Kind>
    : std::integral_constant<core::StateMove::Kind, core::StateMove::Kind::in> {};
template <>
struct LastOf<core::StepReport::Outcome>
    : std::integral_constant<core::StepReport::Outcome,
                             core::StepReport::Outcome::allocation_failed> {};
template <class Number>
requires std::same_as<Number, RequestId> || std::same_as<Number, core::StepId>
struct LastOf<Number> : std::integral_constant<std::uint64_t, ~std::uint64_t{0}> {
};

// A type, const when it is written.
template <class Value, class Of>
concept Is = std::same_as<std::remove_const_t<Value>, Of>;

// --- The configuration ---

template <class Archive, class Value>
requires Is<Value, BytesPerSecond> || Is<Value, FlopsPerSecond>
void fields(Archive& archive, Value& rate) {
  archive(rate.value);
}
template <class Archive, Is<Space> Value>
void fields(Archive& archive, Value& space) {
  auto& [name, kind, capacity, bandwidth, numa_node] = space;
  archive(name, kind, capacity, bandwidth, numa_node);
}
template <class Archive, Is<Device> Value>
void fields(Archive& archive, Value& device) {
  auto& [name, kind, space, compute] = device;
  archive(name, kind, space, compute);
}
template <class Archive, Is<Link> Value>
void fields(Archive& archive, Value& link) {
  auto& [from, to, bandwidth, latency] = link;
  archive(from, to, bandwidth, latency);
}
template <class Archive, Is<Machine> Value>
void fields(Archive& archive, Value& machine) {
  auto& [name, spaces, devices, links] = machine;
  archive(name, spaces, devices, links);
}
template <class Archive, Is<StateGroup> Value>
void fields(Archive& archive, Value& group) {
  auto& [name, per_token, window, fixed] = group;
  archive(name, per_token, window, fixed);
}
template <class Archive, Is<Workspace> Value>
void fields(Archive& archive, Value& workspace) {
  auto& [fixed, per_token, per_sequence, per_context_token] = workspace;
  archive(fixed, per_token, per_sequence, per_context_token);
}
template <class Archive, Is<StepCost> Value>
void fields(Archive& archive, Value& cost) {
  auto& [flops_per_token, attention, weights_read, state_read, overhead] = cost;
  archive(flops_per_token, attention, weights_read, state_read, overhead);
}
template <class Archive, Is<Model> Value>
void fields(Archive& archive, Value& model) {
  auto& [name, batching, weights, state, workspace, cost, max_context, buckets] = model;
  archive(name, batching, weights, state, workspace, cost, max_context, buckets);
}
template <class Archive, Is<Instance> Value>
void fields(Archive& archive, Value& instance) {
  auto& [name, model, device, state, guaranteed, workspace, block, host_tier, host_state, sequences,
         step_tokens] = instance;
  archive(name, model, device, state, guaranteed, workspace, block, host_tier, host_state,
          sequences, step_tokens);
}
template <class Archive, Is<Tenant> Value>
void fields(Archive& archive, Value& tenant) {
  auto& [name, weight, guarantee, limit, max_queued] = tenant;
  archive(name, weight, guarantee, limit, max_queued);
}
template <class Archive, Is<Deadlines> Value>
void fields(Archive& archive, Value& deadlines) {
  auto& [ttft, tpot, completion] = deadlines;
  archive(ttft, tpot, completion);
}
template <class Archive, Is<ClassPolicy> Value>
void fields(Archive& archive, Value& policy) {
  auto& [weight, patience, max_queued, deadlines] = policy;
  archive(weight, patience, max_queued, deadlines);
}
template <class Archive, Is<QueueConfig> Value>
void fields(Archive& archive, Value& queue) {
  auto& [order, classes, max_queued, overdue_every, max_bypass] = queue;
  archive(order, classes, max_queued, overdue_every, max_bypass);
}
template <class Archive, Is<Policy> Value>
void fields(Archive& archive, Value& policy) {
  auto& [memory, order, step, token_budget, batch_wait, overdue_after, overdue_share, refuse, pause,
         share, swap, learn] = policy;
  archive(memory, order, step, token_budget, batch_wait, overdue_after, overdue_share, refuse,
          pause, share, swap, learn);
}
template <class Archive, Is<Config> Value>
void fields(Archive& archive, Value& config) {
  auto& [machine, models, instances, tenants, queue, policy, prefix_block, max_requests] = config;
  archive(machine, models, instances, tenants, queue, policy, prefix_block, max_requests);
}

// --- Events ---

template <class Archive, Is<Request> Value>
void fields(Archive& archive, Value& request) {
  auto& [model, tenant, service_class, prompt, max_new, deadlines, give_up, prefix, space, bytes,
         tag] = request;
  archive(model, tenant, service_class, prompt, max_new, deadlines, give_up, prefix, space, bytes,
          tag);
}
template <class Archive, Is<core::StepReport> Value>
void fields(Archive& archive, Value& report) {
  auto& [step, outcome, took, finished, missing] = report;
  archive(step, outcome, took, finished, missing);
}
template <class Archive, class Value>
requires Is<Value, core::event::Submit> || Is<Value, core::event::Cancel> ||
    Is<Value, core::event::GiveBack> || Is<Value, core::event::NextStep> ||
    Is<Value, core::event::Report> || Is<Value, core::event::InstanceLost> ||
    Is<Value, core::event::InstanceBack>
void fields(Archive& archive, Value& event) {
  auto& [what] = event;
  archive(what);
}
template <class Archive, Is<core::event::MemoryMeasured> Value>
void fields(Archive& archive, Value& event) {
  auto& [space, foreign] = event;
  archive(space, foreign);
}
template <class Archive, Is<core::event::LimitChanged> Value>
void fields(Archive& archive, Value& event) {
  auto& [instance, state] = event;
  archive(instance, state);
}
template <class Archive, Is<core::event::TenantLimitChanged> Value>
void fields(Archive& archive, Value& event) {
  auto& [tenant, limit] = event;
  archive(tenant, limit);
}
template <class Archive, Is<core::event::Tick> Value>
void fields(Archive&, Value&) {}
template <class Archive, Is<core::event::MovesMeasured> Value>
void fields(Archive& archive, Value& event) {
  auto& [instance, kind, pages, took] = event;
  archive(instance, kind, pages, took);
}

// A variant: its index, then what it holds.
inline void fields(ArchiveWriter& archive, const core::Event& event) {
  archive(static_cast<std::uint32_t>(event.index()));
  std::visit([&](const auto& held) { archive(held); }, event);
}
template <std::size_t kIndex = 0>
void read_alternative(ArchiveReader& archive, core::Event& event, std::size_t index) {
  if constexpr (kIndex == std::variant_size_v<core::Event>) {
    archive.refuse("an event is none of those there are");
  } else if (index == kIndex) {
    archive(event.emplace<kIndex>());
  } else {
    read_alternative<kIndex + 1>(archive, event, index);
  }
}
inline void fields(ArchiveReader& archive, core::Event& event) {
  std::uint32_t index = 0;
  archive(index);
  read_alternative(archive, event, index);
}

// --- What came of them ---

template <class Archive, Is<Refusal> Value>
void fields(Archive& archive, Value& refusal) {
  auto& [reason, asked, available, retry_after] = refusal;
  archive(reason, asked, available, retry_after);
}
// What an action does not use is at its default, and left out.
template <class Archive, Is<core::Action> Value>
void fields(Archive& archive, Value& action) {
  auto& [kind, request, tag, instance, why, refusal, space, bytes] = action;
  archive(kind, request, tag, instance);
  if (kind == core::ActionKind::accepted) archive(why);
  if (kind == core::ActionKind::refused) archive(refusal);
  if (kind == core::ActionKind::granted) archive(space);
  if (kind == core::ActionKind::granted || kind == core::ActionKind::preempted) archive(bytes);
}
template <class Archive, Is<core::StepEntry> Value>
void fields(Archive& archive, Value& entry) {
  auto& [request, tag, context, tokens, emits, restarts, first_block, block_count] = entry;
  archive(request, tag, context, tokens, emits, restarts, first_block, block_count);
}
template <class Archive, Is<core::StateMove> Value>
void fields(Archive& archive, Value& move) {
  auto& [kind, block, host_block] = move;
  archive(kind, block, host_block);
}
template <class Archive, Is<core::Step> Value>
void fields(Archive& archive, Value& step) {
  auto& [id, instance, entries, blocks, moves, padded, workspace, predicted] = step;
  archive(id, instance, entries, blocks, moves, padded, workspace, predicted);
}

inline bool nothing_in(const core::Step& step) noexcept {
  return step.entries.empty() && step.moves.empty();
}

}  // namespace mais::shell
