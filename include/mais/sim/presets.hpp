// The machines and models of the replay evaluation, and how to replay on one's own.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mais/config.hpp"
#include "mais/result.hpp"

namespace mais::sim {

// What a trace is replayed on. The configuration's rates (Device::compute, Space::bandwidth,
// Link::bandwidth, Model::cost) are at once what the scheduler is told and what the simulated
// machine does.
struct Scenario {
  std::string name;
  Config config;
  std::optional<Duration> tpot;  // bound of the mean time per output token; none: not judged
};

// "l4-llama3-8b", "a100-llama3-8b", "h200-llama3-70b-fp8".
const std::vector<std::string>& preset_names();

// One of the three, with effective rates and a pool of state as the evaluation gives them; one
// instance, pages of 16 tokens. With `host_tier`, state that is pushed out may go to so much host
// memory over links of 25 GB/s in each direction. not_found with the names that exist.
Result<Scenario> preset(std::string_view name, std::optional<Bytes> host_tier = {});

// A configuration of one's own, as read by files::parse_config. The TPOT bound is that of the
// streaming class; a host tier replaces the one configured. invalid_argument where there is no
// instance that batches by iteration, or no host space for the tier.
Result<Scenario> scenario_of(Config config, std::string name, std::optional<Bytes> host_tier = {});

// Tokens of state that the smallest instance holds: longer requests are left out of a replay.
Tokens pool_tokens(const Scenario& scenario);

// Policy::no_evict(), Policy::optimistic() and Policy::projected() by their names.
const std::vector<std::string>& policy_names();
Result<Policy> policy_named(std::string_view name);

}  // namespace mais::sim
