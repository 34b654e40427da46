#include "study.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>

#include "mais/sim/capacity.hpp"
#include "mais/sim/simulator.hpp"

namespace replay {

namespace {

using namespace mais;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

class Study {
 public:
  Study(const Options& options, const sim::Trace& trace, const sim::Scenario& scenario,
        example::Progress& progress)
      : options_(options), trace_(trace), scenario_(scenario), progress_(progress) {}

  Result<sim::PolicyReport> measure(const std::string& name) {
    sim::PolicyReport report{.policy = name};
    const Policy policy = *sim::policy_named(name);
    double rate = options_.rate.value_or(1);
    if (options_.capacity) {
      sim::CapacitySearch search(
          [&](double at, std::optional<double> stop_below) {
            return run(name, policy, {.rate = at, .stop_below = stop_below}, "searching capacity");
          },
          {.first = sim::rate_beyond_capacity(trace_, scenario_)});
      const Result<double> at_90 = search.largest_rate(0.90);
      if (!at_90) return tl::unexpected<Error>(at_90.error());
      const Result<double> at_99 = search.largest_rate(0.99);
      if (!at_99) return tl::unexpected<Error>(at_99.error());
      report.capacity_90 = *at_90 * sim::mean_rate(trace_);
      report.capacity_99 = *at_99 * sim::mean_rate(trace_);
      report.load = search.points();
      // A policy that attains 90 % nowhere is shown at the lowest load that was tried.
      rate = *at_90 > 0 ? *at_90 : sim::CapacityOptions{}.lowest;
    }
    if (options_.capacity || options_.rate || !options_.offline) {
      Result<sim::RunResult> online = run(name, policy, {.rate = rate}, "replaying");
      if (!online) return tl::unexpected<Error>(online.error());
      report.run = *std::move(online);
    }
    if (options_.offline) {
      Result<sim::RunResult> offline = run(name, policy, {.offline = true}, "replaying offline");
      if (!offline) return tl::unexpected<Error>(offline.error());
      report.offline = *std::move(offline);
    }
    return report;
  }

  // Attainment of one policy at each of the rates, beside what is known already.
  Result<void> sweep(sim::PolicyReport& report, const std::vector<double>& rates) {
    const Policy policy = *sim::policy_named(report.policy);
    std::erase_if(report.load, [](const sim::LoadPoint& point) { return !point.exact; });
    for (const double rate : rates) {
      const Result<sim::RunResult> result =
          run(report.policy, policy, {.rate = rate}, "sweeping loads");
      if (!result) return tl::unexpected<Error>(result.error());
      report.load.push_back({.rate = rate,
                             .requests_per_second = result->requests_per_second,
                             .attainment = result->attainment});
    }
    if (report.run) {
      report.load.push_back({.rate = report.run->rate,
                             .requests_per_second = report.run->requests_per_second,
                             .attainment = report.run->attainment});
    }
    std::sort(report.load.begin(), report.load.end(),
              [](const auto& a, const auto& b) { return a.rate < b.rate; });
    return {};
  }

  // Rates around what matters: the best capacity found, else the rate replayed.
  std::vector<double> rates_for_page(const sim::Report& report) const {
    double centre = options_.rate.value_or(1);
    if (options_.capacity) {
      double best = 0;
      for (const sim::PolicyReport& policy : report.policies) {
        best = std::max(best, policy.capacity_90.value_or(0));
      }
      centre = best > 0 ? best / sim::mean_rate(trace_)
                        : sim::rate_beyond_capacity(trace_, scenario_) / 16;
    }
    std::vector<double> rates;
    for (const double part : {0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05, 1.25, 1.5, 2.0, 2.5}) {
      rates.push_back(centre * part);
    }
    return rates;
  }

 private:
  Result<sim::RunResult> run(const std::string& name, const Policy& policy,
                             sim::RunOptions run_options, const char* what) {
    const std::string at =
        run_options.offline ? std::string() : " at rate " + number(run_options.rate) + "x";
    const std::string label = name + ": " + what + at;
    run_options.progress = [this, label](double done) { progress_.show(label, done); };
    progress_.show(label, 0);
    Result<sim::RunResult> result = sim::replay(trace_, scenario_, policy, run_options);
    if (!result) result.error().message = name + at + ": " + result.error().message;
    return result;
  }

  const Options& options_;
  const sim::Trace& trace_;
  const sim::Scenario& scenario_;
  example::Progress& progress_;
};

}  // namespace

Result<sim::Report> study(const Options& options, const sim::Trace& trace, std::size_t left_out,
                          const sim::Scenario& scenario, example::Progress& progress) {
  if (options.capacity && sim::mean_rate(trace) <= 0) {
    return fail(ErrorCode::invalid_argument,
                "--capacity needs requests that arrive at different times");
  }
  sim::Report report{.trace = trace.name + (options.spread_ticks ? " (ticks spread)" : ""),
                     .synthetic = trace.synthetic,
                     .machine = scenario.name,
                     .command = options.command,
                     .requests = trace.requests.size(),
                     .left_out = left_out,
                     .trace_rate = sim::mean_rate(trace),
                     .tpot = scenario.tpot,
                     .host_tier = options.host_tier,
                     .policies = {}};
  Study study(options, trace, scenario, progress);
  for (const std::string& name : options.policies) {
    Result<sim::PolicyReport> policy = study.measure(name);
    if (!policy) return tl::unexpected<Error>(policy.error());
    report.policies.push_back(*std::move(policy));
  }
  const bool for_page = options.html && sim::mean_rate(trace) > 0 &&
                        (options.capacity || options.rate || !options.offline);
  if (!options.sweep.empty() || for_page) {
    const std::vector<double> rates =
        options.sweep.empty() ? study.rates_for_page(report) : options.sweep;
    for (sim::PolicyReport& policy : report.policies) {
      if (auto swept = study.sweep(policy, rates); !swept) {
        return tl::unexpected<Error>(swept.error());
      }
    }
  }
  return report;
}

bool at_fault(const sim::Report& report) {
  const auto failed = [](const std::optional<sim::RunResult>& run) {
    return run && (run->ooms > 0 || run->unfinished > 0);
  };
  return std::any_of(report.policies.begin(), report.policies.end(), [&](const auto& policy) {
    return failed(policy.run) || failed(policy.offline);
  });
}

}  // namespace replay
