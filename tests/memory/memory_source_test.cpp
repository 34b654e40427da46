#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <random>
#include <set>

#include "mais/memory/host_source.hpp"
#include "memory/host_calls.hpp"
#include "source_conformance.hpp"

namespace mais::memory {
namespace {

using namespace mais::literals;
using ::testing::HasSubstr;

// --- The subjects ------------------------------------------------------------------------------

// Host memory over calls of the system that are watched: which pages can be used is counted here,
// and opening one can be made to fail.
class HostSubject : public Subject {
 public:
  explicit HostSubject(HostOptions options) : source_(options, watched()) {
    pages().clear();
    left_ = -1;
  }
  ~HostSubject() override { left_ = -1; }
  MemorySource& source() override { return source_; }
  std::optional<Bytes> held() override {
    const std::scoped_lock lock(mutex_);
    return Bytes(static_cast<std::int64_t>(pages().size() * 4096));
  }
  bool fail_commits(std::optional<int> nth) override {
    left_ = nth.value_or(-1);
    return true;
  }
  void write(void* address, int value, Bytes size) override {
    std::memset(address, value, static_cast<std::size_t>(size.count()));
  }
  bool holds(const void* address, int value, Bytes size) override {
    const auto* const bytes = static_cast<const unsigned char*>(address);
    return std::all_of(bytes, bytes + size.count(),
                       [&](unsigned char byte) { return byte == value; });
  }

