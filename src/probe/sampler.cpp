#include <algorithm>
#include <unistd.h>

#include "mais/probe/monitor.hpp"
#include "mais/probe/nvml.hpp"
#include "probe/host_parts.hpp"

namespace mais::probing {

struct Sampler::Sources {
  SystemFiles files;
  HostMemoryReader host;
  std::vector<int> device_nodes;
  std::vector<std::size_t> host_spaces;          // in the report
  std::vector<std::optional<int>> host_nodes;    // beside it
  std::vector<std::optional<std::size_t>> slot;  // of each device: its NVML device
  std::vector<std::size_t> space_of_slot;        // its space, or none beyond the end
  std::vector<std::size_t> device_space;         // of each device
  std::size_t spaces = 0;
  std::optional<Nvml> nvml;
  NvmlReading gpus;
  std::string pressure_file;

  explicit Sources(const std::string& root) : files(root, true), host(files) {}
};

Sampler::Sampler(Sampler&&) noexcept = default;
Sampler& Sampler::operator=(Sampler&&) noexcept = default;
Sampler::~Sampler() = default;

Sampler::Sampler(const MachineReport& report, SamplerOptions options)
    : sources_(std::make_unique<Sources>(options.root)) {
  Sources& s = *sources_;
  s.spaces = report.spaces.size();
  for (std::size_t i = 0; i < report.spaces.size(); ++i) {
    const SpaceReport& space = report.spaces[i];
    if (space.kind != SpaceKind::host) continue;
    s.host_spaces.push_back(i);
    s.host_nodes.push_back(space.numa_node);
  }
  s.device_nodes = report.device_nodes;
  s.slot.resize(report.devices.size());
  for (const DeviceReport& device : report.devices) s.device_space.push_back(device.space.value());
  const bool any_gpu = std::any_of(report.devices.begin(), report.devices.end(),
                                   [](const auto& d) { return d.kind == DeviceKind::gpu; });
  if (!any_gpu || !options.nvml_library) return;
  auto nvml = Nvml::load(*options.nvml_library);
  if (!nvml) return;
  s.nvml.emplace(*std::move(nvml));
  s.gpus = s.nvml->read();
  for (std::size_t i = 0; i < report.devices.size(); ++i) {
    if (report.devices[i].kind != DeviceKind::gpu) continue;
    CudaDevice identity;
    identity.uuid = report.devices[i].uuid;
    identity.pci = report.devices[i].pci;
    if (const NvmlDevice* const found = same_device(identity, s.gpus)) {
      s.slot[i] = static_cast<std::size_t>(found - s.gpus.devices.data());
    }
  }
}

std::string Sampler::pressure_file() const {
  return sources_->pressure_file;
}

MonitorReading Sampler::sample() {
  Sources& s = *sources_;
  MonitorReading reading;
  reading.spaces.resize(s.spaces);
  reading.devices.resize(s.slot.size());
  if (const auto host = s.host.sample()) {
    const HostBudget budget = host_budget(*host, s.device_nodes);
    std::vector<Bytes> available;
    for (const std::optional<int>& node : s.host_nodes) {
      Bytes here = budget.bytes;
      for (const NodeMemory& memory : host->nodes) {
        if (node == memory.node) here = memory.available;
      }
      available.push_back(here);
    }
    const std::vector<Bytes> parts = parts_of(budget.bytes, available);
    for (std::size_t i = 0; i < s.host_spaces.size(); ++i) {
      SpaceReading& space = reading.spaces[s.host_spaces[i]].emplace();
      space.free = parts[i];
      // The kernel does not say cheaply on which node a process has its memory.
      if (s.host_spaces.size() == 1) space.own = host->resident;
    }
    if (host->pressure) reading.stalled = host->pressure->some_10s;
    s.pressure_file = host->pressure_file;
    for (const Bound& bound : budget.bounds) {
      // Those that somebody sets; what is available moves all the time.
      if (bound.kind == BoundKind::available || bound.kind == BoundKind::allowed_nodes) continue;
      reading.limits.push_back({bound.kind, bound.where, bound.limit});
    }
    std::sort(reading.limits.begin(), reading.limits.end(), [](const auto& a, const auto& b) {
      return std::pair(a.kind, a.where) < std::pair(b.kind, b.where);
    });
  }
  if (!s.nvml) return reading;

  s.nvml->refresh(s.gpus);
  const std::int64_t self = ::getpid();
  for (std::size_t i = 0; i < s.slot.size(); ++i) {
    if (!s.slot[i]) continue;
    const NvmlDevice& gpu = s.gpus.devices[*s.slot[i]];
    reading.devices[i] = DeviceReading{gpu.health, gpu.trouble};
    const std::size_t index = s.device_space[i];
    const bool shared =
        std::find(s.host_spaces.begin(), s.host_spaces.end(), index) != s.host_spaces.end();
    if (!gpu.memory || shared) continue;
    SpaceReading& space = reading.spaces[index].emplace();
    space.free = gpu.memory->free;
    for (const GpuProcess& process : gpu.processes) {
      if (process.pid == self) space.own = process.used;
    }
  }
  return reading;
}

}  // namespace mais::probing
