// Memory of a CUDA device. The driver is loaded at run time (see probe/cuda_driver.hpp): a program
// that was built with cuda.h runs with and without a GPU, and one that was built without says so.
//
// Two ways, both a MemorySource:
//   Virtual memory management. Addresses are reserved once and stay; physical memory is mapped
//   behind them and unmapped, so that one model's cache can shrink for another's. For KV caches
//   and weights. A device pointer is base() + offset, as on the host.
//   The stream-ordered allocator. Each slab is an allocation from a pool of its own, so a slab has
//   its own address from commit to decommit and base() is null. Works where virtual memory
//   management does not (some virtual GPUs).
#pragma once

#include <memory>
#include <string>

#include "mais/memory/memory_source.hpp"

namespace mais::memory {

// A device of this process: a loaded driver, and the device's primary context for as long as this
// lives (the context that the CUDA runtime, PyTorch and others use too). A context costs some
// hundred megabytes of the device's memory. Every member may be called from any thread.
class CudaDevice {
 public:
  // unavailable, with the reason for a person: as CudaDriver::load(), no such device, or what the
  // driver says of its context.
  static Result<std::shared_ptr<CudaDevice>> open(int ordinal,
                                                  const std::string& library = "libcuda.so.1");
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;
  ~CudaDevice();

  int ordinal() const noexcept;
  // Free and total memory as the driver tells: what others hold is not free.
  struct Room {
    Bytes free{};
    Bytes total{};
  };
  Result<Room> room() const;

  struct Driver;  // src/memory/cuda_context.hpp
  const Driver& driver() const noexcept { return *driver_; }

 private:
  explicit CudaDevice(std::unique_ptr<Driver> driver) noexcept;
  std::unique_ptr<Driver> driver_;
};

// unavailable, with the reason, where the device or the driver has no virtual memory management.
// What is decommitted must not be in use by a kernel or a copy any more.
Result<std::unique_ptr<MemorySource>> cuda_virtual_memory(std::shared_ptr<CudaDevice> device);

// unavailable where it has no memory pools. Decommitting waits for what its own stream does, and
// for no other; what the pool holds without need goes back to the device at once.
Result<std::unique_ptr<MemorySource>> cuda_stream_ordered_pool(std::shared_ptr<CudaDevice> device);

}  // namespace mais::memory
