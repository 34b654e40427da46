// Worlds small enough to be followed by hand: bytes and tokens are single digits.
#pragma once

#include "core/planner_host.hpp"
#include "mais/core/planner.hpp"

namespace mais::core {

// One GPU with one decoder: 4 bytes a token, pages of 2 tokens, `pages` of them. Tenant 0 is
// guaranteed two pages, tenant 1 is limited to three. 30 bytes are left for leases. 1 ms a token.
inline Config small_world(Policy policy, std::int64_t pages = 5) {
  Config config;
  const Bytes state = 8_B * pages;
  config.machine = {.name = "small",
                    .spaces = {{.name = "gpu", .capacity = state + 60_B, .bandwidth = {1e6}}},
                    .devices = {{.name = "gpu", .space = SpaceId(0), .compute = {1e9}}},
                    .links = {}};
  config.models = {{.name = "decoder",
                    .weights = 10_B,
                    .state = {{.name = "kv", .per_token = 4_B / 1_tok}},
                    .workspace = {.per_token = 1_B / 1_tok},
                    .cost = {.flops_per_token = 1e6}}};
  config.instances = {{.name = "one",
                       .model = ModelId(0),
                       .device = DeviceId(0),
                       .state = state,
                       .workspace = 20_B,
                       .block = TokensPerBlock(2)}};
  config.tenants = {{.name = "a", .guarantee = 16_B}, {.name = "b", .limit = 24_B}};
  config.policy = policy;
  config.policy.token_budget = 8_tok;
  config.prefix_block = 2_tok;
  return config;
}

// The same beside an encoder, with a second decoder on the same GPU: the decoders' state is lent.
inline Config shared_world(Policy policy) {
  Config config = small_world(policy, 4);
  config.models.push_back({.name = "encoder",
                           .batching = Batching::request,
                           .weights = 5_B,
                           .workspace = {.per_token = 1_B / 1_tok},
                           .cost = {.flops_per_token = 1e6},
                           .shape_buckets = {4_tok, 8_tok}});
  config.machine.spaces[0].capacity = 130_B;
  config.instances[0].guaranteed_state = 16_B;
  config.instances.push_back(config.instances[0]);
  config.instances[1].name = "two";
  config.instances.push_back(
      {.name = "encoder", .model = ModelId(1), .device = DeviceId(0), .workspace = 16_B});
  return config;
}

inline Request prompt_of(std::int64_t prompt, std::int64_t max_new, std::uint32_t tenant = 0) {
  return {.model = ModelId(0),
          .tenant = TenantId(tenant),
          .prompt = Tokens(prompt),
          .max_new = Tokens(max_new)};
}

inline Request lease_of(Bytes bytes, std::uint32_t tenant = 0) {
  return {.tenant = TenantId(tenant), .space = SpaceId(0), .bytes = bytes};
}

// A planner with its engine and a clock that the test moves.
class Table {
 public:
  explicit Table(const Config& world)
      : config(std::make_shared<const Config>(world)), planner(planner_of(world)), host(*config) {}

  RequestId submit(const Request& request) {
    out.clear();
    const RequestId id = planner.submit(now, request, out);
    host.submitted(id, request, out);
    return id;
  }
  template <class Call>
  void tell(Call&& call) {
    out.clear();
    call(planner);
    host.heard(out);
  }
  void cancel(RequestId id) {
    tell([&](Planner& p) { p.cancel(now, id, out); });
  }
  bool next(std::uint32_t instance = 0) {
    out.clear();
    const bool planned = planner.next_step(now, InstanceId(instance), out, step);
    host.heard(out);
    if (planned) host.begin(step);
    return planned;
  }
  void done(std::uint32_t instance = 0, bool all_finish = false) {
    StepReport report = host.done(InstanceId(instance));
    if (all_finish) {
      for (const auto& [id, live] : host.live()) {
        if (live.generated > 0) report.finished.push_back(id);
      }
    }
    tell([&](Planner& p) { p.report(now, report, out); });
  }
  void failed(std::uint32_t instance = 0) {
    const StepReport report = host.failed(InstanceId(instance), std::nullopt);
    tell([&](Planner& p) { p.report(now, report, out); });
  }
  // One step and its report; false when there was nothing to do.
  bool turn(std::uint32_t instance = 0) {
    if (!next(instance)) return false;
    done(instance);
    return true;
  }

  // The last answer about a request, if any.
  const Action* said(RequestId id) const {
    const Action* last = nullptr;
    for (const Action& action : out.list) {
      if (action.request == id) last = &action;
    }
    return last;
  }
  std::optional<RequestView> look(RequestId id) const {
    for (RequestView& request : planner.view().requests) {
      if (request.request == id) return std::move(request);
    }
    return std::nullopt;
  }

  std::shared_ptr<const Config> config;
  Planner planner;
  Host host;
  Time now{};
  Actions out;
  Step step;
};

}  // namespace mais::core