 private:
  static std::set<std::uintptr_t>& pages() {
    static std::set<std::uintptr_t> usable;
    return usable;
  }
  static void mark(void* begin, std::size_t size, bool usable) {
    const std::scoped_lock lock(mutex_);
    const auto first = reinterpret_cast<std::uintptr_t>(begin) / 4096;
    for (std::uintptr_t page = first; page < first + size / 4096; ++page) {
      if (usable) {
        pages().insert(page);
      } else {
        pages().erase(page);
      }
    }
  }
  static const HostCalls& watched() {
    static const HostCalls calls = [] {
      HostCalls made;
      made.protect = [](void* begin, std::size_t size, int what) {
        if (left_ == 0) {
          errno = ENOMEM;
          return -1;
        }
        if (left_ > 0) --left_;
        mark(begin, size, true);
        return ::mprotect(begin, size, what);
      };
      made.map = [](void* begin, std::size_t size, int what, int flags, int fd, off_t offset) {
        if (begin != nullptr) mark(begin, size, false);
        return ::mmap(begin, size, what, flags, fd, offset);
      };
      made.unmap = [](void* begin, std::size_t size) {
        // A region of a million slabs was never all usable.
        if (size < (std::size_t{1} << 30)) mark(begin, size, false);
        return ::munmap(begin, size);
      };
      return made;
    }();
    return calls;
  }
  static inline std::mutex mutex_;
  static inline std::atomic<int> left_{-1};
  HostSource source_;
};

SubjectMaker host(std::string name, HostOptions options) {
  return {std::move(name),
          [options](std::string&) { return std::make_unique<HostSubject>(options); }};
}

std::vector<SubjectMaker> all_subjects() {
  return {host("host", {}), host("host_populated", {.populate = true}),
          host("host_huge_pages", {.pages = HostOptions::Pages::huge}),
          host("host_bound_to_node_0", {.numa_node = 0}),
          host("host_only_of_node_0", {.numa_node = 0, .binding = HostOptions::Binding::only})};
}

INSTANTIATE_TEST_SUITE_P(Sources, SourceConformance, ::testing::ValuesIn(all_subjects()),
                         [](const auto& subject) { return subject.param.name; });

// --- The questions -----------------------------------------------------------------------------

TEST_P(SourceConformance, HasANameAndAGranularity) {
  EXPECT_FALSE(source().name().empty());
  EXPECT_GT(source().granularity(), 0_B);
}

TEST_P(SourceConformance, ReservingTakesNoMemory) {
  const Region region = reserve(1000);
  EXPECT_EQ(region.committed(), 0_B);
  expect_held(0_B);
}

TEST_P(SourceConformance, WrongSizesAreRefusedWithTheRightOne) {
  for (const auto& [size, count] : std::vector<std::pair<Bytes, std::size_t>>{
           {slab_, 0}, {0_B, 1}, {slab_ + 1_B, 1}, {Bytes(-1) * slab_.count(), 1}}) {
    const Result<Region> region = source().reserve(size, count);
    ASSERT_FALSE(region) << size.count();
    EXPECT_EQ(region.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(region.error().message, HasSubstr(std::to_string(slab_.count())));
  }
}

TEST_P(SourceConformance, MoreAddressesThanThereAreIsARefusal) {
  const Result<Region> region =
      source().reserve(slab_ * (std::int64_t{1} << 20), std::size_t{1} << 40);
  ASSERT_FALSE(region);
  EXPECT_EQ(region.error().code, ErrorCode::over_capacity);
}

TEST_P(SourceConformance, WhatIsCommittedHoldsWhatIsWritten) {
  Region region = reserve(4);
  ASSERT_TRUE(region.commit(1, 2));
  EXPECT_FALSE(region.is_committed(0));
  EXPECT_TRUE(region.is_committed(1));
  EXPECT_EQ(region.committed(), slab_ * 2);
  expect_held(slab_ * 2);
  subject_->write(region.address(1), 0x11, slab_);
  subject_->write(region.address(2), 0x22, slab_);
  EXPECT_TRUE(subject_->holds(region.address(1), 0x11, slab_));
  EXPECT_TRUE(subject_->holds(region.address(2), 0x22, slab_));
}

TEST_P(SourceConformance, DecommittedMemoryIsGoneAndTheRestStays) {
  Region region = reserve(3);
  ASSERT_TRUE(region.commit(0, 3));
  for (std::size_t slab : {0U, 1U, 2U}) {
    subject_->write(region.address(slab), static_cast<int>(slab) + 1, slab_);
  }
  ASSERT_TRUE(region.decommit(1));
  EXPECT_EQ(region.address(1), nullptr);
  expect_held(slab_ * 2);
  EXPECT_TRUE(subject_->holds(region.address(0), 1, slab_));
  EXPECT_TRUE(subject_->holds(region.address(2), 3, slab_));
  ASSERT_TRUE(region.commit(1));
  subject_->write(region.address(1), 9, slab_);
  EXPECT_TRUE(subject_->holds(region.address(0), 1, slab_));
  EXPECT_TRUE(subject_->holds(region.address(2), 3, slab_));
}

TEST_P(SourceConformance, AddressesAreAtTheirPlacesForEverOrForAsLongAsTheyAreCommitted) {
  Region region = reserve(8);
  ASSERT_TRUE(region.commit(0, 8));
  for (std::size_t slab = 0; slab < 8; ++slab) {
    std::byte* const at = region.address(slab);
    if (region.base() != nullptr) {
      EXPECT_EQ(at, region.base() + static_cast<std::int64_t>(slab) * slab_.count());
    }
    for (std::size_t other = 0; other < slab; ++other) {
      EXPECT_GE(std::abs(at - region.address(other)), slab_.count()) << "slabs overlap";
    }
  }
  std::byte* const third = region.address(3);
  ASSERT_TRUE(region.decommit(5, 2));
  EXPECT_EQ(region.address(3), third);
}

TEST_P(SourceConformance, ARegionGivesBackWhatIsLeftWhenItGoes) {
  {
    Region region = reserve(5);
    ASSERT_TRUE(region.commit(1, 3));
    Region moved = std::move(region);
    ASSERT_TRUE(moved.commit(4));
    expect_held(slab_ * 4);
    moved = reserve(1);  // assigned over: the first is given back
    expect_held(0_B);
  }
  expect_held(0_B);
}

TEST_P(SourceConformance, ACommitThatFailsHalfWayChangesNothing) {
  Region region = reserve(6);
  ASSERT_TRUE(region.commit(0));
  subject_->write(region.address(0), 7, slab_);
  if (!subject_->fail_commits(2)) GTEST_SKIP() << "nobody can make this source fail";
  const Result<void> failed = region.commit(1, 5);
  ASSERT_FALSE(failed);
  EXPECT_FALSE(failed.error().message.empty());
  EXPECT_EQ(region.committed(), slab_);
  expect_held(slab_);
  subject_->fail_commits(std::nullopt);
  ASSERT_TRUE(region.commit(1, 5));
  EXPECT_TRUE(subject_->holds(region.address(0), 7, slab_));
}

TEST_P(SourceConformance, AgreesWithANaiveModel) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 dice(seed);
  constexpr std::size_t kSlabs = 12;
  Region region = reserve(kSlabs);
  std::vector<int> model(kSlabs, -1);  // what a slab holds; -1: not committed
  for (int i = 0; i < 150; ++i) {
    const std::size_t first = dice() % kSlabs;
    std::size_t count = 0;  // slabs from there on that are in the same state
    const bool committed = model[first] >= 0;
    while (first + count < kSlabs && (model[first + count] >= 0) == committed) ++count;
    count = 1 + dice() % count;
    if (committed) {
      ASSERT_TRUE(region.decommit(first, count));
    } else {
      ASSERT_TRUE(region.commit(first, count));
    }
    for (std::size_t slab = first; slab < first + count; ++slab) {
      model[slab] = committed ? -1 : static_cast<int>(dice() % 256);
      if (!committed) subject_->write(region.address(slab), model[slab], 64_B);
    }
    std::int64_t held = 0;
    for (std::size_t slab = 0; slab < kSlabs; ++slab) {
      ASSERT_EQ(region.is_committed(slab), model[slab] >= 0);
      held += model[slab] >= 0;
      if (model[slab] >= 0) {
        ASSERT_TRUE(subject_->holds(region.address(slab), model[slab], 64_B));
      }
    }
    ASSERT_EQ(region.committed(), slab_ * held);
    expect_held(slab_ * held);
  }
}

TEST_P(SourceConformance, ThreadsMayUseRegionsOfTheirOwnAtOnce) {
  std::vector<std::jthread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Result<Region> region = source().reserve(slab_, 3);
      if (!region) return;
      for (int i = 0; i < 10; ++i) {
        if (!region->commit(0, 3)) return;
        subject_->write(region->address(2), t, 64_B);
        right += subject_->holds(region->address(2), t, 64_B);
        if (!region->decommit(0, 3)) return;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(right, 40);
  expect_held(0_B);
}

using SourceConformanceDeathTest = SourceConformance;
INSTANTIATE_TEST_SUITE_P(Sources, SourceConformanceDeathTest,
                         ::testing::Values(all_subjects().front()),
                         [](const auto& subject) { return subject.param.name; });

TEST_P(SourceConformanceDeathTest, MisuseOfARegionAborts) {
  Region region = reserve(4);
  ASSERT_TRUE(region.commit(2));
  EXPECT_DEATH(static_cast<void>(region.commit(1, 2)), "committed twice");
  EXPECT_DEATH(static_cast<void>(region.decommit(2, 2)), "not committed");
  EXPECT_DEATH(static_cast<void>(region.commit(3, 2)), "not there");
  EXPECT_DEATH(static_cast<void>(region.decommit(9, 1)), "not there");
}

}  // namespace
}  // namespace mais::memory
