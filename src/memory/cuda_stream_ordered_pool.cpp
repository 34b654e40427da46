#include <mutex>
#include <utility>
#include <vector>

#include "memory/cuda_context.hpp"

namespace mais::memory {

namespace {

// What the pool takes from the device at a time is not told; this is what devices map by.
constexpr Bytes kGranularity = Bytes(2 << 20);

// A pool of its own, and the stream on which memory comes and goes.
class Pool {
 public:
  explicit Pool(std::shared_ptr<CudaDevice> device) : device_(std::move(device)) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() {
    const CurrentContext context(*device_);
    const CudaMemoryFunctions& cuda = device_->driver().cuda;
    if (stream_ != nullptr) cuda.destroy_stream(stream_);
    if (pool_ != nullptr) cuda.destroy_pool(pool_);
  }

  Result<void> open() {
    const CudaDevice::Driver& driver = device_->driver();
    const CurrentContext context(*device_);
    MAIS_CUDA(driver, context.status(), "cuCtxPushCurrent")
    CUmemPoolProps properties{};
    properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    properties.location.id = driver.device;
    MAIS_CUDA(driver, driver.cuda.create_pool(&pool_, &properties), "cuMemPoolCreate")
    MAIS_CUDA(driver, driver.cuda.create_stream(&stream_, CU_STREAM_NON_BLOCKING), "cuStreamCreate")
    return {};
  }

  Result<CUdeviceptr> allocate(std::size_t size) {
    const std::scoped_lock lock(mutex_);
    const CudaDevice::Driver& driver = device_->driver();
    const CurrentContext context(*device_);
    MAIS_CUDA(driver, context.status(), "cuCtxPushCurrent")
    CUdeviceptr pointer = 0;
    MAIS_CUDA(driver, driver.cuda.allocate_from_pool(&pointer, size, pool_, stream_),
              "cuMemAllocFromPoolAsync")
    if (const CUresult status = driver.cuda.await_stream(stream_); status != CUDA_SUCCESS) {
      driver.cuda.free_async(pointer, stream_);
      return tl::unexpected(driver.said("cuStreamSynchronize", status));
    }
    return pointer;
  }

  Result<void> free(CUdeviceptr pointer) {
    const std::scoped_lock lock(mutex_);
    const CudaDevice::Driver& driver = device_->driver();
    const CurrentContext context(*device_);
    MAIS_CUDA(driver, context.status(), "cuCtxPushCurrent")
    MAIS_CUDA(driver, driver.cuda.free_async(pointer, stream_), "cuMemFreeAsync")
    // From here on it is freed: what fails now delays when the device has it back.
    if (driver.cuda.await_stream(stream_) == CUDA_SUCCESS) driver.cuda.trim_pool(pool_, 0);
    return {};
  }

  const CudaDevice& device() const noexcept { return *device_; }

 private:
  std::shared_ptr<CudaDevice> device_;
  std::mutex mutex_;  // frees and trims in one go
  CUmemoryPool pool_ = nullptr;
  CUstream stream_ = nullptr;
};

class PoolBacking final : public Backing {
 public:
  PoolBacking(std::shared_ptr<Pool> pool, std::size_t slab_size, std::size_t slab_count)
      : pool_(std::move(pool)), slab_size_(slab_size), slabs_(slab_count, 0) {}
  PoolBacking(const PoolBacking&) = delete;
  PoolBacking& operator=(const PoolBacking&) = delete;
  ~PoolBacking() override {
    for (const CUdeviceptr slab : slabs_) {
      if (slab != 0) static_cast<void>(pool_->free(slab));
    }
  }

  std::byte* base() const noexcept override { return nullptr; }
  Result<std::byte*> commit(std::size_t slab) override {
    Result<CUdeviceptr> pointer = pool_->allocate(slab_size_);
    if (!pointer) return tl::unexpected(std::move(pointer.error()));
    slabs_[slab] = *pointer;
    return reinterpret_cast<std::byte*>(*pointer);
  }
  Result<void> decommit(std::size_t slab) override {
    if (Result<void> done = pool_->free(slabs_[slab]); !done) return done;
    slabs_[slab] = 0;
    return {};
  }

 private:
  std::shared_ptr<Pool> pool_;
  const std::size_t slab_size_;
  std::vector<CUdeviceptr> slabs_;  // 0: not committed
};

class PoolSource final : public MemorySource {
 public:
  explicit PoolSource(std::shared_ptr<Pool> pool) : pool_(std::move(pool)) {}
  std::string name() const override {
    return "CUDA device " + std::to_string(pool_->device().ordinal()) + ", stream-ordered pool";
  }
  Bytes granularity() const override { return kGranularity; }
  Reach reach() const override {
    return {.host = false, .pinned = true, .gpu = pool_->device().ordinal()};
  }

 private:
  // There are no addresses to reserve; what no device can hold is refused as elsewhere.
  Result<std::unique_ptr<Backing>> open(std::size_t slab_size, std::size_t slab_count) override {
    constexpr std::size_t kAddresses = std::size_t{1} << 47;
    if (slab_count > kAddresses / slab_size) {
      return fail(ErrorCode::over_capacity, name() + ": there are not so many addresses");
    }
    return std::make_unique<PoolBacking>(pool_, slab_size, slab_count);
  }
  std::shared_ptr<Pool> pool_;
};

}  // namespace

Result<std::unique_ptr<MemorySource>> cuda_stream_ordered_pool(std::shared_ptr<CudaDevice> device) {
  const CudaDevice::Driver& driver = device->driver();
  const CudaMemoryFunctions& cuda = driver.cuda;
  if (driver.attribute(CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED) == 0 ||
      cuda.create_pool == nullptr || cuda.destroy_pool == nullptr || cuda.trim_pool == nullptr ||
      cuda.allocate_from_pool == nullptr || cuda.free_async == nullptr) {
    return fail(ErrorCode::unavailable, "CUDA device " + std::to_string(driver.ordinal) +
                                            " has no stream-ordered memory pools");
  }
  auto pool = std::make_shared<Pool>(std::move(device));
  if (Result<void> done = pool->open(); !done) return tl::unexpected(std::move(done.error()));
  return std::make_unique<PoolSource>(std::move(pool));
}

}  // namespace mais::memory
