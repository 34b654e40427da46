#include "mais/scheduler.hpp"

#include <chrono>
#include <utility>

#include "mais/core/ledger.hpp"
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
  if (options.delivery.capacity < 1) {
    return fail(ErrorCode::invalid_argument,
                "SchedulerOptions::delivery.capacity is 0; observations need a place to wait: 1 or "
                "more");
  }
  if (!options.clock) options.clock = steady_clock_from_now();
  auto state = std::make_shared<State>(std::move(*planner), std::move(options));
  state->open();
  return Scheduler(std::move(state));
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

// For calls that give observers something to hear.
std::shared_ptr<Scheduler::State> Scheduler::enter() const {
  auto shared = state();
  shared->await_observers();
  return shared;
}

namespace {

void expect_lease(const Request& request) {
  MAIS_EXPECTS(!request.model, "acquire() takes leases; requests that name a model are submit()'s");
}

}  // namespace

RequestId Scheduler::submit(const Request& request, OnEnd on_end) {
  MAIS_EXPECTS(request.model, "submit() takes requests that name a model; leases are acquire()'s");
  return enter()->submit(request, std::move(on_end));
}

void Scheduler::cancel(RequestId request) {
  enter()->cancel(request);
}

tl::expected<Lease, RequestEnd> Scheduler::acquire(const Request& request,
                                                   const std::stop_token& stop,
                                                   std::optional<Time> deadline) {
  expect_lease(request);
  return enter()->acquire(request, stop, deadline);
}

tl::expected<Lease, RequestEnd> Scheduler::try_acquire(const Request& request) {
  expect_lease(request);
  return enter()->try_acquire(request);
}

RequestId Scheduler::acquire_async(const Request& request, OnLease on_lease,
                                   std::optional<Time> deadline) {
  expect_lease(request);
  MAIS_EXPECTS(on_lease, "a lease needs somebody to take it");
  return enter()->acquire_async(request, std::move(on_lease), deadline);
}

bool Scheduler::next_step(InstanceId instance, core::Step& step, const std::stop_token& stop,
                          std::optional<Time> deadline) {
  return enter()->next_step(instance, step, stop, deadline);
}

bool Scheduler::try_next_step(InstanceId instance, core::Step& step) {
  return enter()->try_next_step(instance, step);
}

void Scheduler::report(const core::StepReport& report) {
  enter()->report(report);
}

void Scheduler::instance_lost(InstanceId instance) {
  enter()->tell(core::event::InstanceLost{.instance = instance});
}

void Scheduler::instance_back(InstanceId instance) {
  enter()->tell(core::event::InstanceBack{.instance = instance});
}

void Scheduler::memory_measured(SpaceId space, Bytes foreign) {
  enter()->tell(core::event::MemoryMeasured{.space = space, .foreign = foreign});
}

void Scheduler::limit_changed(InstanceId instance, Bytes bytes) {
  enter()->tell(core::event::LimitChanged{.instance = instance, .state = bytes});
}

void Scheduler::tenant_limit_changed(TenantId tenant, std::optional<Bytes> limit) {
  enter()->tell(core::event::TenantLimitChanged{.tenant = tenant, .limit = limit});
}

void Scheduler::moves_measured(InstanceId instance, core::StateMove::Kind kind, std::int64_t pages,
                               Duration took) {
  enter()->tell(
      core::event::MovesMeasured{.instance = instance, .kind = kind, .pages = pages, .took = took});
}

void Scheduler::tick() {
  const auto shared = enter();
  shared->tell(core::event::Tick{});
  shared->wake_all();
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

std::vector<core::AccountSnapshot> Scheduler::accounts() {
  const auto shared = state();
  std::vector<core::AccountSnapshot> accounts;
  shared->turn([&](Time) { accounts = shared->planner().ledger().accounts(); });
  return accounts;
}

Time Scheduler::now() {
  return state()->now();
}

bool Scheduler::drain(const std::stop_token& stop, std::optional<Time> deadline) {
  return enter()->drain(stop, deadline);
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
