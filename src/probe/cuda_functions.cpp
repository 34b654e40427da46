#include "probe/cuda_functions.hpp"

namespace mais::probing {

namespace {

// Not in the headers of every toolkit.
constexpr auto kStubLibrary = static_cast<CUresult>(34);

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

tl::unexpected<Error> unavailable(std::string why) {
  return fail(ErrorCode::unavailable, std::move(why));
}

}  // namespace

std::string CudaFunctions::said(const char* call, CUresult status) const {
  const char* name = nullptr;
  const char* text = nullptr;
  if (error_name != nullptr) error_name(status, &name);
  if (error_text != nullptr) error_text(status, &text);
  std::string result = std::string(call) + ": ";
  result += name == nullptr ? "error " + std::to_string(static_cast<int>(status)) : name;
  if (text != nullptr) result.append(" (").append(text).append(")");
  return result;
}

void* CudaFunctions::address_of(const char* symbol) const noexcept {
  const int asked = driver_version < kAbiVersion ? driver_version : kAbiVersion;
  void* address = nullptr;
  const CUresult status = find_v2_ != nullptr ? find_v2_(symbol, &address, asked, 0, nullptr)
                                              : find_(symbol, &address, asked, 0);
  return status == CUDA_SUCCESS ? address : nullptr;
}

Result<CudaFunctions> load_cuda(const std::string& name) {
  CudaFunctions cuda;
  cuda.library = SharedLibrary(name);
  if (!cuda.library) {
    return unavailable("no NVIDIA driver: " + cuda.library.why_not());
  }

  decltype(&::cuInit) init = nullptr;
  decltype(&::cuDriverGetVersion) version = nullptr;
  if (!cuda.library.find("cuInit", init) || !cuda.library.find("cuDriverGetVersion", version)) {
    return unavailable(name + " is no CUDA driver: it has no cuInit or no cuDriverGetVersion");
  }
  cuda.library.find("cuGetErrorName", cuda.error_name);
  cuda.library.find("cuGetErrorString", cuda.error_text);
  const CUresult initialised = init(0);
  if (initialised == kStubLibrary) {
    return unavailable(
        name +
        " is the stub that the CUDA toolkit links against, not a driver: install the "
        "NVIDIA driver, or take the folder of stubs out of the library path");
  }
  if (initialised == CUDA_ERROR_NO_DEVICE) {
    return unavailable(
        "the NVIDIA driver is there, but this process may use no device (see "
        "CUDA_VISIBLE_DEVICES, and what the container is given)");
  }
  if (initialised != CUDA_SUCCESS) return unavailable(cuda.said("cuInit", initialised));
  if (const CUresult status = version(&cuda.driver_version); status != CUDA_SUCCESS) {
    return unavailable(cuda.said("cuDriverGetVersion", status));
  }

  const bool has_v2 = cuda.library.find("cuGetProcAddress_v2", cuda.find_v2_);
  const bool has_v1 = cuda.library.find("cuGetProcAddress", cuda.find_);
  if (cuda.driver_version < kOldestDriver || (!has_v2 && !has_v1)) {
    return unavailable("the NVIDIA driver is too old: it is for CUDA " +
                       version_text(cuda.driver_version) +
                       ", and 11.3 is the first that works here");
  }

  const char* missing = nullptr;
  const auto get = [&](const char* symbol, auto& function) {
    if (!cuda.find(symbol, function) && missing == nullptr) missing = symbol;
  };
  get("cuDeviceGetCount", cuda.device_count);
  get("cuDeviceGet", cuda.device);
  get("cuDeviceGetName", cuda.device_name);
  get("cuDeviceGetUuid", cuda.device_uuid);
  get("cuDeviceTotalMem", cuda.device_total);
  get("cuDeviceGetAttribute", cuda.device_attribute);
  get("cuDeviceCanAccessPeer", cuda.can_access_peer);
  get("cuDevicePrimaryCtxRetain", cuda.retain_context);
  get("cuDevicePrimaryCtxRelease", cuda.release_context);
  get("cuCtxPushCurrent", cuda.push_context);
  get("cuCtxPopCurrent", cuda.pop_context);
  get("cuCtxSynchronize", cuda.synchronize);
  get("cuCtxEnablePeerAccess", cuda.enable_peer);
  get("cuMemGetInfo", cuda.memory_info);
  get("cuMemAlloc", cuda.allocate);
  get("cuMemFree", cuda.free);
  get("cuMemHostAlloc", cuda.allocate_host);
  get("cuMemFreeHost", cuda.free_host);
  get("cuMemcpyHtoDAsync", cuda.copy_to_device);
  get("cuMemcpyDtoHAsync", cuda.copy_to_host);
  get("cuMemcpyDtoDAsync", cuda.copy_inside);
  get("cuMemcpyPeerAsync", cuda.copy_to_peer);
  get("cuEventCreate", cuda.create_event);
  get("cuEventDestroy", cuda.destroy_event);
  get("cuEventRecord", cuda.record_event);
  get("cuEventSynchronize", cuda.await_event);
  get("cuEventElapsedTime", cuda.elapsed);
  if (missing != nullptr) {
    return unavailable("the NVIDIA driver (CUDA " + version_text(cuda.driver_version) +
                       ") has no " + missing);
  }
  return cuda;
}

}  // namespace mais::probing
