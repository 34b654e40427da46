// What stands for CUDA devices where cuda.h was not there.
#include "mais/memory/cuda_memory.hpp"
#include "memory/cuda_lane.hpp"
#include "memory/cuda_registration.hpp"

namespace mais::memory {

struct CudaDevice::Driver {};

namespace {
tl::unexpected<Error> missing() {
  return fail(ErrorCode::unavailable,
              "this library was built without CUDA (it needs cuda.h of the toolkit; option "
              "MAIS_WITH_CUDA)");
}
}  // namespace

CudaDevice::CudaDevice(std::unique_ptr<Driver> driver) noexcept : driver_(std::move(driver)) {}
CudaDevice::~CudaDevice() = default;

Result<std::shared_ptr<CudaDevice>> CudaDevice::open(int, const std::string&) {
  return missing();
}
int CudaDevice::ordinal() const noexcept {
  return 0;
}
Result<CudaDevice::Room> CudaDevice::room() const {
  return missing();
}
Result<void> register_pages(const CudaDevice&, void*, std::size_t) {
  return missing();
}
Result<void> unregister_pages(const CudaDevice&, void*) {
  return missing();
}
Result<std::unique_ptr<MemorySource>> cuda_virtual_memory(std::shared_ptr<CudaDevice>) {
  return missing();
}
Result<std::unique_ptr<MemorySource>> cuda_stream_ordered_pool(std::shared_ptr<CudaDevice>) {
  return missing();
}

struct CudaLane::Stream {};
CudaLane::CudaLane(std::unique_ptr<Stream> stream) noexcept : stream_(std::move(stream)) {}
CudaLane::~CudaLane() = default;
Result<std::unique_ptr<CudaLane>> CudaLane::open(const CudaDevice&) {
  return missing();
}
Result<void> CudaLane::begin(int, void*, const void*, std::size_t) {
  return missing();
}
Result<void> CudaLane::await(int) {
  return missing();
}

}  // namespace mais::memory
