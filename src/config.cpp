#include "mais/config.hpp"

#include <set>

namespace mais {

std::string_view to_string(MemoryPolicy policy) noexcept {
  switch (policy) {
    case MemoryPolicy::no_evict:
      return "no_evict";
    case MemoryPolicy::optimistic:
      return "optimistic";
    case MemoryPolicy::projected:
      return "projected";
  }
  return "unknown";
}

std::string_view to_string(OrderPolicy policy) noexcept {
  switch (policy) {
    case OrderPolicy::arrival:
      return "arrival";
    case OrderPolicy::deadline:
      return "deadline";
    case OrderPolicy::triage:
      return "triage";
    case OrderPolicy::shortest:
      return "shortest";
  }
  return "unknown";
}

std::string_view to_string(StepPolicy policy) noexcept {
  switch (policy) {
    case StepPolicy::budget:
      return "budget";
    case StepPolicy::paced:
      return "paced";
  }
  return "unknown";
}

std::string_view to_string(ClassOrder order) noexcept {
  return order == ClassOrder::strict ? "strict" : "weighted";
}

namespace {

class Checks {
 public:
  explicit Checks(std::vector<Fault>& faults) : faults_(faults) {}

  void require(bool right, std::string path, std::string problem, std::string remedy) {
    if (!right) faults_.push_back({std::move(path), std::move(problem), std::move(remedy)});
  }
  void nest(const std::vector<Fault>& inner, const std::string& prefix) {
    for (const Fault& fault : inner) {
      faults_.push_back({prefix + '.' + fault.path, fault.problem, fault.remedy});
    }
  }
  void unique(const std::string& name, std::set<std::string>& seen, const std::string& path) {
    require(!name.empty(), path, "is empty", "give every entry a name of its own");
    if (!name.empty()) {
      require(seen.insert(name).second, path, "'" + name + "' is used twice",
              "names are unique within a list");
    }
  }

 private:
  std::vector<Fault>& faults_;
};

std::string entry(const char* list, std::size_t i) {
  return std::string(list) + '[' + std::to_string(i) + ']';
}

std::string count_of(Bytes bytes) {
  return std::to_string(bytes.count()) + " bytes";
}

void check_instance(const Config& config, const Instance& instance, const std::string& path,
                    Checks& checks) {
  const bool model_known = instance.model.value() < config.models.size();
  checks.require(model_known, path + ".model", "names no model",
                 "name one of the " + std::to_string(config.models.size()) + " models by position");
  checks.require(
      instance.device.value() < config.machine.devices.size(), path + ".device", "names no device",
      "name one of the " + std::to_string(config.machine.devices.size()) + " devices by position");
  checks.require(instance.block.count() >= 1, path + ".block", "is below 1",
                 "tokens in a page of state, 16 where in doubt");
  checks.require(instance.workspace >= Bytes(0), path + ".workspace", "is negative", "0 or more");
  checks.require(!instance.max_sequences || *instance.max_sequences >= 1, path + ".max_sequences",
                 "is below 1", "leave it out where the engine has no bound");
  checks.require(!instance.max_step_tokens || *instance.max_step_tokens >= Tokens(1),
                 path + ".max_step_tokens", "is below 1",
                 "leave it out where the engine has no bound");
  checks.require(!instance.guaranteed_state || (*instance.guaranteed_state >= Bytes(0) &&
                                                *instance.guaranteed_state <= instance.state),
                 path + ".guaranteed_state", "is not between 0 and the state",
                 "leave it out to guarantee all of it");
  if (!model_known || instance.block.count() < 1) return;

  const Model& model = config.models[instance.model.value()];
  if (model.batching == Batching::iteration) {
    const Bytes least = model.state_bytes(Tokens(1), instance.block);
    checks.require(instance.state >= least && instance.state > Bytes(0), path + ".state",
                   "is " + count_of(instance.state) + ", less than one page of state",
                   "at least " + count_of(least));
    Bytes promised;
    for (const Tenant& tenant : config.tenants) promised += tenant.guarantee;
    checks.require(promised <= instance.guaranteed_state.value_or(instance.state), path + ".state",
                   "is not enough for the tenants' guarantees of " + count_of(promised),
                   "what tenants are guaranteed on each instance must fit its guaranteed state");
    if (config.prefix_block > Tokens(0) && model.prefix_shareable()) {
      checks.require(config.prefix_block.count() % instance.block.count() == 0, path + ".block",
                     "does not divide prefix_block, " + std::to_string(config.prefix_block.count()),
                     "blocks of shared prefixes are whole pages");
    }
  } else {
    checks.require(instance.state == Bytes(0), path + ".state", "is set for request batching",
                   "leave it out: such a model keeps no state between steps");
  }
  const Bytes scratch = model.workspace.bytes(Tokens(1), 1, Tokens(1));
  checks.require(instance.workspace >= scratch, path + ".workspace",
                 "is " + count_of(instance.workspace) + ", too small for one token",
                 "at least " + count_of(scratch));

  const bool has_tier = instance.host_state > Bytes(0);
  checks.require(instance.host_state >= Bytes(0), path + ".host_state", "is negative", "0 or more");
  checks.require(!has_tier || (instance.host_tier &&
                               instance.host_tier->value() < config.machine.spaces.size()),
                 path + ".host_tier", "names no space", "the position of a host or disk space");
}

// Beside all weights of its space and its own workspace, an instance could borrow all of its state.
void check_reach(const Config& config, Checks& checks) {
  std::vector<Bytes> weights(config.machine.spaces.size());
  const auto space_of = [&](const Instance& instance) -> std::optional<std::size_t> {
    if (instance.model.value() >= config.models.size() ||
        instance.device.value() >= config.machine.devices.size()) {
      return std::nullopt;
    }
    const std::size_t space = config.machine.devices[instance.device.value()].space.value();
    return space < weights.size() ? std::optional(space) : std::nullopt;
  };
  for (const Instance& instance : config.instances) {
    if (const auto space = space_of(instance)) {
      weights[*space] += config.models[instance.model.value()].weights;
    }
  }
  for (std::size_t i = 0; i < config.instances.size(); ++i) {
    const Instance& instance = config.instances[i];
    const auto space = space_of(instance);
    if (!space) continue;
    const Bytes most =
        config.machine.spaces[*space].capacity - weights[*space] - instance.workspace;
    checks.require(instance.state <= std::max(Bytes(0), most) || !instance.guaranteed_state,
                   entry("instances", i) + ".state",
                   "is " + count_of(instance.state) + ", but beside all weights and its workspace" +
                       " there are " + count_of(most),
                   "no more than could ever be borrowed");
  }
}

// Weights, guaranteed state and workspace of all instances must fit the spaces they live in.
void check_fit(const Config& config, Checks& checks) {
  std::vector<Bytes> needed(config.machine.spaces.size());
  for (const Instance& instance : config.instances) {
    if (instance.model.value() >= config.models.size() ||
        instance.device.value() >= config.machine.devices.size()) {
      continue;
    }
    const SpaceId space = config.machine.devices[instance.device.value()].space;
    if (space.value() < needed.size()) {
      needed[space.value()] += config.models[instance.model.value()].weights + instance.workspace +
                               instance.guaranteed_state.value_or(instance.state);
    }
    if (instance.host_tier && instance.host_tier->value() < needed.size()) {
      needed[instance.host_tier->value()] += instance.host_state;
    }
  }
  check_reach(config, checks);
  for (std::size_t i = 0; i < needed.size(); ++i) {
    const Space& space = config.machine.spaces[i];
    checks.require(needed[i] <= space.capacity, "instances",
                   "need " + count_of(needed[i]) + " of space '" + space.name + "', which has " +
                       count_of(space.capacity),
                   "give an instance less state, or move one to another device");
  }
}

}  // namespace

std::vector<Fault> validate(const Config& config) {
  std::vector<Fault> faults;
  Checks checks(faults);
  checks.nest(validate(config.machine), "machine");

  std::set<std::string> names;
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    checks.nest(validate(config.models[i]), entry("models", i));
    checks.unique(config.models[i].name, names, entry("models", i) + ".name");
  }
  names.clear();
  for (std::size_t i = 0; i < config.instances.size(); ++i) {
    checks.unique(config.instances[i].name, names, entry("instances", i) + ".name");
    check_instance(config, config.instances[i], entry("instances", i), checks);
  }
  check_fit(config, checks);

