// A FAKE libnvidia-ml.so.1 for tests: shows the GPUs of a FakeWorld, in the opposite order of the
// fake CUDA, so that joining by position shows.
#include <cstdio>
#include <cstring>

#include "fake_gpus.hpp"
#include "probe/nvml_abi.hpp"

namespace abi = mais::probing::nvml_abi;
using mais::probing::fake::FakeGpu;
using mais::probing::fake::FakeWorld;

namespace {

FakeWorld* world = nullptr;

std::vector<FakeGpu*> wholes() {
  std::vector<FakeGpu*> list;
  for (FakeGpu& gpu : world->gpus) {
    if (gpu.nvml && !gpu.is_slice) list.insert(list.begin(), &gpu);
  }
  return list;
}

FakeGpu& gpu_of(abi::Device device) {
  return *reinterpret_cast<FakeGpu*>(device);
}
abi::Device handle_of(FakeGpu* gpu) {
  return reinterpret_cast<abi::Device>(gpu);
}

abi::Status planned(const char* call) {
  const auto found = world->nvml_errors.find(call);
  return found == world->nvml_errors.end() ? abi::kSuccess : found->second;
}

abi::Status answer(const char* call, abi::Device device) {
  if (gpu_of(device).lost) return abi::kGpuIsLost;
  return planned(call);
}

#define FAKE_MAY_FAIL(call, device) \
  if (const abi::Status status = answer(call, device); status != abi::kSuccess) return status

void put(char* to, unsigned size, const std::string& text) {
  std::snprintf(to, size, "%s", text.c_str());
}

void fill_pci(abi::PciInfo* info, const std::string& text) {
  *info = {};
  put(info->bus_id, sizeof info->bus_id, text);
}

std::string bus_id(const FakeGpu& gpu) {
  char text[32];
  std::snprintf(text, sizeof text, "%08X:%02X:%02X.0", gpu.domain, gpu.bus, gpu.device);
  return text;
}

}  // namespace

