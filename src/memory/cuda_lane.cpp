#include "memory/cuda_lane.hpp"

#include <utility>

#include "memory/cuda_context.hpp"

namespace mais::memory {

struct CudaLane::Stream {
  explicit Stream(const CudaDevice& of) : device(of) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    const CurrentContext context(device);
    const CudaDevice::Driver& driver = device.driver();
    if (stream != nullptr) {
      driver.cuda.await_stream(stream);
      driver.cuda.destroy_stream(stream);
    }
    for (CUevent event : events) {
      if (event != nullptr) driver.probe.destroy_event(event);
    }
  }
  // An error leaves nothing under way: memory that a copy writes is its caller's again.
  Result<void> give_up(const char* call, CUresult status) {
    const CudaDevice::Driver& driver = device.driver();
    driver.cuda.await_stream(stream);
    under_way[0] = under_way[1] = false;
    return tl::unexpected(driver.said(call, status));
  }

  const CudaDevice& device;
  CUstream stream = nullptr;
  CUevent events[kSlots] = {};
  bool under_way[kSlots] = {};
};

Result<std::unique_ptr<CudaLane>> CudaLane::open(const CudaDevice& device) {
  const CudaDevice::Driver& driver = device.driver();
  auto made = std::make_unique<Stream>(device);
  const CurrentContext context(device);
  MAIS_CUDA(driver, context.status(), "cuCtxPushCurrent")
  MAIS_CUDA(driver, driver.cuda.create_stream(&made->stream, CU_STREAM_NON_BLOCKING),
            "cuStreamCreate")
  for (CUevent& event : made->events) {
    MAIS_CUDA(driver,
              driver.probe.create_event(&event, CU_EVENT_DISABLE_TIMING | CU_EVENT_BLOCKING_SYNC),
              "cuEventCreate")
  }
  return std::unique_ptr<CudaLane>(new CudaLane(std::move(made)));
}

CudaLane::CudaLane(std::unique_ptr<Stream> stream) noexcept : stream_(std::move(stream)) {}
CudaLane::~CudaLane() = default;

Result<void> CudaLane::begin(int slot, void* to, const void* from, std::size_t size) {
  const CudaDevice::Driver& driver = stream_->device.driver();
  const CurrentContext context(stream_->device);
  if (context.status() != CUDA_SUCCESS) {
    return stream_->give_up("cuCtxPushCurrent", context.status());
  }
  if (const CUresult status =
          driver.cuda.copy(reinterpret_cast<CUdeviceptr>(to), reinterpret_cast<CUdeviceptr>(from),
                           size, stream_->stream);
      status != CUDA_SUCCESS) {
    return stream_->give_up("cuMemcpyAsync", status);
  }
  if (const CUresult status = driver.probe.record_event(stream_->events[slot], stream_->stream);
      status != CUDA_SUCCESS) {
    return stream_->give_up("cuEventRecord", status);
  }
  stream_->under_way[slot] = true;
  return {};
}

Result<void> CudaLane::await(int slot) {
  if (!std::exchange(stream_->under_way[slot], false)) return {};
  const CudaDevice::Driver& driver = stream_->device.driver();
  const CurrentContext context(stream_->device);
  if (context.status() != CUDA_SUCCESS) {
    return stream_->give_up("cuCtxPushCurrent", context.status());
  }
  if (const CUresult status = driver.probe.await_event(stream_->events[slot]);
      status != CUDA_SUCCESS) {
    return stream_->give_up("cuEventSynchronize", status);
  }
  return {};
}

}  // namespace mais::memory
