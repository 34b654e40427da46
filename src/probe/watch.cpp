#include "mais/probe/watch.hpp"

#include <algorithm>
#include <cstdio>

#include "mais/result.hpp"
#include "probe/wording.hpp"

namespace mais::probing {

Watch::Watch(Machine machine, WatchOptions options)
    : machine_(std::move(machine)),
      options_(options),
      spaces_(machine_.spaces.size(), SpaceState{Drift(options.drift), {}, false, false}),
      last_drift_(machine_.spaces.size()),
      health_(machine_.devices.size(), GpuHealth::good) {
  MAIS_EXPECTS(options.stalled_low <= options.stalled_high && options.free_high <= options.free_low,
               "pressure falls at a lower level than it rises at");
}

void Watch::take_space(Time at, std::size_t index, const SpaceReading& reading, Bytes granted,
                       std::vector<MonitorEvent>& events) {
  SpaceState& state = spaces_[index];
  const SpaceId id(static_cast<std::uint32_t>(index));
  const Bytes capacity = machine_.spaces[index].capacity;
  const Bytes used = std::max(Bytes(0), capacity - reading.free);
  const DriftReading drift = state.drift.take(at, {used, granted, reading.own});
  last_drift_[index] = drift;

  const Bytes foreign = std::min(drift.held, capacity);
  const bool moved = !state.told || foreign - *state.told >= options_.quantum ||
                     *state.told - foreign >= options_.quantum ||
                     (foreign == Bytes(0) && *state.told > Bytes(0));
  if (moved) {
    state.told = foreign;
    events.push_back(monitor_event::MemoryChanged{id, reading.free, used, foreign});
  }

  const double part = capacity > Bytes(0) ? static_cast<double>(reading.free.count()) /
                                                static_cast<double>(capacity.count())
                                          : 0;
  const bool tight = part < (state.tight ? options_.free_low : options_.free_high);
  if (tight != state.tight) {
    state.tight = tight;
    events.push_back(monitor_event::PressureChanged{id, tight, part});
  }
  if (drift.alarm != state.alarm) {
    state.alarm = drift.alarm;
    events.push_back(monitor_event::DriftChanged{id, drift.alarm, drift});
  }
}

void Watch::take_limits(const std::vector<LimitReading>& limits,
                        std::vector<MonitorEvent>& events) {
  if (limits_ && *limits_ != limits) {
    const auto same = [](const LimitReading& a, const LimitReading& b) {
      return a.kind == b.kind && a.where == b.where;
    };
    const auto find = [&](const std::vector<LimitReading>& list, const LimitReading& wanted) {
      const auto found = std::find_if(list.begin(), list.end(),
                                      [&](const LimitReading& one) { return same(one, wanted); });
      return found == list.end() ? std::nullopt : std::optional<Bytes>(found->limit);
    };
    for (const LimitReading& now : limits) {
      const std::optional<Bytes> before = find(*limits_, now);
      if (before == now.limit) continue;
      events.push_back(monitor_event::LimitChanged{now.kind, now.where, before, now.limit});
    }
    for (const LimitReading& before : *limits_) {
      if (find(limits, before)) continue;
      events.push_back(
          monitor_event::LimitChanged{before.kind, before.where, before.limit, std::nullopt});
    }
  }
  limits_ = limits;
}

std::vector<MonitorEvent> Watch::take(Time at, const MonitorReading& reading,
                                      const std::vector<Bytes>& granted) {
  std::vector<MonitorEvent> events;
  take_limits(reading.limits, events);
  for (std::size_t i = 0; i < spaces_.size() && i < reading.spaces.size(); ++i) {
    if (!reading.spaces[i]) continue;
    take_space(at, i, *reading.spaces[i], i < granted.size() ? granted[i] : Bytes(0), events);
  }
  for (std::size_t i = 0; i < health_.size() && i < reading.devices.size(); ++i) {
    if (!reading.devices[i] || reading.devices[i]->health == health_[i]) continue;
    const bool was_lost = health_[i] == GpuHealth::lost;
    health_[i] = reading.devices[i]->health;
    events.push_back(monitor_event::DeviceChanged{DeviceId(static_cast<std::uint32_t>(i)),
                                                  health_[i], was_lost,
                                                  reading.devices[i]->trouble});
  }
  if (reading.stalled || reading.stall_reported) {
    const double part = reading.stalled.value_or(0);
    const bool high =
        reading.stall_reported || part > (stalled_ ? options_.stalled_low : options_.stalled_high);
    if (high != stalled_) {
      stalled_ = high;
      events.push_back(monitor_event::PressureChanged{std::nullopt, high, part});
    }
  }
  return events;
}

namespace {

struct Words {
  const Machine& machine;

