#include "mais/probe/record.hpp"

#include <gmock/gmock.h>

#include "recorded_machine.hpp"

namespace mais::probing {
namespace {

using namespace mais::literals;
using ::testing::HasSubstr;

MachineRecord full_record() {
  MachineRecord record;
  record.files["/proc/meminfo"] = "MemTotal: 1 kB\n\n  indented\n";
  record.hwloc_xml = "<topology>\n</topology>\n";
  record.cuda.status = {"CUDA driver", true, "13.0"};
  record.cuda.driver_version = 13000;
  CudaDevice& device = record.cuda.devices.emplace_back();
  device.ordinal = 1;
  device.name = "GPU of two words";
  device.uuid = "01234567-89ab-cdef-0123-456789abcdef";
  device.total = 80_GiB;
  device.integrated = true;
  device.host_node = 1;
  device.peers = {0, 3};
  device.memory = FreeAndTotal{1_GiB, 2_GiB};
  record.nvml.status = {"NVML", true, "580"};
  NvmlDevice& other = record.nvml.devices.emplace_back();
  other.pci = "0000:17:00.0";
  other.processes = {{12, 5_MiB}, {13, std::nullopt}};
  other.health = GpuHealth::unhealthy;
  other.trouble = "2 uncorrected errors";
  other.power_watts = 71.5;
  other.ecc = true;
  other.nvlinks = {{"0000:18:00.0", false, 4}};
  record.measured = {{"host0 > gpu0",
                      {FigureSource::measured, {1e9}, {1.5e9}, {2e9}, "pinned copies"},
                      Duration(9000)}};
  return record;
}

TEST(Record, IsReadBackAsItWasWritten) {
  const MachineRecord record = full_record();
  const std::string text = to_text(record);
  const auto back = parse_record(text, "r");
  ASSERT_TRUE(back) << back.error().message << "\n" << text;
  EXPECT_EQ(to_text(*back), text);
  EXPECT_EQ(back->files, record.files);
  EXPECT_EQ(back->hwloc_xml, record.hwloc_xml);
  ASSERT_EQ(back->cuda.devices.size(), 1u);
  EXPECT_EQ(back->cuda.devices[0].peers, (std::vector<int>{0, 3}));
  EXPECT_EQ(back->cuda.devices[0].host_node, 1);
  EXPECT_EQ(back->cuda.devices[0].memory_node, std::nullopt);
  EXPECT_EQ(back->cuda.devices[0].memory->free, 1_GiB);
  ASSERT_EQ(back->nvml.devices.size(), 1u);
  EXPECT_EQ(back->nvml.devices[0].processes[1].used, std::nullopt);
  EXPECT_EQ(back->nvml.devices[0].health, GpuHealth::unhealthy);
  ASSERT_EQ(back->measured.size(), 1u);
  EXPECT_EQ(back->measured[0].rate.median.value, 1.5e9);
  EXPECT_EQ(back->measured[0].latency, 9us);
}

TEST(Record, FaultsNameLineAndRemedy) {
  const auto message_of = [](const std::string& text) {
    const auto record = parse_record(text, "r");
    return record ? "read without a fault" : record.error().message;
  };
  const std::string head = "mais machine record 1\n";
  EXPECT_EQ(message_of("something"),
            "r:1: 'something' is not \"mais machine record 1\", the first line");
  EXPECT_EQ(message_of(head + "|text\n"), "r:2: text stands before the first section");
  EXPECT_EQ(message_of(head + "rocm\n"),
            "r:2: 'rocm' is no section; there are file /path, hwloc-xml, cuda, nvml, measured");
  EXPECT_EQ(message_of(head + "file relative\n"),
            "r:2: 'file relative' is no section; there are file /path, hwloc-xml, cuda, nvml, "
            "measured");
  EXPECT_EQ(message_of(head + "cuda\n|available maybe\n"), "r:3: available cannot be 'maybe'");
  EXPECT_EQ(message_of(head + "cuda\n|device\n|  total -1\n"), "r:4: total cannot be '-1'");
  EXPECT_EQ(message_of(head + "cuda\n|device\n|  colour red\n"),
            "r:4: 'colour' is not known here, or stands here twice");
  EXPECT_EQ(message_of(head + "cuda\n|device 5\n"), "r:3: device cannot be '5'");
  EXPECT_EQ(message_of(head + "cuda\ncuda\n"), "r:3: 'cuda' stands here twice");
  EXPECT_THAT(message_of(head + "measured\n|rate\n|  place a\n|  least 2\n|  median 1\n"),
              HasSubstr("r:2: the rate of 'a' needs a place, 0 < least <= median <= most"));
}

TEST(Record, CommentsAndEmptyLinesAreSkipped) {
  const auto record =
      parse_record("mais machine record 1\n# why\n\nfile /a\n|# kept\n\n# skipped\n|b\n", "r");
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->files.at("/a"), "# kept\nb\n");
}

}  // namespace
}  // namespace mais::probing
