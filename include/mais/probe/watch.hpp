// What a monitor concludes from samples: events for the planner and for people. A plain value; no
// clock, no thread, no file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "mais/config.hpp"
#include "mais/core/action.hpp"
#include "mais/core/ledger_snapshot.hpp"
#include "mais/machine.hpp"
#include "mais/probe/drift.hpp"
#include "mais/probe/gpu.hpp"
#include "mais/probe/host_memory.hpp"

namespace mais::probing {

// One space at one moment.
struct SpaceReading {
  Bytes free{};                // to this process, after every limit
  std::optional<Bytes> own{};  // what this process holds of it, where that is known
};

struct DeviceReading {
  GpuHealth health = GpuHealth::good;
  std::string trouble{};
};

struct LimitReading {
  BoundKind kind = BoundKind::cgroup_max;
  std::string where{};
  Bytes limit{};
  bool operator==(const LimitReading&) const = default;
};

// Everything at one moment. The lists are those of the machine; none where nothing could be read.
struct MonitorReading {
  std::vector<std::optional<SpaceReading>> spaces{};
  std::vector<std::optional<DeviceReading>> devices{};
  std::optional<double> stalled{};     // part of the last 10 s in which a task waited for memory
  bool stall_reported = false;         // the kernel just reported a stall (PSI trigger)
  std::vector<LimitReading> limits{};  // that hold for the host
};

namespace monitor_event {
// Sent first for every space that can be read, then whenever `foreign` moved by a quantum.
struct MemoryChanged {
  SpaceId space{};
  Bytes free{};
  Bytes used{};     // capacity - free, at least 0
  Bytes foreign{};  // of the capacity, what somebody else holds, residue included
};
struct PressureChanged {
  std::optional<SpaceId> space{};  // none: the host as a whole stalls
  bool high = false;
  double value = 0;  // part of the time stalled; of a space, the part of it that is free
};
struct LimitChanged {
  BoundKind kind = BoundKind::cgroup_max;
  std::string where{};
  std::optional<Bytes> before{}, now{};  // none: no limit
};
struct DeviceChanged {
  DeviceId device{};
  GpuHealth health = GpuHealth::good;
  bool was_lost = false;
  std::string trouble{};
};
struct DriftChanged {
  SpaceId space{};
  bool alarm = false;
  DriftReading reading{};
};
}  // namespace monitor_event

using MonitorEvent = std::variant<monitor_event::MemoryChanged, monitor_event::PressureChanged,
                                  monitor_event::LimitChanged, monitor_event::DeviceChanged,
                                  monitor_event::DriftChanged>;

// One line for a person.
std::string to_string(const MonitorEvent& event, const Machine& machine);

// What the planner must hear of it; `config` has the machine that was watched. Memory becomes
// MemoryMeasured; a lost device InstanceLost for each instance on it, one that came back
// InstanceBack. Other events are for people: what they mean for memory stands in MemoryMeasured.
std::vector<core::Event> planner_events(const MonitorEvent& event, const Config& config);

struct WatchOptions {
  Bytes quantum = Bytes(16 << 20);  // changes of foreign memory below it are not told
  // Pressure of the host by PSI: rises above, falls below.
  double stalled_high = 0.10, stalled_low = 0.02;
  // Pressure of a space by the part of it that is free: rises below, falls above.
  double free_high = 0.05, free_low = 0.10;
  DriftOptions drift{};
};

class Watch {
 public:
  explicit Watch(Machine machine, WatchOptions options = {});

  // `granted`: by space, what the ledger has granted; spaces beyond its end have nothing granted.
  // Times must not go backwards. Events in the order of spaces and devices. O(spaces + devices +
  // limits).
  std::vector<MonitorEvent> take(Time at, const MonitorReading& reading,
                                 const std::vector<Bytes>& granted);

  // What was concluded last of each space; zeros before the first sample.
  const std::vector<DriftReading>& drift() const noexcept { return last_drift_; }
  const Machine& machine() const noexcept { return machine_; }

 private:
  struct SpaceState {
    Drift drift;
    std::optional<Bytes> told;  // foreign, as told last
    bool tight = false;
    bool alarm = false;
  };
  void take_space(Time at, std::size_t index, const SpaceReading& reading, Bytes granted,
                  std::vector<MonitorEvent>& events);
  void take_limits(const std::vector<LimitReading>& limits, std::vector<MonitorEvent>& events);

  Machine machine_;
  WatchOptions options_;
  std::vector<SpaceState> spaces_;
  std::vector<DriftReading> last_drift_;
  std::vector<GpuHealth> health_;
  std::optional<std::vector<LimitReading>> limits_;
  bool stalled_ = false;
};

// What a ledger has granted of each space: the use of the spaces' root accounts. O(accounts).
std::vector<Bytes> granted_by(const core::LedgerSnapshot& ledger, std::size_t spaces);

}  // namespace mais::probing
