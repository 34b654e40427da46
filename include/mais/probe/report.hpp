// What the machine is, for the planner and for people: each figure with where it comes from, and
// what is not known said plainly.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mais/machine.hpp"
#include "mais/probe/figure.hpp"
#include "mais/probe/host_memory.hpp"
#include "mais/probe/readings.hpp"

namespace mais::probing {

struct SpaceReport {
  std::string name{};
  SpaceKind kind = SpaceKind::host;
  std::string what{};  // "memory of NUMA node 0", "HBM", "memory of a Fake GPU"
  Bytes total{};
  Bytes usable{};               // what the machine calls capacity
  std::optional<Bytes> free{};  // none: not known
  std::optional<int> numa_node{};
  std::string binds{};  // which limit made usable what it is
  Rate bandwidth{};
  std::optional<Duration> latency{};
};

struct DeviceReport {
  std::string name{};
  DeviceKind kind = DeviceKind::cpu;
  SpaceId space{};
  std::string what{};  // the product's name; of a CPU, how many threads
  std::string uuid{}, pci{};
  std::vector<int> near_nodes{};     // NUMA nodes next to it
  std::vector<std::string> also{};   // other names the system has for it
  bool shares_host_memory = false;   // integrated
  std::int64_t multiprocessors = 0;  // of a GPU
  Bytes l2{};
  std::pair<std::int64_t, std::int64_t> capability{};  // compute capability; 0: not known
  GpuHealth health = GpuHealth::good;
  std::string trouble{};
  std::optional<double> power_watts{}, power_limit_watts{};
  std::vector<GpuProcess> processes{};
};

struct LinkReport {
  SpaceId from{}, to{};
  Rate bandwidth{};
  std::optional<Duration> latency{};  // none: not known
};

// A GPU that was seen and is no device of the machine.
struct UnusedGpu {
  std::string pci{};
  std::string name{};
  std::string why{};
};

struct MachineReport {
  // Spaces and devices are those below, in their order; links are those whose rate is known. Rates
  // are medians.
  Machine machine{};
  std::vector<SpaceReport> spaces{};
  std::vector<DeviceReport> devices{};
  std::vector<LinkReport> links{};
  std::vector<UnusedGpu> unused{};
  std::size_t packages = 0, cores = 0, processing_units = 0;
  HostBudget budget{};              // of the host as a whole
  std::vector<int> device_nodes{};  // NUMA nodes that are a GPU's memory
  std::optional<Bytes> lockable{};  // for pinned memory; none: no limit of its own
  std::vector<HugePages> huge_pages{};
  std::optional<Pressure> pressure{};
  std::vector<SourceStatus> sources{};
  std::vector<std::string> notes{};  // what was assumed, left out, or is not known
};

// A rate that the host knows better: of a space ("gpu0") or of a way ("host0 > gpu0").
struct ConfiguredRate {
  std::string place{};
  BytesPerSecond rate{};
};

// Concludes what the machine is. Pure: the same readings give the same report. Every byte is
// counted once: an integrated GPU computes out of the host's space, memory of a coherent GPU that
// is a NUMA node is the GPU's alone. O(nodes + devices^2).
MachineReport assemble(const Readings& readings,
                       const std::vector<ConfiguredRate>& configured = {});

// For people: the machine as a tree.
std::string to_text(const MachineReport& report);
// The same as JSON; `machine` in it is what files::parse_machine() reads.
std::string to_json(const MachineReport& report);

}  // namespace mais::probing
