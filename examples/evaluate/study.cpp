#include "study.hpp"

#include <algorithm>

#include "studies.hpp"

namespace evaluate {

using namespace mais;

std::vector<std::unique_ptr<Study>> all_studies(const Settings& settings) {
  std::vector<std::unique_ptr<Study>> studies;
  studies.push_back(std::make_unique<FiguresStudy>(settings));
  studies.push_back(std::make_unique<PoliciesStudy>(settings));
  studies.push_back(std::make_unique<AblationStudy>(settings));
  studies.push_back(std::make_unique<AgeingStudy>(settings));
  studies.push_back(std::make_unique<OverloadStudy>(settings));
  studies.push_back(std::make_unique<CostsStudy>(settings));
  studies.push_back(std::make_unique<RobustnessStudy>(settings));
  return studies;
}

Result<void> run_studies(const std::vector<const Study*>& studies, Workbench& bench,
                         const Workbench::Progress& progress) {
  for (;;) {
    std::vector<Job> jobs;
    for (const Study* study : studies) {
      for (Job& job : study->jobs(bench)) {
        if (!bench.knows(job)) jobs.push_back(std::move(job));
      }
    }
    if (jobs.empty()) return {};
    if (Result<void> ran = bench.run(jobs, progress); !ran) return ran;
  }
}

Variant projected() {
  return {.name = "projected", .policy = Policy::projected()};
}
Variant optimistic() {
  return {.name = "optimistic", .policy = Policy::optimistic()};
}
Variant no_evict() {
  return {.name = "no_evict", .policy = Policy::no_evict()};
}
Variant without_ageing() {
  Variant variant{.name = "no ageing"};
  variant.policy.overdue_after = kNever;
  return variant;
}

Job capacity_of(const SettingRef& setting, const Variant& variant) {
  return {.setting = setting, .variant = variant, .measure = Measure::capacity};
}
Job offline_of(const SettingRef& setting, const Variant& variant) {
  return {.setting = setting, .variant = variant, .measure = Measure::offline};
}
Job at_load(const SettingRef& setting, const Variant& variant, double requests_per_second) {
  return {.setting = setting,
          .variant = variant,
          .measure = Measure::online,
          .requests_per_second = requests_per_second};
}

}  // namespace evaluate
