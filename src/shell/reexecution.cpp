#include "mais/reexecution.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "shell/journal_fields.hpp"

namespace mais {

namespace {

template <class Value>
std::string bytes_of(const Value& value) {
  std::string bytes;
  shell::ArchiveWriter{bytes}(value);
  return bytes;
}

std::string said(const std::vector<core::Action>& actions, std::size_t at) {
  return at < actions.size() ? "'" + to_string(actions[at]) + "'" : "nothing more";
}

std::string said(const std::optional<Time>& time) {
  return time ? std::to_string(time->time_since_epoch().count()) + " ns" : "never";
}

std::string said(const core::Step& step) {
  if (shell::nothing_in(step)) return "no step";
  return "step " + std::to_string(static_cast<std::uint64_t>(step.id)) + " with " +
         std::to_string(step.entries.size()) + " entries, " + std::to_string(step.blocks.size()) +
         " pages and " + std::to_string(step.moves.size()) + " moves";
}

}  // namespace

Result<Reexecution> Reexecution::of(Config config) {
  auto planner = core::Planner::create(std::move(config));
  if (!planner) return tl::unexpected<Error>(std::move(planner.error()));
  return Reexecution(std::move(*planner));
}

Reexecution::Reexecution(core::Planner planner)
    : planner_(std::move(planner)), underway_(planner_.config().instances.size()) {}

// The planner aborts on what breaks its contract; a file may hold anything.
std::optional<std::string> Reexecution::impossible(const core::Event& event) const {
  const auto unknown = [](std::size_t id, std::size_t count) -> std::optional<std::string> {
    if (id < count) return std::nullopt;
    return "names number " + std::to_string(id) + " of " + std::to_string(count);
  };
  const Config& config = planner_.config();
  if (const auto* const e = std::get_if<core::event::NextStep>(&event)) {
    if (auto why = unknown(e->instance.value(), underway_.size())) return why;
    if (underway_[e->instance.value()]) return "asks for a step while another is under way";
  } else if (const auto* const l = std::get_if<core::event::InstanceLost>(&event)) {
    return unknown(l->instance.value(), underway_.size());
  } else if (const auto* const b = std::get_if<core::event::InstanceBack>(&event)) {
    return unknown(b->instance.value(), underway_.size());
  } else if (const auto* const c = std::get_if<core::event::LimitChanged>(&event)) {
    return unknown(c->instance.value(), underway_.size());
  } else if (const auto* const m = std::get_if<core::event::MemoryMeasured>(&event)) {
    return unknown(m->space.value(), config.machine.spaces.size());
  } else if (const auto* const t = std::get_if<core::event::TenantLimitChanged>(&event)) {
    return unknown(t->tenant.value(), config.tenants.size());
  } else if (const auto* const v = std::get_if<core::event::MovesMeasured>(&event)) {
    return unknown(v->instance.value(), underway_.size());
  }
  return std::nullopt;
}

std::optional<std::string> Reexecution::follow(const Observation& seen) {
  const std::string where = "observation " + std::to_string(seen.number) + ": ";
  if (seen.number != number_ + 1) {
    return where + std::to_string(seen.number - number_ - 1) +
           " before it were dropped; what follows cannot be executed";
  }
  number_ = seen.number;
  if (const auto why = impossible(seen.event)) return where + "the event " + *why;

  actions_.clear();
  planner_.handle(seen.now, seen.event, actions_, step_);
  if (shell::nothing_in(step_)) step_ = {};
  if (const auto* const next = std::get_if<core::event::NextStep>(&seen.event)) {
    if (!shell::nothing_in(step_)) underway_[next->instance.value()] = step_.id;
  } else if (const auto* const report = std::get_if<core::event::Report>(&seen.event)) {
    for (auto& step : underway_) {
      if (step == report->report.step) step.reset();
    }
  } else if (const auto* const lost = std::get_if<core::event::InstanceLost>(&seen.event)) {
    underway_[lost->instance.value()].reset();
  }

  for (std::size_t i = 0; i < std::max(actions_.list.size(), seen.actions.size()); ++i) {
    if (i < actions_.list.size() && i < seen.actions.size() &&
        bytes_of(actions_.list[i]) == bytes_of(seen.actions[i])) {
      continue;
    }
    return where + "action " + std::to_string(i + 1) + " was " + said(seen.actions, i) +
           ", now is " + said(actions_.list, i);
  }
  if (actions_.wake_at != seen.wake_at) {
    return where + "was to be woken at " + said(seen.wake_at) + ", now " + said(actions_.wake_at);
  }
  if (bytes_of(step_) != bytes_of(seen.step)) {
    return where + "handed out " + said(seen.step) + ", now " + said(step_);
  }
  return std::nullopt;
}

}  // namespace mais
