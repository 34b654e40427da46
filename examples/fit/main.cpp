// Says whether a model fits a machine; see --help.
#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "../write_file.hpp"
#include "machines.hpp"
#include "options.hpp"
#include "report.hpp"
#include "views.hpp"

namespace {

using namespace mais;

int fault(const std::string& message) {
  std::cerr << "fit: " << message << '\n';
  return 1;
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
  const Result<std::vector<Machine>> machines = fit::machines_of(*options);
  if (!machines) return fault(machines.error().message);
  std::vector<fit::Subject> subjects;
  for (const std::string& model : options->models) {
    Result<fit::Subject> subject = fit::study(model, *options);
    if (!subject) return fault(subject.error().message);
    subjects.push_back(std::move(*subject));
  }

  // Of several quantisations, the one that is chosen; the best that fits where none will do.
  std::vector<fit::Choice> choices;
  const fit::Subject* subject = &subjects.front();
  if (subjects.size() > 1) {
    if (machines->size() > 1) return fault("several MODELs are compared on one --machine");
    Result<std::vector<fit::Choice>> chosen = fit::choose(subjects, machines->front(), *options);
    if (!chosen) return fault(chosen.error().message);
    choices = std::move(*chosen);
    const fit::Choice* shown = nullptr;
    for (const fit::Choice& choice : choices) {
      if (choice.chosen || (shown == nullptr && choice.speed)) shown = &choice;
      if (choice.chosen) break;
    }
    if (shown == nullptr) shown = &choices.back();
    const auto index = std::find(options->models.begin(), options->models.end(), shown->name);
    subject = &subjects[static_cast<std::size_t>(index - options->models.begin())];
  }

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
    std::cout << fit::as_json(*subject, reports, choices);
  } else if (reports.size() == 1) {
    if (!choices.empty()) std::cout << fit::choices_in_detail(choices) << '\n';
    std::cout << fit::in_detail(*subject, reports.front(), shows_unicode())
              << fit::assumptions_of(*subject, reports.front())
              << fit::assumed_of_machines(*options);
  } else {
    std::cout << fit::about_model(*subject) << '\n' << fit::side_by_side(reports);
  }
  const bool fits = std::any_of(reports.begin(), reports.end(),
                                [](const fit::Report& report) { return report.does(); });
  return fits ? 0 : 3;
}
