#include "shell/scheduler_state.hpp"

#include <algorithm>
#include <utility>

namespace mais {

Scheduler::State::State(core::Planner planner, std::function<Time()> clock)
    : clock_(std::move(clock)),
      planner_(std::move(planner)),
      workers_(planner_.config().instances.size()) {}

// --- Inside a turn ---------------------------------------------------------------------------

void Scheduler::State::expect_instance(InstanceId instance) const {
  MAIS_EXPECTS(instance.value() < workers_.size(), "no such instance was configured");
}

RequestId Scheduler::State::submit(Time now, const Request& request, Caller caller) {
  if (is_shut_down_ && !request.model) {  // the planner would grant what fits
    tell(caller, {.kind = EndKind::cancelled, .tag = request.tag});
    return RequestId{};
  }
  const RequestId id = planner_.submit(now, request, actions_);
  callers_.emplace(id, std::move(caller));
  if (is_shut_down_) planner_.cancel(now, id, actions_);
  return id;
}

void Scheduler::State::cancel(Time now, RequestId request) {
  // Without a caller it has ended or is a lease, which ends when its holder drops it.
  if (callers_.contains(request)) planner_.cancel(now, request, actions_);
}

std::unique_ptr<shell::LeaseSlot> Scheduler::State::take_slot() {
  auto slot = spare_slots_.take();
  return slot ? std::move(slot) : std::make_unique<shell::LeaseSlot>();
}

void Scheduler::State::catch_up(Time now) {
  shell::LeaseSlots returned(returns_->collect());
  while (auto slot = returned.take()) {
    planner_.give_back(now, slot->request, actions_);
    spare_slots_.add(std::move(slot));
  }
  const auto timer = planner_.next_timer();
  if (timer && *timer <= now) planner_.tick(now, actions_);
}

void Scheduler::State::settle() {
  for (const core::Action& action : actions_.list) conclude(action);
  actions_.list.clear();
  wake_workers();
  // Whoever sleeps has looked at an earlier timer, and would sleep past this one.
  const auto timer = planner_.next_timer();
  if (timer && (!timer_ || *timer < *timer_)) returns_->bell().ring_all();
  timer_ = timer;
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
    grant(*std::get<Acquisition*>(caller), action);
    return;
  }
  RequestEnd end{.kind = kind, .request = action.request, .tag = action.tag};
  if (kind == EndKind::refused) end.refusal = action.refusal;
  tell(caller, end);
}

void Scheduler::State::grant(Acquisition& acquisition, const core::Action& action) {
  acquisition.slot->request = action.request;
  acquisition.slot->space = action.space;
  acquisition.slot->bytes = action.bytes;
  acquisition.granted = true;
  if (acquisition.sleeper != nullptr) acquisition.sleeper->ring();
}

void Scheduler::State::tell(Caller& caller, const RequestEnd& end) {
  if (auto* const acquisition = std::get_if<Acquisition*>(&caller)) {
    (*acquisition)->end = end;
    if ((*acquisition)->sleeper != nullptr) (*acquisition)->sleeper->ring();
  } else if (auto& on_end = std::get<OnEnd>(caller)) {
    deliveries_.add(std::move(on_end), end);
    callbacks_due_ = true;
  }
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

RequestId Scheduler::State::submit(const Request& request, OnEnd on_end) {
  RequestId id{};
  turn([&](Time now) { id = submit(now, request, std::move(on_end)); });
  return id;
}

void Scheduler::State::cancel(RequestId request) {
  turn([&](Time now) { cancel(now, request); });
}

tl::expected<Lease, RequestEnd> Scheduler::State::acquire(const Request& request,
                                                          const std::stop_token& stop) {
  Acquisition acquisition;
  RequestId id{};
  bool answered = false;
  turn(
      [&](Time now) {
        acquisition.slot = take_slot();
        id = submit(now, request, &acquisition);
      },
      [&](Time) { answered = acquisition.answered(); });
  if (!answered) await_answer(id, acquisition, stop);
  return answer(acquisition);
}

tl::expected<Lease, RequestEnd> Scheduler::State::try_acquire(const Request& request) {
  Acquisition acquisition;
  turn([&](Time now) {
    acquisition.slot = take_slot();
    const RequestId id = submit(now, request, &acquisition);
    settle();
    cancel(now, id);
  });
  return answer(acquisition);
}

void Scheduler::State::await_answer(RequestId request, Acquisition& acquisition,
                                    const std::stop_token& stop) {
  Sleeper sleeper(returns_->bell());
  const std::stop_callback on_stop(stop, [&]() noexcept { sleeper.ring(); });
  bool answered = false;
  std::optional<Duration> left;
  while (true) {
    turn(
        [&](Time now) {
          acquisition.sleeper = &sleeper;
          if (stop.stop_requested()) cancel(now, request);
        },
        [&](Time now) {
          answered = acquisition.answered();
          left = until(now, std::nullopt);
        });
    if (answered) break;
    sleeper.sleep(left);
  }
  leave(sleeper);
}

tl::expected<Lease, RequestEnd> Scheduler::State::answer(Acquisition& acquisition) {
  if (!acquisition.granted) return tl::unexpected<RequestEnd>(*acquisition.end);
  return Lease(returns_, acquisition.slot.release());
}

void Scheduler::State::leave(Sleeper& sleeper) {
  // Somebody counted on this thread to collect a lease, or to notice a timer.
  if (sleeper.leave()) turn([](Time) {});
}

bool Scheduler::State::next_step(InstanceId instance, core::Step& step,
                                 const std::stop_token& stop) {
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
      found = !over && planner_.next_step(now, instance, actions_, step);
      worker = {.sleeper = found || over ? nullptr : &sleeper, .looked = true};
      left = until(now, actions_.wake_at);
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
    found = !is_shut_down_ && planner_.next_step(now, instance, actions_, step);
  });
  return found;
}

void Scheduler::State::shutdown() {
  turn([&](Time now) {
    is_shut_down_ = true;
    std::vector<RequestId> open;
    open.reserve(callers_.size());
    for (const auto& [request, caller] : callers_) open.push_back(request);
    std::sort(open.begin(), open.end());
    for (const RequestId request : open) planner_.cancel(now, request, actions_);
    returns_->bell().ring_all();
  });
  deliveries_.wait_until_idle();
}

}  // namespace mais
