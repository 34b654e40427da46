#include <algorithm>

#include "markdown.hpp"
#include "plot.hpp"
#include "studies.hpp"

namespace evaluate {

namespace {

constexpr double kLoads[] = {0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6};

std::vector<Variant> overload_variants() {
  return {projected(), without_ageing(), optimistic()};
}

double good_per_second(const mais::sim::RunResult& run) {
  return run.attainment * run.requests_per_second;
}

}  // namespace

std::vector<Job> OverloadStudy::sweep(const SettingRef& setting, const Variant& variant,
                                      const Workbench& known) const {
  const Outcome* outcome = known.find(capacity_of(setting, projected()));
  if (outcome == nullptr) return {};
  std::vector<Job> jobs;
  for (const double load : kLoads) {
    const double rate = load * outcome->capacity_90;
    if (rate > 0) jobs.push_back(at_load(setting, variant, rate));
  }
  return jobs;
}

std::vector<Job> OverloadStudy::jobs(const Workbench& known) const {
  std::vector<Job> jobs;
  for (const SettingRef& setting : settings_) {
    jobs.push_back(capacity_of(setting, projected()));
    for (const Variant& variant : overload_variants()) {
      for (Job& job : sweep(setting, variant, known)) jobs.push_back(std::move(job));
    }
  }
  return jobs;
}

double OverloadStudy::most_good(const SettingRef& setting, const Variant& variant,
                                const Workbench& known) const {
  double most = 0;
  for (const Job& job : sweep(setting, variant, known)) {
    most = std::max(most, good_per_second(known.at(job).run));
  }
  return most;
}

Findings OverloadStudy::findings(const Workbench& known) const {
  LinePlot plot{.title = "Good requests per second under overload",
                .about =
                    "Simulated. Loads up to six times the capacity-90 of the default policy "
                    "(projected).",
                .panels = {}};
  std::vector<std::vector<std::string>> rows;
  for (const SettingRef& setting : settings_) {
    LinePanel panel{.title = setting->name,
                    .x_label = "load, requests per second",
                    .y_label = "good requests per second",
                    .series = {}};
    std::size_t look = 0;
    for (const Variant& variant : overload_variants()) {
      Series series{.name = variant.name, .look = look++};
      if (variant.name == "no ageing") series.name = "projected without ageing";
      std::vector<std::string> row = {setting->name, series.name};
      for (const Job& job : sweep(setting, variant, known)) {
        const mais::sim::RunResult& run = known.at(job).run;
        series.points.emplace_back(run.requests_per_second, good_per_second(run));
      }
      row.push_back(fixed(most_good(setting, variant, known), 2));
      for (const double load : {1.0, 1.5, 2.0, 3.0, 6.0}) {
        const Outcome& at = known.at(capacity_of(setting, projected()));
        const Outcome* run = known.find(at_load(setting, variant, load * at.capacity_90));
        row.push_back(run == nullptr ? "-"
                                     : fixed(good_per_second(run->run), 2) + " (" +
                                           percent(run->run.attainment, 0) + ")");
      }
      rows.push_back(std::move(row));
      panel.series.push_back(std::move(series));
    }
    plot.panels.push_back(std::move(panel));
  }
  return {
      .markdown =
          "Good requests per second (attainment) at multiples of the capacity-90 of "
          "`projected`.\n\n" +
          table({"trace and machine", "policy", "most", "1x", "1.5x", "2x", "3x", "6x"}, rows, 2),
      .plots = {{"overload", to_svg(plot)}}};
}

}  // namespace evaluate
