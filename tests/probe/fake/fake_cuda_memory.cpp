// Memory and streams of the FAKE libcuda.so.1. A fake device's memory is memory of this process at
// the address that the device would use, so that a test can look into it; what is not mapped cannot
// be touched. Copies wait in their stream until somebody waits for it: one who reads too early
// reads what was there before.
#include <cstring>
#include <deque>
#include <functional>
#include <set>

#include <sys/mman.h>

#include "fake_driver.hpp"

namespace mais::probing::fake {

namespace {

using Guard = std::scoped_lock<std::recursive_mutex>;

struct Range {
  std::size_t size = 0;
  FakeGpu* gpu = nullptr;
  bool usable = true;  // cuMemSetAccess was called
};
std::map<CUdeviceptr, Range> mapped;                // device memory that is there
std::map<CUdeviceptr, std::size_t> address_ranges;  // cuMemAddressReserve
std::map<std::uintptr_t, std::size_t> registered;   // pinned memory of the host
struct Physical {
  std::size_t size = 0;
  FakeGpu* gpu = nullptr;
  int users = 1;  // the handle, and each mapping
};
std::map<CUmemGenericAllocationHandle, Physical> physical;
std::map<CUdeviceptr, CUmemGenericAllocationHandle> behind;
CUmemGenericAllocationHandle next_handle = 1;

struct Stream {
  std::deque<std::function<CUresult()>> waiting;
  std::uint64_t done = 0;
  CUresult failed = CUDA_SUCCESS;
};
std::map<CUstream, Stream> streams;
std::set<CUmemoryPool> pools;

CUresult run(Stream& stream, std::uint64_t until) {
  while (stream.done < until && !stream.waiting.empty()) {
    const CUresult status = stream.waiting.front()();
    if (status != CUDA_SUCCESS) stream.failed = status;
    stream.waiting.pop_front();
    ++stream.done;
  }
  return stream.failed;
}

bool take(FakeGpu* gpu, std::size_t size) {
  if (size > gpu->total - gpu->used) return false;
  gpu->used += size;
  return true;
}

// True when the range lies in device memory that is mapped, whether it spans several slabs or not;
// `device` says whether any of it is the device's.
bool can_touch(CUdeviceptr begin, std::size_t size, bool& device) {
  device = false;
  auto next = mapped.upper_bound(begin);
  CUdeviceptr at = begin;
  const CUdeviceptr end = begin + size;
  if (next != mapped.begin()) --next;
  for (; next != mapped.end() && next->first < end; ++next) {
    const CUdeviceptr last = next->first + next->second.size;
    if (last <= at) continue;
    if (next->first > at || !next->second.usable) return false;
    device = true;
    at = last;
  }
  for (const auto& [reserved, bytes] : address_ranges) {
    if (begin < reserved + bytes && reserved < end) return at >= end;
  }
  return !device || at >= end;  // else memory of the host
}

CUresult reserve_addresses(CUdeviceptr* pointer, size_t size, size_t, CUdeviceptr,
                           unsigned long long) {
  FAKE_MAY_FAIL("cuMemAddressReserve");
  const Guard guard(mutex);
  void* const at =
      size > (std::size_t{1} << 46)
          ? MAP_FAILED
          : ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  *pointer = reinterpret_cast<CUdeviceptr>(at);
  address_ranges[*pointer] = size;
  ++world->address_ranges_now;
  return CUDA_SUCCESS;
}
CUresult free_addresses(CUdeviceptr pointer, size_t size) {
  const Guard guard(mutex);
  const auto found = address_ranges.find(pointer);
  if (found == address_ranges.end() || found->second != size) return CUDA_ERROR_INVALID_VALUE;
  address_ranges.erase(found);
  ::munmap(reinterpret_cast<void*>(pointer), size);
  --world->address_ranges_now;
  return CUDA_SUCCESS;
}
CUresult granularity(size_t* size, const CUmemAllocationProp*, CUmemAllocationGranularity_flags) {
  FAKE_MAY_FAIL("cuMemGetAllocationGranularity");
  *size = 2 << 20;
  return CUDA_SUCCESS;
}
CUresult create(CUmemGenericAllocationHandle* handle, size_t size,
                const CUmemAllocationProp* properties, unsigned long long) {
  FAKE_MAY_FAIL("cuMemCreate");
  const Guard guard(mutex);
  FakeGpu* const gpu = gpu_of(properties->location.id);
  if (gpu == nullptr || size % (2 << 20) != 0) return CUDA_ERROR_INVALID_VALUE;
  if (!take(gpu, size)) return CUDA_ERROR_OUT_OF_MEMORY;
  *handle = next_handle++;
  physical[*handle] = {size, gpu, 1};
  return CUDA_SUCCESS;
}
CUresult let_go(CUmemGenericAllocationHandle handle) {
  const auto found = physical.find(handle);
  if (found == physical.end()) return CUDA_ERROR_INVALID_VALUE;
  if (--found->second.users == 0) {
    found->second.gpu->used -= found->second.size;
    physical.erase(found);
  }
  return CUDA_SUCCESS;
}
CUresult release(CUmemGenericAllocationHandle handle) {
  const Guard guard(mutex);
  return let_go(handle);
}
CUresult map(CUdeviceptr pointer, size_t size, size_t, CUmemGenericAllocationHandle handle,
             unsigned long long) {
  FAKE_MAY_FAIL("cuMemMap");
  const Guard guard(mutex);
  const auto found = physical.find(handle);
  if (found == physical.end() || found->second.size != size) return CUDA_ERROR_INVALID_VALUE;
  if (mapped.contains(pointer)) return CUDA_ERROR_ALREADY_MAPPED;
  ++found->second.users;
  behind[pointer] = handle;
  mapped[pointer] = {size, found->second.gpu, false};
  return CUDA_SUCCESS;
}
CUresult set_access(CUdeviceptr pointer, size_t size, const CUmemAccessDesc*, size_t) {
  FAKE_MAY_FAIL("cuMemSetAccess");
  const Guard guard(mutex);
  const auto found = mapped.find(pointer);
  if (found == mapped.end() || found->second.size != size) return CUDA_ERROR_INVALID_VALUE;
  found->second.usable = true;
  ::mprotect(reinterpret_cast<void*>(pointer), size, PROT_READ | PROT_WRITE);
  return CUDA_SUCCESS;
}
CUresult unmap(CUdeviceptr pointer, size_t size) {
  FAKE_MAY_FAIL("cuMemUnmap");
  const Guard guard(mutex);
  const auto found = mapped.find(pointer);
  if (found == mapped.end() || found->second.size != size) return CUDA_ERROR_INVALID_VALUE;
  mapped.erase(found);
  ::mmap(reinterpret_cast<void*>(pointer), size, PROT_NONE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  let_go(behind[pointer]);
  behind.erase(pointer);
  return CUDA_SUCCESS;
}

CUresult create_pool(CUmemoryPool* pool, const CUmemPoolProps* properties) {
  FAKE_MAY_FAIL("cuMemPoolCreate");
  const Guard guard(mutex);
  if (gpu_of(properties->location.id) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  *pool = reinterpret_cast<CUmemoryPool>(static_cast<std::uintptr_t>(properties->location.id) +
                                         (next_handle++ << 8) + 1);
  pools.insert(*pool);
  ++world->pools_now;
  return CUDA_SUCCESS;
}
CUresult destroy_pool(CUmemoryPool pool) {
  const Guard guard(mutex);
  if (pools.erase(pool) == 0) return CUDA_ERROR_INVALID_VALUE;
  --world->pools_now;
  return CUDA_SUCCESS;
}
CUresult trim_pool(CUmemoryPool pool, size_t) {
  const Guard guard(mutex);
  return pools.contains(pool) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult allocate_from_pool(CUdeviceptr* pointer, size_t size, CUmemoryPool pool, CUstream stream) {
  FAKE_MAY_FAIL("cuMemAllocFromPoolAsync");
  const Guard guard(mutex);
  if (!pools.contains(pool) || !streams.contains(stream)) return CUDA_ERROR_INVALID_VALUE;
  FakeGpu* const gpu =
      gpu_of(static_cast<CUdevice>((reinterpret_cast<std::uintptr_t>(pool) & 0xff) - 1));
  if (!take(gpu, size)) return CUDA_ERROR_OUT_OF_MEMORY;
  void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  *pointer = reinterpret_cast<CUdeviceptr>(at);
  mapped[*pointer] = {size, gpu, true};
  return CUDA_SUCCESS;
}
CUresult free_async(CUdeviceptr pointer, CUstream stream) {
  FAKE_MAY_FAIL("cuMemFreeAsync");
  const Guard guard(mutex);
  const auto found = mapped.find(pointer);
  if (found == mapped.end() || !streams.contains(stream)) return CUDA_ERROR_INVALID_VALUE;
  // Given back when the stream gets there.
  streams[stream].waiting.emplace_back([pointer] {
    const auto freed = mapped.find(pointer);
    freed->second.gpu->used -= freed->second.size;
    ::munmap(reinterpret_cast<void*>(pointer), freed->second.size);
    mapped.erase(freed);
    return CUDA_SUCCESS;
  });
  return CUDA_SUCCESS;
}

CUresult register_host(void* begin, size_t size, unsigned) {
  FAKE_MAY_FAIL("cuMemHostRegister");
  const Guard guard(mutex);
  const auto at = reinterpret_cast<std::uintptr_t>(begin);
  for (const auto& [other, bytes] : registered) {
    if (at < other + bytes && other < at + size) return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  }
  registered[at] = size;
  ++world->registrations_now;
  world->pinned_now += size;
  return CUDA_SUCCESS;
}
CUresult unregister_host(void* begin) {
  FAKE_MAY_FAIL("cuMemHostUnregister");
  const Guard guard(mutex);
  const auto found = registered.find(reinterpret_cast<std::uintptr_t>(begin));
  if (found == registered.end()) return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
  world->pinned_now -= found->second;
  --world->registrations_now;
  registered.erase(found);
  return CUDA_SUCCESS;
}

CUresult create_stream(CUstream* stream, unsigned) {
  FAKE_MAY_FAIL("cuStreamCreate");
  const Guard guard(mutex);
  if (current() == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  *stream = reinterpret_cast<CUstream>(static_cast<std::uintptr_t>(next_handle++ << 4));
  streams[*stream];
  ++world->streams_now;
  return CUDA_SUCCESS;
}
CUresult destroy_stream(CUstream stream) {
  const Guard guard(mutex);
  const auto found = streams.find(stream);
  if (found == streams.end()) return CUDA_ERROR_INVALID_HANDLE;
  run(found->second, ~std::uint64_t{0});
  streams.erase(found);
  --world->streams_now;
  return CUDA_SUCCESS;
}
CUresult await_stream(CUstream stream) {
  FAKE_MAY_FAIL("cuStreamSynchronize");
  const Guard guard(mutex);
  const auto found = streams.find(stream);
  if (found == streams.end()) return CUDA_ERROR_INVALID_HANDLE;
  return run(found->second, ~std::uint64_t{0});
}
CUresult copy(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream) {
  FAKE_MAY_FAIL("cuMemcpyAsync");
  const Guard guard(mutex);
  const auto found = streams.find(stream);
  if (current() == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (found == streams.end()) return CUDA_ERROR_INVALID_HANDLE;
  bool to_device = false, from_device = false;
  if (!can_touch(to, size, to_device) || !can_touch(from, size, from_device)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  found->second.waiting.emplace_back([=]() -> CUresult {
    if (const CUresult status = planned("copying"); status != CUDA_SUCCESS) return status;
    std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), size);
    if (to_device && planned("copying right") != CUDA_SUCCESS) {
      *reinterpret_cast<unsigned char*>(to) ^= 1;
    }
    return CUDA_SUCCESS;
  });
  return CUDA_SUCCESS;
}
CUresult query_event(CUevent event) {
  FAKE_MAY_FAIL("cuEventQuery");
  const Guard guard(mutex);
  const FakeEvent& marked = *reinterpret_cast<FakeEvent*>(event);
  const auto found = streams.find(marked.stream);
  if (found == streams.end() || found->second.done >= marked.place) return CUDA_SUCCESS;
  run(found->second, found->second.done + 1);  // time passes
  return CUDA_ERROR_NOT_READY;
}

}  // namespace

void mark_in_stream(FakeEvent* event, CUstream stream) {
  const Guard guard(mutex);
  const auto found = streams.find(stream);
  event->stream = stream;
  event->place = found == streams.end() ? 0 : found->second.done + found->second.waiting.size();
}

CUresult run_up_to(FakeEvent* event) {
  const Guard guard(mutex);
  const auto found = streams.find(event->stream);
  return found == streams.end() ? CUDA_SUCCESS : run(found->second, event->place);
}

void forget_memory() {
  const Guard guard(mutex);
  for (const auto& [begin, size] : address_ranges) ::munmap(reinterpret_cast<void*>(begin), size);
  address_ranges.clear();
  mapped.clear();
  registered.clear();
  physical.clear();
  behind.clear();
  streams.clear();
  pools.clear();
}

std::map<std::string, void*> memory_functions() {
  return {
      {"cuMemAddressReserve", reinterpret_cast<void*>(reserve_addresses)},
      {"cuMemAddressFree", reinterpret_cast<void*>(free_addresses)},
      {"cuMemGetAllocationGranularity", reinterpret_cast<void*>(granularity)},
      {"cuMemCreate", reinterpret_cast<void*>(create)},
      {"cuMemRelease", reinterpret_cast<void*>(release)},
      {"cuMemMap", reinterpret_cast<void*>(map)},
      {"cuMemSetAccess", reinterpret_cast<void*>(set_access)},
      {"cuMemUnmap", reinterpret_cast<void*>(unmap)},
      {"cuMemPoolCreate", reinterpret_cast<void*>(create_pool)},
      {"cuMemPoolDestroy", reinterpret_cast<void*>(destroy_pool)},
      {"cuMemPoolTrimTo", reinterpret_cast<void*>(trim_pool)},
      {"cuMemAllocFromPoolAsync", reinterpret_cast<void*>(allocate_from_pool)},
      {"cuMemFreeAsync", reinterpret_cast<void*>(free_async)},
      {"cuMemHostRegister", reinterpret_cast<void*>(register_host)},
      {"cuMemHostUnregister", reinterpret_cast<void*>(unregister_host)},
      {"cuStreamCreate", reinterpret_cast<void*>(create_stream)},
      {"cuStreamDestroy", reinterpret_cast<void*>(destroy_stream)},
      {"cuStreamSynchronize", reinterpret_cast<void*>(await_stream)},
      {"cuMemcpyAsync", reinterpret_cast<void*>(copy)},
      {"cuEventQuery", reinterpret_cast<void*>(query_event)},
  };
}

}  // namespace mais::probing::fake
