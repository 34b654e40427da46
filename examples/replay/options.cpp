#include "options.hpp"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>

#include <CLI/CLI.hpp>

#include "../command_line.hpp"
#include "../plain_formatter.hpp"
#include "mais/files/config_json.hpp"
#include "mais/files/unit_text.hpp"

namespace replay {

namespace {

using namespace mais;

constexpr const char* kAbout =
    R"(Replays a trace of inference requests against the scheduler under a simulated
clock, and shows what each policy made of it. No GPU is needed: an analytic model
says how long each step that the scheduler decides would take.

Where to start:
  replay                                   a synthetic chat workload on a simulated L4
  replay --capacity                        how many requests per second each policy carries
  replay --trace azure.csv --limit 4000 --rate 0.1 --html page.html
                                           a recorded trace at a tenth of its rate, with plots
  replay --journal server.journal          what a scheduler did, executed again)";

constexpr const char* kFooter =
    R"(A request is good when its first token comes within 1 s + 3 x the time of its
prefill alone, and its output at the machine's bound per token or faster.
Attainment is the good part of all requests; capacity-90 and capacity-99 are the
largest loads in requests per second at which it is 90 % or 99 %.

Exit status: 0 done, 1 the input could not be used, 2 wrong options,
3 the scheduler was at fault (out of memory, requests that never ended, or
decisions that differ from those in the journal).)";

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text.append(text.empty() ? "" : ", ").append(word);
  return text;
}

std::string typed(int argc, char** argv) {
  std::string text = "replay";
  for (int i = 1; i < argc; ++i) text.append(" ").append(argv[i]);
  return text;
}

// "all", or names parted by commas; each must exist.
std::string check_policies(std::vector<std::string>& names) {
  if (names.size() == 1 && names[0] == "all") names = sim::policy_names();
  for (const std::string& name : names) {
    if (auto policy = sim::policy_named(name); !policy) return policy.error().message;
  }
  return {};
}

}  // namespace

