// Pinned memory: the limit, what the system refuses, and that pages are really locked.
#include "mais/memory/pinned_source.hpp"

#include <cerrno>
#include <fstream>
#include <unistd.h>

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "memory/host_calls.hpp"

namespace mais::memory {
namespace {

using namespace mais::literals;
using ::testing::HasSubstr;

// What the kernel counts as locked by this process.
std::int64_t locked_kib() {
  std::ifstream status("/proc/self/status");
  std::string word;
  std::int64_t value = 0;
  while (status >> word) {
    if (word == "VmLck:") status >> value;
  }
  return value;
}

class PinnedSourceTest : public ::testing::Test {
 protected:
  // Skips where the process may not lock that little.
  void SetUp() override {
    PinnedSource source({.limit = 256_KiB}, calls_);
    const Result<void> done = source.reserve(256_KiB, 1)->commit(0);
    if (!done) GTEST_SKIP() << done.error().message;
  }
  // The system's own: the sanitizers make mlock() do nothing.
  PinnedSourceTest() {
    calls_.lock = [](const void* begin, std::size_t size) {
      return static_cast<int>(::syscall(SYS_mlock, begin, size));
    };
    calls_.unlock = [](const void* begin, std::size_t size) {
      return static_cast<int>(::syscall(SYS_munlock, begin, size));
    };
  }
  HostCalls calls_;
};

TEST_F(PinnedSourceTest, PagesAreLockedFromCommitToDecommit) {
  const std::int64_t before = locked_kib();
  PinnedSource source({.limit = 256_KiB}, calls_);
  {
    Region region = *source.reserve(64_KiB, 4);
    EXPECT_EQ(locked_kib(), before);
    ASSERT_TRUE(region.commit(0, 3));
    EXPECT_EQ(locked_kib(), before + 192);
    EXPECT_EQ(source.pinned(), 192_KiB);
    ASSERT_TRUE(region.decommit(1));
    EXPECT_EQ(locked_kib(), before + 128);
  }
  EXPECT_EQ(locked_kib(), before);
  EXPECT_EQ(source.pinned(), 0_B);
}

TEST_F(PinnedSourceTest, BeyondTheLimitACommitIsRefusedWithTheNumbersAndTheRemedy) {
  PinnedSource source({.limit = 192_KiB}, calls_);
  Region region = *source.reserve(64_KiB, 5);
  const Result<void> refused = region.commit(0, 4);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::over_limit);
  EXPECT_EQ(refused.error().asked, 65536);
  EXPECT_EQ(refused.error().available, 0);
  EXPECT_THAT(refused.error().message, HasSubstr("196608 of 196608 B are"));
  EXPECT_EQ(source.pinned(), 0_B) << "all or nothing";
  ASSERT_TRUE(region.commit(0, 3));
  ASSERT_FALSE(region.commit(3));
  ASSERT_TRUE(region.decommit(0));
  EXPECT_TRUE(region.commit(3));
}

TEST_F(PinnedSourceTest, WithoutALimitOfItsOwnItKeepsToThatOfTheProcess) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &before), 0);
  rlimit small = before;
  small.rlim_cur = 128 << 10;
  ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &small), 0);
  {
    PinnedSource source({}, calls_);
    EXPECT_EQ(source.limit(), 128_KiB);
    Region region = *source.reserve(64_KiB, 3);
    ASSERT_TRUE(region.commit(0, 2));
    const Result<void> refused = region.commit(2);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("RLIMIT_MEMLOCK"));
    EXPECT_THAT(refused.error().message, HasSubstr("ulimit -l"));
    PinnedSource second({}, calls_);
    EXPECT_EQ(second.limit(), 0_B) << "what is locked already counts";
  }
  EXPECT_EQ(::setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

TEST_F(PinnedSourceTest, WhatTheKernelRefusesIsSaidAndUndone) {
  calls_.lock = [](const void*, std::size_t) {
    errno = ENOMEM;
    return -1;
  };
  PinnedSource source({.limit = 1_MiB}, calls_);
  Region region = *source.reserve(64_KiB, 2);
  const Result<void> refused = region.commit(0, 2);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::over_limit);
  EXPECT_THAT(refused.error().message, HasSubstr("mlock"));
  EXPECT_EQ(source.pinned(), 0_B);
  EXPECT_EQ(region.committed(), 0_B);
}

TEST_F(PinnedSourceTest, WhatCannotBeUnlockedStaysCounted) {
  static bool keeps = true;
  keeps = true;
  calls_.unlock = [](const void* begin, std::size_t size) {
    if (!keeps) return static_cast<int>(::syscall(SYS_munlock, begin, size));
    errno = EPERM;
    return -1;
  };
  PinnedSource source({.limit = 1_MiB}, calls_);
  {
    Region region = *source.reserve(64_KiB, 1);
    ASSERT_TRUE(region.commit(0));
    ASSERT_FALSE(region.decommit(0));
    EXPECT_EQ(region.committed(), 64_KiB);
    EXPECT_EQ(source.pinned(), 64_KiB);
    keeps = false;
  }
  EXPECT_EQ(source.pinned(), 0_B);
}

}  // namespace
}  // namespace mais::memory
