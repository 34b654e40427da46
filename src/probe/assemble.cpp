#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "mais/probe/report.hpp"
#include "probe/gpu_ways.hpp"
#include "probe/host_parts.hpp"
#include "probe/wording.hpp"

namespace mais::probing {

namespace {

constexpr std::uint16_t kNvidia = 0x10de, kAmd = 0x1002, kIntel = 0x8086;

SpaceId space_id(std::size_t index) {
  return SpaceId(static_cast<std::uint32_t>(index));
}

// One run of assemble(), step by step into `report`.
class Assembly {
 public:
  Assembly(const Readings& readings, const std::vector<ConfiguredRate>& configured)
      : in_(readings), configured_(configured) {}

  MachineReport run() {
    find_device_nodes();
    find_usable_gpus();
    take_sources();
    add_host();
    add_gpus();
    add_offload();
    add_host_links();
    add_gpu_links();
    add_unused();
    add_notes();
    fill_machine();
    return std::move(out_);
  }

 private:
  struct Gpu {
    const CudaDevice* cuda = nullptr;
    const NvmlDevice* nvml = nullptr;  // null: NVML knows nothing of it
    const PciGpu* slot = nullptr;
    std::size_t space = 0;
    std::string name{};
    bool own_memory = true;
  };

  void find_device_nodes();
  void find_usable_gpus();
  void take_sources();
  void add_host();
  void add_host_space(const NumaNode* node, Bytes total, Bytes available, Bytes usable,
                      std::string binds);
  void add_gpus();
  void add_offload();
  void add_host_links();
  void add_gpu_links();
  void add_unused();
  void add_notes();
  void fill_machine();
  void add_link(std::size_t from, std::size_t to, Rate rate);
  Rate better(const std::string& place, Rate rate,
              std::optional<Duration>* latency = nullptr) const;
  bool allowed(const NumaNode& node) const;
  std::vector<int> near_nodes(const Gpu& gpu) const;
  std::optional<std::size_t> host_space_near(const Gpu& gpu) const;