extern "C" {

void fake_set_world(FakeWorld* shown_world) {
  world = shown_world;
}

abi::Status nvmlInit_v2() {
  if (world == nullptr) return abi::kDriverNotLoaded;
  if (world->nvml_init_status == 0) ++world->nvml_inits;
  return world->nvml_init_status;
}
abi::Status nvmlShutdown() {
  ++world->nvml_shutdowns;
  return abi::kSuccess;
}
const char* nvmlErrorString(abi::Status) {
  return "planned by a test";
}
abi::Status nvmlSystemGetDriverVersion(char* text, unsigned size) {
  put(text, size, "580.00 (fake)");
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetCount_v2(unsigned* count) {
  *count = static_cast<unsigned>(wholes().size());
  return planned("nvmlDeviceGetCount_v2");
}
abi::Status nvmlDeviceGetHandleByIndex_v2(unsigned index, abi::Device* device) {
  FakeGpu* const gpu = wholes()[index];
  if (const abi::Status status = planned("nvmlDeviceGetHandleByIndex_v2"); status != 0) {
    return status;
  }
  *device = handle_of(gpu);
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetUUID(abi::Device device, char* text, unsigned size) {
  FAKE_MAY_FAIL("nvmlDeviceGetUUID", device);
  put(text, size, (gpu_of(device).is_slice ? "MIG-" : "GPU-") + gpu_of(device).uuid);
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetName(abi::Device device, char* text, unsigned size) {
  FAKE_MAY_FAIL("nvmlDeviceGetName", device);
  put(text, size, gpu_of(device).name);
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetPciInfo_v3(abi::Device device, abi::PciInfo* info) {
  FAKE_MAY_FAIL("nvmlDeviceGetPciInfo_v3", device);
  fill_pci(info, bus_id(gpu_of(device)));
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetMemoryInfo(abi::Device device, abi::Memory* memory) {
  FAKE_MAY_FAIL("nvmlDeviceGetMemoryInfo", device);
  const FakeGpu& gpu = gpu_of(device);
  if (gpu.memory_unsupported) return abi::kNotSupported;
  *memory = {gpu.total, gpu.total - gpu.used, gpu.used};
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetMigMode(abi::Device device, unsigned* current, unsigned* pending) {
  FAKE_MAY_FAIL("nvmlDeviceGetMigMode", device);
  *current = *pending = gpu_of(device).mig ? 1 : 0;
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetMaxMigDeviceCount(abi::Device device, unsigned* count) {
  FAKE_MAY_FAIL("nvmlDeviceGetMaxMigDeviceCount", device);
  *count = 7;
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetMigDeviceHandleByIndex(abi::Device device, unsigned index,
                                                abi::Device* slice) {
  FAKE_MAY_FAIL("nvmlDeviceGetMigDeviceHandleByIndex", device);
  for (FakeGpu& gpu : world->gpus) {
    if (!gpu.is_slice || gpu.parent != gpu_of(device).uuid || index-- != 0) continue;
    *slice = handle_of(&gpu);
    return abi::kSuccess;
  }
  return abi::kNotFound;
}
abi::Status nvmlDeviceGetComputeRunningProcesses_v3(abi::Device device, unsigned* count,
                                                    abi::ProcessInfo* list) {
  FAKE_MAY_FAIL("nvmlDeviceGetComputeRunningProcesses_v3", device);
  const auto& processes = gpu_of(device).processes;
  if (processes.size() > *count) return abi::kInsufficientSize;
  *count = static_cast<unsigned>(processes.size());
  for (std::size_t i = 0; i < processes.size(); ++i) {
    list[i] = {processes[i].pid, processes[i].used, 0, 0};
  }
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetPowerUsage(abi::Device device, unsigned* milliwatts) {
  FAKE_MAY_FAIL("nvmlDeviceGetPowerUsage", device);
  *milliwatts = gpu_of(device).power;
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetEnforcedPowerLimit(abi::Device device, unsigned* milliwatts) {
  FAKE_MAY_FAIL("nvmlDeviceGetEnforcedPowerLimit", device);
  *milliwatts = 700'000;
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetEccMode(abi::Device device, unsigned* current, unsigned* pending) {
  FAKE_MAY_FAIL("nvmlDeviceGetEccMode", device);
  *current = *pending = 1;
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetTotalEccErrors(abi::Device device, int, int, unsigned long long* count) {
  FAKE_MAY_FAIL("nvmlDeviceGetTotalEccErrors", device);
  *count = gpu_of(device).uncorrected;
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetMaxPcieLinkGeneration(abi::Device device, unsigned* generation) {
  FAKE_MAY_FAIL("nvmlDeviceGetMaxPcieLinkGeneration", device);
  *generation = gpu_of(device).pcie_generation;
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetMaxPcieLinkWidth(abi::Device device, unsigned* width) {
  FAKE_MAY_FAIL("nvmlDeviceGetMaxPcieLinkWidth", device);
  *width = gpu_of(device).pcie_width;
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetNvLinkState(abi::Device device, unsigned link, unsigned* active) {
  FAKE_MAY_FAIL("nvmlDeviceGetNvLinkState", device);
  if (gpu_of(device).nvlinks.empty()) return abi::kNotSupported;
  *active = link < gpu_of(device).nvlinks.size() ? 1 : 0;
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetNvLinkVersion(abi::Device device, unsigned link, unsigned* version) {
  FAKE_MAY_FAIL("nvmlDeviceGetNvLinkVersion", device);
  *version = gpu_of(device).nvlinks[link].version;
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetNvLinkRemotePciInfo_v2(abi::Device device, unsigned link,
                                                abi::PciInfo* info) {
  FAKE_MAY_FAIL("nvmlDeviceGetNvLinkRemotePciInfo_v2", device);
  fill_pci(info, gpu_of(device).nvlinks[link].remote);
  return abi::kSuccess;
}
abi::Status nvmlDeviceGetNvLinkRemoteDeviceType(abi::Device device, unsigned link, int* kind) {
  FAKE_MAY_FAIL("nvmlDeviceGetNvLinkRemoteDeviceType", device);
  *kind = gpu_of(device).nvlinks[link].to_switch ? abi::kRemoteIsSwitch : 0;
  return abi::kSuccess;
}

}  // extern "C"
