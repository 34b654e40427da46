// The ways to wait for a lease: inside the call, with a callback, in a coroutine.
#include <utility>

#include "shell/scheduler_state.hpp"

namespace mais {

// --- In a call -------------------------------------------------------------------------------

tl::expected<Lease, RequestEnd> Scheduler::State::acquire(const Request& request,
                                                          const std::stop_token& stop,
                                                          std::optional<Time> deadline) {
  Acquisition acquisition;
  bool answered = false;
  turn(
      [&](Time now) {
        acquisition.slot = take_slot();
        acquisition.id = submit(now, request, &acquisition, deadline);
      },
      [&](Time) { answered = acquisition.answered(); });
  if (!answered) await_answer(acquisition, stop);
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

void Scheduler::State::await_answer(Acquisition& acquisition, const std::stop_token& stop) {
  Sleeper sleeper(returns_->bell());
  const std::stop_callback on_stop(stop, [&]() noexcept { sleeper.ring(); });
  bool answered = false;
  std::optional<Duration> left;
  while (true) {
    turn(
        [&](Time now) {
          acquisition.sleeper = &sleeper;
          if (stop.stop_requested()) cancel(now, *acquisition.id);
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

// --- With a callback -------------------------------------------------------------------------

RequestId Scheduler::State::acquire_async(const Request& request, OnLease on_lease,
                                          std::optional<Time> deadline) {
  RequestId id{};
  turn([&](Time now) {
    AsyncAcquisition acquisition{std::move(on_lease), take_slot()};
    returns_->add_unattended(1);
    id = submit(now, request, std::move(acquisition), deadline);
  });
  collect_unattended();
  return id;
}

// A lease that was dropped by somebody who saw nobody waiting, after this turn had collected.
void Scheduler::State::collect_unattended() {
  if (returns_->pushed()) serve();
}

void Scheduler::State::serve() {
  turn([](Time) {});
}

// --- In a coroutine --------------------------------------------------------------------------

bool Scheduler::State::begin(const Request& request, std::optional<Time> deadline,
                             Acquisition& acquisition, std::coroutine_handle<> waiter,
                             const bool& stopped) {
  bool answered = false;
  turn(
      [&](Time now) {
        acquisition.slot = take_slot();
        acquisition.id = submit(now, request, &acquisition, deadline);
        if (!stopped) return;
        settle();
        cancel(now, *acquisition.id);
      },
      [&](Time) {
        answered = acquisition.answered();
        if (answered) return;
        acquisition.coroutine = waiter;
        returns_->add_unattended(1);
      });
  // Unless it was answered, the coroutine may have gone on by now, and its acquisition with it.
  if (!answered) collect_unattended();
  return answered;
}

void Scheduler::State::stop(Acquisition& acquisition, bool& stopped) {
  turn([&](Time now) {
    stopped = true;
    if (acquisition.id && !acquisition.answered()) cancel(now, *acquisition.id);
  });
}

void Scheduler::State::withdraw(Acquisition& acquisition) {
  Lease unwanted;
  turn([&](Time now) {
    if (!acquisition.answered()) {
      cancel(now, *acquisition.id);
      settle();
    }
    if (acquisition.coroutine) deliveries_.withdraw(acquisition.coroutine);
    if (acquisition.granted && acquisition.slot) {
      unwanted = Lease(returns_, acquisition.slot.release());
    }
  });
}

struct AwaitedLease::Wait {
  struct Stop {
    Wait* wait;
    void operator()() const noexcept {
      // A copy: the coroutine may go on inside, and all this with it.
      const auto kept = wait->state;
      kept->stop(wait->acquisition, wait->stopped);
    }
  };

  std::shared_ptr<Scheduler::State> state;
  Request request;
  std::stop_token stop;
  std::optional<Time> deadline;
  Scheduler::State::Acquisition acquisition{};
  bool stopped = false;
  bool resumed = false;
  std::optional<std::stop_callback<Stop>> on_stop{};
};

AwaitedLease Scheduler::acquired(Request request, std::stop_token stop,
                                 std::optional<Time> deadline) {
  MAIS_EXPECTS(!request.model, "acquire() takes leases; requests that name a model are submit()'s");
  return AwaitedLease(
      std::unique_ptr<AwaitedLease::Wait>(new AwaitedLease::Wait{.state = enter(),
                                                                 .request = std::move(request),
                                                                 .stop = std::move(stop),
                                                                 .deadline = deadline}));
}

AwaitedLease::AwaitedLease(std::unique_ptr<Wait> wait) noexcept : wait_(std::move(wait)) {}

AwaitedLease::~AwaitedLease() {
  wait_->on_stop.reset();  // waits for a stop that is under way
  if (wait_->acquisition.id && !wait_->resumed) wait_->state->withdraw(wait_->acquisition);
}

bool AwaitedLease::await_suspend(std::coroutine_handle<> waiter) {
  MAIS_EXPECTS(!wait_->acquisition.id, "a lease is awaited once");
  // A copy: once the coroutine waits, nothing of this object may be touched.
  const auto state = wait_->state;
  if (wait_->stop.stop_possible()) wait_->on_stop.emplace(wait_->stop, Wait::Stop{wait_.get()});
  return !state->begin(wait_->request, wait_->deadline, wait_->acquisition, waiter, wait_->stopped);
}

tl::expected<Lease, RequestEnd> AwaitedLease::await_resume() {
  wait_->resumed = true;
  return wait_->state->answer(wait_->acquisition);
}

}  // namespace mais
