#include "machines.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "mais/files/machine_json.hpp"
#include "mais/sim/presets.hpp"

namespace fit {

namespace {

using namespace mais;

// What a host and its bus commonly reach; a machine's file says it better.
constexpr BytesPerSecond kHostMemory{60e9}, kBus{24e9};
constexpr FlopsPerSecond kHostCompute{1e12};
constexpr Duration kBusLatency = std::chrono::microseconds(10);

std::vector<Machine> known_machines() {
  std::vector<Machine> machines;
  for (const std::string& name : sim::preset_names()) {
    machines.push_back(sim::preset(name)->config.machine);
  }
  return machines;
}

Result<std::vector<Machine>> named(const std::string& name) {
  std::vector<Machine> known = known_machines();
  if (name.empty()) return known;
  std::string names;
  for (const Machine& machine : known) {
    if (machine.name == name) return std::vector{machine};
    names += (names.empty() ? "" : ", ") + machine.name;
  }
  std::ifstream file(name, std::ios::binary);
  if (!file) {
    return mais::fail(ErrorCode::not_found, "there is no machine and no file '" + name +
                                                "'; known machines are " + names);
  }
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  Result<Machine> machine = files::parse_machine(text, name);
  if (!machine) return tl::unexpected<Error>(machine.error());
  if (machine->name.empty()) machine->name = name;
  return std::vector{std::move(*machine)};
}

void add_gpus(Machine& machine, int gpus) {
  const auto first = std::find_if(machine.devices.begin(), machine.devices.end(),
                                  [](const Device& d) { return d.kind == DeviceKind::gpu; });
  if (first == machine.devices.end()) return;
  const Device device = *first;
  const Space space = machine.spaces[device.space.value()];
  if (gpus > 1) machine.spaces[device.space.value()].name += "0";
  for (int i = 1; i < gpus; ++i) {
    const auto id = SpaceId(static_cast<std::uint32_t>(machine.spaces.size()));
    const std::string name = "gpu" + std::to_string(i);
    machine.spaces.push_back(space);
    machine.spaces.back().name = space.name + std::to_string(i);
    machine.devices.push_back(device);
    machine.devices.back().name = name;
    machine.devices.back().space = id;
  }
}

void add_host(Machine& machine, Bytes size) {
  const auto host = SpaceId(static_cast<std::uint32_t>(machine.spaces.size()));
  machine.spaces.push_back({.name = "host",
                            .kind = SpaceKind::host,
                            .capacity = size,
                            .bandwidth = kHostMemory,
                            .numa_node = {}});
  machine.devices.push_back(
      {.name = "cpu", .kind = DeviceKind::cpu, .space = host, .compute = kHostCompute});
}

// Where a machine says nothing of a way, a bus.
void add_links(Machine& machine) {
  const auto spaces = static_cast<std::uint32_t>(machine.spaces.size());
  for (std::uint32_t i = 0; i < spaces; ++i) {
    for (std::uint32_t j = 0; j < spaces; ++j) {
      const auto kind = [&](std::uint32_t space) { return machine.spaces[space].kind; };
      if (i == j || kind(i) == SpaceKind::disk || kind(j) == SpaceKind::disk) continue;
      if (kind(i) == SpaceKind::host && kind(j) == SpaceKind::host) continue;
      if (machine.link(SpaceId(i), SpaceId(j)) != nullptr) continue;
      machine.links.push_back({SpaceId(i), SpaceId(j), kBus, kBusLatency});
    }
  }
}

}  // namespace

Result<std::vector<Machine>> machines_of(const Options& options) {
  Result<std::vector<Machine>> machines = named(options.machine);
  if (!machines) return machines;
  for (Machine& machine : *machines) {
    if (options.gpus > 1) add_gpus(machine, options.gpus);
    if (options.host) add_host(machine, *options.host);
    if (options.gpus > 1 || options.host) add_links(machine);
  }
  return machines;
}

std::string assumed_of_machines(const Options& options) {
  std::string text;
  if (options.host) {
    text += "- host: its memory is read at 60 GB/s, its processor reaches 1 TFLOP/s\n";
  }
  if (options.host || options.gpus > 1) {
    text += "- links: a bus of 24 GB/s and 10 us each way where the machine has no link\n";
  }
  return text;
}

}  // namespace fit
