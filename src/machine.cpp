#include "mais/machine.hpp"

#include <algorithm>
#include <set>

namespace mais {

const Link* Machine::link(SpaceId from, SpaceId to) const noexcept {
  const auto found = std::find_if(links.begin(), links.end(),
                                  [&](const Link& l) { return l.from == from && l.to == to; });
  return found == links.end() ? nullptr : &*found;
}

std::optional<SpaceId> Machine::first_space(SpaceKind kind) const noexcept {
  for (std::size_t i = 0; i < spaces.size(); ++i) {
    if (spaces[i].kind == kind) return SpaceId(static_cast<std::uint32_t>(i));
  }
  return std::nullopt;
}

std::string_view to_string(SpaceKind kind) noexcept {
  switch (kind) {
    case SpaceKind::device:
      return "device";
    case SpaceKind::host:
      return "host";
    case SpaceKind::disk:
      return "disk";
  }
  return "unknown";
}

std::string_view to_string(DeviceKind kind) noexcept {
  switch (kind) {
    case DeviceKind::cpu:
      return "cpu";
    case DeviceKind::gpu:
      return "gpu";
  }
  return "unknown";
}

namespace {

std::string at(const char* list, std::size_t i, const char* field) {
  return std::string(list) + '[' + std::to_string(i) + "]." + field;
}

bool finite_and_not_negative(double value) {
  return value >= 0 && value < 1e300;
}

void check_name(const std::string& name, std::set<std::string>& seen, const std::string& path,
                std::vector<Fault>& faults) {
  if (name.empty()) {
    faults.push_back({path, "is empty", "give every entry a name of its own"});
  } else if (!seen.insert(name).second) {
    faults.push_back({path, "'" + name + "' is used twice", "names are unique within a list"});
  }
}

}  // namespace

std::vector<Fault> validate(const Machine& machine) {
  std::vector<Fault> faults;
  if (machine.spaces.empty()) {
    faults.push_back({"spaces", "is empty", "a machine has at least one memory space"});
  }
  const auto known = [&](SpaceId id) { return id.value() < machine.spaces.size(); };
  const std::string space_range =
      "name one of the " + std::to_string(machine.spaces.size()) + " spaces by position";

  std::set<std::string> names;
  for (std::size_t i = 0; i < machine.spaces.size(); ++i) {
    const Space& space = machine.spaces[i];
    check_name(space.name, names, at("spaces", i, "name"), faults);
    if (space.capacity <= Bytes(0)) {
      faults.push_back({at("spaces", i, "capacity"),
                        "is " + std::to_string(space.capacity.count()) + " bytes",
                        "give what may be used, above 0"});
    }
    if (!finite_and_not_negative(space.bandwidth.value)) {
      faults.push_back({at("spaces", i, "bandwidth"), "is not a finite rate",
                        "bytes per second, 0 where unknown"});
    }
  }
  names.clear();
  for (std::size_t i = 0; i < machine.devices.size(); ++i) {
    const Device& device = machine.devices[i];
    check_name(device.name, names, at("devices", i, "name"), faults);
    if (!known(device.space)) {
      faults.push_back({at("devices", i, "space"), "names no space", space_range});
    } else if (machine.spaces[device.space.value()].kind == SpaceKind::disk) {
      faults.push_back({at("devices", i, "space"), "is a disk", "a device computes out of memory"});
    }
    if (!finite_and_not_negative(device.compute.value)) {
      faults.push_back({at("devices", i, "compute"), "is not a finite rate",
                        "FLOP per second, 0 where unknown"});
    }
  }
  for (std::size_t i = 0; i < machine.links.size(); ++i) {
    const Link& link = machine.links[i];
    if (!known(link.from))
      faults.push_back({at("links", i, "from"), "names no space", space_range});
    if (!known(link.to)) faults.push_back({at("links", i, "to"), "names no space", space_range});
    if (link.from == link.to) {
      faults.push_back(
          {at("links", i, "to"), "is the space it starts from", "a link joins two spaces"});
    }
    if (!(link.bandwidth.value > 0) || !finite_and_not_negative(link.bandwidth.value)) {
      faults.push_back({at("links", i, "bandwidth"), "is not above 0", "bytes per second"});
    }
    if (link.latency < Duration::zero()) {
      faults.push_back({at("links", i, "latency"), "is negative", "0 or more"});
    }
  }
  return faults;
}

}  // namespace mais
