// The GPUs that the fake libcuda.so.1 and the fake libnvidia-ml.so.1 show. A test changes them
// while the libraries are loaded; nothing here touches a real device.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace mais::probing::fake {

struct FakeProcess {
  unsigned pid = 0;
  unsigned long long used = 0;
};

struct FakeNvLink {
  std::string remote;
  bool to_switch = false;
  unsigned version = 6;
};

struct FakeGpu {
  std::string name = "Fake GPU";
  std::string uuid;  // 36 digits and dashes
  unsigned domain = 0, bus = 1, device = 0;
  unsigned long long total = 0, used = 0;
  int bus_width = 5120, memory_clock = 1'000'000, l2 = 50 << 20, multiprocessors = 100;
  int capability_major = 9, capability_minor = 0;
  int integrated = 0, host_page_tables = 0, host_node = 0, numa_config = 0, numa_id = -1;
  bool mig = false;                 // cut into slices
  bool is_slice = false;            // one of them; `parent` names the whole
  std::string parent;               // uuid
  bool cuda = true;                 // shown to CUDA
  bool nvml = true;                 // shown to NVML
  bool lost = false;                // fell off the bus
  bool memory_unsupported = false;  // NVML tells nothing of its memory
  unsigned long long uncorrected = 0;
  unsigned power = 70'000;  // mW
  unsigned pcie_generation = 4, pcie_width = 16;
  std::vector<FakeProcess> processes;
  std::vector<FakeNvLink> nvlinks;
  bool peers = true;
  int virtual_memory = 1, memory_pools = 1;     // supported
  double copy_rate = 20e9, inside_rate = 1e12;  // bytes per second that copies take
};

struct FakeWorld {
  std::vector<FakeGpu> gpus;
  int driver_version = 13'000;
  int init_status = 0;  // of cuInit
  int nvml_init_status = 0;
  std::set<std::string> missing;              // what cuGetProcAddress does not find
  std::map<std::string, int> cuda_errors;     // call -> status
  std::map<std::string, int> cuda_successes;  // call -> how often it succeeds before that
  std::map<std::string, int> nvml_errors;
  // What happened.
  int contexts_created = 0, contexts_now = 0;
  int allocations_now = 0;
  unsigned long long pinned_now = 0;
  int nvml_inits = 0, nvml_shutdowns = 0;
  int streams_now = 0, registrations_now = 0, address_ranges_now = 0, pools_now = 0;
};

// Each fake library has a function of this name and type that gives the world it shows; the test
// hands the same one to both.
using SetWorld = void (*)(FakeWorld*);
inline constexpr const char* kSetWorld = "fake_set_world";

}  // namespace mais::probing::fake
