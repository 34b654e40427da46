// Pages of the host that the CUDA driver pins, so that every device copies to and from them.
#pragma once

#include <cstddef>

#include "mais/memory/cuda_memory.hpp"

namespace mais::memory {

Result<void> register_pages(const CudaDevice& device, void* begin, std::size_t size);
// Exactly what was registered in one call.
Result<void> unregister_pages(const CudaDevice& device, void* begin);

}  // namespace mais::memory