  const Readings& in_;
  const std::vector<ConfiguredRate>& configured_;
  MachineReport out_;
  std::vector<int> device_nodes_;
  std::vector<Gpu> gpus_;
  std::vector<std::size_t> host_spaces_;
};

// NUMA nodes whose memory belongs to a GPU.
void Assembly::find_device_nodes() {
  std::set<int> nodes;
  for (const NumaNode& node : in_.topology.nodes) {
    if (node.gpu || node.subtype == "GPUMemory") nodes.insert(node.node);
  }
  for (const CudaDevice& device : in_.cuda.devices) {
    if (device.memory_node && !device.integrated) nodes.insert(*device.memory_node);
  }
  device_nodes_.assign(nodes.begin(), nodes.end());
  out_.device_nodes = device_nodes_;
}

void Assembly::find_usable_gpus() {
  std::set<std::string> seen;
  for (const CudaDevice& device : in_.cuda.devices) {
    if (!device.uuid.empty() && !seen.insert(device.uuid).second) continue;
    Gpu gpu{.cuda = &device, .nvml = same_device(device, in_.nvml)};
    gpu.name = "gpu" + std::to_string(device.ordinal);
    for (const PciGpu& slot : in_.topology.gpus) {
      if (slot.pci == device.pci) gpu.slot = &slot;
    }
    gpu.own_memory = !device.integrated;
    if (gpu.nvml != nullptr && gpu.nvml->health == GpuHealth::lost) {
      out_.unused.push_back({device.pci, device.name, "it is lost: " + gpu.nvml->trouble});
      continue;
    }
    gpus_.push_back(gpu);
  }
}

void Assembly::take_sources() {
  out_.sources = {in_.topology.status, in_.cuda.status, in_.nvml.status};
  out_.packages = in_.topology.packages;
  out_.cores = in_.topology.cores;
  out_.processing_units = in_.topology.processing_units;
  out_.budget = host_budget(in_.host, device_nodes_);
  out_.lockable = lockable(in_.host);
  out_.huge_pages = in_.host.huge_pages;
  out_.pressure = in_.host.pressure;
}

// What was configured or measured at a place goes before what is said of it.
Rate Assembly::better(const std::string& place, Rate rate, std::optional<Duration>* latency) const {
  for (const Measurement& measured : in_.measured) {
    if (measured.place != place) continue;
    if (measured.rate.known()) rate = measured.rate;
    if (latency != nullptr && measured.latency > Duration::zero()) *latency = measured.latency;
  }
  for (const ConfiguredRate& configured : configured_) {
    if (configured.place == place) rate = configured_rate(configured.rate);
  }
  return rate;
}

void Assembly::add_host_space(const NumaNode* node, Bytes total, Bytes available, Bytes usable,
                              std::string binds) {
  SpaceReport space;
  space.kind = SpaceKind::host;
  space.total = total;
  space.free = available;
  space.usable = usable;
  space.binds = std::move(binds);
  if (node == nullptr) {
    space.name = "host";
    space.what = "memory of the host";
    space.bandwidth = unknown_rate("nobody told");
  } else {
    space.name = "host" + std::to_string(node->node);
    space.numa_node = node->node;
    space.what = node->subtype.empty() ? "memory" : node->subtype;
    space.what += " of NUMA node " + std::to_string(node->node);
    if (node->memory_only) space.what += ", no processor's own";
    space.bandwidth = node->bandwidth;
    space.latency = node->latency;
  }
  space.bandwidth = better(space.name, space.bandwidth, &space.latency);
  host_spaces_.push_back(out_.spaces.size());
  if (node == nullptr || (!node->memory_only && !node->cpus.empty())) {
    DeviceReport cpu;
    cpu.kind = DeviceKind::cpu;
    cpu.space = space_id(out_.spaces.size());
    cpu.name = node == nullptr ? "cpu" : "cpu" + std::to_string(node->node);
    const std::size_t threads = node == nullptr ? in_.topology.processing_units : node->cpus.size();
    cpu.what = threads == 0 ? "processors" : counted(threads, "thread");
    if (node != nullptr) cpu.near_nodes = {node->node};
    out_.devices.push_back(std::move(cpu));
  }
  out_.spaces.push_back(std::move(space));
}

bool Assembly::allowed(const NumaNode& node) const {
  const std::vector<int>& nodes = in_.host.allowed_nodes;
  return node.allowed &&
         (nodes.empty() || std::find(nodes.begin(), nodes.end(), node.node) != nodes.end());
}

// One space for each NUMA node of the host that may be used. Where the host as a whole may use less
// than its nodes have, each gets the part of it that it has of what is available, so that the
// spaces together never promise more.
void Assembly::add_host() {
  const Bytes budget = out_.budget.bytes;
  struct Part {
    const NumaNode* node;
    Bytes total, available;
  };
  std::vector<Part> parts;
  Bytes sum{};
  for (const NumaNode& node : in_.topology.nodes) {
    const bool foreign =
        std::find(device_nodes_.begin(), device_nodes_.end(), node.node) != device_nodes_.end();
    if (!allowed(node) || node.size <= Bytes(0) || foreign) continue;
    const auto found =
        std::find_if(in_.host.nodes.begin(), in_.host.nodes.end(),
                     [&](const NodeMemory& memory) { return memory.node == node.node; });
    const bool counted_now = found != in_.host.nodes.end();
    parts.push_back({&node, counted_now ? found->total : node.size,
                     counted_now ? found->available : node.size});
    sum += parts.back().available;
  }
  const std::string binds = to_text(out_.budget.bounds.front());
  if (parts.empty() || sum <= Bytes(0)) {
    add_host_space(nullptr, in_.host.total, in_.host.available, budget, binds);
    return;
  }
  std::vector<Bytes> available;
  for (const Part& part : parts) available.push_back(part.available);
  const std::vector<Bytes> usable = parts_of(budget, available);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    std::string why = binds;
    if (parts.size() > 1) {
      why = budget >= sum ? "what the node has available" : "its part of the host's: " + binds;
    }
    add_host_space(part.node, part.total, part.available, usable[i], why);
  }
  if (parts.size() > 1 && budget < sum) {
    out_.notes.push_back("the host may use " + size_text(budget) + " of the " + size_text(sum) +
                         " that its NUMA nodes have: each gets its part of it");
  }
}

std::vector<int> Assembly::near_nodes(const Gpu& gpu) const {
  if (gpu.cuda->host_node) return {*gpu.cuda->host_node};
  if (gpu.slot != nullptr) return gpu.slot->numa_nodes;
  return {};
}

std::optional<std::size_t> Assembly::host_space_near(const Gpu& gpu) const {
  for (const int node : near_nodes(gpu)) {
    for (const std::size_t space : host_spaces_) {
      if (out_.spaces[space].numa_node == node) return space;
    }
  }
  return std::nullopt;
}

void Assembly::add_gpus() {
  for (Gpu& gpu : gpus_) {
    const CudaDevice& cuda = *gpu.cuda;
    const bool slice = gpu.nvml != nullptr && gpu.nvml->mig;
    DeviceReport device;
    device.kind = DeviceKind::gpu;
    device.name = gpu.name;
    device.what = cuda.name.empty() ? "GPU" : cuda.name;
    device.uuid = cuda.uuid;
    device.pci = cuda.pci;
    device.near_nodes = near_nodes(gpu);
    device.shares_host_memory = !gpu.own_memory;
    device.multiprocessors = cuda.multiprocessors;
    device.l2 = cuda.l2;
    device.capability = {cuda.capability_major, cuda.capability_minor};
    if (gpu.slot != nullptr) device.also = gpu.slot->names;
    if (gpu.nvml != nullptr) {
      device.health = gpu.nvml->health;
      device.trouble = gpu.nvml->trouble;
      device.power_watts = gpu.nvml->power_watts;
      device.power_limit_watts = gpu.nvml->power_limit_watts;
      device.processes = gpu.nvml->processes;
    }
    if (!gpu.own_memory) {
      gpu.space = host_space_near(gpu).value_or(host_spaces_.front());
      device.space = space_id(gpu.space);
      out_.devices.push_back(std::move(device));
      continue;
    }

    SpaceReport space;
    space.name = gpu.name;
    space.kind = SpaceKind::device;
    space.what = slice ? "a MIG slice of a GPU's memory" : "memory of a GPU";
    space.numa_node = cuda.memory_node;
    if (cuda.memory_node) {
      space.what += ", NUMA node " + std::to_string(*cuda.memory_node) + " of the system";
    } else if (!device.near_nodes.empty()) {
      space.numa_node = device.near_nodes.front();
    }
    const std::optional<FreeAndTotal> memory =
        gpu.nvml != nullptr && gpu.nvml->memory ? gpu.nvml->memory : cuda.memory;
    space.total = memory ? memory->total : cuda.total;
    if (memory) {
      space.free = memory->free;
      space.usable = memory->free;
      space.binds = "what is free now, of what the driver and other processes leave";
    } else {
      space.usable = cuda.total;
      space.binds = "all that the driver shows: what is free is not known";
    }
    const double peak = 2.0 * static_cast<double>(cuda.memory_clock) * 1e3 *
                        static_cast<double>(cuda.bus_width) / 8;
    if (slice) {
      space.bandwidth = unknown_rate("a MIG slice has a part of its GPU's");
    } else if (peak > 0) {
      space.bandwidth =
          datasheet_rate({peak}, "2 x " + std::to_string(cuda.memory_clock / 1000) + " MHz x " +
                                     std::to_string(cuda.bus_width) + " bit");
    } else {
      space.bandwidth = unknown_rate("the driver does not tell memory clock and bus width");
    }
    space.bandwidth = better(space.name, space.bandwidth, &space.latency);
    gpu.space = out_.spaces.size();
    device.space = space_id(gpu.space);
    out_.devices.push_back(std::move(device));
    out_.spaces.push_back(std::move(space));
  }
}

void Assembly::add_offload() {
  if (!in_.offload) return;
  SpaceReport space;
  space.name = "offload";
  space.kind = SpaceKind::disk;
  space.what = "file system of " + in_.offload->path;
  space.total = in_.offload->total;
  space.usable = in_.offload->available;
  space.free = in_.offload->available;
  space.binds = "what the file system has available";
  space.bandwidth = better(space.name, unknown_rate("not measured"), &space.latency);
  const Rate rate = space.bandwidth;
  const std::size_t index = out_.spaces.size();
  out_.spaces.push_back(std::move(space));
  // Only reading was looked at, and it ends in the host's memory.
  add_link(index, host_spaces_.front(), rate);
}

void Assembly::add_link(std::size_t from, std::size_t to, Rate rate) {
  LinkReport link{space_id(from), space_id(to), {}, {}};
  link.bandwidth =
      better(out_.spaces[from].name + " > " + out_.spaces[to].name, std::move(rate), &link.latency);
  out_.links.push_back(std::move(link));
}

void Assembly::add_host_links() {
  for (const Gpu& gpu : gpus_) {
    if (!gpu.own_memory) continue;
    Rate rate = bus_rate(*gpu.cuda, gpu.nvml, gpu.slot);
    if (gpu.cuda->memory_node) {
      // Coherent: not by way of PCI Express. What the firmware says of the node, seen from the
      // processors, is what the link gives.
      rate = unknown_rate("a coherent link, not measured");
      for (const NumaNode& node : in_.topology.nodes) {
        if (node.node == *gpu.cuda->memory_node && node.bandwidth.known()) rate = node.bandwidth;
      }
    }
    const std::optional<std::size_t> near = host_space_near(gpu);
    for (const std::size_t host : host_spaces_) {
      Rate here = rate;
      if (near && host != *near && here.known()) here.how += ", assumed from a farther node too";
      add_link(host, gpu.space, here);
      add_link(gpu.space, host, here);
    }
  }
}

void Assembly::add_gpu_links() {
  for (const Gpu& from : gpus_) {
    for (const Gpu& to : gpus_) {
      if (&from == &to || !from.own_memory || !to.own_memory) continue;
      const auto rate = peer_rate({*from.cuda, from.nvml, from.slot}, {*to.cuda, to.nvml, to.slot},
                                  in_.topology.gpu_links);
      if (rate) add_link(from.space, to.space, *rate);
    }
  }
}

void Assembly::add_unused() {
  const auto used = [&](const std::string& pci) {
    return std::any_of(gpus_.begin(), gpus_.end(),
                       [&](const Gpu& gpu) { return gpu.cuda->pci == pci; });
  };
  const auto listed = [&](const std::string& pci) {
    return std::any_of(out_.unused.begin(), out_.unused.end(),
                       [&](const UnusedGpu& gpu) { return gpu.pci == pci; });
  };
  const std::string no_driver = in_.cuda.status.available
                                    ? "the CUDA driver does not show it to this process"
                                    : in_.cuda.status.detail;
  for (const NvmlDevice& device : in_.nvml.devices) {
    if (device.mig || device.pci.empty() || used(device.pci) || listed(device.pci)) continue;
    std::string why = no_driver;
    if (device.mig_parent)
      why = "it is cut into MIG slices, and this process is given none of them";
    if (device.health == GpuHealth::lost) why = "it is lost: " + device.trouble;
    out_.unused.push_back({device.pci, device.name, why});
  }
  for (const PciGpu& gpu : in_.topology.gpus) {
    if (used(gpu.pci) || listed(gpu.pci)) continue;
    const bool nvidia = gpu.vendor == kNvidia;
    if (!nvidia && gpu.vendor != kAmd && gpu.vendor != kIntel) continue;  // a console
    out_.unused.push_back({gpu.pci, gpu.name.empty() ? "GPU" : gpu.name,
                           nvidia ? no_driver : "only GPUs with a CUDA driver are supported"});
  }
}

void Assembly::add_notes() {
  std::vector<std::string>& notes = out_.notes;
  for (const std::string& doubt : in_.host.doubts) notes.push_back(doubt);
  const auto here = [&](BoundKind kind) -> const Bound* {
    for (const Bound& bound : out_.budget.bounds) {
      if (bound.kind == kind) return &bound;
    }
    return nullptr;
  };
  const Bound* const system = here(BoundKind::available);
  const Bound* const nodes = here(BoundKind::allowed_nodes);
  const bool all_allowed = std::all_of(in_.topology.nodes.begin(), in_.topology.nodes.end(),
                                       [&](const NumaNode& node) { return allowed(node); });
  if (system != nullptr && nodes != nullptr && all_allowed && nodes->limit * 1.25 < system->limit) {
    notes.push_back("/proc/meminfo counts " + size_text(system->limit) +
                    ", its NUMA nodes together only " + size_text(nodes->limit) +
                    ": the smaller is taken");
  }
  std::vector<std::string> foreign;
  for (const int node : device_nodes_) {
    const bool claimed = std::any_of(gpus_.begin(), gpus_.end(),
                                     [&](const Gpu& gpu) { return gpu.cuda->memory_node == node; });
    if (!claimed) foreign.push_back(std::to_string(node));
  }
  if (!foreign.empty()) {
    notes.push_back(
        "memory of a GPU that is not used here, and not counted as the host's: NUMA node " +
        joined(foreign, ", "));
  }
  for (const SpaceReport& space : out_.spaces) {
    if (space.kind == SpaceKind::device && !space.free) {
      notes.push_back(space.name + ": what is free is not known (no NVML, and no context allowed)");
    }
  }
  std::size_t unknown_links = 0;
  for (const LinkReport& link : out_.links) unknown_links += link.bandwidth.known() ? 0 : 1;
  if (unknown_links > 0) {
    notes.push_back(counted(unknown_links, "link") +
                    " of unknown rate left out of the machine: measure to have them");
  }
  if (!out_.devices.empty()) {
    notes.push_back("compute rates are not measured: they are 0, which stands for unknown");
  }
}

void Assembly::fill_machine() {
  out_.machine.name = "this machine";
  for (const SpaceReport& space : out_.spaces) {
    out_.machine.spaces.push_back(
        {space.name, space.kind, space.usable, space.bandwidth.median, space.numa_node});
  }
  for (const DeviceReport& device : out_.devices) {
    out_.machine.devices.push_back({device.name, device.kind, device.space, {}});
  }
  for (const LinkReport& link : out_.links) {
    if (!link.bandwidth.known()) continue;
    out_.machine.links.push_back(
        {link.from, link.to, link.bandwidth.median, link.latency.value_or(Duration::zero())});
  }
}

}  // namespace

MachineReport assemble(const Readings& readings, const std::vector<ConfiguredRate>& configured) {
  return Assembly(readings, configured).run();
}

}  // namespace mais::probing
