// The fields of machine, model and configuration as they stand in JSON, named once for reading and
// writing. A struct that grows gets one line here.
#pragma once

#include <string>
#include <vector>

#include "files/json_archive.hpp"
#include "mais/config.hpp"

namespace mais::files {

template <class Named>
std::vector<std::string> names_of(const std::vector<Named>& list) {
  std::vector<std::string> names;
  names.reserve(list.size());
  for (const Named& item : list) names.push_back(item.name);
  return names;
}

template <Archive A>
void describe(A& archive, Machine& machine) {
  archive.field("name", machine.name);
  archive.list("spaces", machine.spaces, [](A& item, Space& space) {
    item.required("name", space.name);
    item.field("kind", space.kind);
    item.required("capacity", space.capacity);
    item.field("bandwidth", space.bandwidth);
    item.field("numa_node", space.numa_node);
  });
  const std::vector<std::string> spaces = names_of(machine.spaces);
  archive.list("devices", machine.devices, [&](A& item, Device& device) {
    item.required("name", device.name);
    item.field("kind", device.kind);
    item.reference("space", device.space, spaces);
    item.field("compute", device.compute);
  });
  archive.list("links", machine.links, [&](A& item, Link& link) {
    item.reference("from", link.from, spaces);
    item.reference("to", link.to, spaces);
    item.required("bandwidth", link.bandwidth);
    item.field("latency", link.latency);
  });
}

template <Archive A>
void describe(A& archive, Model& model) {
  archive.required("name", model.name);
  archive.field("batching", model.batching);
  archive.field("weights", model.weights);
  archive.list("state", model.state, [](A& item, StateGroup& group) {
    item.field("name", group.name);
    item.field("per_token", group.per_token);
    item.field("window", group.window);
    item.field("fixed", group.fixed);
  });
  archive.object("workspace", model.workspace, [](A& inner, Workspace& workspace) {
    inner.field("fixed", workspace.fixed);
    inner.field("per_token", workspace.per_token);
    inner.field("per_sequence", workspace.per_sequence);
    inner.field("per_context_token", workspace.per_context_token);
  });
  archive.object("cost", model.cost, [](A& inner, StepCost& cost) {
    inner.field("flops_per_token", cost.flops_per_token);
    inner.field("attention_flops_per_pair", cost.attention_flops_per_pair);
    inner.field("weights_read", cost.weights_read);
    inner.field("state_read", cost.state_read);
    inner.field("overhead", cost.overhead);
  });
  archive.field("max_context", model.max_context);
  archive.values("shape_buckets", model.shape_buckets);
}

template <Archive A>
void describe(A& archive, Deadlines& deadlines) {
  archive.field("ttft", deadlines.ttft);
  archive.field("tpot", deadlines.tpot);
  archive.field("completion", deadlines.completion);
}

template <Archive A>
void describe(A& archive, QueueConfig& queue) {
  archive.field("order", queue.order);
  archive.object("classes", queue.classes, [](A& classes, auto& policies) {
    for (const ServiceClass c : kAllServiceClasses) {
      classes.object(to_string(c), policies[static_cast<std::size_t>(c)],
                     [](A& inner, ClassPolicy& policy) {
                       inner.field("weight", policy.weight);
                       inner.field("patience", policy.patience);
                       inner.field("max_queued", policy.max_queued);
                       inner.object("deadlines", policy.deadlines,
                                    [](A& d, Deadlines& deadlines) { describe(d, deadlines); });
                     });
    }
  });
  archive.field("max_queued", queue.max_queued);
  archive.field("overdue_every", queue.overdue_every);
  archive.field("max_bypass", queue.max_bypass);
}

template <Archive A>
void describe(A& archive, Policy& policy) {
  archive.field("memory", policy.memory);
  archive.field("order", policy.order);
  archive.field("step", policy.step);
  archive.field("token_budget", policy.token_budget);
  archive.field("batch_wait", policy.batch_wait);
  archive.field("overdue_after", policy.overdue_after);
  archive.field("overdue_share", policy.overdue_share);
  archive.field("refuse_hopeless", policy.refuse_hopeless);
  archive.field("pause_late", policy.pause_late);
  archive.field("share_prefixes", policy.share_prefixes);
  archive.field("swap", policy.swap);
  archive.field("learn_costs", policy.learn_costs);
}

template <Archive A>
void describe(A& archive, Config& config) {
  archive.object("machine", config.machine, [](A& a, Machine& machine) { describe(a, machine); });
  archive.list("models", config.models, [](A& a, Model& model) { describe(a, model); });
  const std::vector<std::string> spaces = names_of(config.machine.spaces);
  const std::vector<std::string> devices = names_of(config.machine.devices);
  const std::vector<std::string> models = names_of(config.models);
  archive.list("instances", config.instances, [&](A& item, Instance& instance) {
    item.required("name", instance.name);
    item.reference("model", instance.model, models);
    item.reference("device", instance.device, devices);
    item.field("state", instance.state);
    item.field("guaranteed_state", instance.guaranteed_state);
    item.field("workspace", instance.workspace);
    item.field("block", instance.block);
    item.reference("host_tier", instance.host_tier, spaces);
    item.field("host_state", instance.host_state);
    item.field("max_sequences", instance.max_sequences);
    item.field("max_step_tokens", instance.max_step_tokens);
  });
  archive.list("tenants", config.tenants, [](A& item, Tenant& tenant) {
    item.required("name", tenant.name);
    item.field("weight", tenant.weight);
    item.field("guarantee", tenant.guarantee);
    item.field("limit", tenant.limit);
    item.field("max_queued", tenant.max_queued);
  });
  archive.object("queue", config.queue, [](A& a, QueueConfig& queue) { describe(a, queue); });
  archive.object("policy", config.policy, [](A& a, Policy& policy) { describe(a, policy); });
  archive.field("prefix_block", config.prefix_block);
  archive.field("max_requests", config.max_requests);
}

}  // namespace mais::files
