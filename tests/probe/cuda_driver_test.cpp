#include "mais/probe/cuda_driver.hpp"

#include <filesystem>

#include <gmock/gmock.h>

#include "fake/fake_drivers.hpp"

namespace mais::probing {
namespace {

using namespace mais::literals;
using fake::FakeDrivers;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;

std::string reason_of(const Result<CudaDriver>& driver) {
  EXPECT_FALSE(driver);
  if (driver) return "loaded";
  EXPECT_EQ(driver.error().code, ErrorCode::unavailable);
  return driver.error().message;
}

TEST(CudaLoader, AbsentLibraryIsNamed) {
  EXPECT_THAT(reason_of(CudaDriver::load("libcuda-that-is-not-there.so.1")),
              HasSubstr("no NVIDIA driver: libcuda-that-is-not-there.so.1"));
}

TEST(CudaLoader, AnotherLibraryIsNoDriver) {
  EXPECT_THAT(reason_of(CudaDriver::load("libm.so.6")), HasSubstr("libm.so.6 is no CUDA driver"));
}

TEST(CudaLoader, AStubIsNamedWithTheWayOut) {
  FakeDrivers drivers;
  drivers.world.init_status = 34;
  EXPECT_THAT(reason_of(CudaDriver::load(FakeDrivers::cuda())),
              HasSubstr("is the stub that the CUDA toolkit links against, not a driver"));
}

TEST(CudaLoader, TheToolkitsOwnStubIsFoundOut) {
  const char* const stub = MAIS_CUDA_STUB;
  if (!std::filesystem::exists(stub)) GTEST_SKIP() << "no stub of the toolkit at " << stub;
  EXPECT_THAT(reason_of(CudaDriver::load(stub)), HasSubstr("not a driver"));
}

TEST(CudaLoader, AnOldDriverIsNamedWithItsVersion) {
  FakeDrivers drivers;
  drivers.world.driver_version = 11'020;
  EXPECT_THAT(reason_of(CudaDriver::load(FakeDrivers::old_cuda())),
              HasSubstr("too old: it is for CUDA 11.2, and 11.3 is the first"));
  EXPECT_THAT(reason_of(CudaDriver::load(FakeDrivers::cuda())), HasSubstr("too old"));
}

TEST(CudaLoader, NoDeviceIsNamed) {
  FakeDrivers drivers;
  drivers.world.init_status = 100;
  EXPECT_THAT(reason_of(CudaDriver::load(FakeDrivers::cuda())),
              HasSubstr("may use no device (see CUDA_VISIBLE_DEVICES"));
}

TEST(CudaLoader, WhatTheDriverSaysIsPassedOn) {
  FakeDrivers drivers;
  drivers.world.init_status = 999;
  EXPECT_THAT(reason_of(CudaDriver::load(FakeDrivers::cuda())),
              Eq("cuInit: CUDA_ERROR_FAKE (planned by a test)"));
}

const char* const kSymbols[] = {"cuDeviceGetCount",
                                "cuDeviceGet",
                                "cuDeviceGetName",
                                "cuDeviceGetUuid",
                                "cuDeviceTotalMem",
                                "cuDeviceGetAttribute",
                                "cuDeviceCanAccessPeer",
                                "cuDevicePrimaryCtxRetain",
                                "cuDevicePrimaryCtxRelease",
                                "cuCtxPushCurrent",
                                "cuCtxPopCurrent",
                                "cuCtxSynchronize",
                                "cuCtxEnablePeerAccess",
                                "cuMemGetInfo",
                                "cuMemAlloc",
                                "cuMemFree",
                                "cuMemHostAlloc",
                                "cuMemFreeHost",
                                "cuMemcpyHtoDAsync",
                                "cuMemcpyDtoHAsync",
                                "cuMemcpyDtoDAsync",
                                "cuMemcpyPeerAsync",
                                "cuEventCreate",
                                "cuEventDestroy",
                                "cuEventRecord",
                                "cuEventSynchronize",
                                "cuEventElapsedTime"};

TEST(CudaLoader, AnyMissingFunctionIsNamed) {
  for (const char* symbol : kSymbols) {
    FakeDrivers drivers;
    drivers.world.missing = {symbol};
    EXPECT_THAT(reason_of(CudaDriver::load(FakeDrivers::cuda())),
                Eq(std::string("the NVIDIA driver (CUDA 13.0) has no ") + symbol));
  }
}

TEST(CudaDriver, ReadsTwoDevicesWithoutAContext) {
  FakeDrivers drivers;
  drivers.world.gpus = fake::two_gpus();
  const auto driver = CudaDriver::load(FakeDrivers::cuda());
  ASSERT_TRUE(driver) << driver.error().message;
  const auto reading = driver->read();
  ASSERT_TRUE(reading) << reading.error().message;
  EXPECT_TRUE(reading->status.available);
  EXPECT_EQ(reading->status.detail, "for CUDA 13.0");
  ASSERT_EQ(reading->devices.size(), 2u);
  const CudaDevice& second = reading->devices[1];
  EXPECT_EQ(second.name, "Fake GPU B");
  EXPECT_EQ(second.uuid, "bbbbbbbb-0000-0000-0000-000000000002");
  EXPECT_EQ(second.pci, "0000:ca:00.0");
  EXPECT_EQ(second.total, 40_GiB);
  EXPECT_EQ(second.bus_width, 5120);
  EXPECT_EQ(second.host_node, 1);
  EXPECT_EQ(second.memory_node, std::nullopt);
  EXPECT_THAT(second.peers, ElementsAre(0));
  EXPECT_FALSE(second.integrated);
  EXPECT_FALSE(second.memory);
  EXPECT_EQ(drivers.world.contexts_created, 0);
}

TEST(CudaDriver, MemoryNeedsAContextAndGivesItBack) {
  FakeDrivers drivers;
  drivers.world.gpus = fake::two_gpus();
  const auto driver = CudaDriver::load(FakeDrivers::cuda());
  ASSERT_TRUE(driver);
  const auto memory = driver->memory(1);
  ASSERT_TRUE(memory) << memory.error().message;
  EXPECT_EQ(memory->free, 30_GiB);
  EXPECT_EQ(memory->total, 40_GiB);
  EXPECT_EQ(drivers.world.contexts_created, 1);
  EXPECT_EQ(drivers.world.contexts_now, 0);
  EXPECT_FALSE(driver->memory(2));
}

TEST(CudaDriver, CopiesAreTimedByEventsAndLeaveNothingBehind) {
  FakeDrivers drivers;
  drivers.world.gpus = fake::two_gpus();
  drivers.world.gpus[0].copy_rate = 25e9;
  drivers.world.gpus[0].inside_rate = 2e12;
  const auto driver = CudaDriver::load(FakeDrivers::cuda());
  ASSERT_TRUE(driver);
  const auto times = driver->time_copies(0, 16_MiB, 5);
  ASSERT_TRUE(times) << times.error().message;
  ASSERT_EQ(times->to_device.size(), 5u);
  EXPECT_NEAR(times->to_device[2], 25e9, 0.05e9);
  EXPECT_NEAR(times->to_host[2], 25e9, 0.05e9);
  EXPECT_NEAR(times->inside[2], 2e12, 0.2e12);
  EXPECT_NEAR(to_seconds(times->latency), 1e-6, 1e-7);
  const auto peer = driver->time_peer_copies(0, 1, 16_MiB, 3);
  ASSERT_TRUE(peer) << peer.error().message;
  EXPECT_NEAR(peer->at(1), 250e9, 5e9);
  EXPECT_EQ(drivers.world.contexts_now, 0);
  EXPECT_EQ(drivers.world.allocations_now, 0);
}

TEST(CudaDriver, AnErrorOfAnyCallIsPassedOnAndLeavesNothingBehind) {
  for (const char* symbol : kSymbols) {
    FakeDrivers drivers;
    drivers.world.gpus = fake::two_gpus();
    const auto driver = CudaDriver::load(FakeDrivers::cuda());
    ASSERT_TRUE(driver);
    drivers.world.cuda_errors[symbol] = 999;
    const auto reading = driver->read();
    const auto memory = driver->memory(0);
    const auto copies = driver->time_copies(0, 1_MiB, 2);
    const auto peers = driver->time_peer_copies(0, 1, 1_MiB, 2);
    for (const auto& [failed, error] : {std::pair{!reading, reading ? Error{} : reading.error()},
                                        {!memory, memory ? Error{} : memory.error()},
                                        {!copies, copies ? Error{} : copies.error()},
                                        {!peers, peers ? Error{} : peers.error()}}) {
      if (!failed) continue;
      EXPECT_EQ(error.code, ErrorCode::unavailable);
      EXPECT_THAT(error.message, HasSubstr(": CUDA_ERROR_FAKE (planned by a test)")) << symbol;
    }
    EXPECT_EQ(drivers.world.contexts_now, 0) << symbol;
    EXPECT_EQ(drivers.world.allocations_now, 0) << symbol;
  }
}

TEST(CudaDriver, ADeviceThatIsLostBetweenCallsIsAnError) {
  FakeDrivers drivers;
  drivers.world.gpus = fake::two_gpus();
  const auto driver = CudaDriver::load(FakeDrivers::cuda());
  ASSERT_TRUE(driver);
  ASSERT_TRUE(driver->read());
  drivers.world.cuda_errors["cuDeviceGetName"] = 719;
  const auto reading = driver->read();
  ASSERT_FALSE(reading);
  EXPECT_THAT(reading.error().message, HasSubstr("cuDeviceGetName: "));
}

TEST(CudaDriver, AttributesThatAnOldDriverDoesNotKnowAreLeftOut) {
  FakeDrivers drivers;
  drivers.world.gpus = fake::two_gpus();
  drivers.world.cuda_errors["cuDeviceGetAttribute"] = 1;
  const auto driver = CudaDriver::load(FakeDrivers::cuda());
  ASSERT_TRUE(driver);
  const auto reading = driver->read();
  ASSERT_TRUE(reading) << reading.error().message;
  EXPECT_EQ(reading->devices[0].pci, "");
  EXPECT_EQ(reading->devices[0].memory_clock, 0);
  EXPECT_EQ(reading->devices[0].host_node, std::nullopt);
  EXPECT_EQ(reading->devices[0].total, 80_GiB);
}

}  // namespace
}  // namespace mais::probing
