// What a replay puts to the test: anything that schedules like core::Planner. An interface, so that
// a test can script it and another scheduler can be measured on the same thing.
#pragma once

#include <optional>
#include <utility>

#include "mais/core/action.hpp"
#include "mais/core/planner.hpp"
#include "mais/core/view.hpp"

namespace mais::sim {

// The members mean what they mean in core::Planner; its contract binds every subject.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual RequestId submit(Time now, const Request& request, core::Actions& out) = 0;
  virtual bool next_step(Time now, InstanceId instance, core::Actions& out, core::Step& step) = 0;
  virtual void report(Time now, const core::StepReport& report, core::Actions& out) = 0;
  virtual void tick(Time now, core::Actions& out) = 0;
  virtual std::optional<Time> next_timer() const = 0;
  virtual core::InstanceLoad load(InstanceId instance) const = 0;
};

// The library's own planner.
class PlannerSubject final : public Subject {
 public:
  explicit PlannerSubject(core::Planner planner) : planner_(std::move(planner)) {}

  RequestId submit(Time now, const Request& request, core::Actions& out) override {
    return planner_.submit(now, request, out);
  }
  bool next_step(Time now, InstanceId instance, core::Actions& out, core::Step& step) override {
    return planner_.next_step(now, instance, out, step);
  }
  void report(Time now, const core::StepReport& report, core::Actions& out) override {
    planner_.report(now, report, out);
  }
  void tick(Time now, core::Actions& out) override { planner_.tick(now, out); }
  std::optional<Time> next_timer() const override { return planner_.next_timer(); }
  core::InstanceLoad load(InstanceId instance) const override { return planner_.load(instance); }

  const core::Planner& planner() const { return planner_; }

 private:
  core::Planner planner_;
};

}  // namespace mais::sim
