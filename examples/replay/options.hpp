// What the replay command was asked to do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mais/result.hpp"
#include "mais/sim/presets.hpp"
#include "mais/sim/trace.hpp"
#include "mais/sim/workload.hpp"

namespace replay {

struct Options {
  std::string command;                 // as typed, for the page
  std::optional<std::string> journal;  // instead of everything but the outputs
  std::optional<std::string> trace;
  std::optional<mais::sim::TraceFormat> format;
  mais::sim::WorkloadKind workload = mais::sim::WorkloadKind::conversation;
  std::string machine = "l4-llama3-8b";
  std::vector<std::string> policies;
  std::optional<std::size_t> limit;
  std::optional<double> rate;
  bool capacity = false;
  bool offline = false;
  bool spread_ticks = false;
  std::optional<mais::Bytes> host_tier;
  std::vector<double> sweep;                   // rates; empty: chosen where a page wants them
  std::optional<std::string> json, csv, html;  // "-": standard output
  std::uint64_t seed = 1;

  bool uses_stdout() const { return json == "-" || csv == "-"; }
};

// The options, or the status to leave with: help was shown, or what was wrong was said.
struct ExitStatus {
  int code = 0;
};
tl::expected<Options, ExitStatus> read_options(int argc, char** argv);

// The requests and the machine that the options name.
mais::Result<mais::sim::Trace> load_trace(const Options& options);
mais::Result<mais::sim::Scenario> load_machine(const Options& options);

}  // namespace replay
