// Host memory: what the system refuses, and where pages really are.
#include "mais/memory/host_source.hpp"

#include <cerrno>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <unistd.h>

#include <gmock/gmock.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>

#include "memory/host_calls.hpp"

namespace mais::memory {
namespace {

using namespace mais::literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Calls of the system of which those that a test names fail, from the nth on.
struct Failing {
  static inline int after = 0, number = 0;
  static bool now() {
    if (number == 0 || after-- > 0) return false;
    errno = number;
    return true;
  }
  static void set(int nth, int with) {
    after = nth;
    number = with;
  }
};

class HostSourceTest : public ::testing::Test {
 protected:
  void TearDown() override { Failing::set(0, 0); }
  HostCalls calls_;
};

// Bytes of [begin, begin + size) that are in memory, as the kernel counts them.
std::size_t resident(const void* begin, std::size_t size) {
  std::vector<unsigned char> pages(size / 4096 + 1);
  if (::mincore(const_cast<void*>(begin), size, pages.data()) != 0) return 0;
  std::size_t count = 0;
  for (const unsigned char page : pages) count += page & 1U;
  return count * 4096;
}

TEST_F(HostSourceTest, ARefusedReservationSaysWhichCallAndWhy) {
  calls_.map = [](void*, std::size_t, int, int, int, off_t) -> void* {
    errno = ENOMEM;
    return MAP_FAILED;
  };
  HostSource source({}, calls_);
  const Result<Region> region = source.reserve(1_MiB, 4);
  ASSERT_FALSE(region);
  EXPECT_EQ(region.error().code, ErrorCode::over_capacity);
  EXPECT_THAT(region.error().message, HasSubstr("mmap"));
  EXPECT_THAT(region.error().message, HasSubstr("Cannot allocate memory"));
}

TEST_F(HostSourceTest, ACommitThatTheSystemRefusesUndoesWhatCameBeforeIt) {
  calls_.protect = [](void* at, std::size_t size, int what) {
    return Failing::now() ? -1 : ::mprotect(at, size, what);
  };
  HostSource source({}, calls_);
  Region region = *source.reserve(64_KiB, 8);
  for (int nth = 0; nth < 4; ++nth) {
    Failing::set(nth, ENOMEM);
    const Result<void> failed = region.commit(0, 4);
    Failing::set(0, 0);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::over_capacity);
    EXPECT_EQ(failed.error().asked, 64 * 1024);
    EXPECT_EQ(region.committed(), 0_B) << nth;
  }
  EXPECT_TRUE(region.commit(0, 4));
}

TEST_F(HostSourceTest, AdviceThatIsRefusedIsAnErrorAndLeavesNothingMapped) {
  calls_.advise = [](void* at, std::size_t size, int what) {
    return Failing::now() ? -1 : ::madvise(at, size, what);
  };
  HostSource source({.populate = true}, calls_);
  Region region = *source.reserve(64_KiB, 2);
  Failing::set(0, ENOMEM);
  ASSERT_FALSE(region.commit(0));
  Failing::set(0, EINVAL);  // a kernel that does not know how: it is done by hand
  ASSERT_TRUE(region.commit(0));
  Failing::set(0, 0);
  EXPECT_EQ(resident(region.address(0), 65536), 65536U);
}

TEST_F(HostSourceTest, ADecommitThatIsRefusedLeavesTheSlabAsItWas) {
  HostSource source({}, calls_);
  Region region = *source.reserve(64_KiB, 2);
  ASSERT_TRUE(region.commit(0, 2));
  *region.address(1) = std::byte{5};
  calls_.map = [](void* at, std::size_t size, int what, int flags, int fd, off_t offset) -> void* {
    return Failing::now() ? MAP_FAILED : ::mmap(at, size, what, flags, fd, offset);
  };
  Failing::set(1, ENOMEM);
  ASSERT_FALSE(region.decommit(0, 2));
  EXPECT_FALSE(region.is_committed(0));
  EXPECT_TRUE(region.is_committed(1));
  EXPECT_EQ(*region.address(1), std::byte{5});
}

TEST_F(HostSourceTest, MemoryIsThereWhenPopulatedAndGoneWhenDecommitted) {
  HostSource source({.populate = true});
  Region region = *source.reserve(1_MiB, 2);
  ASSERT_TRUE(region.commit(0, 2));
  EXPECT_EQ(resident(region.address(0), 1 << 20), 1U << 20);
  const std::byte* const second = region.address(1);
  ASSERT_TRUE(region.decommit(1));
  EXPECT_EQ(resident(second, 1 << 20), 0U);
  EXPECT_EQ(resident(region.address(0), 1 << 20), 1U << 20);
}

TEST_F(HostSourceTest, PagesAreBoundToTheNodeThatWasAskedFor) {
  HostSource source({.numa_node = 0, .binding = HostOptions::Binding::only});
  if (!source.notes().empty()) GTEST_SKIP() << source.notes().front();
  Region region = *source.reserve(64_KiB, 1);
  ASSERT_TRUE(region.commit(0));
  int mode = -1;
  unsigned long nodes = 0;
  ASSERT_EQ(
      ::syscall(SYS_get_mempolicy, &mode, &nodes, 8 * sizeof nodes, region.address(0), MPOL_F_ADDR),
      0);
  EXPECT_EQ(mode, MPOL_BIND);
  EXPECT_EQ(nodes, 1UL);
  EXPECT_EQ(source.reach().numa_node, 0);
}

TEST_F(HostSourceTest, ANodeThatIsNotThereIsNotedAndLeftOut) {
  for (const int node : {-1, 1000, 5000}) {
    HostSource source({.numa_node = node});
    EXPECT_THAT(source.notes(), ElementsAre(HasSubstr("NUMA node " + std::to_string(node))));
    EXPECT_EQ(source.reach().numa_node, std::nullopt);
    EXPECT_TRUE(source.reserve(64_KiB, 1)->commit(0));
  }
}

TEST_F(HostSourceTest, AKernelThatLetsNobodyBindIsNotedOnce) {
  calls_.bind = [](void*, std::size_t, int, const unsigned long*, unsigned long) {
    errno = EPERM;
    return -1;
  };
  HostSource source({.numa_node = 0}, calls_);
  EXPECT_THAT(source.notes(), ElementsAre(HasSubstr("Operation not permitted")));
  EXPECT_TRUE(source.reserve(64_KiB, 1)->commit(0));
}

TEST_F(HostSourceTest, HugePagesAreAskedForOrNoted) {
  static int advised = 0;
  advised = 0;
  calls_.advise = [](void* at, std::size_t size, int what) {
    advised += what == MADV_HUGEPAGE;
    return ::madvise(at, size, what);
  };
  HostSource source({.pages = HostOptions::Pages::huge}, calls_);
  if (source.notes().empty()) {
    EXPECT_GT(source.granularity(), 64_KiB);
    Region region = *source.reserve(source.granularity(), 3);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(region.base()) %
                  static_cast<std::uintptr_t>(source.granularity().count()),
              0U)
        << "a huge page begins at a multiple of its size";
    ASSERT_TRUE(region.commit(0, 2));
    EXPECT_EQ(advised, 2);
  } else {
    EXPECT_THAT(source.notes(), ElementsAre(HasSubstr("huge pages are off")));
  }
}

}  // namespace
}  // namespace mais::memory
