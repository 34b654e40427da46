#include <algorithm>

#include "markdown.hpp"
#include "studies.hpp"

namespace evaluate {

namespace {

struct Figure {
  std::string what;
  bool at_least = true;
  double asked = 0, measured = 0;
  int decimals = 2;
  double factor = 1;  // as shown
  const char* unit = "";
};

// Asked of the longest wait beyond the bound at which a request is overdue.
constexpr double kSlack = 1.2;

}  // namespace

FiguresStudy::FiguresStudy(const Settings& settings)
    : settings_(settings),
      policies_(settings),
      overload_(settings),
      costs_(settings),
      robustness_(settings) {}

std::vector<Job> FiguresStudy::jobs(const Workbench& known) const {
  std::vector<Job> jobs;
  if (settings_.synthetic) return jobs;
  for (const SettingRef& setting :
       {settings_.long_a100, settings_.long_a100_host, settings_.long_h200_host}) {
    jobs.push_back(capacity_of(setting, projected()));
  }
  for (const SettingRef& setting : {settings_.chat_l4, settings_.chat_a100}) {
    jobs.push_back(capacity_of(setting, optimistic()));
    jobs.push_back(offline_of(setting, projected()));
    if (auto job = policies_.at_optimistic(setting, known)) jobs.push_back(*std::move(job));
  }
  for (const Study* study :
       {static_cast<const Study*>(&overload_), static_cast<const Study*>(&costs_),
        static_cast<const Study*>(&robustness_)}) {
    for (Job& job : study->jobs(known)) jobs.push_back(std::move(job));
  }
  return jobs;
}

Findings FiguresStudy::findings(const Workbench& known) const {
  if (settings_.synthetic) {
    return {.markdown =
                "Figures were asked of recorded traces; this is a run on synthetic ones.\n"};
  }
  const SettingRef& l4 = settings_.chat_l4;
  const SettingRef& a100 = settings_.chat_a100;
  const auto at = [&](const SettingRef& setting) -> const Outcome& {
    return known.at(capacity_of(setting, projected()));
  };
  const auto attained = [&](const SettingRef& setting) {
    const auto job = policies_.at_optimistic(setting, known);
    return job ? known.at(*job).run.attainment : 0;
  };
  const auto makespan = [&](const SettingRef& setting) {
    return known.at(offline_of(setting, projected())).run.makespan_ratio.value_or(1e9);
  };
  double most_lost = 0, most_recomputed = 0;
  for (const RobustnessStudy::Case& one : robustness_.cases(known)) {
    const mais::sim::RunResult& run = known.at(one.job).run;
    most_recomputed = std::max(most_recomputed, static_cast<double>(run.recomputed.count()) /
                                                    static_cast<double>(run.computed.count()));
    if (!one.calm) continue;
    most_lost = std::max(most_lost, RobustnessStudy::attained(one, *one.calm, known) -
                                        RobustnessStudy::attained(one, one.job, known));
  }
  const double longest = std::max(at(l4).run.longest_wait, at(a100).run.longest_wait);
  const double overdue = mais::Policy{}.overdue_after;
  const std::vector<Figure> figures = {
      {"capacity-90, " + l4->name, true, 0.95, at(l4).capacity_90, 3},
      {"capacity-90, " + a100->name, true, 7.3, at(a100).capacity_90},
      {"capacity-99, " + l4->name, true, 0.64, at(l4).capacity_99, 3},
      {"capacity-99, " + a100->name, true, 5.2, at(a100).capacity_99},
      {"capacity-90, " + settings_.long_a100->name, true, 0.27, at(settings_.long_a100).capacity_90,
       3},
      {"capacity-90, " + settings_.long_a100_host->name, true, 0.58,
       at(settings_.long_a100_host).capacity_90, 3},
      {"capacity-90, " + settings_.long_h200_host->name, true, 0.55,
       at(settings_.long_h200_host).capacity_90, 3},
      {"attainment at the capacity-90 of `optimistic`, " + l4->name, true, 0.99, attained(l4), 2,
       100, " %"},
      {"attainment at the capacity-90 of `optimistic`, " + a100->name, true, 0.99, attained(a100),
       2, 100, " %"},
      {"most good requests/s up to 6x capacity-90, " + l4->name, true, 1.30,
       overload_.most_good(l4, projected(), known)},
      {"most good requests/s up to 6x capacity-90, " + a100->name, true, 9.1,
       overload_.most_good(a100, projected(), known)},
      {"makespan over its bound, offline, " + l4->name, false, 1.25, makespan(l4), 3},
      {"makespan over its bound, offline, " + a100->name, false, 1.02, makespan(a100), 3},
      {"longest wait at capacity-90, in bounds of TTFT (1.2 x overdue_after), Azure", false,
       kSlack * overdue, longest, 0},
      {"most points of attainment lost by the others, robustness", false, 0.05, most_lost, 1, 100},
      {"most tokens recomputed, robustness", false, 0.03, most_recomputed, 2, 100, " %"},
      {"capacity-90 with learned costs, over that of knowing them", true, 0.97,
       costs_.least_kept(known), 3},
      {"good at capacity-99 after a minute with learned costs, over that of knowing them", true,
       0.97, costs_.least_attained(known), 3},
  };
  std::vector<std::vector<std::string>> rows;
  for (const Figure& f : figures) {
    const bool reached = f.at_least ? f.measured >= f.asked : f.measured <= f.asked;
    rows.push_back({f.what,
                    (f.at_least ? ">= " : "<= ") + fixed(f.asked * f.factor, f.decimals) + f.unit,
                    fixed(f.measured * f.factor, f.decimals) + f.unit, reached ? "yes" : "**no**"});
  }
  return {.markdown =
              "Simulated, with the default configuration on every trace and machine. "
              "Capacities in requests per second. Every run ended with no step out of "
              "memory and no request unfinished; otherwise the command fails.\n\n" +
              table({"figure", "asked", "measured", "reached"}, rows)};
}

}  // namespace evaluate
