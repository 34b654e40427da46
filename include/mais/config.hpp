// Everything a host decides before the first request: the machine, its models, who runs where,
// whose requests count how much, and how to schedule. Every field has a default that needs no
// tuning.
//
// Read from JSON by mais/files/config_json.hpp. Ids are positions in the lists.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mais/machine.hpp"
#include "mais/model.hpp"
#include "mais/request.hpp"

namespace mais {

// A model resident on a device.
struct Instance {
  std::string name{};
  ModelId model{};
  DeviceId device{};
  Bytes state{};                            // KV cache and other sequence state: a hard limit
  std::optional<Bytes> guaranteed_state{};  // the part nobody else may hold; none: all of it
  Bytes workspace{};                   // bound of one step's scratch memory; see Model::workspace
  TokensPerBlock block{16};            // tokens in a page of state
  std::optional<SpaceId> host_tier{};  // where state that is pushed out may go; none: nowhere
  Bytes host_state{};                  // how much of it
  std::optional<std::int64_t> max_sequences{};  // what the engine can run in one step
  std::optional<Tokens> max_step_tokens{};      // likewise
};

struct Tenant {
  std::string name{};
  double weight = 1;             // share of service under contention
  Bytes guarantee{};             // of state on each instance
  std::optional<Bytes> limit{};  // of state on each instance, and of leases in each space
  std::optional<std::size_t> max_queued{};
};

enum class ClassOrder : std::uint8_t {
  strict,    // a class is served when no more urgent one waits
  weighted,  // classes share the service by weight
};

struct ClassPolicy {
  double weight = 1;                        // share, with ClassOrder::weighted
  std::optional<Duration> patience{};       // overdue after waiting this long; none: never
  std::optional<std::size_t> max_queued{};  // requests of this class; none: no bound
  Deadlines deadlines{};                    // for requests that set none of their own
};

struct QueueConfig {
  ClassOrder order = ClassOrder::strict;
  // Indexed by ServiceClass.
  std::array<ClassPolicy, kServiceClasses> classes = {
      ClassPolicy{.weight = 16, .patience = std::chrono::seconds(30)},
      ClassPolicy{.weight = 4, .patience = std::chrono::seconds(60)},
      ClassPolicy{.weight = 1, .patience = std::chrono::minutes(10)}};
  std::size_t max_queued = 100'000;  // requests in all
  std::uint32_t overdue_every = 8;   // at least one take in so many goes to the overdue; 1: all
  std::uint32_t max_bypass = 64;     // how often a blocked request may be passed
};

// How much memory a running sequence is counted with.
enum class MemoryPolicy : std::uint8_t {
  no_evict,    // prompt + max_new, reserved at the start: never preempts, wastes what is not used
  optimistic,  // what it holds now: preempts when full
  projected,  // what the running set will need, from learned output lengths; falls back to no_evict
};

// Who goes first among those of one class and tenant.
enum class OrderPolicy : std::uint8_t {
  arrival,   // first come, first served
  shortest,  // least remaining work first among those that can still be good, the others last
  deadline,  // by deadline among those that can still be good, the others last
  triage,    // by deadline, putting off the longest where not all can be in time
};

// How many tokens a step computes.
enum class StepPolicy : std::uint8_t {
  budget,  // a fixed number, decodes first
  paced,   // as many as the predicted step time allows before the tightest TPOT is missed
};

struct Policy {
  MemoryPolicy memory = MemoryPolicy::projected;
  OrderPolicy order = OrderPolicy::triage;
  StepPolicy step = StepPolicy::paced;
  Tokens token_budget{512};                            // StepPolicy::budget
  Duration batch_wait{std::chrono::milliseconds(10)};  // request batching: to fill up a batch
  // A request that waited this many times its time to first token is overdue: it goes before those
  // that can still be good, on this part of each step. Larger carries more, smaller is kinder to
  // the longest requests; docs/evaluation.md shows how much. >= 1, and 0 ... 1. A request without
  // such a deadline is overdue after the patience of its class. A late sequence that stands still
  // for others (pause_late) goes on after this many times its TPOT, without a TPOT after the
  // patience of its class, for one token each time.
  double overdue_after = 600;
  double overdue_share = 0.3;
  bool refuse_hopeless = false;  // refuse what cannot meet its deadline instead of serving it late
  bool pause_late = true;        // late sequences stand still while others need all of a step
  bool share_prefixes = true;    // where Config::prefix_block names them
  bool swap = true;              // preempted sequences to the host tier, where that is faster
  bool learn_costs = true;       // correct costs of steps and copies by the times that are reported

  // The well-known combinations, by name.
  static constexpr Policy no_evict() {
    return {.memory = MemoryPolicy::no_evict,
            .order = OrderPolicy::arrival,
            .step = StepPolicy::budget};
  }
  static constexpr Policy optimistic() {
    return {.memory = MemoryPolicy::optimistic,
            .order = OrderPolicy::arrival,
            .step = StepPolicy::budget};
  }
  static constexpr Policy projected() { return {}; }
};

struct Config {
  Machine machine{};
  std::vector<Model> models{};
  std::vector<Instance> instances{};
  std::vector<Tenant> tenants = {Tenant{.name = "default"}};
  QueueConfig queue{};
  Policy policy{};
  Tokens prefix_block{0};  // tokens that one Request::prefix hash names; 0: prefixes off
  std::uint64_t max_requests = 1 << 20;  // that may be in the planner at once
};

std::string_view to_string(MemoryPolicy policy) noexcept;
std::string_view to_string(OrderPolicy policy) noexcept;
std::string_view to_string(StepPolicy policy) noexcept;
std::string_view to_string(ClassOrder order) noexcept;

// Every fault of the whole configuration, with the path of the field and what would be right: also
// that weights, state and workspace of all instances fit the spaces of their devices.
std::vector<Fault> validate(const Config& config);

}  // namespace mais
