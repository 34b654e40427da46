// Results of replays for people and programs: a table, JSON, CSV, and a page with plots.
//
// Pure functions of their argument. Any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mais/sim/capacity.hpp"
#include "mais/sim/run_result.hpp"

namespace mais::sim {

// One policy on the report's trace and machine. What was not measured is left out.
struct PolicyReport {
  std::string policy;
  std::optional<RunResult> run{};                      // at one rate
  std::optional<RunResult> offline{};                  // everything at once
  std::optional<double> capacity_90{}, capacity_99{};  // requests per second; 0: at no rate
  std::vector<LoadPoint> load{};                       // attainment over a sweep of rates
};

struct Report {
  std::string trace;
  bool synthetic = false;  // of the trace; every report says so
  bool recorded = false;   // what a scheduler really did, from its journal: nothing was simulated
  std::string machine;
  std::string command{};           // that made it, for the page's foot
  std::size_t requests = 0;        // replayed
  std::size_t left_out = 0;        // longer than the pool of state
  double trace_rate = 0;           // requests per second at a rate of 1
  std::optional<Duration> tpot{};  // bound
  std::optional<Bytes> host_tier{};
  std::vector<PolicyReport> policies;
};

// An array with one object for each policy. Names are plain, units are in the name or, where there
// is none: capacity_90, capacity_99 and requests_per_second in requests per second; attainment,
// kv_mean, kv_peak, prefix_hit_rate and busy as parts of 1; longest_wait in multiples of the TTFT
// bound; rate as multiplier of the trace's own. What was not measured is null.
std::string to_json(const Report& report);

// The same, one line for each policy below a line of names; without the sweep of loads.
std::string to_csv(const Report& report);

// The figures side by side, aligned for a terminal.
std::string to_table(const Report& report);

// One HTML file that needs no other: memory over time against its limit, running and waiting
// requests, distributions of TTFT and TPOT, attainment against load.
std::string to_html(const Report& report);

}  // namespace mais::sim
