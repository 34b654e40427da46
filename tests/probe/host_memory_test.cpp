#include "mais/probe/host_memory.hpp"

#include <gmock/gmock.h>

#include "recorded_machine.hpp"

namespace mais::probing {
namespace {

using namespace mais::literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

HostMemory host_of(const std::string& name) {
  RecordedFiles files(load_record("host/" + name + ".record").files);
  auto host = read_host_memory(files);
  EXPECT_TRUE(host) << host.error().message;
  return host.value_or(HostMemory{});
}

struct Case {
  const char* record;
  CgroupTree tree;
  Bytes budget;
  BoundKind binds;
  const char* where;
};

class HostBudgetOf : public ::testing::TestWithParam<Case> {};

TEST_P(HostBudgetOf, IsTheSmallestOfAllThatApplyAndSaysWhich) {
  const HostMemory host = host_of(GetParam().record);
  const HostBudget budget = host_budget(host);
  EXPECT_EQ(host.tree, GetParam().tree);
  EXPECT_EQ(budget.bytes, GetParam().budget);
  ASSERT_FALSE(budget.bounds.empty());
  EXPECT_EQ(budget.bounds.front().kind, GetParam().binds);
  EXPECT_EQ(budget.bounds.front().where, GetParam().where);
  for (const Bound& bound : budget.bounds) EXPECT_GE(bound.headroom, budget.bytes);
}

TEST_P(HostBudgetOf, IsTheSameBelowARootPath) {
  const MachineRecord record = load_record(std::string("host/") + GetParam().record + ".record");
  const TemporaryFolder root;
  unpack(record, root);
  for (const bool keep_open : {false, true}) {
    SystemFiles files(root.path(), keep_open);
    HostMemoryReader reader(files);
    for (int times = 0; times < 2; ++times) {
      const auto host = reader.read();
      ASSERT_TRUE(host) << host.error().message;
      EXPECT_EQ(host_budget(*host).bytes, GetParam().budget);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Recorded, HostBudgetOf,
    ::testing::Values(
        Case{"no_cgroup", CgroupTree::none, 24_GiB, BoundKind::available, ""},
        Case{"cgroup_v2", CgroupTree::v2, 3_GiB, BoundKind::cgroup_max,
             "/sys/fs/cgroup/kubepods/pod1"},
        Case{"cgroup_v2_high", CgroupTree::v2, 2_GiB, BoundKind::cgroup_high,
             "/sys/fs/cgroup/kubepods/pod1"},
        Case{"cgroup_v1", CgroupTree::v1, 1536_MiB, BoundKind::cgroup_max,
             "/sys/fs/cgroup/memory/docker/abc"},
        Case{"cgroup_hybrid", CgroupTree::hybrid, 1536_MiB, BoundKind::cgroup_max,
             "/sys/fs/cgroup/memory/docker/abc"},
        Case{"cgroup_v1_container", CgroupTree::v1, 3584_MiB, BoundKind::hidden_cgroup,
             "/sys/fs/cgroup/memory/memory.stat"},
        Case{"cgroup_outside", CgroupTree::v2, 2_GiB, BoundKind::cgroup_max, "/sys/fs/cgroup tree"},
        Case{"one_of_two_nodes", CgroupTree::none, 27_GiB, BoundKind::allowed_nodes, ""},
        Case{"address_limit", CgroupTree::none, 2_GiB, BoundKind::address_space, ""}),
    [](const auto& one) { return std::string(one.param.record); });

TEST(HostMemory, OwnCgroupComesFirstAndUnlimitedAncestorsAreLeftOut) {
  const HostMemory host = host_of("cgroup_v2");
  ASSERT_EQ(host.cgroups.size(), 3u);
  EXPECT_EQ(host.cgroups[0].folder, "/sys/fs/cgroup/kubepods/pod1/main");
  EXPECT_FALSE(host.cgroups[0].max);
  EXPECT_EQ(host.cgroups[0].current, 2_GiB);
  EXPECT_EQ(host.cgroups[1].max, 8_GiB);
  EXPECT_EQ(host.cgroups[1].reclaimable, 1_GiB);  // neither dirty nor being written
  EXPECT_EQ(host.cgroups[1].times_max, 17u);
  EXPECT_EQ(host.cgroups[1].times_oom_kill, 1u);
  EXPECT_THAT(host.doubts, IsEmpty());
}

TEST(HostMemory, PressureIsThatOfTheOwnCgroupWhereItHasAny) {
  const HostMemory own = host_of("cgroup_v2");
  ASSERT_TRUE(own.pressure);
  EXPECT_EQ(own.pressure_file, "/sys/fs/cgroup/kubepods/pod1/main/memory.pressure");
  EXPECT_DOUBLE_EQ(own.pressure->some_10s, 0.125);
  EXPECT_DOUBLE_EQ(own.pressure->full_10s, 0.0325);
  EXPECT_EQ(own.pressure->some_total, 987654us);
  EXPECT_EQ(host_of("cgroup_v1").pressure_file, "/proc/pressure/memory");
}

TEST(HostMemory, LockedMemoryAndHugePagesAreRead) {
  const HostMemory host = host_of("one_of_two_nodes");
  EXPECT_EQ(host.locked_limit, 8_MiB);
  EXPECT_EQ(lockable(host), 8_MiB - 64_KiB);
  ASSERT_EQ(host.huge_pages.size(), 1u);
  EXPECT_EQ(host.huge_pages[0].size, 2_MiB);
  EXPECT_EQ(host.huge_pages[0].free, 500);
  EXPECT_THAT(host.allowed_nodes, ElementsAre(1));

  HostMemory root = host;
  root.may_lock_all = true;
  EXPECT_EQ(lockable(root), std::nullopt);
}

TEST(HostMemory, MemoryOfADeviceIsNotTheHosts) {
  const HostMemory host = host_of("one_of_two_nodes");
  HostMemory both = host;
  both.allowed_nodes.clear();
  // The second node belongs to a GPU: 40 GiB are available, 27 of them there.
  const HostBudget budget = host_budget(both, std::vector<int>{1});
  EXPECT_EQ(budget.bytes, 13_GiB);
  for (const Bound& bound : budget.bounds) {
    const bool of_memory =
        bound.kind == BoundKind::available || bound.kind == BoundKind::allowed_nodes;
    EXPECT_TRUE(!of_memory || bound.limit == 32_GiB) << to_string(bound.kind);
  }
}

TEST(HostMemory, AnOldCgroupThatCountsAloneLimitsNoChild) {
  MachineRecord record = load_record("host/cgroup_v1.record");
  record.files["/sys/fs/cgroup/memory/docker/memory.limit_in_bytes"] = "1048576\n";
  const auto budget = [&] {
    RecordedFiles files(record.files);
    return host_budget(*read_host_memory(files)).bytes;
  };
  EXPECT_EQ(budget(), 0_B);
  record.files["/sys/fs/cgroup/memory/docker/memory.use_hierarchy"] = "0\n";
  EXPECT_EQ(budget(), 1536_MiB);
}

TEST(HostMemory, WhatCannotBeReadIsADoubtAndNotAFigure) {
  MachineRecord record = load_record("host/cgroup_v2.record");
  record.files["/sys/fs/cgroup/kubepods/pod1/memory.max"] = "plenty\n";
  record.files["/proc/self/limits"] = "Max locked memory  some  some  bytes\n";
  RecordedFiles files(record.files);
  const auto host = read_host_memory(files);
  ASSERT_TRUE(host);
  EXPECT_THAT(host->doubts, ElementsAre(HasSubstr("pod1/memory.max:1: 'plenty' is not a limit"),
                                        HasSubstr("/proc/self/limits:1: 'some' is not a limit")));
  EXPECT_EQ(host_budget(*host).bytes, 10_GiB);  // now the next ancestor binds
}

TEST(HostMemory, WithoutMeminfoThereIsAReason) {
  RecordedFiles files({});
  const auto host = read_host_memory(files);
  ASSERT_FALSE(host);
  EXPECT_EQ(host.error().code, ErrorCode::unavailable);
  EXPECT_THAT(host.error().message, HasSubstr("/proc/meminfo cannot be read"));
}

TEST(HostMemory, AMoveToAnotherCgroupIsNoticed) {
  const MachineRecord record = load_record("host/cgroup_v2.record");
  const TemporaryFolder root;
  unpack(record, root);
  SystemFiles files(root.path());
  HostMemoryReader reader(files);
  EXPECT_EQ(host_budget(*reader.read()).bytes, 3_GiB);
  root.write("/proc/self/cgroup", "0::/kubepods\n");
  EXPECT_EQ(host_budget(*reader.read()).bytes, 10_GiB);
}

}  // namespace
}  // namespace mais::probing
