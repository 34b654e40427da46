#include "shell/scheduler_state.hpp"

#include <algorithm>
#include <utility>

namespace mais {

Scheduler::State::State(core::Planner planner, SchedulerOptions options)
    : clock_(std::move(options.clock)),
      planner_(std::move(planner)),
      workers_(planner_.config().instances.size()) {
  if (options.observers.empty()) return;
  for (const auto& observer : options.observers) {
    MAIS_EXPECTS(observer != nullptr, "an observer is null");
    observer->begin(planner_.config());
  }
  feed_.emplace(std::move(options.observers), options.delivery);
}

void Scheduler::State::open() {
  returns_->set_server(weak_from_this());
}

// --- Inside a turn ---------------------------------------------------------------------------

void Scheduler::State::expect_instance(InstanceId instance) const {
  MAIS_EXPECTS(instance.value() < workers_.size(), "no such instance was configured");
}

RequestId Scheduler::State::submit(Time now, const Request& request, Caller caller,
                                   std::optional<Time> deadline) {
  if (closed() && !request.model) {  // the planner would grant what fits
    tell(caller, {.kind = EndKind::cancelled, .tag = request.tag});
    return RequestId{};
  }
  std::optional<Request> hurried;
  if (deadline) {
    const Duration left = std::max(Duration(0), *deadline - now);
    hurried = request;
    hurried->give_up = std::min(left, request.give_up.value_or(left));
  }
  const Request& asked = hurried ? *hurried : request;
  RequestId id{};
  observed(
      now, [&] { id = planner_.submit(now, asked, actions_); },
      [&](core::Event& event) { event = core::event::Submit{asked}; });
  callers_.emplace(id, std::move(caller));
  if (closed()) cancel(now, id);
  return id;
}

void Scheduler::State::cancel(Time now, RequestId request) {
  // Without a caller it has ended or is a lease, which ends when its holder drops it.
  if (!callers_.contains(request)) return;
  observed(
      now, [&] { planner_.cancel(now, request, actions_); },
      [&](core::Event& event) { event = core::event::Cancel{request}; });
}

void Scheduler::State::give_back(Time now, RequestId lease) {
  observed(
      now, [&] { planner_.give_back(now, lease, actions_); },
      [&](core::Event& event) { event = core::event::GiveBack{lease}; });
}

bool Scheduler::State::plan_step(Time now, InstanceId instance, core::Step& step) {
  bool found = false;
  observed(
      now,
      [&] {
        found = planner_.next_step(now, instance, actions_, step);
        return found ? &step : nullptr;
      },
      [&](core::Event& event) { event = core::event::NextStep{instance}; });
  return found;
}

std::unique_ptr<shell::LeaseSlot> Scheduler::State::take_slot() {
  auto slot = spare_slots_.take();
  return slot ? std::move(slot) : std::make_unique<shell::LeaseSlot>();
}

void Scheduler::State::catch_up(Time now) {
  shell::LeaseSlots returned(returns_->collect());
  while (auto slot = returned.take()) {
    give_back(now, slot->request);
    --leases_;
    spare_slots_.add(std::move(slot));
  }
  const auto timer = planner_.next_timer();
  if (!timer || *timer > now) return;
  observed(
      now, [&] { planner_.tick(now, actions_); },
      [](core::Event& event) { event = core::event::Tick{}; });
}

void Scheduler::State::settle() {
  for (const core::Action& action : actions_.list) conclude(action);
  actions_.list.clear();
  wake_workers();
  // Whoever sleeps has looked at an earlier timer, and would sleep past this one.
  const auto timer = planner_.next_timer();
  if (timer && (!timer_ || *timer < *timer_)) returns_->bell().ring_all();
  timer_ = timer;
  if (all_ended()) {
    for (Sleeper* const drainer : drainers_) drainer->ring();
  }
}

void Scheduler::State::conclude(const core::Action& action) {
  EndKind kind = EndKind::finished;
  switch (action.kind) {
    case core::ActionKind::accepted:
    case core::ActionKind::preempted:
    case core::ActionKind::requeued:
      return;
    case core::ActionKind::granted:
      break;
    case core::ActionKind::finished:
      kind = EndKind::finished;
      break;
    case core::ActionKind::refused:
      kind = EndKind::refused;
      break;
    case core::ActionKind::expired:
      kind = EndKind::expired;
      break;
    case core::ActionKind::cancelled:
      kind = EndKind::cancelled;
      break;
  }
  const auto found = callers_.find(action.request);
  if (found == callers_.end()) return;  // a lease that was given back
  Caller caller = std::move(found->second);
  callers_.erase(found);
  if (action.kind == core::ActionKind::granted) {
    grant(caller, action);
    return;
  }
  RequestEnd end{.kind = kind, .request = action.request, .tag = action.tag};
  if (kind == EndKind::refused) end.refusal = action.refusal;
  tell(caller, end);
}

void Scheduler::State::grant(Caller& caller, const core::Action& action) {
  const auto fill = [&](shell::LeaseSlot& slot) {
    slot.request = action.request;
    slot.space = action.space;
    slot.bytes = action.bytes;
    ++leases_;
  };
  if (auto* const waiting = std::get_if<Acquisition*>(&caller)) {
    Acquisition& acquisition = **waiting;
    fill(*acquisition.slot);
    acquisition.granted = true;
    wake(acquisition);
    return;
  }
  auto& acquisition = std::get<AsyncAcquisition>(caller);
  fill(*acquisition.slot);
  returns_->add_unattended(-1);
  deliveries_.add(shell::LeaseDelivery{std::move(acquisition.on_lease),
                                       Lease(returns_, acquisition.slot.release())});
  callbacks_due_ = true;
}

void Scheduler::State::tell(Caller& caller, const RequestEnd& end) {
  if (auto* const waiting = std::get_if<Acquisition*>(&caller)) {
    (*waiting)->end = end;
    wake(**waiting);
  } else if (auto* const acquisition = std::get_if<AsyncAcquisition>(&caller)) {
    returns_->add_unattended(-1);
    deliveries_.add(
        shell::LeaseDelivery{std::move(acquisition->on_lease), tl::unexpected<RequestEnd>(end)});
    callbacks_due_ = true;
  } else if (auto& on_end = std::get<OnEnd>(caller)) {
    deliveries_.add(shell::EndDelivery{std::move(on_end), end});
    callbacks_due_ = true;
  }
}

void Scheduler::State::wake(Acquisition& acquisition) {
  if (acquisition.sleeper != nullptr) acquisition.sleeper->ring();
  if (!acquisition.coroutine) return;
  returns_->add_unattended(-1);
  deliveries_.add(acquisition.coroutine);
  callbacks_due_ = true;
}

void Scheduler::State::wake_workers() {
  for (std::uint32_t i = 0; i < workers_.size(); ++i) {
    Worker& worker = workers_[i];
    const bool looked = std::exchange(worker.looked, false);
    if (worker.sleeper != nullptr && !looked && planner_.has_work(InstanceId(i))) {
      worker.sleeper->ring();
    }
  }
}

std::optional<Duration> Scheduler::State::until(Time now, std::optional<Time> wake_at) const {
  auto earliest = planner_.next_timer();
  if (wake_at && (!earliest || *wake_at < *earliest)) earliest = wake_at;
  if (!earliest) return std::nullopt;
  return std::max(Duration(0), *earliest - now);
}

// --- Whole calls -----------------------------------------------------------------------------

void Scheduler::State::await_observers() {
  if (!feed_ || feed_->has_room()) return;
  if (feed_->is_delivering() || deliveries_.is_delivering()) return;
  feed_->await_room();
}

RequestId Scheduler::State::submit(const Request& request, OnEnd on_end) {
  RequestId id{};
  turn([&](Time now) { id = submit(now, request, std::move(on_end)); });
  return id;
}

void Scheduler::State::cancel(RequestId request) {
  turn([&](Time now) { cancel(now, request); });
}

void Scheduler::State::report(const core::StepReport& report) {
  turn([&](Time now) {
    observed(
        now, [&] { planner_.report(now, report, actions_); },
        [&](core::Event& event) { event = core::event::Report{report}; });
  });
}

void Scheduler::State::tell(const core::Event& event) {
  turn([&](Time now) {
    observed(
        now, [&] { planner_.handle(now, event, actions_, no_step_); },
        [&](core::Event& seen) { seen = event; });
  });
}

bool Scheduler::State::next_step(InstanceId instance, core::Step& step, const std::stop_token& stop,
                                 std::optional<Time> deadline) {
  Sleeper sleeper(returns_->bell());
  const std::stop_callback on_stop(stop, [&]() noexcept { sleeper.ring(); });
  bool found = false;
  bool over = false;
  std::optional<Duration> left;
  while (true) {
    turn([&](Time now) {
      expect_instance(instance);
      Worker& worker = workers_[instance.value()];
      MAIS_EXPECTS(worker.sleeper == nullptr || worker.sleeper == &sleeper,
                   "another thread waits for a step of this instance");
      over = is_shut_down_ || stop.stop_requested();
      found = !over && plan_step(now, instance, step);
      over = over || (deadline && now >= *deadline);
      worker = {.sleeper = found || over ? nullptr : &sleeper, .looked = true};
      auto wake_at = actions_.wake_at;
      if (deadline && (!wake_at || *deadline < *wake_at)) wake_at = deadline;
      left = until(now, wake_at);
    });
    if (found || over) break;
    sleeper.sleep(left);
  }
  leave(sleeper);
  return found;
}

bool Scheduler::State::try_next_step(InstanceId instance, core::Step& step) {
  bool found = false;
  turn([&](Time now) {
    expect_instance(instance);
    MAIS_EXPECTS(workers_[instance.value()].sleeper == nullptr,
                 "another thread waits for a step of this instance");
    found = !is_shut_down_ && plan_step(now, instance, step);
  });
  return found;
}

void Scheduler::State::leave(Sleeper& sleeper) {
  // Somebody counted on this thread to collect a lease, or to notice a timer.
  if (sleeper.leave()) turn([](Time) {});
}

Time Scheduler::State::now() {
  const std::lock_guard lock(mutex_);
  return clock_();
}

bool Scheduler::State::drain(const std::stop_token& stop, std::optional<Time> deadline) {
  Sleeper sleeper(returns_->bell());
  const std::stop_callback on_stop(stop, [&]() noexcept { sleeper.ring(); });
  bool ended = false;
  bool over = false;
  std::optional<Duration> left;
  while (true) {
    turn(
        [&](Time) {
          is_draining_ = true;
          if (std::find(drainers_.begin(), drainers_.end(), &sleeper) == drainers_.end()) {
            drainers_.push_back(&sleeper);
          }
        },
        [&](Time now) {
          ended = all_ended();
          over = stop.stop_requested() || (deadline && now >= *deadline);
          left = until(now, deadline);
          if (ended || over) std::erase(drainers_, &sleeper);
        });
    if (ended || over) break;
    sleeper.sleep(left);
  }
  leave(sleeper);
  return ended;
}

void Scheduler::State::shutdown() {
  turn([&](Time now) {
    is_shut_down_ = true;
    std::vector<RequestId> open;
    open.reserve(callers_.size());
    for (const auto& [request, caller] : callers_) open.push_back(request);
    std::sort(open.begin(), open.end());
    for (const RequestId request : open) cancel(now, request);
    returns_->bell().ring_all();
  });
  if (deliveries_.is_delivering() || (feed_ && feed_->is_delivering())) return;
  deliveries_.wait_until_idle();
  if (feed_) feed_->wait_until_idle();
}

}  // namespace mais
