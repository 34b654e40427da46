// The recorded machines, each against the report that a person has read and found right. With
// MAIS_WRITE_GOLDEN=1 in the environment the reports are written instead, to be read again.
#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>

#include "mais/probe/probe.hpp"
#include "mais/probe/report.hpp"
#include "recorded_machine.hpp"

namespace mais::probing {
namespace {

using namespace mais::literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

MachineReport report_of(const std::string& name) {
  const auto readings = readings_of(load_record("machines/" + name + ".record"));
  EXPECT_TRUE(readings) << readings.error().message;
  return assemble(readings.value_or(Readings{}));
}

class Machines : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!has_hwloc()) GTEST_SKIP() << "the records hold topologies as XML, and hwloc is off";
  }
};

TEST_P(Machines, GiveTheReportThatWasFoundRight) {
  const MachineReport report = report_of(GetParam());
  for (const auto& [ending, text] :
       {std::pair{".txt", to_text(report)}, std::pair{".json", to_json(report)}}) {
    const std::string path = data_file(std::string("machines/") + GetParam() + ending);
    if (std::getenv("MAIS_WRITE_GOLDEN") != nullptr) {
      std::ofstream(path, std::ios::binary) << text;
      continue;
    }
    EXPECT_EQ(text, text_of_file(path)) << path;
  }
}

TEST_P(Machines, AreValidAndPromiseNoByteTwice) {
  const MachineReport report = report_of(GetParam());
  EXPECT_THAT(validate(report.machine), IsEmpty()) << to_string(validate(report.machine));
  Bytes host{};
  for (std::size_t i = 0; i < report.spaces.size(); ++i) {
    const SpaceReport& space = report.spaces[i];
    EXPECT_LE(space.usable, space.total) << space.name;
    EXPECT_TRUE(!space.free || *space.free <= space.total) << space.name;
    EXPECT_EQ(report.machine.spaces[i].capacity, space.usable);
    if (space.kind == SpaceKind::host) host += space.usable;
  }
  EXPECT_LE(host, report.budget.bytes);
  // Every GPU computes out of one space, and no two out of one space of a device.
  std::vector<int> gpus(report.spaces.size());
  for (const DeviceReport& device : report.devices) {
    if (device.kind == DeviceKind::gpu) ++gpus[device.space.value()];
  }
  for (std::size_t i = 0; i < report.spaces.size(); ++i) {
    const bool of_a_gpu = report.spaces[i].kind == SpaceKind::device;
    EXPECT_TRUE(!of_a_gpu || gpus[i] == 1) << report.spaces[i].name;
  }
}

TEST_P(Machines, AreTheSameFromTheirOwnRecordAgain) {
  const MachineRecord record = load_record(std::string("machines/") + GetParam() + ".record");
  const auto again = parse_record(to_text(record), "again");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(to_json(assemble(*readings_of(*again))), to_json(report_of(GetParam())));
}

INSTANTIATE_TEST_SUITE_P(Recorded, Machines,
                         ::testing::Values("laptop", "one_gpu_container", "two_sockets_four_gpus",
                                           "toolkit_without_driver", "eight_gpus_switches",
                                           "mig_slice", "coherent_gpu", "integrated_gpu",
                                           "fast_and_slow_memory", "lost_gpu"),
                         [](const auto& one) { return std::string(one.param); });

class RecordedMachine : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_hwloc()) GTEST_SKIP() << "the records hold topologies as XML, and hwloc is off";
  }
};

Bytes host_of(const MachineReport& report) {
  Bytes sum{};
  for (const SpaceReport& space : report.spaces) {
    if (space.kind == SpaceKind::host) sum += space.usable;
  }
  return sum;
}

std::size_t gpus_of(const MachineReport& report) {
  std::size_t count = 0;
  for (const DeviceReport& device : report.devices) count += device.kind == DeviceKind::gpu;
  return count;
}

const LinkReport* link_of(const MachineReport& report, const std::string& from,
                          const std::string& to) {
  for (const LinkReport& link : report.links) {
    if (report.spaces[link.from.value()].name == from &&
        report.spaces[link.to.value()].name == to) {
      return &link;
    }
  }
  return nullptr;
}