  names.clear();
  checks.require(!config.tenants.empty(), "tenants", "is empty",
                 "declare one, or leave the default in place");
  for (std::size_t i = 0; i < config.tenants.size(); ++i) {
    const Tenant& tenant = config.tenants[i];
    const std::string path = entry("tenants", i);
    checks.unique(tenant.name, names, path + ".name");
    checks.require(tenant.weight > 0 && tenant.weight < 1e12, path + ".weight",
                   "is not a number above 0", "1 where all count alike");
    checks.require(tenant.guarantee >= Bytes(0), path + ".guarantee", "is negative", "0 or more");
    checks.require(!tenant.limit || *tenant.limit >= tenant.guarantee, path + ".limit",
                   "is below the guarantee", "leave it out where there is no limit");
  }
  for (const ServiceClass c : kAllServiceClasses) {
    const ClassPolicy& policy = config.queue.classes[static_cast<std::size_t>(c)];
    const std::string path = "queue.classes." + std::string(to_string(c));
    checks.require(policy.weight > 0 && policy.weight < 1e12, path + ".weight",
                   "is not a number above 0", "1 where all count alike");
    checks.require(!policy.patience || *policy.patience >= Duration::zero(), path + ".patience",
                   "is negative", "leave it out for no ageing");
  }
  checks.require(config.queue.overdue_every >= 1, "queue.overdue_every", "is 0",
                 "1 serves all overdue first, 8 every eighth");
  checks.require(config.policy.token_budget >= Tokens(1), "policy.token_budget", "is below 1",
                 "tokens in a step, 512 where in doubt");
  checks.require(config.policy.overdue_after >= 1, "policy.overdue_after", "is not 1 or more",
                 "times the time to first token, 600 where in doubt");
  checks.require(config.policy.overdue_share >= 0 && config.policy.overdue_share <= 1,
                 "policy.overdue_share", "is not in 0 ... 1", "a part of each step, 0.3 in doubt");
  checks.require(config.prefix_block >= Tokens(0), "prefix_block", "is negative",
                 "0 switches prefixes off");
  checks.require(config.max_requests >= 1, "max_requests", "is 0", "1 or more");
  return faults;
}

}  // namespace mais