tl::expected<Options, ExitStatus> read_options(int argc, char** argv) {
  Options options;
  options.command = typed(argc, argv);
  options.policies = {"all"};
  std::string host_tier, format, workload;
  CLI::App app(kAbout);
  app.name("replay");
  app.footer(kFooter);
  app.formatter(std::make_shared<example::PlainFormatter>());
  app.get_formatter()->column_width(27);

  const std::string what = "What to replay";
  CLI::Option* journal =
      app.add_option(
             "--journal", options.journal,
             "A scheduler's journal: its decisions are taken again and compared, bit for bit")
          ->type_name("FILE")
          ->group(what);
  app.add_option("--trace", options.trace, "Trace file; without it a synthetic workload is drawn")
      ->type_name("FILE")
      ->group(what);
  app.add_option("--format", format, "azure (CSV) or mooncake (JSON lines); else guessed")
      ->check(CLI::IsMember({"azure", "mooncake"}))
      ->type_name("NAME")
      ->group(what);
  app.add_option("--workload", workload,
                 "Without a trace: conversation or long_context (long prompts, shared prefixes)")
      ->check(CLI::IsMember({"conversation", "long_context"}))
      ->type_name("NAME")
      ->group(what);
  app.add_option("--limit", options.limit, "Only the first N requests (synthetic: 4000)")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{1}, std::size_t{100'000'000}))
      ->group(what);
  app.add_option("--seed", options.seed, "Of the synthetic workload")->type_name("N")->group(what);
  app.add_flag("--spread-ticks", options.spread_ticks,
               "Spread requests that share an arrival time until the next one")
      ->group(what);

  const std::string where = "On which machine, by which policy";
  app.add_option("--machine", options.machine,
                 "A preset (default " + options.machine +
                     "), or a configuration in JSON; presets: " + joined(sim::preset_names()))
      ->type_name("NAME|FILE")
      ->group(where);
  app.add_option("--policy", options.policies,
                 "Some of " + joined(sim::policy_names()) + "; or all, the default")
      ->delimiter(',')
      ->type_name("NAME,...")
      ->group(where);
  app.add_option("--host-tier", host_tier, "Host memory for state that is pushed out, as \"1 TiB\"")
      ->type_name("SIZE")
      ->group(where);

  const std::string how = "How fast";
  CLI::Option* rate =
      app.add_option("--rate", options.rate, "Multiplier of the trace's own rate (default 1)")
          ->type_name("R")
          ->check(CLI::Range(1e-6, 1e6))
          ->group(how);
  app.add_flag("--capacity", options.capacity,
               "Search for capacity-90 and capacity-99; figures are those at capacity-90")
      ->excludes(rate)
      ->group(how);
  app.add_flag("--offline", options.offline,
               "All requests at time 0, no deadlines: how long until the last one ends")
      ->group(how);
  app.add_option("--sweep", options.sweep, "Also replay at these multipliers, for the plots")
      ->delimiter(',')
      ->type_name("R,...")
      ->check(CLI::Range(1e-6, 1e6))
      ->group(how);

  const std::string out = "Where to put the results";
  app.add_option("--json", options.json, "All figures as JSON; - is standard output")
      ->type_name("FILE|-")
      ->group(out);
  app.add_option("--csv", options.csv, "The same as CSV")->type_name("FILE|-")->group(out);
  app.add_option("--html", options.html, "A page with plots, in one file")
      ->type_name("FILE")
      ->group(out);

  for (const char* group : {"What to replay", "On which machine, by which policy", "How fast"}) {
    for (CLI::Option* option : app.get_options()) {
      if (option->get_group() == group && option != journal) journal->excludes(option);
    }
  }

  const auto wrong = [](const std::string& message) {
    return tl::unexpected(ExitStatus{example::wrong_usage("replay", message)});
  };
  if (const auto status = example::read_arguments(app, "replay", argc, argv)) {
    return tl::unexpected(ExitStatus{*status});
  }
  if (std::string problem = check_policies(options.policies); !problem.empty()) {
    return wrong(problem);
  }
  if (!format.empty()) {
    options.format = format == "azure" ? sim::TraceFormat::azure : sim::TraceFormat::mooncake;
  }
  if (workload == "long_context") options.workload = sim::WorkloadKind::long_context;
  if (!host_tier.empty()) {
    const Result<Bytes> size = files::parse_bytes(host_tier);
    if (!size) return wrong("--host-tier: " + size.error().message);
    if (*size < Bytes(0)) return wrong("--host-tier: is negative");
    options.host_tier = *size;
  }
  if (options.format && !options.trace) return wrong("--format is of no use without --trace");
  if (options.json == "-" && options.csv == "-") {
    return wrong("--json - and --csv - cannot both have standard output");
  }
  return options;
}

Result<sim::Trace> load_trace(const Options& options) {
  sim::Trace trace;
  if (options.trace) {
    Result<sim::Trace> read = sim::read_trace(*options.trace, options.format);
    if (!read) return read;
    trace = *std::move(read);
  } else {
    trace = sim::synthetic_workload(
        {.kind = options.workload, .requests = options.limit.value_or(4000), .seed = options.seed});
  }
  if (options.spread_ticks) trace = sim::spread_ticks(std::move(trace));
  if (options.limit) trace = sim::first_requests(std::move(trace), *options.limit);
  return trace;
}

Result<sim::Scenario> load_machine(const Options& options) {
  const auto& presets = sim::preset_names();
  const bool is_preset =
      std::find(presets.begin(), presets.end(), options.machine) != presets.end();
  std::ifstream file(options.machine, std::ios::binary);
  if (is_preset || !file) {
    auto scenario = sim::preset(options.machine, options.host_tier);
    if (!scenario) scenario.error().message += "; and there is no file of that name";
    return scenario;
  }
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  Result<Config> config = files::parse_config(text, options.machine);
  if (!config) return tl::unexpected<Error>(config.error());
  const auto slash = options.machine.find_last_of('/');
  std::string name =
      slash == std::string::npos ? options.machine : options.machine.substr(slash + 1);
  return sim::scenario_of(*std::move(config), std::move(name), options.host_tier);
}

}  // namespace replay
