// A FAKE libcuda.so.1 for tests: shows the GPUs of a FakeWorld. With FAKE_IS_OLD it has no
// cuGetProcAddress, like drivers before 11.3.
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <cuda.h>

#include "fake_driver.hpp"

using namespace mais::probing::fake;

namespace mais::probing::fake {

FakeWorld* world = nullptr;
std::recursive_mutex mutex;

namespace {
std::vector<FakeGpu*> shown() {
  std::vector<FakeGpu*> list;
  for (FakeGpu& gpu : world->gpus) {
    if (gpu.cuda && !gpu.mig) list.push_back(&gpu);
  }
  return list;
}
}  // namespace

FakeGpu* gpu_of(CUdevice device) {
  const auto list = shown();
  if (device < 0 || static_cast<std::size_t>(device) >= list.size()) return nullptr;
  return list[static_cast<std::size_t>(device)];
}

CUresult planned(const char* call) {
  if (world == nullptr) return CUDA_ERROR_NOT_INITIALIZED;
  const std::scoped_lock lock(mutex);
  const auto found = world->cuda_errors.find(call);
  if (found == world->cuda_errors.end()) return CUDA_SUCCESS;
  if (const auto left = world->cuda_successes.find(call);
      left != world->cuda_successes.end() && left->second-- > 0) {
    return CUDA_SUCCESS;
  }
  return static_cast<CUresult>(found->second);
}

// A context is the number of its device, from 1.
thread_local std::vector<CUcontext> stack;
FakeGpu* current() {
  if (stack.empty()) return nullptr;
  return gpu_of(static_cast<CUdevice>(reinterpret_cast<std::uintptr_t>(stack.back())) - 1);
}

}  // namespace mais::probing::fake

