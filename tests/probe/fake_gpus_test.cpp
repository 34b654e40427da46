// The whole probe and the monitor over GPUs that the fake drivers show.
#include <unistd.h>

#include <gmock/gmock.h>

#include "fake/fake_drivers.hpp"
#include "mais/probe/bandwidth.hpp"
#include "mais/probe/cuda_driver.hpp"
#include "mais/probe/monitor.hpp"
#include "mais/probe/probe.hpp"
#include "monitor_events.hpp"
#include "recorded_machine.hpp"

namespace mais::probing {
namespace {

using namespace mais::literals;
using namespace monitor_event;
using fake::FakeDrivers;
using fake::kGiB;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FakeGpus : public ::testing::Test {
 protected:
  FakeGpus() {
    unpack(load_record("host/no_cgroup.record"), root_);
    options_.root = root_.path();
    options_.cuda_library = FakeDrivers::cuda();
    options_.nvml_library = FakeDrivers::nvml();
    drivers_.world.gpus = fake::two_gpus();
  }
  MachineReport look() {
    auto report = inspect(options_);
    EXPECT_TRUE(report) << report.error().message;
    return report.value_or(MachineReport{});
  }
  WatcherOptions watcher_options() const {
    WatcherOptions watcher;
    watcher.sampler.root = root_.path();
    watcher.sampler.nvml_library = FakeDrivers::nvml();
    return watcher;
  }

  FakeDrivers drivers_;
  TemporaryFolder root_;
  ProbeOptions options_;
};

TEST_F(FakeGpus, AreDevicesWithTheirOwnMemoryAndNoContextIsMade) {
  const MachineReport report = look();
  ASSERT_THAT(report.spaces, SizeIs(3));
  EXPECT_EQ(report.spaces[1].free, 78_GiB);  // joined by UUID: NVML lists them backwards
  EXPECT_EQ(report.spaces[2].free, 30_GiB);
  EXPECT_EQ(report.devices[1].pci, "0000:17:00.0");
  EXPECT_THAT(validate(report.machine), IsEmpty());
  EXPECT_EQ(drivers_.world.contexts_created, 0);
  const auto machine = probe(options_);
  ASSERT_TRUE(machine);
  EXPECT_EQ(machine->devices.size(), 3u);
}

TEST_F(FakeGpus, WithoutNvmlFreeMemoryNeedsAContextThatWasAllowed) {
  options_.nvml_library.reset();
  MachineReport report = look();
  EXPECT_EQ(report.spaces[1].free, std::nullopt);
  EXPECT_EQ(report.spaces[1].usable, 80_GiB);
  EXPECT_THAT(to_text(report), HasSubstr("gpu0: what is free is not known"));
  EXPECT_EQ(drivers_.world.contexts_created, 0);
  options_.contexts = true;
  report = look();
  EXPECT_EQ(report.spaces[1].usable, 78_GiB);
  EXPECT_EQ(drivers_.world.contexts_now, 0);
}

TEST_F(FakeGpus, AnIntegratedOneComputesOutOfTheHost) {
  drivers_.world.gpus.resize(1);
  drivers_.world.gpus[0].integrated = 1;
  drivers_.world.gpus[0].memory_unsupported = true;
  const MachineReport report = look();
  ASSERT_THAT(report.spaces, SizeIs(1));
  ASSERT_THAT(report.devices, SizeIs(2));
  EXPECT_EQ(report.devices[1].space, SpaceId(0));
  EXPECT_TRUE(report.links.empty());
}

TEST_F(FakeGpus, AMissingDriverLeavesACpuMachineThatSaysWhy) {
  for (const char* symbol : {"cuDeviceGetCount", "cuMemGetInfo"}) {
    drivers_.world.missing = {symbol};
    const MachineReport report = look();
    EXPECT_THAT(report.spaces, SizeIs(1));
    EXPECT_THAT(to_text(report), HasSubstr(std::string("has no ") + symbol));
    EXPECT_THAT(report.unused, SizeIs(2));  // NVML still sees them
  }
  drivers_.world.missing.clear();
  drivers_.world.cuda_errors["cuDeviceTotalMem"] = 999;
  EXPECT_THAT(to_text(look()), HasSubstr("missing: cuDeviceTotalMem: CUDA_ERROR_FAKE"));
}

TEST_F(FakeGpus, ASliceIsTheDeviceAndItsGpuIsNot) {
  fake::FakeGpu whole = fake::two_gpus()[0];
  whole.mig = true;
  fake::FakeGpu slice = whole;
  slice.mig = false;
  slice.is_slice = true;
  slice.parent = whole.uuid;
  slice.uuid = "cccccccc-0000-0000-0000-000000000003";
  slice.total = 10 * kGiB;
  slice.used = 1 * kGiB;
  drivers_.world.gpus = {whole, slice};
  const MachineReport report = look();
  ASSERT_THAT(report.spaces, SizeIs(2));
  EXPECT_EQ(report.spaces[1].usable, 9_GiB);
  EXPECT_THAT(report.unused, IsEmpty());  // used, as its slice
}

TEST_F(FakeGpus, MeasuredCopiesAreKeptAndUsedAgain) {
  drivers_.world.gpus[0].copy_rate = 21e9;
  options_.measurements = root_.path() + "/measured";
  options_.contexts = true;
  auto readings = read_machine(options_);
  ASSERT_TRUE(readings);
  const auto cuda = CudaDriver::load(FakeDrivers::cuda());
  ASSERT_TRUE(cuda);
  std::vector<std::string> problems;
  const auto measured =
      measure_all(*readings, &*cuda, {.runs = 3, .array = 8_MiB, .copy = 8_MiB}, problems);
  root_.write("/measured", to_text(measured));
  options_.contexts = false;
  const MachineReport report = look();
  bool found = false;
  for (const LinkReport& link : report.links) {
    if (report.spaces[link.from.value()].name != "host0" ||
        report.spaces[link.to.value()].name != "gpu0") {
      continue;
    }
    found = true;
    EXPECT_EQ(link.bandwidth.source, FigureSource::measured);
    EXPECT_NEAR(link.bandwidth.median.value, 21e9, 0.2e9);
    ASSERT_TRUE(link.latency);
    EXPECT_NEAR(to_seconds(*link.latency), 1e-6, 2e-7);
  }
  EXPECT_TRUE(found);
  EXPECT_EQ(report.spaces[2].bandwidth.source, FigureSource::measured);
  EXPECT_EQ(drivers_.world.contexts_now, 0);
  EXPECT_EQ(drivers_.world.allocations_now, 0);
}

TEST_F(FakeGpus, AFileOfMeasurementsThatIsDamagedIsNamed) {
  root_.write("/measured", "mais machine record 1\nmeasured\n|rate\n|  place x\n");
  options_.measurements = root_.path() + "/measured";
  const auto report = inspect(options_);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::parse_error);
  EXPECT_THAT(report.error().message, HasSubstr("/measured:2: the rate of 'x' needs"));
}

TEST_F(FakeGpus, ARecordShowsTheSameMachine) {
  const auto record = record_machine(options_);
  ASSERT_TRUE(record) << record.error().message;
  const auto again = parse_record(to_text(*record), "again");
  ASSERT_TRUE(again) << again.error().message;
  const auto readings = readings_of(*again);
  ASSERT_TRUE(readings) << readings.error().message;
  EXPECT_EQ(to_json(assemble(*readings)), to_json(look()));
}

TEST_F(FakeGpus, TheMonitorSeesAnotherProcessAndCallsItDrift) {
  const MachineReport report = look();
  Bytes granted{};
  WatcherOptions options = watcher_options();
  options.granted = [&](SpaceId space) { return space == SpaceId(1) ? granted : 0_B; };
  options.watch.drift = {.smoothing = 5s, .alarm = 1_GiB};
  Watcher watcher(report, options);
  watcher.step(Time(0s));
  // The ledger grants 20 GiB and this process allocates them: no drift.
  granted = 20_GiB;
  fake::FakeGpu& gpu = drivers_.world.gpus[0];
  gpu.used += 20 * kGiB;
  gpu.processes = {{static_cast<unsigned>(::getpid()), 20 * kGiB}};
  EXPECT_THAT(watcher.step(Time(1s)), IsEmpty());
  // Another process takes 2 GiB.
  gpu.used += 2 * kGiB;
  gpu.processes.push_back({1, 2 * kGiB});
  const auto taken = of_kind<MemoryChanged>(watcher.step(Time(2s)));
  ASSERT_THAT(taken, SizeIs(1));
  EXPECT_EQ(taken[0].space, SpaceId(1));
  EXPECT_EQ(taken[0].foreign, 2_GiB);
  std::vector<DriftChanged> drift;
  for (int second = 3; second < 30; ++second) {
    for (const auto& event : of_kind<DriftChanged>(watcher.step(Time(second * 1s)))) {
      drift.push_back(event);
    }
  }
  ASSERT_THAT(drift, SizeIs(1));
  EXPECT_TRUE(drift[0].alarm);
  EXPECT_EQ(watcher.latest(SpaceId(1)).foreign, 2_GiB);
  EXPECT_EQ(watcher.latest(SpaceId(2)).foreign, 0_B);
  EXPECT_EQ(drivers_.world.contexts_created, 0);
}

TEST_F(FakeGpus, TheMonitorSeesAnotherProcessWhileGrantsAreNotYetAllocated) {
  const MachineReport report = look();
  WatcherOptions options = watcher_options();
  options.granted = [](SpaceId space) { return space == SpaceId(1) ? 40_GiB : 0_B; };
  Watcher watcher(report, options);
  fake::FakeGpu& gpu = drivers_.world.gpus[0];
  gpu.used += 2 * kGiB;  // all of it another's; this process holds half a GiB for its context
  gpu.processes = {{1, 2 * kGiB - (kGiB >> 1)}, {static_cast<unsigned>(::getpid()), kGiB >> 1}};
  const auto told = of_kind<MemoryChanged>(watcher.step(Time(0s)));
  ASSERT_THAT(told, SizeIs(3));
  EXPECT_EQ(told[1].foreign, 1536_MiB);
}

TEST_F(FakeGpus, TheMonitorTellsALostDeviceAndItsReturn) {
  const MachineReport report = look();
  Watcher watcher(report, watcher_options());
  watcher.step(Time(0s));
  drivers_.world.gpus[1].lost = true;
  auto told = of_kind<DeviceChanged>(watcher.step(Time(1s)));
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told[0].health, GpuHealth::lost);
  EXPECT_EQ(report.devices[told[0].device.value()].name, "gpu1");
  EXPECT_FALSE(watcher.latest(SpaceId(2)).known);
  EXPECT_TRUE(watcher.latest(SpaceId(1)).known);
  drivers_.world.gpus[1].lost = false;
  drivers_.world.gpus[1].uncorrected = 2;
  told = of_kind<DeviceChanged>(watcher.step(Time(2s)));
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told[0].health, GpuHealth::unhealthy);
  EXPECT_TRUE(told[0].was_lost);
}

}  // namespace
}  // namespace mais::probing
