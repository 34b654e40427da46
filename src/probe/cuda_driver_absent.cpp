// What stands for the CUDA driver where cuda.h was not there.
#include "mais/probe/cuda_driver.hpp"

namespace mais::probing {

bool has_cuda() noexcept {
  return false;
}

struct CudaDriver::Driver {};

namespace {
tl::unexpected<Error> missing() {
  return fail(ErrorCode::unavailable,
              "this library was built without CUDA (it needs cuda.h of the toolkit; option "
              "MAIS_WITH_CUDA)");
}
}  // namespace

CudaDriver::CudaDriver(std::unique_ptr<Driver> driver) noexcept : driver_(std::move(driver)) {}
CudaDriver::CudaDriver(CudaDriver&&) noexcept = default;
CudaDriver& CudaDriver::operator=(CudaDriver&&) noexcept = default;
CudaDriver::~CudaDriver() = default;

Result<CudaDriver> CudaDriver::load(const std::string&) {
  return missing();
}
Result<CudaReading> CudaDriver::read() const {
  return missing();
}
Result<FreeAndTotal> CudaDriver::memory(int) const {
  return missing();
}
Result<CudaDriver::CopyTimes> CudaDriver::time_copies(int, Bytes, int) const {
  return missing();
}
Result<std::vector<double>> CudaDriver::time_peer_copies(int, int, Bytes, int) const {
  return missing();
}

}  // namespace mais::probing
