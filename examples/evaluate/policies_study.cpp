#include "markdown.hpp"
#include "plot.hpp"
#include "studies.hpp"

namespace evaluate {

namespace {
std::vector<Variant> policy_variants() {
  return {projected(), optimistic(), no_evict()};
}
}  // namespace

std::optional<Job> PoliciesStudy::at_optimistic(const SettingRef& setting,
                                                const Workbench& known) const {
  const Outcome* outcome = known.find(capacity_of(setting, optimistic()));
  if (outcome == nullptr || outcome->capacity_90 <= 0) return std::nullopt;
  return at_load(setting, projected(), outcome->capacity_90);
}

std::vector<Job> PoliciesStudy::jobs(const Workbench& known) const {
  std::vector<Job> jobs;
  for (const SettingRef& setting : settings_.compared()) {
    for (const Variant& variant : policy_variants()) {
      jobs.push_back(capacity_of(setting, variant));
      jobs.push_back(offline_of(setting, variant));
    }
    if (const auto job = at_optimistic(setting, known)) jobs.push_back(*job);
  }
  return jobs;
}

Findings PoliciesStudy::findings(const Workbench& known) const {
  BarPlot plot{.title = "Load carried by each policy",
               .about =
                   "Simulated. Requests per second at which 90 % (wide bar, number) and 99 % "
                   "(thin bar) of all requests are good.",
               .label = "requests per second",
               .wide_name = "capacity-90",
               .thin_name = "capacity-99",
               .rows = {},
               .looks = {0, 4, 3},
               .panels = {},
               .columns = 3};
  for (const Variant& variant : policy_variants()) plot.rows.push_back(variant.name);
  std::vector<std::vector<std::string>> rows, attained;
  for (const SettingRef& setting : settings_.compared()) {
    BarPanel panel{.title = setting->name};
    for (const Variant& variant : policy_variants()) {
      const Outcome& at = known.at(capacity_of(setting, variant));
      const Outcome& offline = known.at(offline_of(setting, variant));
      panel.wide.emplace_back(at.capacity_90);
      panel.thin.emplace_back(at.capacity_99);
      const double computed = static_cast<double>(at.run.computed.count());
      rows.push_back(
          {setting->name, variant.name, fixed(at.capacity_90, 3), fixed(at.capacity_99, 3),
           offline.run.makespan_ratio ? fixed(*offline.run.makespan_ratio, 3) : "-",
           std::to_string(at.run.preemptions),
           percent(computed > 0 ? static_cast<double>(at.run.recomputed.count()) / computed : 0, 2),
           percent(at.run.prefix_hit_rate), fixed(at.run.longest_wait, 1),
           std::to_string(at.run.ooms + offline.run.ooms)});
    }
    plot.panels.push_back(std::move(panel));
    if (const auto job = at_optimistic(setting, known)) {
      attained.push_back({setting->name, fixed(job->requests_per_second, 3),
                          percent(known.at(*job).run.attainment, 2)});
    } else {
      attained.push_back({setting->name, "0", "-"});
    }
  }
  std::string text =
      "Capacities in good requests per second; preemptions and what follows at capacity-90 (at the "
      "lowest load tried where that is 0). Makespan: all requests at once, over a bound that knows "
      "no shared prefixes. Longest wait: time to first token over its bound.\n\n" +
      table({"trace and machine", "policy", "capacity-90", "capacity-99", "makespan", "preemptions",
             "recomputed", "prefix hits", "longest wait", "OOMs"},
            rows, 2) +
      "\nWhat `projected` attains at the load of `optimistic`'s capacity-90:\n\n" +
      table({"trace and machine", "load, requests/s", "good"}, attained);
  return {.markdown = std::move(text), .plots = {{"policies", to_svg(plot)}}};
}

}  // namespace evaluate
