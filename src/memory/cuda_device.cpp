#include <utility>

#include "memory/cuda_context.hpp"

namespace mais::memory {

namespace {

void find_all(const probing::CudaFunctions& driver, CudaMemoryFunctions& cuda) {
  driver.find("cuMemAddressReserve", cuda.reserve_addresses);
  driver.find("cuMemAddressFree", cuda.free_addresses);
  driver.find("cuMemCreate", cuda.create);
  driver.find("cuMemRelease", cuda.release);
  driver.find("cuMemMap", cuda.map);
  driver.find("cuMemUnmap", cuda.unmap);
  driver.find("cuMemSetAccess", cuda.set_access);
  driver.find("cuMemGetAllocationGranularity", cuda.granularity);
  driver.find("cuMemPoolCreate", cuda.create_pool);
  driver.find("cuMemPoolDestroy", cuda.destroy_pool);
  driver.find("cuMemPoolTrimTo", cuda.trim_pool);
  driver.find("cuMemAllocFromPoolAsync", cuda.allocate_from_pool);
  driver.find("cuMemFreeAsync", cuda.free_async);
  driver.find("cuMemHostRegister", cuda.register_host);
  driver.find("cuMemHostUnregister", cuda.unregister_host);
  driver.find("cuStreamCreate", cuda.create_stream);
  driver.find("cuStreamDestroy", cuda.destroy_stream);
  driver.find("cuStreamSynchronize", cuda.await_stream);
  driver.find("cuMemcpyAsync", cuda.copy);
}

}  // namespace

CudaDevice::Driver::~Driver() {
  if (context != nullptr) probe.release_context(device);
}

int CudaDevice::Driver::attribute(CUdevice_attribute which) const {
  int value = 0;
  return probe.device_attribute(&value, which, device) == CUDA_SUCCESS ? value : 0;
}

Error CudaDevice::Driver::said(const char* call, CUresult status) const {
  return {status == CUDA_ERROR_OUT_OF_MEMORY ? ErrorCode::over_capacity : ErrorCode::unavailable,
          "CUDA device " + std::to_string(ordinal) + ", " + probe.said(call, status), std::nullopt,
          std::nullopt};
}

CurrentContext::CurrentContext(const CudaDevice& device) noexcept
    : driver_(device.driver()), status_(driver_.probe.push_context(driver_.context)) {}

CurrentContext::~CurrentContext() {
  CUcontext popped = nullptr;
  if (status_ == CUDA_SUCCESS) driver_.probe.pop_context(&popped);
}

Result<std::shared_ptr<CudaDevice>> CudaDevice::open(int ordinal, const std::string& library) {
  auto functions = probing::load_cuda(library);
  if (!functions) return tl::unexpected(std::move(functions.error()));
  auto driver = std::make_unique<Driver>();
  driver->probe = *std::move(functions);
  driver->ordinal = ordinal;
  int count = 0;
  MAIS_CUDA(*driver, driver->probe.device_count(&count), "cuDeviceGetCount")
  if (ordinal < 0 || ordinal >= count) {
    return fail(ErrorCode::unavailable, "there is no CUDA device " + std::to_string(ordinal) +
                                            ": this process may use " + std::to_string(count));
  }
  find_all(driver->probe, driver->cuda);
  const CudaMemoryFunctions& cuda = driver->cuda;
  if (cuda.create_stream == nullptr || cuda.destroy_stream == nullptr ||
      cuda.await_stream == nullptr || cuda.copy == nullptr || cuda.register_host == nullptr ||
      cuda.unregister_host == nullptr) {
    return fail(ErrorCode::unavailable,
                "the NVIDIA driver lacks one of cuStreamCreate, cuStreamDestroy, "
                "cuStreamSynchronize, cuMemcpyAsync, cuMemHostRegister, cuMemHostUnregister");
  }
  MAIS_CUDA(*driver, driver->probe.device(&driver->device, ordinal), "cuDeviceGet")
  MAIS_CUDA(*driver, driver->probe.retain_context(&driver->context, driver->device),
            "cuDevicePrimaryCtxRetain")
  return std::shared_ptr<CudaDevice>(new CudaDevice(std::move(driver)));
}

CudaDevice::CudaDevice(std::unique_ptr<Driver> driver) noexcept : driver_(std::move(driver)) {}
CudaDevice::~CudaDevice() = default;

int CudaDevice::ordinal() const noexcept {
  return driver_->ordinal;
}

Result<CudaDevice::Room> CudaDevice::room() const {
  const CurrentContext context(*this);
  MAIS_CUDA(*driver_, context.status(), "cuCtxPushCurrent")
  std::size_t free = 0, total = 0;
  MAIS_CUDA(*driver_, driver_->probe.memory_info(&free, &total), "cuMemGetInfo")
  return Room{Bytes(static_cast<std::int64_t>(free)), Bytes(static_cast<std::int64_t>(total))};
}

}  // namespace mais::memory
