// A stream of one device for one worker, on which at most two copies are under way.
#pragma once

#include <cstddef>
#include <memory>

#include "mais/memory/cuda_memory.hpp"

namespace mais::memory {

class CudaLane {
 public:
  static constexpr int kSlots = 2;

  static Result<std::unique_ptr<CudaLane>> open(const CudaDevice& device);
  CudaLane(const CudaLane&) = delete;
  CudaLane& operator=(const CudaLane&) = delete;
  ~CudaLane();

  // Begins a copy of any kind that a device can do; the slot's last one has ended.
  Result<void> begin(int slot, void* to, const void* from, std::size_t size);
  // Returns when the slot's copy has ended, if there was one. After an error nothing is under way
  // in any slot.
  Result<void> await(int slot);

 private:
  struct Stream;
  explicit CudaLane(std::unique_ptr<Stream> stream) noexcept;
  std::unique_ptr<Stream> stream_;
};

}  // namespace mais::memory
