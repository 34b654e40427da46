#include "mais/probe/bandwidth.hpp"

#include <filesystem>

#include <gmock/gmock.h>

#include "mais/probe/probe.hpp"
#include "recorded_machine.hpp"

namespace mais::probing {
namespace {

using namespace mais::literals;
using ::testing::HasSubstr;

NumaNode first_node() {
  const auto readings = read_machine();
  EXPECT_TRUE(readings) << readings.error().message;
  return readings && !readings->topology.nodes.empty() ? readings->topology.nodes[0] : NumaNode{};
}

TEST(Bandwidth, ANodeIsMeasuredWithItsSpread) {
  const NumaNode node = first_node();
  if (node.cpus.empty()) GTEST_SKIP() << "no NUMA node to be seen here";
  const auto measured = measure_node(node, "host0", 4_MiB, 5);
  ASSERT_TRUE(measured) << measured.error().message;
  EXPECT_EQ(measured->rate.source, FigureSource::measured);
  EXPECT_GT(measured->rate.min.value, 0);
  EXPECT_LE(measured->rate.min, measured->rate.median);
  EXPECT_LE(measured->rate.median, measured->rate.max);
  EXPECT_THAT(measured->rate.how, HasSubstr("triad, "));
  EXPECT_THAT(measured->rate.how, HasSubstr("5 runs"));
}

TEST(Bandwidth, WhatCannotBeMeasuredSaysWhy) {
  const auto without = measure_node({.node = 0}, "host0", 4_MiB, 1);
  ASSERT_FALSE(without);
  EXPECT_THAT(without.error().message, HasSubstr("host0: has no processor near it"));
  NumaNode elsewhere;
  elsewhere.cpus = {1023};
  const auto foreign = measure_node(elsewhere, "host0", 4_MiB, 1);
  ASSERT_FALSE(foreign);
  EXPECT_THAT(foreign.error().message, HasSubstr("its processors may not be used"));
}

TEST(Bandwidth, ADiskIsReadAndLeftAsItWas) {
  const TemporaryFolder folder;
  const auto measured = measure_disk(folder.path(), 8_MiB, 2);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  if (!measured && measured.error().code == ErrorCode::unavailable) {
    GTEST_SKIP() << measured.error().message;
  }
  ASSERT_TRUE(measured) << measured.error().message;
  EXPECT_GT(measured->rate.median.value, 0);
  const auto nowhere = measure_disk(folder.path() + "/not/there", 8_MiB, 1);
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, ErrorCode::io_error);
}

TEST(Bandwidth, ArraysThatDoNotFitAreNotTried) {
  Readings readings;
  readings.host.total = readings.host.free = readings.host.available = 1_GiB;
  readings.topology.nodes = {{.node = 0, .size = 1_GiB, .cpus = {0}}};
  std::vector<std::string> problems;
  EXPECT_TRUE(measure_all(readings, nullptr, {.array = 512_MiB}, problems).empty());
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_THAT(problems[0], HasSubstr("three arrays of 512.00 MiB do not fit into the 1.00 GiB"));
}

}  // namespace
}  // namespace mais::probing
