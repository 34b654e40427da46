#include "mais/probe/topology.hpp"

#include <gmock/gmock.h>

#include "mais/probe/gpu.hpp"
#include "recorded_machine.hpp"

namespace mais::probing {
namespace {

using namespace mais::literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

using Files = std::map<std::string, std::string, std::less<>>;

// Two nodes with processors, one without; two GPUs, and a network card that is none.
Files small_sysfs() {
  const std::string node = "/sys/devices/system/node/node", pci = "/sys/bus/pci/devices/",
                    cpu = "/sys/devices/system/cpu/";
  Files files;
  for (const auto& [number, cpus] : {std::pair{"0", "0-1"}, {"1", "2-3"}, {"10", ""}}) {
    files[node + number + "/meminfo"] = "Node 0 MemTotal: 1048576 kB\nNode 0 MemFree: 1024 kB\n";
    files[node + number + "/cpulist"] = std::string(cpus) + "\n";
  }
  files[node + "10/access0/initiators/read_bandwidth"] = "12000\n";
  files[node + "10/access0/initiators/read_latency"] = "350\n";
  files[cpu + "online"] = "0-3\n";
  for (const auto& [number, package, core] :
       {std::tuple{"0", "0", "0"}, {"1", "0", "0"}, {"2", "1", "0"}, {"3", "1", "1"}}) {
    files[cpu + "cpu" + number + "/topology/physical_package_id"] = package;
    files[cpu + "cpu" + number + "/topology/core_id"] = core;
  }
  files[cpu + "cpu0/cache/index0/size"] = "32K\n";
  files[cpu + "cpu0/cache/index3/size"] = "32768K\n";
  files[pci + "0000:17:00.0/class"] = "0x030200\n";
  files[pci + "0000:17:00.0/vendor"] = "0x10de\n";
  files[pci + "0000:17:00.0/device"] = "0x2330\n";
  files[pci + "0000:17:00.0/numa_node"] = "1\n";
  files[pci + "0000:17:00.0/max_link_speed"] = "32.0 GT/s PCIe\n";
  files[pci + "0000:17:00.0/max_link_width"] = "16\n";
  files[pci + "0000:18:00.0/class"] = "0x030000\n";
  files[pci + "0000:18:00.0/numa_node"] = "-1\n";
  files[pci + "0000:19:00.0/class"] = "0x020000\n";
  return files;
}

TEST(TopologyFiles, NodesProcessorsAndGpusAreRead) {
  RecordedFiles files(small_sysfs());
  const auto topology = read_topology_files(files);
  ASSERT_TRUE(topology) << topology.error().message;
  ASSERT_THAT(topology->nodes, SizeIs(3));
  EXPECT_EQ(topology->nodes[2].node, 10);  // by number, not by name
  EXPECT_TRUE(topology->nodes[2].memory_only);
  EXPECT_THAT(topology->nodes[1].cpus, ElementsAre(2, 3));
  EXPECT_EQ(topology->nodes[2].bandwidth.source, FigureSource::firmware);
  EXPECT_EQ(topology->nodes[2].bandwidth.median.value, 12e9);
  EXPECT_EQ(topology->nodes[2].latency, Duration(350));
  EXPECT_FALSE(topology->nodes[0].bandwidth.known());
  EXPECT_EQ(topology->packages, 2u);
  EXPECT_EQ(topology->cores, 3u);  // two threads of the first
  EXPECT_EQ(topology->processing_units, 4u);
  EXPECT_EQ(topology->last_level_cache, 32_MiB);
  ASSERT_THAT(topology->gpus, SizeIs(2));
  EXPECT_EQ(topology->gpus[0].device, 0x2330);
  EXPECT_THAT(topology->gpus[0].numa_nodes, ElementsAre(1));
  EXPECT_EQ(topology->gpus[0].link.value, pcie_peak(5, 16).value);
  EXPECT_TRUE(topology->gpus[1].numa_nodes.empty());
  EXPECT_EQ(topology->gpus[1].link.value, 0);
}

TEST(TopologyFiles, NodesThatMayNotBeUsedAreMarked) {
  Files recorded = small_sysfs();
  recorded["/proc/self/status"] = "Mems_allowed_list:\t0,10\n";
  RecordedFiles files(recorded);
  const auto topology = read_topology_files(files);
  ASSERT_TRUE(topology);
  EXPECT_TRUE(topology->nodes[0].allowed);
  EXPECT_FALSE(topology->nodes[1].allowed);
}

TEST(Topology, HwlocAndTheFilesAgreeOnThisMachine) {
  if (!has_hwloc()) GTEST_SKIP() << "hwloc is off";
  const auto by_hwloc = read_topology();
  SystemFiles files;
  const auto by_files = read_topology_files(files);
  ASSERT_TRUE(by_hwloc) << by_hwloc.error().message;
  if (!by_files) GTEST_SKIP() << by_files.error().message;
  ASSERT_EQ(by_hwloc->nodes.size(), by_files->nodes.size());
  for (std::size_t i = 0; i < by_files->nodes.size(); ++i) {
    EXPECT_EQ(by_hwloc->nodes[i].node, by_files->nodes[i].node);
  }
  EXPECT_EQ(by_hwloc->processing_units, by_files->processing_units);
}

TEST(Topology, ItsXmlIsReadBackAndHoldsNoName) {
  if (!has_hwloc()) GTEST_SKIP() << "hwloc is off";
  std::string xml;
  const auto topology = read_topology(&xml);
  ASSERT_TRUE(topology) << topology.error().message;
  EXPECT_EQ(xml.find("HostName"), std::string::npos);
  EXPECT_EQ(xml.find("ProcessName"), std::string::npos);
  const auto back = read_topology_xml(xml);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->nodes.size(), topology->nodes.size());
  EXPECT_EQ(back->cores, topology->cores);
  EXPECT_EQ(back->gpus.size(), topology->gpus.size());
}

std::string message_of(const std::string& xml) {
  const auto topology = read_topology_xml(xml);
  return topology ? "read without a fault" : topology.error().message;
}

std::string with(std::string text, std::string_view old, std::string_view replacement) {
  const auto at = text.find(old);
  EXPECT_NE(at, std::string::npos) << old;
  return text.replace(at, old.size(), replacement);
}

TEST(Topology, XmlThatWouldCrashHwlocIsRefusedWithItsLine) {
  if (!has_hwloc()) GTEST_SKIP() << "hwloc is off";
  const std::string good = load_record("machines/laptop.record").hwloc_xml;
  EXPECT_EQ(message_of(good), "read without a fault");
  EXPECT_THAT(message_of(""), HasSubstr("hwloc-xml:1: there is no processing unit"));
  EXPECT_THAT(message_of("<html>"), HasSubstr("hwloc-xml:1: 'html' is not the <topology"));
  EXPECT_THAT(message_of(with(good, "version=\"2.0\"", "version=\"1.0\"")),
              HasSubstr("is not the <topology version=\"2.0\"> that is wanted"));
  EXPECT_THAT(message_of(with(good, "complete_cpuset=\"0x0000000f\"", "")),
              HasSubstr("hwloc-xml:4: Machine needs a complete_cpuset such as 0x0000000f"));
  EXPECT_THAT(message_of(with(good, "type=\"PU\" os_index=\"0\"", "type=\"PU\" os_index=\"3\"")),
              HasSubstr("the cpuset of PU 3 is not itself"));
  EXPECT_THAT(message_of(with(good, "type=\"Core\"", "type=\"Cord\"")),
              HasSubstr("'Cord' is no type of object"));
  EXPECT_THAT(message_of(with(good, "gp_index=\"2\"", "gp_index=\"1\"")),
              HasSubstr("each object has a gp_index of its own"));
  EXPECT_THAT(message_of(with(good, "type=\"Package\" os_index=\"0\" cpuset=\"0x0000000f\"",
                              "type=\"Package\" os_index=\"0\" cpuset=\"0x0000001f\"")),
              HasSubstr("larger than its complete ones"));
  EXPECT_THAT(message_of(good.substr(0, good.rfind("</object>"))),
              HasSubstr("the text ends inside <"));
}

}  // namespace
}  // namespace mais::probing
