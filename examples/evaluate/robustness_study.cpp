#include <algorithm>
#include <cmath>

#include "markdown.hpp"
#include "studies.hpp"

namespace evaluate {

using namespace mais;

namespace {

using Case = RobustnessStudy::Case;

bool anyone(const Job&, std::size_t) {
  return true;
}

// Half of what is carried, and for ten minutes in the middle twice of it. None where the trace is
// too short for that.
std::optional<Case> burst(const SettingRef& setting, double carried) {
  const std::size_t requests = setting->trace.requests.size(), middle = requests / 2;
  const auto in_burst = static_cast<std::size_t>(2 * carried * 600);
  if (in_burst == 0 || middle + in_burst >= requests) return std::nullopt;
  const double recorded = sim::mean_rate(setting->trace);
  std::vector<bool> others(requests, true);
  sim::Trace trace = setting->trace;
  double at = 0;
  for (std::size_t i = 1; i < requests; ++i) {
    others[i] = i < middle || i >= middle + in_burst;
    const Duration gap =
        setting->trace.requests[i].arrival - setting->trace.requests[i - 1].arrival;
    at += to_seconds(gap) * recorded / (carried * (others[i] ? 0.5 : 2));
    trace.requests[i].arrival = from_seconds(at);
  }
  const double mean = sim::mean_rate(trace);
  return Case{
      .what = "burst: twice capacity-90 for ten minutes, amid half of it",
      .whose = "requests outside the burst",
      .job = at_load(with_trace(*setting, std::move(trace), "burst"), projected(), mean),
      .calm = at_load(setting, projected(), 0.5 * carried),
      .counted = [others = std::move(others)](const Job&, std::size_t i) { return others[i]; }};
}

Case declared_too_much(const SettingRef& setting, double carried) {
  Job job = at_load(setting, projected(), 0.9 * carried);
  Job calm = job;
  job.max_new = Tokens(32'768);
  return {.what = "everyone declares 32,768 output tokens, at 0.9 of capacity-90",
          .whose = "all",
          .job = std::move(job),
          .calm = std::move(calm),
          .counted = anyone};
}

// Output lengths drawn anew: Pareto with exponent 1.1 from 60 tokens on, at most 2,048.
Case heavy_tails(const SettingRef& setting, double carried) {
  sim::Trace trace = setting->trace;
  std::uint64_t state = 1;
  for (sim::TraceRequest& request : trace.requests) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const double u = (static_cast<double>(state >> 11) + 1) / 9007199254740993.0;
    request.output = Tokens(static_cast<std::int64_t>(std::min(2048.0, 60 / std::pow(u, 1 / 1.1))));
  }
  sim::leave_out_longer_than(trace, sim::pool_tokens(setting->scenario));
  return {.what =
              "heavy tails: output lengths drawn from a Pareto law (synthetic), at 0.7 of "
              "capacity-90",
          .whose = "all",
          .job = at_load(with_trace(*setting, std::move(trace), "heavy tails"), projected(),
                         0.7 * carried),
          .calm = std::nullopt,
          .counted = anyone};
}

// One tenant sends three tenths of what is carried. The other as much, then nine times as much.
Case flood(const SettingRef& setting, double carried) {
  Setting two = *setting;
  two.scenario.config.tenants = {{.name = "steady"}, {.name = "flood"}};
  const auto every = [&](std::size_t nth, const std::string& what) {
    sim::Trace trace = setting->trace;
    for (std::size_t i = 0; i < trace.requests.size(); ++i) {
      trace.requests[i].tenant = TenantId(i % nth == 0 ? 0 : 1);
    }
    return with_trace(two, std::move(trace), what);
  };
  return {.what = "one of two tenants floods: three times capacity-90 in all",
          .whose = "the other tenant",
          .job = at_load(every(10, "flooded"), projected(), 3 * carried),
          .calm = at_load(every(2, "two tenants"), projected(), 0.6 * carried),
          .counted = [](const Job& job, std::size_t i) {
            return job.setting->trace.requests[i].tenant == TenantId(0);
          }};
}

}  // namespace

std::vector<Case> RobustnessStudy::cases(const Workbench& known) const {
  std::vector<Case> all;
  for (const SettingRef& setting : settings_) {
    const Outcome* outcome = known.find(capacity_of(setting, projected()));
    if (outcome == nullptr || outcome->capacity_90 <= 0) continue;
    if (auto made = burst(setting, outcome->capacity_90)) all.push_back(*std::move(made));
    all.push_back(declared_too_much(setting, outcome->capacity_90));
    all.push_back(heavy_tails(setting, outcome->capacity_90));
    all.push_back(flood(setting, outcome->capacity_90));
  }
  return all;
}

std::vector<Job> RobustnessStudy::jobs(const Workbench& known) const {
  std::vector<Job> jobs;
  for (const SettingRef& setting : settings_) jobs.push_back(capacity_of(setting, projected()));
  for (const Case& one : cases(known)) {
    jobs.push_back(one.job);
    if (one.calm) jobs.push_back(*one.calm);
  }
  return jobs;
}

double RobustnessStudy::attained(const Case& of, const Job& job, const Workbench& known) {
  const std::vector<bool>& good = known.at(job).run.good_requests;
  double all = 0, attained = 0;
  for (std::size_t i = 0; i < good.size(); ++i) {
    if (!of.counted(job, i)) continue;
    ++all;
    attained += good[i] ? 1 : 0;
  }
  return all > 0 ? attained / all : 0;
}

Findings RobustnessStudy::findings(const Workbench& known) const {
  std::vector<std::vector<std::string>> rows;
  for (const Case& one : cases(known)) {
    const sim::RunResult& run = known.at(one.job).run;
    const double now = attained(one, one.job, known);
    const double before = one.calm ? attained(one, *one.calm, known) : 0;
    const double computed = static_cast<double>(run.computed.count());
    rows.push_back(
        {one.what, one.job.setting->scenario.name, one.whose, percent(now),
         one.calm ? percent(before) : "-", one.calm ? fixed((before - now) * 100, 1) : "-",
         percent(computed > 0 ? static_cast<double>(run.recomputed.count()) / computed : 0, 2),
         std::to_string(run.preemptions), std::to_string(run.ooms),
         std::to_string(run.unfinished)});
  }
  return {.markdown = "Good requests, beside the same load without what goes wrong.\n\n" +
                      table({"what goes wrong", "machine", "whose requests", "good", "without it",
                             "points lost", "recomputed", "preemptions", "OOMs", "unfinished"},
                            rows, 3)};
}

}  // namespace evaluate
