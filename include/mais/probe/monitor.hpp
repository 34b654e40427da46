// Keeps watching a machine that was probed: a sample of everything that changes, as often as asked,
// and what it means for the planner.
//
//   auto report = mais::probing::inspect();
//   auto monitor = Monitor::start(*report, {.on_event = tell_the_planner});
//   monitor->latest(SpaceId(0)).free;                    // from any thread, a few nanoseconds
//
// Sampler reads, Watch concludes (probe/watch.hpp), Watcher does both by hand, Monitor does both on
// a thread of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mais/machine.hpp"
#include "mais/probe/report.hpp"
#include "mais/probe/watch.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::probing {

struct SamplerOptions {
  std::string root = "/";
  std::optional<std::string> nvml_library = "libnvidia-ml.so.1";  // none: GPUs are not watched
};

// Reads what changes of a machine that was probed before. Files stay open between samples; GPUs are
// read by NVML, without a context. One user at a time.
class Sampler {
 public:
  explicit Sampler(const MachineReport& report, SamplerOptions options = {});
  Sampler(Sampler&&) noexcept;
  Sampler& operator=(Sampler&&) noexcept;
  ~Sampler();

  // Spaces and devices are those of the report. O(cgroup levels + nodes + GPUs).
  MonitorReading sample();

  // Where the memory pressure of this process is told, if it is.
  std::string pressure_file() const;

 private:
  struct Sources;
  std::unique_ptr<Sources> sources_;
};

// One space as it was sampled last.
struct SpaceSample {
  Time at{};
  Bytes free{};
  Bytes used{};     // capacity - free, at least 0
  Bytes foreign{};  // of the capacity, what somebody else holds
  bool known = false;
};

struct WatcherOptions {
  SamplerOptions sampler{};
  WatchOptions watch{};
  // What the ledger has granted of a space now; none: nothing is ever granted. Called at each
  // sample by who samples.
  std::function<Bytes(SpaceId)> granted{};
};

// Samples when it is told to. step() has one user at a time; latest() may be called from any thread
// meanwhile.
class Watcher {
 public:
  explicit Watcher(const MachineReport& report, WatcherOptions options = {});
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  ~Watcher();

  // Takes a sample. Times must not go backwards.
  std::vector<MonitorEvent> step(Time now, bool stall_reported = false);

  // Waits for nobody; a few nanoseconds.
  SpaceSample latest(SpaceId space) const noexcept;

  const Machine& machine() const noexcept { return watch_.machine(); }
  std::string pressure_file() const { return sampler_.pressure_file(); }

 private:
  // A sequence lock (H.-J. Boehm, "Can seqlocks get along with programming language memory
  // models?", MSPC 2012): odd while the one writer writes.
  struct alignas(64) Slot {
    std::atomic<std::uint64_t> sequence{0};
    std::atomic<std::int64_t> at{0}, free{0}, used{0}, foreign{0};
    std::atomic<bool> known{false};
  };
  void publish(std::size_t space, const SpaceSample& sample) noexcept;

  Sampler sampler_;
  Watch watch_;
  std::function<Bytes(SpaceId)> granted_function_;
  std::vector<Bytes> granted_;
  std::unique_ptr<Slot[]> slots_;
};

// What watching cost so far.
struct MonitorCost {
  std::uint64_t samples = 0;
  Duration total{};    // in sampling, together
  Duration longest{};  // one sample
};

struct MonitorOptions {
  WatcherOptions watcher{};
  Duration interval = Duration(100'000'000);  // between samples, above 0
  // Called on the monitor's thread, one at a time, with no lock held. Must not throw.
  std::function<void(const MonitorEvent&)> on_event{};
  // Tells the time of events; none: a steady clock that starts at zero with the monitor.
  std::function<Time()> clock{};
  // Asks the kernel to report stalls at once (PSI trigger), where it lets this process.
  bool pressure_trigger = true;
};

// A Watcher on a thread of its own, from start() to the end of its life.
class Monitor {
 public:
  // invalid_argument for an interval that is not above 0. The first sample is taken before this
  // returns.
  static Result<Monitor> start(const MachineReport& report, MonitorOptions options = {});

  Monitor(Monitor&&) noexcept;
  Monitor& operator=(Monitor&&) noexcept;
  ~Monitor();  // waits for a callback that runs; must not be destroyed by one

  // Any thread.
  SpaceSample latest(SpaceId space) const noexcept;
  MonitorCost cost() const noexcept;
  // How pressure is heard of: by a trigger, by averages or not at all, and why.
  const std::string& pressure_source() const noexcept;

 private:
  class State;
  explicit Monitor(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace mais::probing
