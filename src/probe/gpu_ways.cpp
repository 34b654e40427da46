#include "probe/gpu_ways.hpp"

#include <algorithm>

#include "probe/wording.hpp"

namespace mais::probing {

Rate bus_rate(const CudaDevice&, const NvmlDevice* nvml, const PciGpu* slot) {
  if (nvml != nullptr) {
    const BytesPerSecond peak = pcie_peak(nvml->pcie_generation, nvml->pcie_width);
    if (peak.value > 0) {
      return datasheet_rate(peak, "PCIe " + std::to_string(nvml->pcie_generation) + ".0 x" +
                                      std::to_string(nvml->pcie_width));
    }
  }
  if (slot != nullptr && slot->link.value > 0) {
    return datasheet_rate(slot->link, "the PCIe slot as negotiated");
  }
  return unknown_rate("nobody tells how it is connected");
}

namespace {

// Some drivers report Hopper's NVLink 4 with the number of version 5; its compute capability tells.
int generation_of(const NvLink& link, const CudaDevice& device) {
  constexpr std::int64_t kHopper = 9;
  return device.capability_major == kHopper ? std::min(link.version, 4) : link.version;
}

struct Bundle {
  std::size_t links = 0;
  double peak = 0;
  int generation = 0;
};

// The NVLinks of a GPU that lead to another, or to switches.
Bundle bundle_of(const GpuSides& gpu, const std::string& to, bool over_switch) {
  Bundle bundle;
  if (gpu.nvml == nullptr) return bundle;
  for (const NvLink& link : gpu.nvml->nvlinks) {
    if (over_switch ? !link.to_switch : (link.to_switch || link.remote != to)) continue;
    ++bundle.links;
    bundle.generation = generation_of(link, gpu.cuda);
    bundle.peak += nvlink_peak(bundle.generation).value;
  }
  return bundle;
}

std::string words_of(const Bundle& bundle, const char* how) {
  return "NVLink " + std::to_string(bundle.generation) + ", " + counted(bundle.links, "link") + how;
}

}  // namespace

std::optional<Rate> peer_rate(const GpuSides& from, const GpuSides& to,
                              const std::vector<GpuLink>& links) {
  const bool slices =
      (from.nvml != nullptr && from.nvml->mig) || (to.nvml != nullptr && to.nvml->mig);
  if (!slices) {
    const Bundle direct = bundle_of(from, to.cuda.pci, false);
    if (direct.peak > 0) return datasheet_rate({direct.peak}, words_of(direct, ""));
    const Bundle here = bundle_of(from, "", true), there = bundle_of(to, "", true);
    if (here.peak > 0 && there.peak > 0) {
      const Bundle& narrower = here.peak <= there.peak ? here : there;
      return datasheet_rate({narrower.peak}, words_of(narrower, " through switches"));
    }
    for (const GpuLink& link : links) {
      if (link.from == from.cuda.pci && link.to == to.cuda.pci) {
        return datasheet_rate(link.peak, "NVLink, by hwloc");
      }
    }
  }
  const auto& peers = from.cuda.peers;
  if (std::find(peers.begin(), peers.end(), to.cuda.ordinal) == peers.end()) return std::nullopt;
  const Rate a = bus_rate(from.cuda, from.nvml, from.slot);
  const Rate b = bus_rate(to.cuda, to.nvml, to.slot);
  if (!a.known() || !b.known()) {
    return unknown_rate("they reach each other, nobody tells how fast");
  }
  Rate rate = a.median <= b.median ? a : b;
  rate.how += ", peer to peer";
  return rate;
}

}  // namespace mais::probing
