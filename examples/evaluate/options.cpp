#include "options.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include <CLI/CLI.hpp>

#include "../command_line.hpp"
#include "../plain_formatter.hpp"

namespace evaluate {

namespace {

constexpr const char* kAbout =
    R"(Measures the scheduler under a simulated clock: how much load each policy carries,
what each mechanism is worth, what it does under overload. Writes tables (Markdown,
CSV, JSON) and plots (SVG) into a folder. No GPU is needed. All of it takes a few
minutes on two cores.

Where to start:
  evaluate                                 everything
  evaluate --only policies,ageing          two studies
  evaluate --synthetic --limit 500         without recorded traces, quickly)";

constexpr const char* kFooter =
    R"(Traces: DIR/traces/azure_llm_2023_conv.csv and DIR/traces/mooncake_conversation.jsonl,
by default with DIR from the environment's MAIS_SHARED_DATA, else ../shared/data. Without
them, synthetic workloads like them are drawn, and every table and plot says so.

A request is good when its first token comes within 1 s + 3 x the time of its prefill
alone, and its output at the machine's bound per token or faster. Capacity-90 and -99
are the largest loads, in requests per second, at which 90 % or 99 % of all are good.

Exit status: 0 done, 1 the input could not be used or nothing could be written, 2 wrong
options, 3 the scheduler was at fault (out of memory, or requests that never ended).)";

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text.append(text.empty() ? "" : ", ").append(word);
  return text;
}

}  // namespace

tl::expected<Options, ExitStatus> read_options(int argc, char** argv,
                                               const std::vector<std::string>& studies) {
  Options options;
  std::optional<std::string> data;
  bool synthetic = false;
  CLI::App app(kAbout);
  app.name("evaluate");
  app.footer(kFooter);
  app.formatter(std::make_shared<example::PlainFormatter>());
  app.get_formatter()->column_width(27);
  app.add_option("--only", options.only, "Some of the studies: " + joined(studies))
      ->delimiter(',')
      ->type_name("STUDY,...");
  app.add_option("--out", options.out, "Folder for the results (default " + options.out + ")")
      ->type_name("DIR");
  app.add_option("--limit", options.settings.limit,
                 "Only the first N requests of each trace (default 4000)")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{2}, std::size_t{100'000'000}));
  CLI::Option* from = app.add_option("--data", data, "Folder with recorded traces, see below");
  from->type_name("DIR");
  app.add_flag("--synthetic", synthetic, "Synthetic workloads, even where traces are at hand")
      ->excludes(from);
  app.add_option("--seed", options.settings.seed, "Of the synthetic workloads (default 1)")
      ->type_name("N");
  app.add_option("--workers", options.workers, "Replays at once, 1 or 2 (default 2)")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{1}, std::size_t{2}));

  if (const auto status = example::read_arguments(app, "evaluate", argc, argv)) {
    return tl::unexpected(ExitStatus{*status});
  }
  for (const std::string& name : options.only) {
    if (std::find(studies.begin(), studies.end(), name) == studies.end()) {
      return tl::unexpected(ExitStatus{example::wrong_usage(
          "evaluate", "no study '" + name + "'; there are " + joined(studies))});
    }
  }
  if (data && !has_traces(*data)) {
    std::cerr << "evaluate: " << *data
              << ": holds no traces/azure_llm_2023_conv.csv and "
                 "traces/mooncake_conversation.jsonl\n";
    return tl::unexpected(ExitStatus{1});
  }
  if (!data && !synthetic) {
    const char* shared = std::getenv("MAIS_SHARED_DATA");
    const std::string folder = shared != nullptr && *shared != '\0' ? shared : "../shared/data";
    if (has_traces(folder)) data = folder;
  }
  options.settings.data = data;
  return options;
}

}  // namespace evaluate
