// Everything that the sources said about a machine, before anything is concluded from it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mais/probe/gpu.hpp"
#include "mais/probe/host_memory.hpp"
#include "mais/probe/record.hpp"
#include "mais/probe/topology.hpp"

namespace mais::probing {

// The file system under the folder that state may be moved to.
struct OffloadFolder {
  std::string path{};
  Bytes total{};
  Bytes available{};  // to this process
};

struct Readings {
  HostMemory host{};
  Topology topology{};  // `status` says if there is any
  CudaReading cuda{};
  NvmlReading nvml{};
  std::vector<Measurement> measured{};
  std::optional<OffloadFolder> offload{};
};

}  // namespace mais::probing
