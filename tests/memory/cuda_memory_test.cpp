// Memory of FAKE CUDA devices: what cannot be had and why, and pools of blocks over it.
#include "mais/memory/cuda_memory.hpp"

#include <gmock/gmock.h>

#include "fake/fake_drivers.hpp"
#include "mais/memory/block_pool.hpp"
#include "small_budget.hpp"

namespace mais::memory {
namespace {

using namespace mais::literals;
using probing::fake::FakeDrivers;
using ::testing::HasSubstr;
using ::testing::SizeIs;

using Make = Result<std::unique_ptr<MemorySource>> (*)(std::shared_ptr<CudaDevice>);

class CudaMemoryTest : public ::testing::Test {
 protected:
  CudaMemoryTest() { drivers_.world.gpus = probing::fake::two_gpus(); }
  ~CudaMemoryTest() override {
    EXPECT_EQ(drivers_.world.contexts_now, 0);
    EXPECT_EQ(drivers_.world.streams_now, 0);
    EXPECT_EQ(drivers_.world.pools_now, 0);
    EXPECT_EQ(drivers_.world.address_ranges_now, 0);
  }
  std::shared_ptr<CudaDevice> open(int ordinal = 0) {
    auto device = CudaDevice::open(ordinal, FakeDrivers::cuda());
    EXPECT_TRUE(device) << device.error().message;
    return *device;
  }
  FakeDrivers drivers_;
};

TEST_F(CudaMemoryTest, ADeviceThatIsNotThereIsUnavailableWithTheReason) {
  for (const int ordinal : {-1, 2}) {
    const auto device = CudaDevice::open(ordinal, FakeDrivers::cuda());
    ASSERT_FALSE(device);
    EXPECT_EQ(device.error().code, ErrorCode::unavailable);
    EXPECT_THAT(device.error().message, HasSubstr("this process may use 2"));
  }
  const auto nowhere = CudaDevice::open(0, "libno-such-driver.so.1");
  ASSERT_FALSE(nowhere);
  EXPECT_THAT(nowhere.error().message, HasSubstr("no NVIDIA driver"));
  EXPECT_FALSE(CudaDevice::open(0, FakeDrivers::old_cuda()));
}

TEST_F(CudaMemoryTest, EveryCallThatFailsInOpeningIsNamedAndLeavesNothing) {
  for (const char* call : {"cuDeviceGetCount", "cuDeviceGet", "cuDevicePrimaryCtxRetain"}) {
    drivers_.world.cuda_errors = {{call, 999}};
    const auto device = CudaDevice::open(0, FakeDrivers::cuda());
    ASSERT_FALSE(device) << call;
    EXPECT_THAT(device.error().message, HasSubstr(call));
  }
}

TEST_F(CudaMemoryTest, WhatADeviceOrADriverLacksIsSaid) {
  drivers_.world.gpus[0].virtual_memory = 0;
  drivers_.world.gpus[0].memory_pools = 0;
  const auto no_virtual = cuda_virtual_memory(open());
  ASSERT_FALSE(no_virtual);
  EXPECT_THAT(no_virtual.error().message, HasSubstr("no virtual memory management"));
  const auto no_pools = cuda_stream_ordered_pool(open());
  ASSERT_FALSE(no_pools);
  EXPECT_THAT(no_pools.error().message, HasSubstr("no stream-ordered memory pools"));
  drivers_.world.gpus = probing::fake::two_gpus();
  drivers_.world.missing = {"cuMemCreate", "cuMemPoolCreate"};
  EXPECT_FALSE(cuda_virtual_memory(open()));
  EXPECT_FALSE(cuda_stream_ordered_pool(open()));
  drivers_.world.missing = {"cuMemcpyAsync"};
  const auto device = CudaDevice::open(0, FakeDrivers::cuda());
  ASSERT_FALSE(device);
  EXPECT_THAT(device.error().message, HasSubstr("cuMemcpyAsync"));
}

TEST_F(CudaMemoryTest, RoomIsWhatTheDriverSays) {
  const auto room = open(1)->room();
  ASSERT_TRUE(room);
  EXPECT_EQ(room->total, 40_GiB);
  EXPECT_EQ(room->free, 30_GiB);
}

TEST_F(CudaMemoryTest, EveryCallThatFailsInACommitLeavesNothingMapped) {
  const auto failing = [&](Make make, std::vector<const char*> calls) {
    auto source = *make(open());
    Region region = *source->reserve(source->granularity(), 2);
    for (const char* call : calls) {
      drivers_.world.cuda_errors = {{call, 999}};
      const Result<void> done = region.commit(0);
      drivers_.world.cuda_errors.clear();
      ASSERT_FALSE(done) << call;
      EXPECT_THAT(done.error().message, HasSubstr(call));
      // What the pool frees by its stream goes with the next one that waits for it.
      ASSERT_TRUE(region.commit(1));
      ASSERT_TRUE(region.decommit(1));
      EXPECT_EQ(drivers_.world.gpus[0].used, 2 * probing::fake::kGiB) << call;
    }
  };
  failing(cuda_virtual_memory, {"cuCtxPushCurrent", "cuMemCreate", "cuMemMap", "cuMemSetAccess"});
  failing(cuda_stream_ordered_pool,
          {"cuCtxPushCurrent", "cuMemAllocFromPoolAsync", "cuStreamSynchronize"});
}

TEST_F(CudaMemoryTest, ADecommitThatFailsLeavesTheSlabAsItWas) {
  const auto failing = [&](Make make, const char* call) {
    auto source = *make(open());
    Region region = *source->reserve(source->granularity(), 1);
    ASSERT_TRUE(region.commit(0));
    drivers_.world.cuda_errors = {{call, 999}};
    EXPECT_FALSE(region.decommit(0));
    drivers_.world.cuda_errors.clear();
    EXPECT_TRUE(region.is_committed(0));
    EXPECT_TRUE(region.decommit(0));
    EXPECT_EQ(drivers_.world.gpus[0].used, 2 * probing::fake::kGiB);
  };
  failing(cuda_virtual_memory, "cuMemUnmap");
  failing(cuda_stream_ordered_pool, "cuMemFreeAsync");
}

// The account allows more than the device has: what the device refuses is charged to nobody, and
// one model's cache shrinks for another's.
TEST_F(CudaMemoryTest, OneModelsCacheShrinksForAnothersOnTheDeviceItself) {
  for (const Make make : {Make{cuda_virtual_memory}, Make{cuda_stream_ordered_pool}}) {
    drivers_.world.gpus[0].used = drivers_.world.gpus[0].total - (12ULL << 20);
    auto source = *make(open());
    SmallBudget budget{1_GiB};
    const BlockOptions options{.block = 1_MiB, .blocks = 64, .slab = 2_MiB};
    BlockPool first = *BlockPool::create(*source, budget.gate(), options);
    BlockPool second = *BlockPool::create(*source, budget.gate(), options);
    EXPECT_EQ(first.base() != nullptr, make == Make{cuda_virtual_memory});
    std::vector<BlockId> all(12);
    ASSERT_TRUE(first.acquire(all));
    const Result<BlockId> none = second.try_acquire();
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, ErrorCode::over_capacity);
    EXPECT_EQ(budget.used(), 12_MiB);
    const void* const kept = first.address(0);
    first.release(std::span(all).subspan(2));
    EXPECT_EQ(first.resize(1).returned, 10_MiB);
    EXPECT_EQ(first.address(0), kept);
    std::vector<BlockId> more(10);
    EXPECT_TRUE(second.acquire(more));
    EXPECT_EQ(second.block_at(second.address(7)), BlockId{7});
    EXPECT_EQ(second.block_at(first.address(0)), std::nullopt);
    EXPECT_EQ(budget.used(), 12_MiB);
  }
}

TEST_F(CudaMemoryTest, OnlyMemoryThatTheCpuReachesCanBePoisoned) {
  auto source = *cuda_virtual_memory(open());
  SmallBudget budget{1_GiB};
  const auto pool =
      BlockPool::create(*source, budget.gate(), {.block = 1_MiB, .blocks = 4, .poison = true});
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace mais::memory
