// What the studies measure on: traces on simulated machines.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mais/sim/presets.hpp"
#include "mais/sim/trace.hpp"

namespace evaluate {

// A trace on a machine; the trace without the requests that are longer than the pool of state.
struct Setting {
  std::string name;  // "Azure on l4"; no two settings share one
  mais::sim::Scenario scenario;
  mais::sim::Trace trace;
  std::size_t left_out = 0;
  std::optional<mais::Bytes> host_tier;
};
using SettingRef = std::shared_ptr<const Setting>;

// Chat without shared prefixes, and long prompts with them; in the recorded form the Azure and the
// Mooncake conversation traces. `_host` has a host tier of 1 TiB.
struct Settings {
  bool synthetic = false;
  SettingRef chat_l4, chat_a100;
  SettingRef long_a100, long_a100_host, long_h200, long_h200_host;
  // Arrivals spread within the trace's ticks; none for synthetic workloads, which have no ticks.
  SettingRef spread_a100_host, spread_h200_host;

  // Those on which every policy is compared.
  std::vector<SettingRef> compared() const;
};

struct SettingsOptions {
  std::optional<std::string> data;  // folder with traces/; none: synthetic workloads
  std::size_t limit = 4000;         // the first so many requests of each trace
  std::uint64_t seed = 1;           // of synthetic workloads
};

// True when both traces are in `data`.
bool has_traces(const std::string& data);

// Errors are those of reading the traces. Never an empty trace.
mais::Result<Settings> load_settings(const SettingsOptions& options);

// The same machine with another trace, as "<name>, <what>".
SettingRef with_trace(const Setting& setting, mais::sim::Trace trace, const std::string& what);

}  // namespace evaluate
