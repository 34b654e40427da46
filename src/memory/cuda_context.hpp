// The CUDA driver as memory and copies need it: functions beyond those of the probe, and a context
// that is current for a while.
#pragma once

#include <cuda.h>

#include "mais/memory/cuda_memory.hpp"
#include "probe/cuda_functions.hpp"

namespace mais::memory {

// Null where the driver has no such function.
struct CudaMemoryFunctions {
  decltype(&::cuMemAddressReserve) reserve_addresses = nullptr;
  decltype(&::cuMemAddressFree) free_addresses = nullptr;
  decltype(&::cuMemCreate) create = nullptr;
  decltype(&::cuMemRelease) release = nullptr;
  decltype(&::cuMemMap) map = nullptr;
  decltype(&::cuMemUnmap) unmap = nullptr;
  decltype(&::cuMemSetAccess) set_access = nullptr;
  decltype(&::cuMemGetAllocationGranularity) granularity = nullptr;
  decltype(&::cuMemPoolCreate) create_pool = nullptr;
  decltype(&::cuMemPoolDestroy) destroy_pool = nullptr;
  decltype(&::cuMemPoolTrimTo) trim_pool = nullptr;
  decltype(&::cuMemAllocFromPoolAsync) allocate_from_pool = nullptr;
  decltype(&::cuMemFreeAsync) free_async = nullptr;
  decltype(&::cuMemHostRegister) register_host = nullptr;
  decltype(&::cuMemHostUnregister) unregister_host = nullptr;
  decltype(&::cuStreamCreate) create_stream = nullptr;
  decltype(&::cuStreamDestroy) destroy_stream = nullptr;
  decltype(&::cuStreamSynchronize) await_stream = nullptr;
  decltype(&::cuMemcpyAsync) copy = nullptr;
};

struct CudaDevice::Driver {
  probing::CudaFunctions probe;
  CudaMemoryFunctions cuda;
  CUdevice device = 0;
  CUcontext context = nullptr;
  int ordinal = 0;

  ~Driver();
  // 0 where the driver does not know the attribute.
  int attribute(CUdevice_attribute which) const;
  // over_capacity when there is not enough memory, unavailable for what else there is.
  Error said(const char* call, CUresult status) const;
};

// Makes the device's context current in this thread, and what was current before it again.
class CurrentContext {
 public:
  explicit CurrentContext(const CudaDevice& device) noexcept;
  CurrentContext(const CurrentContext&) = delete;
  CurrentContext& operator=(const CurrentContext&) = delete;
  ~CurrentContext();
  CUresult status() const noexcept { return status_; }

 private:
  const CudaDevice::Driver& driver_;
  CUresult status_;
};

// Leaves the function with the error of a call that failed.
#define MAIS_CUDA(driver, call, name)                                     \
  if (const CUresult mais_status = (call); mais_status != CUDA_SUCCESS) { \
    return tl::unexpected((driver).said(name, mais_status));              \
  }

}  // namespace mais::memory
