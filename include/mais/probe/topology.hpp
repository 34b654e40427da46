// How the machine is laid out: NUMA nodes, caches, and where GPUs hang. Read with hwloc where it
// was built in, else from /sys; the same plain data either way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mais/probe/figure.hpp"
#include "mais/probe/file_tree.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::probing {

struct NumaNode {
  int node = 0;  // the system's number
  Bytes size{};
  std::vector<int> cpus{};            // local to it, that this process may use
  bool memory_only = false;           // no CPU is its own: there is a nearer node for each
  bool allowed = true;                // this process may have memory there
  std::string subtype{};              // "HBM", "DRAM", "GPUMemory", ... where it is known
  std::optional<std::string> gpu{};   // PCI id of the GPU whose memory it is
  Rate bandwidth{};                   // from the CPUs next to it, if the firmware says
  std::optional<Duration> latency{};  // likewise
};

// A GPU on the PCI bus; whether it can be used is for its driver to say. However many names the
// operating system gives it, it is one.
struct PciGpu {
  std::string pci{};  // "0000:17:00.0"
  std::uint16_t vendor = 0, device = 0;
  std::string name{};
  std::vector<int> numa_nodes{};     // next to it; none: not known
  std::vector<std::string> names{};  // that the operating system gives it: "card0", "nvml0", ...
  BytesPerSecond link{};             // of the slot as negotiated, each way; 0: not known
};

// What joins two GPUs besides the PCI bus.
struct GpuLink {
  std::string from{}, to{};  // PCI ids
  BytesPerSecond peak{};     // each way
};

struct Topology {
  SourceStatus status{};
  std::vector<NumaNode> nodes{};
  std::size_t packages = 0, cores = 0, processing_units = 0;
  Bytes last_level_cache{};  // the largest cache, each; 0: not known
  std::vector<PciGpu> gpus{};
  std::vector<GpuLink> gpu_links{};
};

// True when hwloc was built in.
bool has_hwloc() noexcept;

// The running machine by hwloc. Loads once; leaves out the components of hwloc that start GPU
// runtimes. `xml`, if not null, gets the topology as XML (version 2) without names and serial
// numbers of the machine. unavailable when hwloc was not built in.
Result<Topology> read_topology(std::string* xml = nullptr);
// A topology that was written as hwloc XML, version 2. parse_error when hwloc does not take it.
Result<Topology> read_topology_xml(std::string_view xml);
// From the files of /sys alone. unavailable when there is no NUMA node to be seen.
Result<Topology> read_topology_files(FileTree& files);

// "00000000:17:00.0", "0000:17:00.0", "17:00.0" as "0000:17:00.0"; none for anything else.
std::optional<std::string> canonical_pci(std::string_view text);

}  // namespace mais::probing
