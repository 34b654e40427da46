#include <algorithm>

#include "markdown.hpp"
#include "plot.hpp"
#include "studies.hpp"

namespace evaluate {

using namespace mais;

namespace {

struct Told {
  const char* name;
  CostError error;
};
constexpr Told kTold[] = {
    {"compute half as fast, memory twice", {2, 0.5, 2, 0.5, 0.5}},
    {"compute twice as fast, memory half", {0.5, 2, 0.5, 2, 2}},
    {"each off by another factor", {0.7, 1.9, 1.6, 0.6, 1.1}},
};

Variant wrong(const Told& told, bool learning) {
  Variant variant{.name = std::string(told.name) + (learning ? ", learned" : ", believed"),
                  .cost_error = told.error};
  variant.policy.learn_costs = learning;
  return variant;
}

// The right costs, then each wrong one, learned and believed.
std::vector<Variant> ways_to_know_costs() {
  std::vector<Variant> all = {projected()};
  for (const Told& told : kTold) {
    for (const bool learning : {true, false}) all.push_back(wrong(told, learning));
  }
  return all;
}

// Requests that arrive earlier may meet a planner that is still learning: many more than 200 steps.
constexpr double kLearned = 60;  // seconds

// Part of the requests that arrive from then on that is good.
double attained_later(const Job& job, const sim::RunResult& run) {
  const double speed = job.requests_per_second / sim::mean_rate(job.setting->trace);
  double all = 0, good = 0;
  for (std::size_t i = 0; i < run.good_requests.size(); ++i) {
    if (to_seconds(job.setting->trace.requests[i].arrival) / speed < kLearned) continue;
    ++all;
    good += run.good_requests[i] ? 1 : 0;
  }
  return all > 0 ? good / all : 0;
}

}  // namespace

std::optional<Job> CostsStudy::at_99(const SettingRef& setting, const Variant& variant,
                                     const Workbench& known) const {
  const Outcome* outcome = known.find(capacity_of(setting, projected()));
  if (outcome == nullptr || outcome->capacity_99 <= 0) return std::nullopt;
  return at_load(setting, variant, outcome->capacity_99);
}

std::vector<Job> CostsStudy::jobs(const Workbench& known) const {
  std::vector<Job> jobs;
  for (const SettingRef& setting : settings_) {
    for (const Variant& variant : ways_to_know_costs()) {
      jobs.push_back(capacity_of(setting, variant));
      if (auto job = at_99(setting, variant, known)) jobs.push_back(*std::move(job));
    }
  }
  return jobs;
}

double CostsStudy::least_kept(const Workbench& known) const {
  double least = 1e9;
  for (const SettingRef& setting : settings_) {
    const double knowing = known.at(capacity_of(setting, projected())).capacity_90;
    for (const Told& told : kTold) {
      least =
          std::min(least, known.at(capacity_of(setting, wrong(told, true))).capacity_90 / knowing);
    }
  }
  return least;
}

double CostsStudy::least_attained(const Workbench& known) const {
  double least = 1;
  for (const SettingRef& setting : settings_) {
    const auto knowing = at_99(setting, projected(), known);
    if (!knowing) continue;
    const double attained = attained_later(*knowing, known.at(*knowing).run);
    for (const Told& told : kTold) {
      const Job learned = *at_99(setting, wrong(told, true), known);
      least = std::min(least, attained_later(learned, known.at(learned).run) / attained);
    }
  }
  return least;
}

Findings CostsStudy::findings(const Workbench& known) const {
  BarPlot plot{.title = "Told the wrong step costs",
               .about =
                   "Simulated. Capacity-90 when the planner is told costs that are off by up "
                   "to 2x; dashed: told the right ones.",
               .label = "requests per second",
               .wide_name = {},
               .thin_name = {},
               .rows = {"right costs"},
               .looks = {0},
               .panels = {}};
  for (const Variant& variant : ways_to_know_costs()) {
    if (!variant.cost_error) continue;
    plot.rows.push_back(variant.name);
    plot.looks.push_back(variant.policy.learn_costs ? 2 : 1);
  }
  std::vector<std::string> head = {"told"};
  std::vector<std::vector<std::string>> rows;
  for (const std::string& name : plot.rows) rows.push_back({name});
  std::vector<std::vector<std::string>> later = rows;
  for (const SettingRef& setting : settings_) {
    head.push_back(setting->name);
    BarPanel panel{.title = setting->name};
    const double knowing = known.at(capacity_of(setting, projected())).capacity_90;
    const std::vector<Variant> all = ways_to_know_costs();
    for (std::size_t i = 0; i < all.size(); ++i) {
      const Outcome& at = known.at(capacity_of(setting, all[i]));
      panel.wide.emplace_back(at.capacity_90);
      rows[i].push_back(fixed(at.capacity_90, 3) + " (" +
                        percent(knowing > 0 ? at.capacity_90 / knowing : 0, 0) + ") / " +
                        fixed(at.capacity_99, 3));
      if (const auto job = at_99(setting, all[i], known)) {
        const sim::RunResult& run = known.at(*job).run;
        later[i].push_back(percent(run.attainment, 2) + " / " +
                           percent(attained_later(*job, run), 2));
      } else {
        later[i].push_back("-");
      }
    }
    panel.rule = {.y = knowing, .text = {}};
    plot.panels.push_back(std::move(panel));
  }
  return {.markdown =
              "Capacity-90 (part of what knowing the costs carries) / capacity-99, requests "
              "per second. The first 200 steps, in which the costs are learned, count.\n\n" +
              table(head, rows) +
              "\nGood requests at the capacity-99 of knowing the costs: of all / of those that "
              "arrive after the first minute.\n\n" +
              table(head, later),
          .plots = {{"costs", to_svg(plot)}}};
}

}  // namespace evaluate
