#include "probe/host_text.hpp"

#include <gmock/gmock.h>

namespace mais::probing {
namespace {

using namespace mais::literals;
using ::testing::ElementsAre;

template <class T>
std::string message_of(const Result<T>& result) {
  return result ? "read without a fault" : result.error().message;
}

TEST(HostText, MeminfoReadsBothForms) {
  const auto plain = parse_meminfo("MemTotal:  16 kB\nMemFree: 8 kB\nHugePages_Total: 3\n", "m");
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(plain->bytes("MemTotal"), 16_KiB);
  EXPECT_EQ(plain->find("HugePages_Total"), 3);
  const auto node = parse_meminfo("Node 1 MemTotal: 4 kB\nNode 1 MemFree: 1 kB\n", "n");
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(node->bytes("MemFree"), 1_KiB);
}

TEST(HostText, MeminfoNamesLineAndRemedy) {
  EXPECT_EQ(message_of(parse_meminfo("MemTotal: 1 kB\n", "m")), "m:1: MemFree is missing");
  EXPECT_EQ(message_of(parse_meminfo("MemTotal: 1 kB\nMemFree: much\n", "m")),
            "m:2: 'MemFree' is 'much'; a value is \"1024 kB\"");
  EXPECT_EQ(message_of(parse_meminfo("MemTotal\n", "m")),
            "m:1: 'MemTotal' has no colon; a line is \"MemFree:  1024 kB\"");
  EXPECT_EQ(message_of(parse_meminfo("MemTotal: 9223372036854775807 kB\n", "m")),
            "m:1: 'MemTotal' is '9223372036854775807 kB'; a value is \"1024 kB\"");
  EXPECT_EQ(message_of(parse_meminfo("MemTotal: -5 kB\n", "m")),
            "m:1: 'MemTotal' is '-5 kB'; a value is \"1024 kB\"");
}

TEST(HostText, LimitsKnowBothWaysToSayNone) {
  EXPECT_EQ(*parse_limit("max\n", "l"), std::nullopt);
  EXPECT_EQ(*parse_limit("9223372036854771712\n", "l"), std::nullopt);
  EXPECT_EQ(*parse_limit("18446744073709551615\n", "l"), std::nullopt);
  EXPECT_EQ(*parse_limit("4096\n", "l"), 4_KiB);
  EXPECT_EQ(*parse_limit("0", "l"), 0_B);
  EXPECT_EQ(message_of(parse_limit("4k", "l")),
            "l:1: '4k' is not a limit; it is a number of bytes, or max");
  EXPECT_EQ(message_of(parse_limit("-1", "l")),
            "l:1: '-1' is not a limit; it is a number of bytes, or max");
}

TEST(HostText, PressureIsPartsOfTime) {
  const auto pressure = parse_pressure(
      "some avg10=4.36 avg60=100.00 avg300=14.50 total=71989077\n"
      "full avg10=0.50 avg60=0.00 avg300=0.00 total=0\n",
      "p");
  ASSERT_TRUE(pressure) << pressure.error().message;
  EXPECT_DOUBLE_EQ(pressure->some_10s, 0.0436);
  EXPECT_DOUBLE_EQ(pressure->some_60s, 1);
  EXPECT_DOUBLE_EQ(pressure->full_10s, 0.005);
  EXPECT_EQ(pressure->some_total, 71'989'077us);
  EXPECT_EQ(message_of(parse_pressure("some avg10=101\n", "p")),
            "p:1: 'avg10=101' is not a figure such as avg10=0.31, in percent");
  EXPECT_EQ(message_of(parse_pressure("most avg10=1\n", "p")),
            "p:1: 'most' is neither some nor full, of which pressure has a line each");
  EXPECT_EQ(message_of(parse_pressure("full avg10=1\n", "p")),
            "p:1: there is no line that begins with some");
}

TEST(HostText, IndexListsRise) {
  EXPECT_THAT(*parse_index_list("0-2,5,8-9\n", "c"), ElementsAre(0, 1, 2, 5, 8, 9));
  EXPECT_THAT(*parse_index_list("\n", "c"), ElementsAre());
  for (const char* bad : {"3-1", "1,1", "a", "0-70000", "1-", "-1", "5,4"}) {
    EXPECT_THAT(message_of(parse_index_list(bad, "c")),
                ::testing::HasSubstr("is not a range in a rising list such as 0-3,8"))
        << bad;
  }
}

TEST(HostText, MembershipsMayHaveColonsInTheirPath) {
  const auto list = parse_membership("4:memory,hugetlb:/a:b/c\n0::/x\n", "g");
  ASSERT_TRUE(list) << list.error().message;
  ASSERT_EQ(list->size(), 2u);
  EXPECT_THAT((*list)[0].controllers, ElementsAre("memory", "hugetlb"));
  EXPECT_EQ((*list)[0].path, "/a:b/c");
  EXPECT_TRUE((*list)[1].controllers.empty());
  EXPECT_EQ(message_of(parse_membership("memory /a\n", "g")),
            "g:1: 'memory /a' is not number:controllers:/path of a cgroup");
}

TEST(HostText, MountsOfOtherKindsAreSkipped) {
  const auto mounts = parse_mounts(
      "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
      "23 22 0:4 net:[4026531840] /run/netns/a rw - nsfs nsfs rw\n"
      "33 22 0:28 /a\\040b /sys/fs/cgroup/memory rw shared:9 master:2 - cgroup cgroup rw,memory\n",
      "i");
  ASSERT_TRUE(mounts) << mounts.error().message;
  ASSERT_EQ(mounts->size(), 1u);
  EXPECT_EQ((*mounts)[0].root, "/a b");
  EXPECT_TRUE((*mounts)[0].memory);
  EXPECT_EQ(message_of(parse_mounts("what is this\n", "i")),
            "i:1: 'what is this' is not a line of mountinfo");
}

TEST(HostText, ProcessFilesNameTheLineOfAFault) {
  EXPECT_EQ(message_of(parse_process_status("Name: a\nVmRSS: x kB\n", "s")),
            "s:2: VmRSS is 'x kB'; it is \"1024 kB\"");
  EXPECT_EQ(message_of(parse_process_status("CapEff: xyz\n", "s")),
            "s:1: CapEff is 'xyz'; it is hexadecimal");
  EXPECT_TRUE(parse_process_status("CapEff:\t0000000000004000\n", "s")->may_lock_all);
  EXPECT_FALSE(parse_process_status("CapEff:\t0000000000003fff\n", "s")->may_lock_all);
  EXPECT_EQ(message_of(parse_process_limits("Max address space  big  big bytes\n", "l")),
            "l:1: 'big' is not a limit; it is a number of bytes, or unlimited");
}

}  // namespace
}  // namespace mais::probing
