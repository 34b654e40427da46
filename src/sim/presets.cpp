#include "mais/sim/presets.hpp"

#include <algorithm>

namespace mais::sim {

namespace {

using namespace mais::literals;

constexpr BytesPerSecond kHostLink{25e9};
constexpr TokensPerBlock kPage(16);

// One row of the evaluation's table, in its letters.
struct Row {
  std::string_view name;
  std::string_view gpu;
  std::string_view model;
  double F;        // effective FLOP/s
  double B;        // effective bytes/s
  double P;        // parameters
  std::int64_t W;  // bytes of weights
  std::int64_t L;  // layers
  std::int64_t H;  // attention width
  std::int64_t k;  // bytes of KV cache for each token
  Bytes pool;      // of KV cache
  Bytes usable;    // device memory; not part of the evaluation, only shown
  Duration tpot;
};

constexpr Row kRows[] = {
    {"l4-llama3-8b", "l4", "llama3-8b", 73e12, 240e9, 8.03e9, 16'060'000'000, 32, 4096, 131072,
     4_GiB, 22_GiB, 150ms},
    {"a100-llama3-8b", "a100", "llama3-8b", 187e12, 1.63e12, 8.03e9, 16'060'000'000, 32, 4096,
     131072, 48_GiB, 79_GiB, 50ms},
    {"h200-llama3-70b-fp8", "h200", "llama3-70b-fp8", 1180e12, 3.84e12, 70.6e9, 70'600'000'000, 80,
     8192, 163840, 55_GiB, 139_GiB, 60ms},
};

// Gives every instance a tier in `host`, and both links that it needs.
void add_host_tier(Config& config, SpaceId host, Bytes size) {
  for (Instance& instance : config.instances) {
    instance.host_tier = host;
    instance.host_state = size;
    const SpaceId device = config.machine.devices[instance.device.value()].space;
    for (const auto& [from, to] : {std::pair(device, host), std::pair(host, device)}) {
      if (from != to && !config.machine.link(from, to)) {
        config.machine.links.push_back(
            {.from = from, .to = to, .bandwidth = kHostLink, .latency = {}});
      }
    }
  }
}

Scenario scenario_of_row(const Row& row) {
  Scenario scenario{.name = std::string(row.name), .config = {}, .tpot = row.tpot};
  Config& config = scenario.config;
  config.machine.name = row.gpu;
  config.machine.spaces.push_back({.name = "hbm",
                                   .kind = SpaceKind::device,
                                   .capacity = row.usable,
                                   .bandwidth = {row.B},
                                   .numa_node = {}});
  config.machine.devices.push_back(
      {.name = "gpu0", .kind = DeviceKind::gpu, .space = SpaceId(0), .compute = {row.F}});
  Model model;
  model.name = row.model;
  model.weights = Bytes(row.W);
  model.state.push_back(
      {.name = "attention", .per_token = BytesPerToken(row.k), .window = {}, .fixed = {}});
  model.cost = {.flops_per_token = 2 * row.P,
                .attention_flops_per_pair = static_cast<double>(4 * row.L * row.H),
                .weights_read = Bytes(row.W),
                .state_read = BytesPerToken(row.k),
                .overhead = 1ms};
  config.models.push_back(std::move(model));

  Instance instance;
  instance.name = row.model;
  instance.state = row.pool;
  instance.block = kPage;
  config.instances.push_back(std::move(instance));
  return scenario;
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

const std::vector<std::string>& preset_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Row& row : kRows) all.emplace_back(row.name);
    return all;
  }();
  return names;
}

Result<Scenario> preset(std::string_view name, std::optional<Bytes> host_tier) {
  const auto row = std::find_if(std::begin(kRows), std::end(kRows),
                                [&](const Row& r) { return r.name == name; });
  if (row == std::end(kRows)) {
    return fail(ErrorCode::not_found, "there is no machine '" + std::string(name) +
                                          "'; presets are " + listed(preset_names()));
  }
  Scenario scenario = scenario_of_row(*row);
  if (host_tier && *host_tier > Bytes(0)) {
    scenario.config.machine.spaces.push_back({.name = "dram",
                                              .kind = SpaceKind::host,
                                              .capacity = *host_tier,
                                              .bandwidth = {},
                                              .numa_node = {}});
    add_host_tier(scenario.config, SpaceId(1), *host_tier);
  }
  return scenario;
}

Result<Scenario> scenario_of(Config config, std::string name, std::optional<Bytes> host_tier) {
  if (std::vector<Fault> faults = validate(config); !faults.empty()) {
    return fail(ErrorCode::invalid_argument, name + ": " + to_string(faults));
  }
  if (config.instances.empty()) {
    return fail(ErrorCode::invalid_argument, name + ": there is no instance to replay on");
  }
  for (const Instance& instance : config.instances) {
    const Model& model = config.models[instance.model.value()];
    if (model.batching != Batching::iteration || !model.prefix_shareable() ||
        model.page_bytes(instance.block) <= Bytes(0)) {
      return fail(ErrorCode::invalid_argument,
                  name + ": instance '" + instance.name +
                      "' does not keep its state by token alone; a replay needs a decoder without "
                      "windows and fixed state");
    }
  }
  if (host_tier && *host_tier > Bytes(0)) {
    const auto host = config.machine.first_space(SpaceKind::host);
    if (!host) {
      return fail(ErrorCode::invalid_argument,
                  name + ": there is no host space for the tier; declare one among the machine's");
    }
    add_host_tier(config, *host, *host_tier);
    if (std::vector<Fault> faults = validate(config); !faults.empty()) {
      return fail(ErrorCode::invalid_argument, name + ": " + to_string(faults));
    }
  }
  const auto streaming = static_cast<std::size_t>(ServiceClass::streaming);
  const std::optional<Duration> tpot = config.queue.classes[streaming].deadlines.tpot;
  return Scenario{.name = std::move(name), .config = std::move(config), .tpot = tpot};
}

Tokens pool_tokens(const Scenario& scenario) {
  Tokens smallest = Tokens::max();
  for (const Instance& instance : scenario.config.instances) {
    const Bytes page = scenario.config.models[instance.model.value()].page_bytes(instance.block);
    if (page <= Bytes(0)) continue;
    smallest = std::min(smallest, Tokens(instance.state / page * instance.block.count()));
  }
  return smallest;
}

const std::vector<std::string>& policy_names() {
  static const std::vector<std::string> names = {"no_evict", "optimistic", "projected"};
  return names;
}

Result<Policy> policy_named(std::string_view name) {
  if (name == "no_evict") return Policy::no_evict();
  if (name == "optimistic") return Policy::optimistic();
  if (name == "projected") return Policy::projected();
  return fail(ErrorCode::not_found, "there is no policy '" + std::string(name) + "'; there are " +
                                        listed(policy_names()));
}

}  // namespace mais::sim
