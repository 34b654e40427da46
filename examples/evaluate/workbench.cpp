#include "workbench.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <mutex>
#include <thread>
#include <utility>

#include "mais/sim/capacity.hpp"
#include "mais/sim/simulator.hpp"

namespace evaluate {

namespace {

using namespace mais;

StepCost believed_cost(StepCost cost, const CostError& error) {
  cost.flops_per_token *= error[0];
  cost.weights_read = cost.weights_read * error[1];
  cost.attention_flops_per_pair *= error[2];
  cost.state_read = BytesPerToken(
      static_cast<std::int64_t>(static_cast<double>(cost.state_read.count()) * error[3]));
  cost.overhead = from_seconds(to_seconds(cost.overhead) * error[4]);
  return cost;
}

Result<sim::RunResult> replay_once(const Job& job, const sim::RunOptions& options) {
  const Setting& setting = *job.setting;
  if (!job.variant.cost_error) {
    return sim::replay(setting.trace, setting.scenario, job.variant.policy, options);
  }
  sim::Scenario scenario = setting.scenario;
  scenario.config.policy = job.variant.policy;
  scenario.config.prefix_block = setting.trace.prefix_block;
  Config believed = scenario.config;
  for (Model& model : believed.models) {
    model.cost = believed_cost(model.cost, *job.variant.cost_error);
  }
  Result<core::Planner> planner = core::Planner::create(believed);
  if (!planner) return tl::unexpected<Error>(planner.error());
  sim::PlannerSubject subject(*std::move(planner));
  return sim::simulate(setting.trace, scenario, subject, options);
}

// Every figure rests on runs that are sound.
Result<sim::RunResult> sound(Result<sim::RunResult> run, const Job& job) {
  if (!run) {
    run.error().message = job.key() + ": " + run.error().message;
  } else if (run->ooms > 0 || (run->unfinished > 0 && !run->stopped_early)) {
    return fail(ErrorCode::invalid_argument,
                job.key() + ": the scheduler was at fault: " + std::to_string(run->ooms) +
                    " steps out of memory, " + std::to_string(run->unfinished) +
                    " requests never ended");
  }
  return run;
}

Result<Outcome> measure(const Job& job) {
  const sim::Trace& trace = job.setting->trace;
  const double recorded = sim::mean_rate(trace);
  const auto run = [&](sim::RunOptions options) {
    options.max_new = job.max_new;
    return sound(replay_once(job, options), job);
  };
  Outcome outcome;
  sim::RunOptions options;
  if (job.measure == Measure::capacity) {
    sim::CapacitySearch search(
        [&](double rate, std::optional<double> stop_below) {
          return run({.rate = rate, .stop_below = stop_below});
        },
        {.first = sim::rate_beyond_capacity(trace, job.setting->scenario)});
    const Result<double> at_90 = search.largest_rate(0.90);
    if (!at_90) return tl::unexpected<Error>(at_90.error());
    const Result<double> at_99 = search.largest_rate(0.99);
    if (!at_99) return tl::unexpected<Error>(at_99.error());
    outcome.capacity_90 = *at_90 * recorded;
    outcome.capacity_99 = *at_99 * recorded;
    options.rate = *at_90 > 0 ? *at_90 : sim::CapacityOptions{}.lowest;
  } else if (job.measure == Measure::online) {
    options.rate = job.requests_per_second / recorded;
  } else {
    options.offline = true;
  }
  Result<sim::RunResult> result = run(options);
  if (!result) return tl::unexpected<Error>(result.error());
  outcome.run = *std::move(result);
  return outcome;
}

// Searches first, and among them the longest traces: short jobs fill up the end.
double weight(const Job& job) {
  double tokens = 0;
  for (const sim::TraceRequest& request : job.setting->trace.requests) {
    tokens += static_cast<double>((request.prompt + request.output).count());
  }
  return tokens * (job.measure == Measure::capacity ? 20 : 1);
}

}  // namespace

std::string Job::key() const {
  char at[64] = "offline";
  if (measure == Measure::capacity) std::snprintf(at, sizeof at, "capacity");
  if (measure == Measure::online) {
    std::snprintf(at, sizeof at, "%.6g requests/s", requests_per_second);
  }
  const std::string declared =
      max_new == Job{}.max_new ? "" : " declaring " + std::to_string(max_new.count());
  return setting->name + ": " + variant.name + ", " + at + declared;
}

const Outcome* Workbench::find(const Job& job) const {
  const auto found = outcomes_.find(job.key());
  return found == outcomes_.end() ? nullptr : &found->second;
}

Result<void> Workbench::run(const std::vector<Job>& jobs, const Progress& progress) {
  std::vector<std::pair<double, const Job*>> open;
  std::vector<std::string> keys;
  for (const Job& job : jobs) {
    const std::string key = job.key();
    if (outcomes_.contains(key) || std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    keys.push_back(key);
    open.emplace_back(weight(job), &job);
  }
  std::stable_sort(open.begin(), open.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  double all = 0;
  for (const auto& [job_weight, job] : open) all += job_weight;

  std::mutex mutex;  // guards all below but `next`
  double done = 0;
  std::optional<Error> error;
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (;;) {
      const std::size_t i = next.fetch_add(1);
      if (i >= open.size()) return;
      const Job& job = *open[i].second;
      {
        const std::lock_guard lock(mutex);
        if (error) return;
        progress(std::to_string(i + 1) + " of " + std::to_string(open.size()) + ", " + job.key(),
                 done / all);
      }
      Result<Outcome> outcome = measure(job);
      const std::lock_guard lock(mutex);
      if (outcome) {
        outcomes_.emplace(job.key(), *std::move(outcome));
      } else if (!error) {
        error = outcome.error();
      }
      done += open[i].first;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 1; i < std::min(workers_, open.size()); ++i) threads.emplace_back(work);
    work();
  }
  if (error) return tl::unexpected<Error>(*error);
  return {};
}

}  // namespace evaluate
