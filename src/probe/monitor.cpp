#include "mais/probe/monitor.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "probe/pressure_trigger.hpp"
#include "probe/wake_up.hpp"

namespace mais::probing {

Watcher::Watcher(const MachineReport& report, WatcherOptions options)
    : sampler_(report, std::move(options.sampler)),
      watch_(report.machine, options.watch),
      granted_function_(std::move(options.granted)),
      granted_(report.machine.spaces.size()),
      slots_(std::make_unique<Slot[]>(report.machine.spaces.size())) {}

Watcher::~Watcher() = default;

std::vector<MonitorEvent> Watcher::step(Time now, bool stall_reported) {
  MonitorReading reading = sampler_.sample();
  reading.stall_reported = stall_reported;
  if (granted_function_) {
    for (std::size_t i = 0; i < granted_.size(); ++i) {
      granted_[i] = granted_function_(SpaceId(static_cast<std::uint32_t>(i)));
    }
  }
  std::vector<MonitorEvent> events = watch_.take(now, reading, granted_);
  for (std::size_t i = 0; i < granted_.size(); ++i) {
    if (!reading.spaces[i]) {
      // A space that cannot be read any more has no latest sample.
      publish(i, {.at = now});
      continue;
    }
    const Bytes capacity = watch_.machine().spaces[i].capacity;
    const Bytes free = reading.spaces[i]->free;
    publish(i, {now, free, std::max(Bytes(0), capacity - free),
                std::min(watch_.drift()[i].held, capacity), true});
  }
  return events;
}

void Watcher::publish(std::size_t space, const SpaceSample& sample) noexcept {
  Slot& slot = slots_[space];
  const std::uint64_t sequence = slot.sequence.load(std::memory_order_relaxed);
  slot.sequence.store(sequence + 1, std::memory_order_relaxed);
  // Each store is a release, so that none is seen before the odd number.
  slot.at.store(sample.at.time_since_epoch().count(), std::memory_order_release);
  slot.free.store(sample.free.count(), std::memory_order_release);
  slot.used.store(sample.used.count(), std::memory_order_release);
  slot.foreign.store(sample.foreign.count(), std::memory_order_release);
  slot.known.store(sample.known, std::memory_order_release);
  slot.sequence.store(sequence + 2, std::memory_order_release);
}

SpaceSample Watcher::latest(SpaceId space) const noexcept {
  MAIS_EXPECTS(space.value() < granted_.size(), "no space of that number is watched");
  const Slot& slot = slots_[space.value()];
  SpaceSample sample;
  std::uint64_t before = 0, after = 0;
  do {
    before = slot.sequence.load(std::memory_order_acquire);
    // Each load is an acquire, so that the second look at the sequence comes after it.
    sample.at = Time(Duration(slot.at.load(std::memory_order_acquire)));
    sample.free = Bytes(slot.free.load(std::memory_order_acquire));
    sample.used = Bytes(slot.used.load(std::memory_order_acquire));
    sample.foreign = Bytes(slot.foreign.load(std::memory_order_acquire));
    sample.known = slot.known.load(std::memory_order_acquire);
    after = slot.sequence.load(std::memory_order_relaxed);
  } while (before != after || (before & 1) != 0);
  return sample;
}

class Monitor::State {
 public:
  State(const MachineReport& report, MonitorOptions options)
      : options_(std::move(options)),
        real_(options_.watcher.sampler.root == "/"),
        watcher_(report, std::move(options_.watcher)) {
    if (!options_.clock) {
      options_.clock = [start = std::chrono::steady_clock::now()] {
        return Time(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - start));
      };
    }
    sample(false);
    const std::string file = watcher_.pressure_file();
    if (file.empty()) {
      pressure_source_ = "none: the kernel tells of no pressure (no PSI)";
    } else if (!options_.pressure_trigger || !real_) {
      pressure_source_ = "averages of " + file;
    } else {
      trigger_ = PressureTrigger::arm(file);
      pressure_source_ = trigger_ ? "a trigger on " + file
                                  : "averages of " + file +
                                        " (no trigger: " + std::strerror(trigger_.why_not()) + ")";
    }
    thread_ = std::thread([this] { run(); });
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    stopped_.store(true, std::memory_order_release);
    wake_.ring();
    thread_.join();
  }

  const Watcher& watcher() const { return watcher_; }
  const std::string& pressure_source() const { return pressure_source_; }
  MonitorCost cost() const {
    return {samples_.load(std::memory_order_relaxed),
            Duration(total_.load(std::memory_order_relaxed)),
            Duration(longest_.load(std::memory_order_relaxed))};
  }

 private:
  void run() {
    while (!stopped_.load(std::memory_order_acquire)) {
      const bool stalled = wake_.wait(options_.interval, trigger_.descriptor());
      if (stopped_.load(std::memory_order_acquire)) break;
      sample(stalled);
    }
  }

  void sample(bool stall_reported) {
    const auto begin = std::chrono::steady_clock::now();
    const std::vector<MonitorEvent> events = watcher_.step(options_.clock(), stall_reported);
    const std::int64_t took =
        std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - begin).count();
    samples_.fetch_add(1, std::memory_order_relaxed);
    total_.fetch_add(took, std::memory_order_relaxed);
    // One writer.
    if (took > longest_.load(std::memory_order_relaxed)) {
      longest_.store(took, std::memory_order_relaxed);
    }
    if (!options_.on_event) return;
    for (const MonitorEvent& event : events) options_.on_event(event);
  }

  MonitorOptions options_;
  const bool real_;  // the running system is watched, not a copy of its files
  Watcher watcher_;
  PressureTrigger trigger_;
  WakeUp wake_;
  std::string pressure_source_;
  std::atomic<bool> stopped_{false};
  std::atomic<std::uint64_t> samples_{0};
  std::atomic<std::int64_t> total_{0}, longest_{0};
  std::thread thread_;
};

Monitor::Monitor(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Monitor::Monitor(Monitor&&) noexcept = default;
Monitor& Monitor::operator=(Monitor&&) noexcept = default;
Monitor::~Monitor() = default;

Result<Monitor> Monitor::start(const MachineReport& report, MonitorOptions options) {
  if (options.interval <= Duration::zero()) {
    return fail(ErrorCode::invalid_argument, "the interval of a monitor is above 0");
  }
  return Monitor(std::make_unique<State>(report, std::move(options)));
}

SpaceSample Monitor::latest(SpaceId space) const noexcept {
  return state_->watcher().latest(space);
}
MonitorCost Monitor::cost() const noexcept {
  return state_->cost();
}
const std::string& Monitor::pressure_source() const noexcept {
  return state_->pressure_source();
}

}  // namespace mais::probing
