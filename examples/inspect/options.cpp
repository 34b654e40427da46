#include "options.hpp"

#include <memory>

#include <CLI/CLI.hpp>

#include "../command_line.hpp"

namespace inspect {

namespace {

constexpr const char* kAbout =
    R"(Shows what this machine is: memories and what may be used of each, which limit
binds, GPUs, links and how fast they are. Every figure says where it comes from:
  configured      given on the command line of a host
  firmware        what the platform itself states (ACPI HMAT)
  measured        here, now or earlier (--measure)
  datasheet x 0.8 peak of the data sheet, times 0.8: assumed, not measured
  unknown         nobody could say

Where to start:
  inspect                      the machine as a tree
  inspect --measure            the same with measured rates; takes some seconds
  inspect --watch              a live view of memory, pressure and GPUs
  inspect --record box.record  a file for a bug report)";

constexpr const char* kFooter =
    R"(No GPU context is created unless --contexts allows it.
Exit status: 0 done, 1 the machine or a file could not be read, 2 wrong options.)";

// Shows what kind of value an option takes, without the checks on it.
class PlainFormatter : public CLI::Formatter {
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string type = option->get_type_name();
    return type.empty() ? type : " " + type.substr(0, type.find(':'));
  }
};

}  // namespace

tl::expected<Options, ExitStatus> read_options(int argc, char** argv) {
  Options options;
  CLI::App app(kAbout);
  app.name("inspect");
  app.footer(kFooter);
  app.formatter(std::make_shared<PlainFormatter>());
  app.get_formatter()->column_width(27);

  const std::string what = "What to look at";
  CLI::Option* const from =
      app.add_option("--from", options.from, "A record instead of this machine")
          ->type_name("FILE")
          ->group(what);
  app.add_option("--offload", options.probe.offload,
                 "A folder that state may be moved to: its disk is shown, and measured")
      ->type_name("FOLDER")
      ->excludes(from)
      ->group(what);
  app.add_flag("--contexts", options.probe.contexts,
               "May create a context on each GPU: to measure copies, and for free memory where "
               "there is no NVML")
      ->excludes(from)
      ->group(what);
  CLI::Option* const measure = app.add_flag("--measure", options.probe.measure,
                                            "Measure bandwidth; loads the machine for some seconds")
                                   ->excludes(from)
                                   ->group(what);
  app.add_option("--measurements", options.probe.measurements,
                 "Keep what was measured in this file, and use what it has")
      ->type_name("FILE")
      ->excludes(from)
      ->group(what);

  const std::string how = "How to show it";
  CLI::Option* const json =
      app.add_flag("--json", options.json, "JSON on standard output")->group(how);
  CLI::Option* const watch =
      app.add_flag("--watch", options.watch, "A live view that refreshes in place; Ctrl-C ends it")
          ->excludes(from)
          ->excludes(json)
          ->group(how);
  app.add_option("--interval", options.interval, "Seconds between refreshes (default 1)")
      ->type_name("S")
      ->check(CLI::Range(0.01, 3600.0))
      ->needs(watch)
      ->group(how);
  app.add_option("--times", options.times, "Refresh so many times, then end")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000))
      ->needs(watch)
      ->group(how);
  app.add_option("--record", options.record,
                 "Write what was read to a file; without names and serial numbers")
      ->type_name("FILE")
      ->excludes(from)
      ->excludes(watch)
      ->group(how);
  static_cast<void>(measure);

  if (const auto status = example::read_arguments(app, "inspect", argc, argv)) {
    return tl::unexpected(ExitStatus{*status});
  }
  return options;
}

}  // namespace inspect
