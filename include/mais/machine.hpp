// What a machine is: memory spaces, compute devices, and the links between spaces.
//
// Plain data that a host fills in, a probe measures, or a file records
// (mais/files/machine_json.hpp). Ids are positions in the lists. A device that shares memory with
// the host (integrated or coherent) names the same space as the host, so that no byte is counted
// twice.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais {

enum class SpaceKind : std::uint8_t { device, host, disk };
enum class DeviceKind : std::uint8_t { cpu, gpu };

// One pool of memory. Capacity is what may be used, after everything the operating system, the
// driver or a container keeps back.
struct Space {
  std::string name{};
  SpaceKind kind = SpaceKind::device;
  Bytes capacity{};
  BytesPerSecond bandwidth{};      // effective read rate of its own device; 0 = unknown
  std::optional<int> numa_node{};  // of the memory, or of the link it hangs on
};

// Something that computes out of one space.
struct Device {
  std::string name{};
  DeviceKind kind = DeviceKind::gpu;
  SpaceId space{};
  FlopsPerSecond compute{};  // effective rate at the precision models run in
};

// A directed way between two spaces. Both directions of a full-duplex bus are two links.
struct Link {
  SpaceId from{};
  SpaceId to{};
  BytesPerSecond bandwidth{};
  Duration latency{};
};

struct Machine {
  std::string name{};
  std::vector<Space> spaces{};
  std::vector<Device> devices{};
  std::vector<Link> links{};

  // The link from one space to another, or null. O(links).
  const Link* link(SpaceId from, SpaceId to) const noexcept;
  // The first space of a kind, if any. O(spaces).
  std::optional<SpaceId> first_space(SpaceKind kind) const noexcept;
};

std::string_view to_string(SpaceKind kind) noexcept;
std::string_view to_string(DeviceKind kind) noexcept;

// Every fault, with the path of the field below `machine`.
std::vector<Fault> validate(const Machine& machine);

}  // namespace mais
