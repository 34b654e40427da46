#include "memory/cuda_registration.hpp"

#include "memory/cuda_context.hpp"

namespace mais::memory {

Result<void> register_pages(const CudaDevice& device, void* begin, std::size_t size) {
  const CudaDevice::Driver& driver = device.driver();
  const CurrentContext context(device);
  MAIS_CUDA(driver, context.status(), "cuCtxPushCurrent")
  MAIS_CUDA(driver, driver.cuda.register_host(begin, size, CU_MEMHOSTREGISTER_PORTABLE),
            "cuMemHostRegister")
  return {};
}

Result<void> unregister_pages(const CudaDevice& device, void* begin) {
  const CudaDevice::Driver& driver = device.driver();
  const CurrentContext context(device);
  MAIS_CUDA(driver, context.status(), "cuCtxPushCurrent")
  MAIS_CUDA(driver, driver.cuda.unregister_host(begin), "cuMemHostUnregister")
  return {};
}

}  // namespace mais::memory
