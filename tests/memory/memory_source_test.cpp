#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <random>
#include <set>

#include "cuda_subjects.hpp"
#include "mais/memory/host_source.hpp"
#include "mais/memory/pinned_source.hpp"
#include "memory/host_calls.hpp"
// The conformance suite, put to every source that needs no device; CUDA's over the fake driver.
#include "source_conformance.hpp"

namespace mais::memory {
namespace {

using namespace mais::literals;

// --- The subjects ------------------------------------------------------------------------------

// Host memory over calls of the system that are watched: which pages can be used is counted here,
// and opening one can be made to fail.
class HostSubject : public Subject {
 public:
  explicit HostSubject(HostOptions options)
      : HostSubject(std::make_unique<HostSource>(options, watched())) {}
  explicit HostSubject(std::unique_ptr<MemorySource> source) : source_(std::move(source)) {
    pages().clear();
    left_ = -1;
  }
  ~HostSubject() override { left_ = -1; }
  MemorySource& source() override { return *source_; }
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

 protected:
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

 private:
  static inline std::mutex mutex_;
  static inline std::atomic<int> left_{-1};
  std::unique_ptr<MemorySource> source_;
};

SubjectMaker host(std::string name, HostOptions options) {
  return {std::move(name),
          [options](std::string&) { return std::make_unique<HostSubject>(options); }};
}

// A limit of its own, so that the test does not depend on that of who runs it; the least that
// systems allow is 64 KiB for an ordinary user, who skips.
class PinnedSubject : public HostSubject {
 public:
  PinnedSubject()
      : HostSubject(std::make_unique<PinnedSource>(PinnedOptions{.limit = 1_MiB}, watched())) {}
};
SubjectMaker pinned() {
  return {"pinned", [](std::string& why) -> std::unique_ptr<Subject> {
            auto subject = std::make_unique<PinnedSubject>();
            auto region = subject->source().reserve(256_KiB, 1);
            if (const auto done = region->commit(0); !done) why = done.error().message;
            return why.empty() ? std::move(subject) : nullptr;
          }};
}
SubjectMaker cuda(std::string name, SubjectFactory make) {
  return {std::move(name), make};
}

std::vector<SubjectMaker> all_subjects() {
  return {host("host", {}),
          host("host_populated", {.populate = true}),
          host("host_huge_pages", {.pages = HostOptions::Pages::huge}),
          host("host_bound_to_node_0", {.numa_node = 0}),
          host("host_only_of_node_0", {.numa_node = 0, .binding = HostOptions::Binding::only}),
          pinned(),
          cuda("fake_cuda_virtual_memory", fake_cuda_virtual),
          cuda("fake_cuda_stream_ordered_pool", fake_cuda_pool),
          cuda("fake_cuda_pinned", fake_cuda_pinned)};
}

INSTANTIATE_TEST_SUITE_P(Sources, SourceConformance, ::testing::ValuesIn(all_subjects()),
                         [](const auto& subject) { return subject.param.name; });

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
