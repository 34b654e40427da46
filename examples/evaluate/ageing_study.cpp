#include "markdown.hpp"
#include "plot.hpp"
#include "studies.hpp"

namespace evaluate {

namespace {

constexpr double kBounds[] = {30, 100, 200, 300, 450, 600, 1000, kNever};

std::string named(double bound) {
  return bound >= kNever ? "never" : fixed(bound, 0);
}

Variant overdue_after(double bound) {
  if (bound == mais::Policy{}.overdue_after) return projected();
  if (bound >= kNever) return without_ageing();
  Variant variant{.name = "overdue after " + named(bound)};
  variant.policy.overdue_after = bound;
  return variant;
}

}  // namespace

std::vector<Job> AgeingStudy::jobs(const Workbench&) const {
  std::vector<Job> jobs;
  for (const SettingRef& setting : settings_) {
    for (const double bound : kBounds) jobs.push_back(capacity_of(setting, overdue_after(bound)));
  }
  return jobs;
}

Findings AgeingStudy::findings(const Workbench& known) const {
  LinePlot plot{.title = "The bound on waiting and what it costs",
                .about =
                    "Simulated. A request is overdue, and served before those that can still "
                    "be good, after so many times its bound of the time to first token.",
                .panels = {}};
  std::vector<std::string> head = {"overdue after"};
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> names;
  for (const double bound : kBounds) {
    const bool is_default = bound == mais::Policy{}.overdue_after;
    names.push_back(named(bound));
    rows.push_back({is_default ? "**" + named(bound) + "** (default)" : named(bound)});
  }
  const std::string x = "overdue after so many times the bound of the time to first token";
  std::vector<LinePanel> waits;
  for (const SettingRef& setting : settings_) {
    Series ninety{.name = "capacity-90", .look = 0};
    Series ninety_nine{.name = "capacity-99", .look = 4};
    Series longest{.name = "longest wait at capacity-90", .look = 1};
    for (std::size_t i = 0; i < std::size(kBounds); ++i) {
      const Outcome& at = known.at(capacity_of(setting, overdue_after(kBounds[i])));
      const auto place = static_cast<double>(i);
      ninety.points.emplace_back(place, at.capacity_90);
      ninety_nine.points.emplace_back(place, at.capacity_99);
      longest.points.emplace_back(place, at.run.longest_wait);
      rows[i].push_back(fixed(at.capacity_90, 3) + " / " + fixed(at.capacity_99, 3));
      rows[i].push_back(fixed(at.run.longest_wait, 0));
    }
    head.push_back(setting->name);
    head.push_back("longest wait");
    plot.panels.push_back({.title = setting->name + ": load carried",
                           .x_label = x,
                           .y_label = "requests per second",
                           .series = {ninety, ninety_nine},
                           .categories = names});
    waits.push_back({.title = setting->name + ": longest wait",
                     .x_label = x,
                     .y_label = "multiple of its bound (log)",
                     .series = {longest},
                     .categories = names,
                     .rules = {},
                     .logarithmic = true});
  }
  for (LinePanel& panel : waits) plot.panels.push_back(std::move(panel));
  return {.markdown =
              "Capacity-90 / capacity-99 in requests per second, and the longest wait for a "
              "first token at capacity-90 as a multiple of its bound.\n\n" +
              table(head, rows),
          .plots = {{"ageing", to_svg(plot)}}};
}

}  // namespace evaluate
