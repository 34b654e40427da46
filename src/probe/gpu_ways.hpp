// How fast data moves between a GPU and the host, and between GPUs, by what the sources say.
#pragma once

#include <optional>
#include <vector>

#include "mais/probe/gpu.hpp"
#include "mais/probe/topology.hpp"

namespace mais::probing {

// One GPU as its sources see it; null where a source does not know it.
struct GpuSides {
  const CudaDevice& cuda;
  const NvmlDevice* nvml;
  const PciGpu* slot;
};

// PCI Express, each way: by NVML's generation and width, else as the slot was negotiated.
Rate bus_rate(const CudaDevice& cuda, const NvmlDevice* nvml, const PciGpu* slot);

// The direct way between two GPUs: NVLink (from both ends to each other, or to the same kind of
// switch), else the bus where the driver lets them reach each other; none: by way of the host.
std::optional<Rate> peer_rate(const GpuSides& from, const GpuSides& to,
                              const std::vector<GpuLink>& links);

}  // namespace mais::probing
