// What every source of the probe keeps to, whoever it asks. A test program gives the sources it can
// make; each of them must pass all.
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <ostream>
#include <set>
#include <string>

#include <gmock/gmock.h>

#include "mais/probe/readings.hpp"

namespace mais::probing {

// What one source said; what it does not know of stays empty.
struct Said {
  SourceStatus status{};
  Readings readings{};
};

struct Source {
  std::string name;
  // Asks it anew.
  std::function<Said()> ask;
};

inline std::ostream& operator<<(std::ostream& out, const Source& source) {
  return out << source.name;
}

// What does not change from one moment to the next.
inline std::string lasting(const Readings& readings) {
  std::string text = std::to_string(readings.host.total.count());
  for (const NumaNode& node : readings.topology.nodes) {
    text += " node " + std::to_string(node.node) + " " + std::to_string(node.cpus.size());
  }
  for (const PciGpu& gpu : readings.topology.gpus) text += " " + gpu.pci;
  text += " " + std::to_string(readings.topology.cores);
  for (const CudaDevice& gpu : readings.cuda.devices) {
    text += " " + gpu.uuid + gpu.pci + gpu.name + std::to_string(gpu.total.count());
  }
  for (const NvmlDevice& gpu : readings.nvml.devices) text += " " + gpu.uuid + gpu.pci;
  for (const CgroupLevel& level : readings.host.cgroups) text += " " + level.folder;
  return text;
}

inline std::size_t open_files() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

class SourceConformance : public ::testing::TestWithParam<Source> {};

TEST_P(SourceConformance, SaysWhatItIsOrWhyItIsMissing) {
  const Said said = GetParam().ask();
  EXPECT_FALSE(said.status.name.empty());
  EXPECT_FALSE(said.status.detail.empty());
  EXPECT_EQ(said.status.detail.find('\n'), std::string::npos);
}

TEST_P(SourceConformance, AMissingOneGivesNoFigure) {
  const Said said = GetParam().ask();
  if (said.status.available) return;
  const Readings& r = said.readings;
  EXPECT_TRUE(r.topology.nodes.empty() && r.topology.gpus.empty());
  EXPECT_TRUE(r.cuda.devices.empty() && r.nvml.devices.empty());
  EXPECT_EQ(r.host.total, Bytes(0));
}

TEST_P(SourceConformance, SaysTheSameTwice) {
  EXPECT_EQ(lasting(GetParam().ask().readings), lasting(GetParam().ask().readings));
}

TEST_P(SourceConformance, FiguresAreInRange) {
  const Readings r = GetParam().ask().readings;
  const auto within = [](Bytes part, Bytes whole) { return Bytes(0) <= part && part <= whole; };
  EXPECT_TRUE(within(r.host.free, r.host.total));
  for (const NodeMemory& node : r.host.nodes) {
    EXPECT_TRUE(within(node.free, node.total) && within(node.available, node.total));
  }
  for (const CgroupLevel& level : r.host.cgroups) EXPECT_GE(level.current, Bytes(0));
  for (const NumaNode& node : r.topology.nodes) {
    EXPECT_GE(node.size, Bytes(0));
    EXPECT_TRUE(std::is_sorted(node.cpus.begin(), node.cpus.end()));
    EXPECT_EQ(node.bandwidth.known(), node.bandwidth.median.value > 0);
    EXPECT_LE(node.bandwidth.min, node.bandwidth.max);
  }
  for (const PciGpu& gpu : r.topology.gpus) {
    EXPECT_EQ(canonical_pci(gpu.pci), gpu.pci);
    EXPECT_TRUE(gpu.link.value >= 0 && std::isfinite(gpu.link.value));
  }
  for (const CudaDevice& gpu : r.cuda.devices) {
    EXPECT_EQ(canonical_uuid(gpu.uuid), gpu.uuid);
    EXPECT_TRUE(gpu.pci.empty() || canonical_pci(gpu.pci) == gpu.pci);
    EXPECT_GE(gpu.total, Bytes(0));
    for (const int peer : gpu.peers) EXPECT_NE(peer, gpu.ordinal);
    EXPECT_TRUE(!gpu.memory || within(gpu.memory->free, gpu.memory->total));
  }
  for (const NvmlDevice& gpu : r.nvml.devices) {
    EXPECT_EQ(canonical_uuid(gpu.uuid), gpu.uuid);
    EXPECT_TRUE(gpu.pci.empty() || canonical_pci(gpu.pci) == gpu.pci);
    EXPECT_TRUE(!gpu.memory || within(gpu.memory->free, gpu.memory->total));
    EXPECT_EQ(gpu.health == GpuHealth::good, gpu.trouble.empty());
    EXPECT_TRUE(gpu.health != GpuHealth::lost || !gpu.memory) << "a stale figure";
  }
}

TEST_P(SourceConformance, NothingIsNamedTwice) {
  const Readings r = GetParam().ask().readings;
  std::set<std::string> seen;
  for (const NumaNode& node : r.topology.nodes) {
    EXPECT_TRUE(seen.insert("node" + std::to_string(node.node)).second) << node.node;
  }
  for (const PciGpu& gpu : r.topology.gpus) EXPECT_TRUE(seen.insert(gpu.pci).second) << gpu.pci;
  for (const CudaDevice& gpu : r.cuda.devices) {
    EXPECT_TRUE(gpu.uuid.empty() || seen.insert("cuda" + gpu.uuid).second) << gpu.uuid;
  }
  for (const NvmlDevice& gpu : r.nvml.devices) {
    EXPECT_TRUE(gpu.uuid.empty() || seen.insert("nvml" + gpu.uuid).second) << gpu.uuid;
  }
}

TEST_P(SourceConformance, LeavesNothingOpen) {
  GetParam().ask();  // what a library keeps from its first use on
  const std::size_t before = open_files();
  for (int i = 0; i < 20; ++i) GetParam().ask();
  EXPECT_EQ(open_files(), before);
}

}  // namespace mais::probing
