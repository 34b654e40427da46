// The functions of the CUDA driver that the probe calls, as pointers with the toolkit's own types.
//
// Each is asked for by name through cuGetProcAddress, at the version of the driver but at most
// kAbiVersion: their forms did not change in between, whatever suffix the toolkit's headers add.
#pragma once

#include <cuda.h>
#include <string>

#include "mais/result.hpp"
#include "probe/shared_library.hpp"

namespace mais::probing {

inline constexpr int kOldestDriver = 11030;  // has cuGetProcAddress
inline constexpr int kAbiVersion = 12000;

struct CudaFunctions {
  SharedLibrary library;
  int driver_version = 0;

  decltype(&::cuDeviceGetCount) device_count = nullptr;
  decltype(&::cuDeviceGet) device = nullptr;
  decltype(&::cuDeviceGetName) device_name = nullptr;
  decltype(&::cuDeviceGetUuid) device_uuid = nullptr;
  decltype(&::cuDeviceTotalMem) device_total = nullptr;
  decltype(&::cuDeviceGetAttribute) device_attribute = nullptr;
  decltype(&::cuDeviceCanAccessPeer) can_access_peer = nullptr;
  decltype(&::cuDevicePrimaryCtxRetain) retain_context = nullptr;
  decltype(&::cuDevicePrimaryCtxRelease) release_context = nullptr;
  decltype(&::cuCtxPushCurrent) push_context = nullptr;
  decltype(&::cuCtxPopCurrent) pop_context = nullptr;
  decltype(&::cuCtxSynchronize) synchronize = nullptr;
  decltype(&::cuCtxEnablePeerAccess) enable_peer = nullptr;
  decltype(&::cuMemGetInfo) memory_info = nullptr;
  decltype(&::cuMemAlloc) allocate = nullptr;
  decltype(&::cuMemFree) free = nullptr;
  decltype(&::cuMemHostAlloc) allocate_host = nullptr;
  decltype(&::cuMemFreeHost) free_host = nullptr;
  decltype(&::cuMemcpyHtoDAsync) copy_to_device = nullptr;
  decltype(&::cuMemcpyDtoHAsync) copy_to_host = nullptr;
  decltype(&::cuMemcpyDtoDAsync) copy_inside = nullptr;
  decltype(&::cuMemcpyPeerAsync) copy_to_peer = nullptr;
  decltype(&::cuEventCreate) create_event = nullptr;
  decltype(&::cuEventDestroy) destroy_event = nullptr;
  decltype(&::cuEventRecord) record_event = nullptr;
  decltype(&::cuEventSynchronize) await_event = nullptr;
  decltype(&::cuEventElapsedTime) elapsed = nullptr;
  decltype(&::cuGetErrorName) error_name = nullptr;
  decltype(&::cuGetErrorString) error_text = nullptr;

  // The same for a function that is not listed here; false when the driver has none.
  template <class Function>
  bool find(const char* symbol, Function& function) const noexcept {
    void* const address = address_of(symbol);
    function = reinterpret_cast<Function>(address);
    return address != nullptr;
  }

  // "cuDeviceGetCount: CUDA_ERROR_UNKNOWN (unknown error)"
  std::string said(const char* call, CUresult status) const;

 private:
  friend Result<CudaFunctions> load_cuda(const std::string& library);
  // Null where the driver has none of that name.
  void* address_of(const char* symbol) const noexcept;
  CUresult (*find_)(const char*, void**, int, cuuint64_t) = nullptr;
  // The form of version 12 says why as well.
  CUresult (*find_v2_)(const char*, void**, int, cuuint64_t, int*) = nullptr;
};

// Errors as CudaDriver::load().
Result<CudaFunctions> load_cuda(const std::string& library);

}  // namespace mais::probing
