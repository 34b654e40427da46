// Says whether a model fits a machine; see --help.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>

#include "../write_file.hpp"
#include "mais/files/machine_json.hpp"
#include "mais/sim/presets.hpp"
#include "options.hpp"
#include "report.hpp"
#include "views.hpp"

namespace {

using namespace mais;

int fault(const std::string& message) {
  std::cerr << "fit: " << message << '\n';
  return 1;
}

std::vector<Machine> known_machines() {
  std::vector<Machine> machines;
  for (const std::string& name : sim::preset_names()) {
    machines.push_back(sim::preset(name)->config.machine);
  }
  return machines;
}

// Those that the command line names: one, or all that are known.
Result<std::vector<Machine>> machines_of(const std::string& name) {
  std::vector<Machine> known = known_machines();
  if (name.empty()) return known;
  std::string names;
  for (const Machine& machine : known) {
    if (machine.name == name) return std::vector{machine};
    names += (names.empty() ? "" : ", ") + machine.name;
  }
  std::ifstream file(name, std::ios::binary);
  if (!file) {
    return mais::fail(ErrorCode::not_found, "there is no machine and no file '" + name +
                                                "'; known machines are " + names);
  }
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  Result<Machine> machine = files::parse_machine(text, name);
  if (!machine) return tl::unexpected<Error>(machine.error());
  if (machine->name.empty()) machine->name = name;
  return std::vector{std::move(*machine)};
}

bool shows_unicode() {
  for (const char* variable : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(variable);
    if (value == nullptr || *value == '\0') continue;
    const std::string locale = value;
    return locale.find("UTF-8") != std::string::npos || locale.find("utf8") != std::string::npos;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = fit::read_options(argc, argv);
  if (!options) return options.error().code;
  const Result<std::vector<Machine>> machines = machines_of(options->machine);
  if (!machines) return fault(machines.error().message);
  const Result<fit::Subject> subject = fit::study(*options);
  if (!subject) return fault(subject.error().message);

  std::vector<fit::Report> reports;
  for (const Machine& machine : *machines) {
    Result<fit::Report> report = fit::judge(*subject, machine, *options);
    if (!report) return fault(report.error().message);
    reports.push_back(std::move(*report));
  }
  if (!options->html.empty()) {
    if (!example::write_file(options->html, fit::as_page(*subject, reports))) {
      return fault(options->html + ": cannot be written");
    }
  }
  if (options->json) {
    std::cout << fit::as_json(*subject, reports);
  } else if (reports.size() == 1) {
    std::cout << fit::in_detail(*subject, reports.front(), shows_unicode())
              << fit::assumptions_of(*subject);
  } else {
    std::cout << fit::about_model(*subject) << '\n' << fit::side_by_side(reports);
  }
  const bool fits = std::any_of(reports.begin(), reports.end(),
                                [](const fit::Report& report) { return report.fits; });
  return fits ? 0 : 3;
}
