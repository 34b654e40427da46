#include <algorithm>

#include "markdown.hpp"
#include "plot.hpp"
#include "studies.hpp"

namespace evaluate {

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

}  // namespace

std::vector<Job> CostsStudy::jobs(const Workbench&) const {
  std::vector<Job> jobs;
  for (const SettingRef& setting : settings_) {
    jobs.push_back(capacity_of(setting, projected()));
    for (const Told& told : kTold) {
      for (const bool learning : {true, false}) {
        jobs.push_back(capacity_of(setting, wrong(told, learning)));
      }
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
  std::vector<Variant> variants = {projected()};
  for (const Told& told : kTold) {
    for (const bool learning : {true, false}) {
      variants.push_back(wrong(told, learning));
      plot.rows.push_back(variants.back().name);
      plot.looks.push_back(learning ? 2 : 1);
    }
  }
  std::vector<std::string> head = {"told"};
  std::vector<std::vector<std::string>> rows;
  for (const std::string& name : plot.rows) rows.push_back({name});
  for (const SettingRef& setting : settings_) {
    head.push_back(setting->name);
    BarPanel panel{.title = setting->name};
    const double knowing = known.at(capacity_of(setting, projected())).capacity_90;
    for (std::size_t i = 0; i < variants.size(); ++i) {
      const Outcome& at = known.at(capacity_of(setting, variants[i]));
      panel.wide.emplace_back(at.capacity_90);
      rows[i].push_back(fixed(at.capacity_90, 3) + " (" +
                        percent(knowing > 0 ? at.capacity_90 / knowing : 0, 0) + ") / " +
                        fixed(at.capacity_99, 3));
    }
    panel.rule = {.y = knowing, .text = {}};
    plot.panels.push_back(std::move(panel));
  }
  return {.markdown =
              "Capacity-90 (part of what knowing the costs carries) / capacity-99, requests "
              "per second. The first 200 steps, in which the costs are learned, count.\n\n" +
              table(head, rows),
          .plots = {{"costs", to_svg(plot)}}};
}

}  // namespace evaluate
