#include "mais/core/planner.hpp"
#include "mais/sim/simulator.hpp"

namespace mais::sim {

Result<RunResult> replay(const Trace& trace, const Scenario& scenario, const Policy& policy,
                         const RunOptions& options) {
  Scenario run = scenario;
  run.config.policy = policy;
  run.config.prefix_block = trace.prefix_block;
  if (options.offline) {
    for (ClassPolicy& service_class : run.config.queue.classes) service_class.deadlines = {};
  }
  Result<core::Planner> planner = core::Planner::create(run.config);
  if (!planner) return tl::unexpected<Error>(planner.error());
  PlannerSubject subject(*std::move(planner));
  return simulate(trace, run, subject, options);
}

}  // namespace mais::sim
