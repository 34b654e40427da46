#include <utility>
#include <vector>

#include "memory/cuda_context.hpp"

namespace mais::memory {

namespace {

CUmemAllocationProp memory_of(const CudaDevice::Driver& driver) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties.location.id = driver.device;
  return properties;
}

class VirtualBacking final : public Backing {
 public:
  VirtualBacking(std::shared_ptr<CudaDevice> device, CUdeviceptr base, std::size_t slab_size,
                 std::size_t slab_count)
      : device_(std::move(device)), base_(base), slab_size_(slab_size), mapped_(slab_count) {}
  VirtualBacking(const VirtualBacking&) = delete;
  VirtualBacking& operator=(const VirtualBacking&) = delete;
  ~VirtualBacking() override {
    const CurrentContext context(*device_);
    const CudaMemoryFunctions& cuda = device_->driver().cuda;
    for (std::size_t slab = 0; slab < mapped_.size(); ++slab) {
      if (mapped_[slab]) cuda.unmap(at(slab), slab_size_);
    }
    cuda.free_addresses(base_, slab_size_ * mapped_.size());
  }

  std::byte* base() const noexcept override { return reinterpret_cast<std::byte*>(base_); }

  Result<std::byte*> commit(std::size_t slab) override {
    const CudaDevice::Driver& driver = device_->driver();
    const CurrentContext context(*device_);
    MAIS_CUDA(driver, context.status(), "cuCtxPushCurrent")
    const CUmemAllocationProp properties = memory_of(driver);
    CUmemGenericAllocationHandle memory = 0;
    MAIS_CUDA(driver, driver.cuda.create(&memory, slab_size_, &properties, 0), "cuMemCreate")
    const CUresult mapped = driver.cuda.map(at(slab), slab_size_, 0, memory, 0);
    // The mapping keeps the memory; released is the handle.
    driver.cuda.release(memory);
    MAIS_CUDA(driver, mapped, "cuMemMap")
    CUmemAccessDesc access{};
    access.location = properties.location;
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    if (const CUresult set = driver.cuda.set_access(at(slab), slab_size_, &access, 1);
        set != CUDA_SUCCESS) {
      driver.cuda.unmap(at(slab), slab_size_);
      return tl::unexpected(driver.said("cuMemSetAccess", set));
    }
    mapped_[slab] = true;
    return reinterpret_cast<std::byte*>(at(slab));
  }

  Result<void> decommit(std::size_t slab) override {
    const CudaDevice::Driver& driver = device_->driver();
    const CurrentContext context(*device_);
    MAIS_CUDA(driver, context.status(), "cuCtxPushCurrent")
    MAIS_CUDA(driver, driver.cuda.unmap(at(slab), slab_size_), "cuMemUnmap")
    mapped_[slab] = false;
    return {};
  }

 private:
  CUdeviceptr at(std::size_t slab) const noexcept { return base_ + slab * slab_size_; }
  std::shared_ptr<CudaDevice> device_;
  const CUdeviceptr base_;
  const std::size_t slab_size_;
  std::vector<bool> mapped_;
};

class VirtualSource final : public MemorySource {
 public:
  VirtualSource(std::shared_ptr<CudaDevice> device, Bytes granularity)
      : device_(std::move(device)), granularity_(granularity) {}

  std::string name() const override {
    return "CUDA device " + std::to_string(device_->ordinal()) + ", virtual memory";
  }
  Bytes granularity() const override { return granularity_; }
  Reach reach() const override {
    return {.host = false, .pinned = true, .gpu = device_->ordinal()};
  }

 private:
  Result<std::unique_ptr<Backing>> open(std::size_t slab_size, std::size_t slab_count) override {
    const CudaDevice::Driver& driver = device_->driver();
    const CurrentContext context(*device_);
    MAIS_CUDA(driver, context.status(), "cuCtxPushCurrent")
    CUdeviceptr base = 0;
    if (const CUresult status =
            driver.cuda.reserve_addresses(&base, slab_size * slab_count, 0, 0, 0);
        status != CUDA_SUCCESS) {
      Error error = driver.said("cuMemAddressReserve", status);
      error.code = ErrorCode::over_capacity;  // whatever the driver calls it
      return tl::unexpected(std::move(error));
    }
    return std::make_unique<VirtualBacking>(device_, base, slab_size, slab_count);
  }
  std::shared_ptr<CudaDevice> device_;
  const Bytes granularity_;
};

}  // namespace

Result<std::unique_ptr<MemorySource>> cuda_virtual_memory(std::shared_ptr<CudaDevice> device) {
  const CudaDevice::Driver& driver = device->driver();
  const CudaMemoryFunctions& cuda = driver.cuda;
  if (driver.attribute(CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED) == 0 ||
      cuda.reserve_addresses == nullptr || cuda.free_addresses == nullptr ||
      cuda.create == nullptr || cuda.release == nullptr || cuda.map == nullptr ||
      cuda.unmap == nullptr || cuda.set_access == nullptr || cuda.granularity == nullptr) {
    return fail(ErrorCode::unavailable,
                "CUDA device " + std::to_string(driver.ordinal) +
                    " has no virtual memory management; its stream-ordered pool may do");
  }
  const CurrentContext context(*device);
  MAIS_CUDA(driver, context.status(), "cuCtxPushCurrent")
  const CUmemAllocationProp properties = memory_of(driver);
  std::size_t granularity = 0;
  MAIS_CUDA(driver,
            cuda.granularity(&granularity, &properties, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED),
            "cuMemGetAllocationGranularity")
  return std::make_unique<VirtualSource>(std::move(device),
                                         Bytes(static_cast<std::int64_t>(granularity)));
}

}  // namespace mais::memory
