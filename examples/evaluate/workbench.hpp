// Runs replays two at a time and remembers what came out, so that studies that ask for the same
// thing share it.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mais/sim/run_result.hpp"
#include "settings.hpp"

namespace evaluate {

// Factors on what the planner believes of step costs: linear layers' compute and weights read,
// attention's compute and state read, overhead. The simulated machine keeps the true ones.
using CostError = std::array<double, 5>;

// A policy under a name; the same name is the same policy in every study.
struct Variant {
  std::string name;
  mais::Policy policy{};
  std::optional<CostError> cost_error{};
};

enum class Measure {
  capacity,  // capacity-90 and -99, and the run at capacity-90 (the lowest rate tried if that is 0)
  online,    // the run at `requests_per_second`
  offline,   // everything at once
};

struct Job {
  SettingRef setting;
  Variant variant;
  Measure measure = Measure::capacity;
  double requests_per_second = 0;
  mais::Tokens max_new{2048};

  std::string key() const;
};

struct Outcome {
  double capacity_90 = 0, capacity_99 = 0;  // requests per second; 0: at no rate
  mais::sim::RunResult run;
};

class Workbench {
 public:
  // Told of the whole: what is under way, and the part that is done.
  using Progress = std::function<void(const std::string& what, double done)>;

  explicit Workbench(std::size_t workers) : workers_(workers) {}

  // Runs those of the jobs that are not known yet. Stops at the first error: the scheduler broke
  // its contract, ran out of memory or left requests unfinished.
  mais::Result<void> run(const std::vector<Job>& jobs, const Progress& progress);

  bool knows(const Job& job) const { return outcomes_.contains(job.key()); }
  // nullptr where it was not run.
  const Outcome* find(const Job& job) const;
  // It must have been run.
  const Outcome& at(const Job& job) const { return outcomes_.at(job.key()); }

 private:
  std::size_t workers_;
  std::map<std::string, Outcome> outcomes_;
};

}  // namespace evaluate
