// Load for a server, by real HTTP clients; see --help.
#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "../../command_line.hpp"
#include "../../plain_formatter.hpp"
#include "../../write_file.hpp"
#include "clients.hpp"
#include "report.hpp"

namespace {

using namespace server_load;

constexpr int kBadInput = 1;
constexpr int kLost = 3;
constexpr int kLate = 4;

int fail_with(const std::string& message) {
  std::cerr << "server_load: " << message << '\n';
  return kBadInput;
}

bool write(const std::string& path, const std::string& text) {
  const bool written = example::write_file(path, text);
  if (!written) std::cerr << "server_load: " << path << ": cannot be written\n";
  return written;
}

int make_page(const std::string& page, const std::vector<std::string>& results) {
  std::vector<Run> runs;
  for (const auto& path : results) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail_with(path + ": cannot be opened");
    auto run = from_json({std::istreambuf_iterator<char>(file), {}}, path);
    if (!run) return fail_with(run.error().message);
    runs.push_back(std::move(*run));
  }
  return write(page, to_html(runs, demonstration_kinds())) ? 0 : kBadInput;
}

}  // namespace

int main(int argc, char** argv) {
  Target target;
  double rate = 0, seconds = 20, measure = 0;
  std::uint64_t seed = 1;
  std::string label = "run", json, page;
  std::vector<std::string> results;
  bool strict = false;
  CLI::App app(
      "Sends requests of three tenants to a server that has models 'chat' and 'writer',\n"
      "and says what became of them.");
  app.name("server_load");
  app.footer(
      "Exit status: 0 done, 1 the input could not be used, 2 wrong options; with --strict\n"
      "3 a request was lost or an allocation failed, 4 less than 95 % of the requests of\n"
      "a realtime tenant were answered within its goals.");
  app.formatter(std::make_shared<example::PlainFormatter>());
  app.add_option("--port", target.port, "Of the server, on this machine")->type_name("N");
  app.add_option("--rate", rate, "Requests in a second, whatever becomes of them")->type_name("R");
  app.add_option("--seconds", seconds, "For so long (default 20)")->type_name("S");
  app.add_option("--measure", measure,
                 "With so many clients that wait for each answer: prints the "
                 "rate that the server carries")
      ->type_name("N");
  app.add_option("--seed", seed, "Of the arrivals and requests (default 1)")->type_name("N");
  app.add_option("--label", label, "Name of the run in the page")->type_name("TEXT");
  app.add_option("--json", json, "All results, for --page")->type_name("FILE");
  app.add_option("--page", page, "Makes a page with plots of --results")->type_name("FILE");
  app.add_option("--results", results, "Files that --json wrote")->type_name("FILE...");
  app.add_flag("--strict", strict, "Fail when something was lost, or came too late");
  if (const auto status = example::read_arguments(app, "server_load", argc, argv)) return *status;
  if (!page.empty()) return make_page(page, results);
  if (target.port <= 0 || !(seconds > 0) || (!(rate > 0) && !(measure >= 1))) {
    std::cerr << "server_load: give --port, and --rate or --measure\nTry server_load --help.\n";
    return 2;
  }
  const std::vector<Kind> kinds = demonstration_kinds();
  if (measure >= 1) {
    std::cout << carried(target, kinds, static_cast<std::size_t>(measure), seconds, seed) << '\n';
    return 0;
  }
  Run run = open_loop(target, kinds, rate, seconds, seed);
  run.label = label;
  std::cout << to_text(run, kinds);
  if (!json.empty() && !write(json, to_json(run))) return kBadInput;
  if (!strict) return 0;
  const Verdict verdict = verdict_of(run, kinds);
  if (verdict != Verdict::good) std::cerr << "server_load: " << to_text(verdict) << '\n';
  return verdict == Verdict::good ? 0 : verdict == Verdict::lost ? kLost : kLate;
}