namespace {

CUcontext context_of(CUdevice device) {
  return reinterpret_cast<CUcontext>(static_cast<std::uintptr_t>(device) + 1);
}
double pending = 0;  // seconds that copies took, so far

CUresult device_count(int* count) {
  FAKE_MAY_FAIL("cuDeviceGetCount");
  *count = static_cast<int>(shown().size());
  return CUDA_SUCCESS;
}
CUresult device_get(CUdevice* device, int ordinal) {
  FAKE_MAY_FAIL("cuDeviceGet");
  FakeGpu* const gpu = gpu_of(ordinal);
  if (gpu == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  *device = ordinal;
  return CUDA_SUCCESS;
}
CUresult device_name(char* name, int length, CUdevice device) {
  FAKE_MAY_FAIL("cuDeviceGetName");
  std::strncpy(name, gpu_of(device)->name.c_str(), static_cast<std::size_t>(length));
  return CUDA_SUCCESS;
}
CUresult device_uuid(CUuuid* uuid, CUdevice device) {
  FAKE_MAY_FAIL("cuDeviceGetUuid");
  std::string digits;
  for (const char c : gpu_of(device)->uuid) {
    if (c != '-') digits += c;
  }
  for (std::size_t i = 0; i < 16; ++i) {
    uuid->bytes[i] = static_cast<char>(std::strtoul(digits.substr(2 * i, 2).c_str(), nullptr, 16));
  }
  return CUDA_SUCCESS;
}
CUresult device_total(size_t* total, CUdevice device) {
  FAKE_MAY_FAIL("cuDeviceTotalMem");
  *total = gpu_of(device)->total;
  return CUDA_SUCCESS;
}
CUresult device_attribute(int* value, CUdevice_attribute which, CUdevice device) {
  FAKE_MAY_FAIL("cuDeviceGetAttribute");
  const FakeGpu& gpu = *gpu_of(device);
  switch (static_cast<int>(which)) {
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
      *value = static_cast<int>(gpu.bus);
      break;
    case CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID:
      *value = static_cast<int>(gpu.device);
      break;
    case CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID:
      *value = static_cast<int>(gpu.domain);
      break;
    case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH:
      *value = gpu.bus_width;
      break;
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE:
      *value = gpu.memory_clock;
      break;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
      *value = gpu.l2;
      break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      *value = gpu.multiprocessors;
      break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *value = gpu.capability_major;
      break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      *value = gpu.capability_minor;
      break;
    case CU_DEVICE_ATTRIBUTE_INTEGRATED:
      *value = gpu.integrated;
      break;
    case CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES:
      *value = gpu.host_page_tables;
      break;
    case CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
      *value = gpu.virtual_memory;
      break;
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
      *value = gpu.memory_pools;
      break;
    case 130:  // NUMA_CONFIG
      *value = gpu.numa_config;
      break;
    case 131:  // NUMA_ID
      *value = gpu.numa_id;
      break;
    case 134:  // HOST_NUMA_ID
      *value = gpu.host_node;
      break;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}
CUresult can_access_peer(int* can, CUdevice from, CUdevice to) {
  FAKE_MAY_FAIL("cuDeviceCanAccessPeer");
  *can = gpu_of(from)->peers && gpu_of(to)->peers ? 1 : 0;
  return CUDA_SUCCESS;
}
CUresult retain(CUcontext* context, CUdevice device) {
  FAKE_MAY_FAIL("cuDevicePrimaryCtxRetain");
  const std::scoped_lock lock(mutex);
  ++world->contexts_created;
  ++world->contexts_now;
  *context = context_of(device);
  return CUDA_SUCCESS;
}
CUresult release(CUdevice) {
  const std::scoped_lock lock(mutex);
  --world->contexts_now;
  return CUDA_SUCCESS;
}
CUresult push(CUcontext context) {
  FAKE_MAY_FAIL("cuCtxPushCurrent");
  stack.push_back(context);
  return CUDA_SUCCESS;
}
CUresult pop(CUcontext* context) {
  if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  *context = stack.back();
  stack.pop_back();
  return CUDA_SUCCESS;
}
CUresult synchronize() {
  return planned("cuCtxSynchronize");
}
CUresult enable_peer(CUcontext, unsigned) {
  return planned("cuCtxEnablePeerAccess");
}
CUresult memory_info(size_t* free, size_t* total) {
  FAKE_MAY_FAIL("cuMemGetInfo");
  const FakeGpu* const gpu = current();
  if (gpu == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  const std::scoped_lock lock(mutex);
  *free = gpu->total - gpu->used;
  *total = gpu->total;
  return CUDA_SUCCESS;
}
CUresult allocate(CUdeviceptr* pointer, size_t size) {
  FAKE_MAY_FAIL("cuMemAlloc");
  if (current() == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (size > current()->total - current()->used) return CUDA_ERROR_OUT_OF_MEMORY;
  static CUdeviceptr next = 4096;
  *pointer = next += size;
  ++world->allocations_now;
  return CUDA_SUCCESS;
}
CUresult free_memory(CUdeviceptr) {
  if (current() == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  --world->allocations_now;
  return CUDA_SUCCESS;
}
CUresult allocate_host(void** pointer, size_t size, unsigned) {
  FAKE_MAY_FAIL("cuMemHostAlloc");
  *pointer = std::malloc(size);
  ++world->allocations_now;
  return *pointer == nullptr ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}
CUresult free_host(void* pointer) {
  std::free(pointer);
  --world->allocations_now;
  return CUDA_SUCCESS;
}
CUresult copy(const char* call, double bytes, double rate) {
  FAKE_MAY_FAIL(call);
  pending += 1e-6 + bytes / rate;
  return CUDA_SUCCESS;
}
CUresult copy_down(CUdeviceptr, const void*, size_t size, CUstream) {
  return copy("cuMemcpyHtoDAsync", static_cast<double>(size), current()->copy_rate);
}
CUresult copy_up(void*, CUdeviceptr, size_t size, CUstream) {
  return copy("cuMemcpyDtoHAsync", static_cast<double>(size), current()->copy_rate);
}
CUresult copy_inside(CUdeviceptr, CUdeviceptr, size_t size, CUstream) {
  return copy("cuMemcpyDtoDAsync", static_cast<double>(size), current()->inside_rate / 2);
}
CUresult copy_peer(CUdeviceptr, CUcontext, CUdeviceptr, CUcontext, size_t size, CUstream) {
  return copy("cuMemcpyPeerAsync", static_cast<double>(size), current()->copy_rate * 10);
}
CUresult create_event(CUevent* event, unsigned) {
  FAKE_MAY_FAIL("cuEventCreate");
  const std::scoped_lock lock(mutex);
  ++world->allocations_now;
  *event = reinterpret_cast<CUevent>(new FakeEvent);
  return CUDA_SUCCESS;
}
CUresult destroy_event(CUevent event) {
  const std::scoped_lock lock(mutex);
  --world->allocations_now;
  delete reinterpret_cast<FakeEvent*>(event);
  return CUDA_SUCCESS;
}
CUresult record_event(CUevent event, CUstream stream) {
  FAKE_MAY_FAIL("cuEventRecord");
  reinterpret_cast<FakeEvent*>(event)->at = pending;
  mark_in_stream(reinterpret_cast<FakeEvent*>(event), stream);
  return CUDA_SUCCESS;
}
CUresult await_event(CUevent event) {
  FAKE_MAY_FAIL("cuEventSynchronize");
  return run_up_to(reinterpret_cast<FakeEvent*>(event));
}
CUresult elapsed(float* milliseconds, CUevent begin, CUevent end) {
  FAKE_MAY_FAIL("cuEventElapsedTime");
  *milliseconds = static_cast<float>(
      (reinterpret_cast<FakeEvent*>(end)->at - reinterpret_cast<FakeEvent*>(begin)->at) * 1e3);
  return CUDA_SUCCESS;
}

}  // namespace

#undef cuGetProcAddress
#ifdef FAKE_IS_OLD
#define FAKE_LOOKUP fake_lookup_that_nobody_finds
#else
#define FAKE_LOOKUP cuGetProcAddress
#endif

extern "C" {

void fake_set_world(FakeWorld* shown_world) {
  world = shown_world;
  stack.clear();
  forget_memory();
}

CUresult cuInit(unsigned) {
  if (world == nullptr) return CUDA_ERROR_NOT_INITIALIZED;
  return static_cast<CUresult>(world->init_status);
}
CUresult cuDriverGetVersion(int* version) {
  FAKE_MAY_FAIL("cuDriverGetVersion");
  *version = world->driver_version;
  return CUDA_SUCCESS;
}
CUresult cuGetErrorName(CUresult, const char** name) {
  *name = "CUDA_ERROR_FAKE";
  return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult, const char** text) {
  *text = "planned by a test";
  return CUDA_SUCCESS;
}

CUresult FAKE_LOOKUP(const char* symbol, void** function, int, cuuint64_t) {
  static const std::map<std::string, void*> probed = {
      {"cuDeviceGetCount", reinterpret_cast<void*>(device_count)},
      {"cuDeviceGet", reinterpret_cast<void*>(device_get)},
      {"cuDeviceGetName", reinterpret_cast<void*>(device_name)},
      {"cuDeviceGetUuid", reinterpret_cast<void*>(device_uuid)},
      {"cuDeviceTotalMem", reinterpret_cast<void*>(device_total)},
      {"cuDeviceGetAttribute", reinterpret_cast<void*>(device_attribute)},
      {"cuDeviceCanAccessPeer", reinterpret_cast<void*>(can_access_peer)},
      {"cuDevicePrimaryCtxRetain", reinterpret_cast<void*>(retain)},
      {"cuDevicePrimaryCtxRelease", reinterpret_cast<void*>(release)},
      {"cuCtxPushCurrent", reinterpret_cast<void*>(push)},
      {"cuCtxPopCurrent", reinterpret_cast<void*>(pop)},
      {"cuCtxSynchronize", reinterpret_cast<void*>(synchronize)},
      {"cuCtxEnablePeerAccess", reinterpret_cast<void*>(enable_peer)},
      {"cuMemGetInfo", reinterpret_cast<void*>(memory_info)},
      {"cuMemAlloc", reinterpret_cast<void*>(allocate)},
      {"cuMemFree", reinterpret_cast<void*>(free_memory)},
      {"cuMemHostAlloc", reinterpret_cast<void*>(allocate_host)},
      {"cuMemFreeHost", reinterpret_cast<void*>(free_host)},
      {"cuMemcpyHtoDAsync", reinterpret_cast<void*>(copy_down)},
      {"cuMemcpyDtoHAsync", reinterpret_cast<void*>(copy_up)},
      {"cuMemcpyDtoDAsync", reinterpret_cast<void*>(copy_inside)},
      {"cuMemcpyPeerAsync", reinterpret_cast<void*>(copy_peer)},
      {"cuEventCreate", reinterpret_cast<void*>(create_event)},
      {"cuEventDestroy", reinterpret_cast<void*>(destroy_event)},
      {"cuEventRecord", reinterpret_cast<void*>(record_event)},
      {"cuEventSynchronize", reinterpret_cast<void*>(await_event)},
      {"cuEventElapsedTime", reinterpret_cast<void*>(elapsed)},
  };
  static const std::map<std::string, void*> functions = [] {
    std::map<std::string, void*> all = memory_functions();
    all.insert(probed.begin(), probed.end());
    return all;
  }();
  *function = nullptr;
  const auto found = functions.find(symbol);
  if (found == functions.end() || world->missing.count(symbol) != 0) return CUDA_ERROR_NOT_FOUND;
  *function = found->second;
  return CUDA_SUCCESS;
}

}  // extern "C"