  std::string name(SpaceId space) const {
    return space.value() < machine.spaces.size() ? machine.spaces[space.value()].name : "?";
  }
  std::string operator()(const monitor_event::MemoryChanged& event) const {
    return name(event.space) + ": " + size_text(event.free) + " free, " + size_text(event.foreign) +
           " held by others";
  }
  std::string operator()(const monitor_event::PressureChanged& event) const {
    char part[32];
    std::snprintf(part, sizeof part, "%.1f %%", event.value * 100);
    if (event.space) {
      return name(*event.space) + (event.high ? ": pressure, only " : ": pressure is over, ") +
             part + " free";
    }
    return std::string(event.high ? "memory pressure on the host: tasks waited "
                                  : "memory pressure on the host is over: tasks waited ") +
           part + " of the time";
  }
  std::string operator()(const monitor_event::LimitChanged& event) const {
    const auto text = [](const std::optional<Bytes>& limit) {
      return limit ? size_text(*limit) : std::string("no limit");
    };
    return std::string(to_string(event.kind)) + (event.where.empty() ? "" : " of " + event.where) +
           ": from " + text(event.before) + " to " + text(event.now);
  }
  std::string operator()(const monitor_event::DeviceChanged& event) const {
    const std::uint32_t index = event.device.value();
    const std::string device = index < machine.devices.size() ? machine.devices[index].name : "?";
    return device + " is " + std::string(to_string(event.health)) +
           (event.was_lost ? " again" : "") + (event.trouble.empty() ? "" : ": " + event.trouble);
  }
  std::string operator()(const monitor_event::DriftChanged& event) const {
    return name(event.space) + (event.alarm ? ": drift, " : ": drift is over, ") +
           size_text(event.reading.smoothed) + " are nobody's by the ledger, " +
           size_text(event.reading.baseline) + " were at the least";
  }
};

}  // namespace

std::string to_string(const MonitorEvent& event, const Machine& machine) {
  return std::visit(Words{machine}, event);
}

std::vector<core::Event> planner_events(const MonitorEvent& event, const Config& config) {
  std::vector<core::Event> events;
  if (const auto* memory = std::get_if<monitor_event::MemoryChanged>(&event)) {
    events.push_back(core::event::MemoryMeasured{memory->space, memory->foreign});
  }
  if (const auto* device = std::get_if<monitor_event::DeviceChanged>(&event)) {
    const bool lost = device->health == GpuHealth::lost;
    for (std::size_t i = 0; i < config.instances.size(); ++i) {
      if (config.instances[i].device != device->device) continue;
      const InstanceId instance(static_cast<std::uint32_t>(i));
      if (lost) events.push_back(core::event::InstanceLost{instance});
      if (device->was_lost) events.push_back(core::event::InstanceBack{instance});
    }
  }
  return events;
}

std::vector<Bytes> granted_by(const core::LedgerSnapshot& ledger, std::size_t spaces) {
  std::vector<Bytes> granted(spaces);
  for (const core::AccountSnapshot& account : ledger.accounts) {
    if (!account.parent && account.space.value() < spaces) {
      granted[account.space.value()] += account.used;
    }
  }
  return granted;
}

}  // namespace mais::probing
