#include "mais/scheduler.hpp"

#include <chrono>
#include <utility>

#include "mais/core/planner.hpp"
#include "shell/scheduler_state.hpp"

namespace mais {

namespace {

std::function<Time()> steady_clock_from_now() {
  using Clock = std::chrono::steady_clock;
  return [start = Clock::now()] {
    return Time(std::chrono::duration_cast<Duration>(Clock::now() - start));
  };
}

}  // namespace

Result<Scheduler> Scheduler::create(Config config, SchedulerOptions options) {
  auto planner = core::Planner::create(std::move(config));
  if (!planner) return tl::unexpected<Error>(std::move(planner.error()));
  if (!options.clock) options.clock = steady_clock_from_now();
  return Scheduler(std::make_shared<State>(std::move(*planner), std::move(options.clock)));
}

Scheduler::Scheduler(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}

Scheduler::Scheduler(Scheduler&&) noexcept = default;

Scheduler& Scheduler::operator=(Scheduler&& other) noexcept {
  if (this != &other) {
    if (state_) state_->shutdown();
    state_ = std::move(other.state_);
  }
  return *this;
}

Scheduler::~Scheduler() {
  if (state_) state_->shutdown();
}

// A copy, so that a call that waits survives the scheduler's destruction by another thread.
std::shared_ptr<Scheduler::State> Scheduler::state() const {
  MAIS_EXPECTS(state_ != nullptr, "the scheduler was moved from");
  return state_;
}

RequestId Scheduler::submit(const Request& request, OnEnd on_end) {
  MAIS_EXPECTS(request.model, "submit() takes requests that name a model; leases are acquire()'s");
  return state()->submit(request, std::move(on_end));
}

void Scheduler::cancel(RequestId request) {
  state()->cancel(request);
}

tl::expected<Lease, RequestEnd> Scheduler::acquire(const Request& request,
                                                   const std::stop_token& stop) {
  MAIS_EXPECTS(!request.model, "acquire() takes leases; requests that name a model are submit()'s");
  return state()->acquire(request, stop);
}

tl::expected<Lease, RequestEnd> Scheduler::try_acquire(const Request& request) {
  MAIS_EXPECTS(!request.model, "acquire() takes leases; requests that name a model are submit()'s");
  return state()->try_acquire(request);
}

bool Scheduler::next_step(InstanceId instance, core::Step& step, const std::stop_token& stop) {
  return state()->next_step(instance, step, stop);
}

bool Scheduler::try_next_step(InstanceId instance, core::Step& step) {
  return state()->try_next_step(instance, step);
}

void Scheduler::report(const core::StepReport& report) {
  const auto shared = state();
  shared->turn([&](Time now) { shared->planner().report(now, report, shared->actions()); });
}

void Scheduler::instance_lost(InstanceId instance) {
  const auto shared = state();
  shared->turn([&](Time now) {
    shared->expect_instance(instance);
    shared->planner().instance_lost(now, instance, shared->actions());
  });
}

void Scheduler::instance_back(InstanceId instance) {
  const auto shared = state();
  shared->turn([&](Time now) {
    shared->expect_instance(instance);
    shared->planner().instance_back(now, instance, shared->actions());
  });
}

void Scheduler::memory_measured(SpaceId space, Bytes foreign) {
  const auto shared = state();
  shared->turn(
      [&](Time now) { shared->planner().memory_measured(now, space, foreign, shared->actions()); });
}

void Scheduler::limit_changed(InstanceId instance, Bytes bytes) {
  const auto shared = state();
  shared->turn([&](Time now) {
    shared->expect_instance(instance);
    shared->planner().limit_changed(now, instance, bytes, shared->actions());
  });
}

void Scheduler::tenant_limit_changed(TenantId tenant, std::optional<Bytes> limit) {
  const auto shared = state();
  shared->turn([&](Time now) {
    shared->planner().tenant_limit_changed(now, tenant, limit, shared->actions());
  });
}

void Scheduler::tick() {
  const auto shared = state();
  shared->turn([&](Time now) {
    shared->planner().tick(now, shared->actions());
    shared->wake_all();
  });
}

core::PlannerView Scheduler::snapshot() {
  const auto shared = state();
  core::PlannerView view;
  shared->turn([&](Time) { view = shared->planner().view(); });
  return view;
}

core::InstanceLoad Scheduler::load(InstanceId instance) {
  const auto shared = state();
  core::InstanceLoad load;
  shared->turn([&](Time) {
    shared->expect_instance(instance);
    load = shared->planner().load(instance);
  });
  return load;
}

void Scheduler::shutdown() {
  state()->shutdown();
}

std::string_view to_string(EndKind kind) noexcept {
  switch (kind) {
    case EndKind::finished:
      return "finished";
    case EndKind::refused:
      return "refused";
    case EndKind::expired:
      return "expired";
    case EndKind::cancelled:
      return "cancelled";
  }
  return "unknown";
}

std::string to_string(const RequestEnd& end) {
  std::string text = "request " + std::to_string(static_cast<std::uint64_t>(end.request)) + " " +
                     std::string(to_string(end.kind));
  if (end.refusal) text += ": " + to_string(*end.refusal);
  return text;
}

}  // namespace mais
