#include "mais/probe/nvml.hpp"

#include <gmock/gmock.h>

#include "fake/fake_drivers.hpp"

namespace mais::probing {
namespace {

using namespace mais::literals;
using fake::FakeDrivers;
using fake::kGiB;
using ::testing::HasSubstr;

std::string reason_of(const Result<Nvml>& nvml) {
  EXPECT_FALSE(nvml);
  return nvml ? "loaded" : nvml.error().message;
}

TEST(NvmlLoader, SaysWhatIsWrong) {
  FakeDrivers drivers;
  EXPECT_THAT(reason_of(Nvml::load("libnvidia-ml-not-there.so.1")),
              HasSubstr("no NVML: libnvidia-ml-not-there.so.1"));
  EXPECT_THAT(reason_of(Nvml::load("libm.so.6")), HasSubstr("libm.so.6 has no nvmlInit_v2"));
  drivers.world.nvml_init_status = 9;
  EXPECT_THAT(reason_of(Nvml::load(FakeDrivers::nvml())),
              HasSubstr("the NVIDIA kernel driver is not loaded"));
  drivers.world.nvml_init_status = 999;
  EXPECT_THAT(reason_of(Nvml::load(FakeDrivers::nvml())), HasSubstr("nvmlInit: planned by a test"));
  EXPECT_EQ(drivers.world.nvml_inits, drivers.world.nvml_shutdowns);
}

TEST(Nvml, ReadsMemoryProcessesAndHealth) {
  FakeDrivers drivers;
  drivers.world.gpus = fake::two_gpus();
  drivers.world.gpus[0].processes = {{42, 2 * kGiB}, {43, ~0ULL}};
  drivers.world.gpus[1].nvlinks = {{"00000000:17:00.0", false, 6}};
  {
    const auto nvml = Nvml::load(FakeDrivers::nvml());
    ASSERT_TRUE(nvml) << nvml.error().message;
    const NvmlReading reading = nvml->read();
    EXPECT_TRUE(reading.status.available);
    EXPECT_EQ(reading.status.detail, "driver 580.00 (fake)");
    ASSERT_EQ(reading.devices.size(), 2u);
    const NvmlDevice& b = reading.devices[0];  // NVML's own order
    EXPECT_EQ(b.uuid, "bbbbbbbb-0000-0000-0000-000000000002");
    EXPECT_EQ(b.pci, "0000:ca:00.0");
    EXPECT_EQ(b.memory->free, 30_GiB);
    EXPECT_EQ(b.pcie_generation, 4);
    EXPECT_EQ(b.power_watts, 70.0);
    EXPECT_EQ(b.ecc, true);
    ASSERT_EQ(b.nvlinks.size(), 1u);
    EXPECT_EQ(b.nvlinks[0].remote, "0000:17:00.0");
    EXPECT_EQ(b.nvlinks[0].version, 4);
    const NvmlDevice& a = reading.devices[1];
    ASSERT_EQ(a.processes.size(), 2u);
    EXPECT_EQ(a.processes[0].used, 2_GiB);
    EXPECT_EQ(a.processes[1].used, std::nullopt);
  }
  EXPECT_EQ(drivers.world.nvml_shutdowns, 1);
  EXPECT_EQ(drivers.world.contexts_created, 0);
}

TEST(Nvml, SlicesStandBesideTheWholeAndKeepTheirOwnMemory) {
  FakeDrivers drivers;
  fake::FakeGpu whole = fake::two_gpus()[0];
  whole.mig = true;
  fake::FakeGpu slice = whole;
  slice.mig = false;
  slice.is_slice = true;
  slice.parent = whole.uuid;
  slice.uuid = "cccccccc-0000-0000-0000-000000000003";
  slice.name = "Fake GPU A MIG 1g.10gb";
  slice.total = 10 * kGiB;
  slice.used = 0;
  drivers.world.gpus = {whole, slice};
  const auto nvml = Nvml::load(FakeDrivers::nvml());
  ASSERT_TRUE(nvml);
  const NvmlReading reading = nvml->read();
  ASSERT_EQ(reading.devices.size(), 2u);
  EXPECT_TRUE(reading.devices[0].mig_parent);
  EXPECT_TRUE(reading.devices[1].mig);
  EXPECT_EQ(reading.devices[1].memory->total, 10_GiB);
  EXPECT_EQ(reading.devices[1].pci, reading.devices[0].pci);
}

TEST(Nvml, RefreshSeesWhatChanged) {
  FakeDrivers drivers;
  drivers.world.gpus = fake::two_gpus();
  const auto nvml = Nvml::load(FakeDrivers::nvml());
  ASSERT_TRUE(nvml);
  NvmlReading reading = nvml->read();
  drivers.world.gpus[1].used += 2 * kGiB;
  drivers.world.gpus[1].uncorrected = 3;
  drivers.world.gpus[0].lost = true;
  nvml->refresh(reading);
  EXPECT_EQ(reading.devices[0].memory->free, 28_GiB);
  EXPECT_EQ(reading.devices[0].health, GpuHealth::unhealthy);
  EXPECT_THAT(reading.devices[0].trouble, HasSubstr("3 uncorrected memory errors"));
  EXPECT_EQ(reading.devices[1].health, GpuHealth::lost);
  EXPECT_FALSE(reading.devices[1].memory);  // no stale figure
  EXPECT_EQ(reading.devices[1].uuid, "aaaaaaaa-0000-0000-0000-000000000001");
  drivers.world.gpus[0].lost = false;
  nvml->refresh(reading);
  EXPECT_EQ(reading.devices[1].health, GpuHealth::good);
  EXPECT_EQ(reading.devices[1].memory->free, 78_GiB);
}

TEST(Nvml, AnErrorOfAnyCallLeavesOutItsFigure) {
  for (const char* call :
       {"nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetUUID",
        "nvmlDeviceGetName", "nvmlDeviceGetPciInfo_v3", "nvmlDeviceGetMemoryInfo",
        "nvmlDeviceGetMigMode", "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetPowerUsage", "nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetEccMode",
        "nvmlDeviceGetTotalEccErrors", "nvmlDeviceGetMaxPcieLinkGeneration",
        "nvmlDeviceGetMaxPcieLinkWidth", "nvmlDeviceGetNvLinkState", "nvmlDeviceGetNvLinkVersion",
        "nvmlDeviceGetNvLinkRemotePciInfo_v2", "nvmlDeviceGetNvLinkRemoteDeviceType"}) {
    FakeDrivers drivers;
    drivers.world.gpus = fake::two_gpus();
    drivers.world.gpus[0].nvlinks = {{"00000000:CA:00.0", false, 6}};
    drivers.world.nvml_errors[call] = 999;
    const auto nvml = Nvml::load(FakeDrivers::nvml());
    ASSERT_TRUE(nvml);
    NvmlReading reading = nvml->read();
    if (std::string(call) == "nvmlDeviceGetCount_v2") {
      EXPECT_FALSE(reading.status.available);
      EXPECT_THAT(reading.status.detail, HasSubstr("planned by a test"));
      continue;
    }
    ASSERT_EQ(reading.devices.size(), 2u) << call;
    nvml->refresh(reading);
    for (const NvmlDevice& device : reading.devices) {
      EXPECT_TRUE(!device.memory || device.memory->free <= device.memory->total) << call;
      const bool answers = device.health != GpuHealth::lost;
      EXPECT_EQ(answers, std::string(call) != "nvmlDeviceGetHandleByIndex_v2" &&
                             std::string(call) != "nvmlDeviceGetMemoryInfo")
          << call;
    }
  }
}

TEST(Nvml, AGpuWithoutMemoryOfItsOwnIsNotIll) {
  FakeDrivers drivers;
  drivers.world.gpus = fake::two_gpus();
  drivers.world.gpus[0].memory_unsupported = true;
  const auto nvml = Nvml::load(FakeDrivers::nvml());
  ASSERT_TRUE(nvml);
  const NvmlReading reading = nvml->read();
  EXPECT_EQ(reading.devices[1].health, GpuHealth::good);
  EXPECT_FALSE(reading.devices[1].memory);
}

}  // namespace
}  // namespace mais::probing