TEST_F(RecordedMachine, AGpuUnderThreeNamesIsOneAndTheContainersLimitBinds) {
  const MachineReport report = report_of("one_gpu_container");
  EXPECT_EQ(gpus_of(report), 1u);
  EXPECT_EQ(report.devices.back().also, (std::vector<std::string>{"card1", "renderD129", "cuda0"}));
  EXPECT_EQ(host_of(report), 24_GiB);  // 32 - 10 + 2
  EXPECT_THAT(report.spaces[0].binds, HasSubstr("cgroup limit of /sys/fs/cgroup: 32.00 GiB"));
  EXPECT_EQ(report.spaces[1].usable, Bytes(44'000'000'000));  // free, not total
}

TEST_F(RecordedMachine, CoherentMemoryIsTheGpusAloneAlthoughTheSystemCountsIt) {
  const MachineReport report = report_of("coherent_gpu");
  EXPECT_EQ(host_of(report), 460_GiB);  // without the GPU's 95
  ASSERT_EQ(report.spaces.size(), 2u);
  EXPECT_EQ(report.spaces[1].kind, SpaceKind::device);
  EXPECT_EQ(report.spaces[1].numa_node, 1);
  const LinkReport* const link = link_of(report, "host0", "gpu0");
  ASSERT_NE(link, nullptr);
  EXPECT_EQ(link->bandwidth.source, FigureSource::firmware);
  EXPECT_EQ(link->bandwidth.median.value, 350e9);
}

TEST_F(RecordedMachine, AnIntegratedGpuHasNoSpaceOfItsOwn) {
  const MachineReport report = report_of("integrated_gpu");
  ASSERT_EQ(report.spaces.size(), 1u);
  EXPECT_EQ(gpus_of(report), 1u);
  EXPECT_EQ(report.devices.back().space, SpaceId(0));
  EXPECT_EQ(host_of(report), 56_GiB);
  EXPECT_TRUE(report.links.empty());
}

TEST_F(RecordedMachine, ASliceHasItsOwnMemoryAndNotTheWholeGpus) {
  const MachineReport report = report_of("mig_slice");
  ASSERT_EQ(gpus_of(report), 1u);
  EXPECT_EQ(report.spaces[1].usable, Bytes(10'100'000'000));
  EXPECT_FALSE(report.spaces[1].bandwidth.known());
}

TEST_F(RecordedMachine, PairsAreJoinedByTheirBridgeAndPairsAreNotJoined) {
  const MachineReport report = report_of("two_sockets_four_gpus");
  EXPECT_EQ(gpus_of(report), 4u);
  const LinkReport* const pair = link_of(report, "gpu2", "gpu3");
  ASSERT_NE(pair, nullptr);
  EXPECT_EQ(pair->bandwidth.source, FigureSource::datasheet);
  EXPECT_DOUBLE_EQ(pair->bandwidth.median.value, 12 * 25e9 * 0.8);
  EXPECT_EQ(link_of(report, "gpu0", "gpu2"), nullptr);
  // NVML lists them backwards: each keeps its own memory and slot.
  EXPECT_EQ(report.devices[3].pci, "0000:31:00.0");
  EXPECT_EQ(report.devices[3].near_nodes, std::vector<int>{0});
}

TEST_F(RecordedMachine, SwitchesJoinAllAndHopperLinksAreOfVersion4) {
  const MachineReport report = report_of("eight_gpus_switches");
  EXPECT_EQ(gpus_of(report), 8u);
  for (int from = 0; from < 8; ++from) {
    for (int to = 0; to < 8; ++to) {
      if (from == to) continue;
      const LinkReport* const link =
          link_of(report, "gpu" + std::to_string(from), "gpu" + std::to_string(to));
      ASSERT_NE(link, nullptr);
      EXPECT_DOUBLE_EQ(link->bandwidth.median.value, 18 * 25e9 * 0.8);
    }
  }
}

TEST_F(RecordedMachine, WithoutADriverItIsACpuMachineThatSaysWhy) {
  const MachineReport report = report_of("toolkit_without_driver");
  EXPECT_EQ(gpus_of(report), 0u);
  ASSERT_EQ(report.unused.size(), 4u);
  for (const UnusedGpu& gpu : report.unused) EXPECT_THAT(gpu.why, HasSubstr("is the stub"));
}

TEST_F(RecordedMachine, ALostGpuIsNoDevice) {
  const MachineReport report = report_of("lost_gpu");
  EXPECT_EQ(gpus_of(report), 1u);
  ASSERT_EQ(report.unused.size(), 1u);
  EXPECT_EQ(report.unused[0].pci, "0000:31:00.0");
  EXPECT_THAT(report.unused[0].why, HasSubstr("it is lost"));
}

TEST_F(RecordedMachine, OnlyAllowedNodesCountAndFastOnesAreNamed) {
  const MachineReport report = report_of("fast_and_slow_memory");
  ASSERT_EQ(report.spaces.size(), 3u);
  EXPECT_EQ(host_of(report), 430_GiB);
  EXPECT_THAT(report.spaces[1].what, HasSubstr("HBM"));
  EXPECT_EQ(report.spaces[1].bandwidth.median.value, 700e9);
  EXPECT_EQ(report.spaces[2].latency, Duration(250));
  EXPECT_EQ(report.devices.size(), 1u);  // processors on the first node only
}

TEST_F(RecordedMachine, MeasuredGoesBeforeDatasheetAndConfiguredBeforeBoth) {
  Readings readings = *readings_of(load_record("machines/one_gpu_container.record"));
  readings.measured = {
      {"gpu0", {FigureSource::measured, {6e11}, {7e11}, {8e11}, "copies"}, {}},
      {"host0 > gpu0", {FigureSource::measured, {2e10}, {2.5e10}, {2.6e10}, "copies"}, 9us}};
  const MachineReport report = assemble(readings, {{"host0 > gpu0", {24e9}}, {"host0", {200e9}}});
  EXPECT_EQ(report.spaces[1].bandwidth.source, FigureSource::measured);
  EXPECT_EQ(report.machine.spaces[1].bandwidth.value, 7e11);
  const LinkReport& down = *link_of(report, "host0", "gpu0");
  EXPECT_EQ(down.bandwidth.source, FigureSource::configured);
  EXPECT_EQ(down.latency, 9us);
  EXPECT_EQ(link_of(report, "gpu0", "host0")->bandwidth.source, FigureSource::datasheet);
  EXPECT_EQ(report.spaces[0].bandwidth.source, FigureSource::configured);
}

}  // namespace
}  // namespace mais::probing
