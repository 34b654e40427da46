#include "host_config.hpp"

#include <algorithm>

namespace server {

namespace {

using mais::Bytes;
using mais::Tokens;

mais::Instance instance_of(const EngineInfo& engine, const HostConfigOptions& options,
                           mais::ModelId model) {
  mais::Instance instance;
  instance.name = engine.model.name;
  instance.model = model;
  instance.device = mais::DeviceId(0);
  instance.max_sequences = options.max_sequences;
  // A text is never cut: a step of an encoder takes the longest.
  Tokens tokens = options.max_step_tokens;
  if (!engine.model.shape_buckets.empty()) {
    tokens = std::max(tokens, engine.model.shape_buckets.back());
  }
  instance.max_step_tokens = tokens;
  instance.workspace = engine.model.workspace.bytes(tokens, options.max_sequences, tokens);
  if (engine.model.batching == mais::Batching::request) return instance;
  const Bytes page = engine.model.page_bytes(engine.page);
  instance.block = engine.page;
  instance.state = page * engine.pages;
  instance.guaranteed_state = page * engine.guaranteed_pages;
  if (engine.host_pages > 0) {
    instance.host_tier = mais::SpaceId(1);
    instance.host_state = page * engine.host_pages;
  }
  return instance;
}

}  // namespace

mais::Result<mais::Config> configured(std::span<const EngineInfo> engines,
                                      const HostConfigOptions& options, mais::Config config) {
  Bytes tier;
  config.models.clear();
  config.instances.clear();
  for (const EngineInfo& engine : engines) {
    const mais::ModelId model(static_cast<std::uint32_t>(config.models.size()));
    config.models.push_back(engine.model);
    config.instances.push_back(instance_of(engine, options, model));
    tier += config.instances.back().host_state;
  }
  config.machine.name = "this machine";
  config.machine.spaces = {{.name = "budget",
                            .kind = mais::SpaceKind::host,
                            .capacity = options.memory - tier,
                            .bandwidth = options.bandwidth}};
  config.machine.devices = {{.name = "cpu",
                             .kind = mais::DeviceKind::cpu,
                             .space = mais::SpaceId(0),
                             .compute = options.compute}};
  config.machine.links.clear();
  if (tier > Bytes(0)) {
    config.machine.spaces.push_back(
        {.name = "host tier", .kind = mais::SpaceKind::host, .capacity = tier});
    for (const std::uint32_t from : {0U, 1U}) {
      config.machine.links.push_back({.from = mais::SpaceId(from),
                                      .to = mais::SpaceId(1 - from),
                                      .bandwidth = options.tier_bandwidth});
    }
  }
  config.prefix_block = options.prefix_block;
  if (auto faults = validate(config); !faults.empty()) {
    return mais::fail(mais::ErrorCode::invalid_argument, to_string(faults));
  }
  return config;
}

}  // namespace server
