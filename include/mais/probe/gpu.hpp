// What the CUDA driver and NVML say about GPUs, as plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mais/probe/figure.hpp"
#include "mais/units.hpp"

namespace mais::probing {

struct FreeAndTotal {
  Bytes free{};
  Bytes total{};
};

// A device that the CUDA driver lets this process use. Under MIG it is the slice.
struct CudaDevice {
  int ordinal = 0;  // the driver's number in this process
  std::string name{};
  std::string uuid{};  // 8-4-4-4-12 hexadecimal digits; of the slice under MIG
  std::string pci{};   // "0000:17:00.0"; slices of one GPU share it
  Bytes total{};
  std::int64_t bus_width = 0;     // bits
  std::int64_t memory_clock = 0;  // kHz
  Bytes l2{};
  std::int64_t multiprocessors = 0;
  std::int64_t capability_major = 0, capability_minor = 0;
  bool integrated = false;               // uses the host's memory
  bool host_page_tables = false;         // coherent: reads pageable host memory through them
  std::optional<int> host_node{};        // the NUMA node next to it
  std::optional<int> memory_node{};      // the NUMA node that its own memory is
  std::vector<int> peers{};              // ordinals whose memory it can reach directly
  std::optional<FreeAndTotal> memory{};  // only if a context was allowed
};

struct CudaReading {
  SourceStatus status{};
  int driver_version = 0;  // 13000 is 13.0
  std::vector<CudaDevice> devices{};
};

struct GpuProcess {
  std::int64_t pid = 0;
  std::optional<Bytes> used{};  // none: the driver does not say
};

struct NvLink {
  std::string remote{};    // PCI id of the other end; of a switch, the switch's
  bool to_switch = false;  // leads to a switch that joins all GPUs on it
  int version = 0;         // generation
};

enum class GpuHealth : std::uint8_t {
  good,
  unhealthy,  // answers, with uncorrected memory errors
  lost,       // fell off the bus, or answers no more
};

std::string_view to_string(GpuHealth health) noexcept;

// A device as NVML sees it: a whole GPU, or a MIG slice of one.
struct NvmlDevice {
  std::string uuid{};  // digits only, as of CudaDevice
  std::string pci{};
  std::string name{};
  bool mig = false;         // a slice
  bool mig_parent = false;  // a GPU that is cut into slices: not usable as a whole
  std::optional<FreeAndTotal> memory{};
  std::vector<GpuProcess> processes{};
  GpuHealth health = GpuHealth::good;
  std::string trouble{};  // when not good
  std::optional<double> power_watts{}, power_limit_watts{};
  std::optional<bool> ecc{};
  std::optional<std::uint64_t> uncorrected_errors{};  // since the driver was loaded
  int pcie_generation = 0, pcie_width = 0;  // the most that card and slot can do; 0: unknown
  std::vector<NvLink> nvlinks{};
};

struct NvmlReading {
  SourceStatus status{};
  std::vector<NvmlDevice> devices{};
};

// The device that NVML means with what CUDA calls `device`: by UUID; by PCI id where one of the two
// has no UUID, but never a GPU that is cut into slices. Never by position. Null when there is none.
const NvmlDevice* same_device(const CudaDevice& device, const NvmlReading& nvml);

// "GPU-...", "MIG-...", or bare digits in any case, as bare lower-case digits; empty if it is none.
std::string canonical_uuid(std::string_view text);

// Peak rate of a PCI Express link, each way: transfers x width less the line code (8b/10b up to
// generation 2, 128b/130b from 3; PCI Express Base Specification). 0 for generations not in 1...7
// or a width not in 1...32.
BytesPerSecond pcie_peak(int generation, int width) noexcept;
// Peak rate of one NVLink, each way (NVIDIA's white papers for P100, V100, A100, H100, B200:
// generations 1 to 5). 0 for others.
BytesPerSecond nvlink_peak(int generation) noexcept;

}  // namespace mais::probing
