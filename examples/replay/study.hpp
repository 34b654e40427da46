// Runs what the options ask for, policy by policy, and gathers it into one report.
#pragma once

#include "../progress.hpp"
#include "mais/sim/report.hpp"
#include "options.hpp"

namespace replay {

// `trace` without the requests that are longer than the pool; `left_out` of them.
mais::Result<mais::sim::Report> study(const Options& options, const mais::sim::Trace& trace,
                                      std::size_t left_out, const mais::sim::Scenario& scenario,
                                      example::Progress& progress);

// True when a figure says that the scheduler failed: out of memory, or requests that never ended.
bool at_fault(const mais::sim::Report& report);

}  // namespace replay
