// The questions that every source of memory must answer alike. A source joins by a way to make it
// (and what it needs), see memory_source_test.cpp.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "mais/memory/memory_source.hpp"

namespace mais::memory {

// One source in its surroundings.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual MemorySource& source() = 0;
  // Bytes that this subject's source holds of its machine, counted by somebody else than the
  // source; nothing where nobody can tell.
  virtual std::optional<Bytes> held() { return std::nullopt; }
  // The next commits fail from the `nth` on (0: the next one), until nullopt is set.
  virtual bool fail_commits(std::optional<int> /*nth*/) { return false; }
  virtual void write(void* address, int value, Bytes size) = 0;
  virtual bool holds(const void* address, int value, Bytes size) = 0;
};

struct SubjectMaker {
  std::string name;
  // Null, with a reason, where it cannot be had here.
  std::function<std::unique_ptr<Subject>(std::string& why_not)> make;
};
inline void PrintTo(const SubjectMaker& maker, std::ostream* out) {
  *out << maker.name;
}

class SourceConformance : public ::testing::TestWithParam<SubjectMaker> {
 protected:
  void SetUp() override {
    std::string why;
    subject_ = GetParam().make(why);
    if (!subject_) GTEST_SKIP() << GetParam().name << ": " << why;
    slab_ = source().granularity();
  }
  MemorySource& source() { return subject_->source(); }
  Region reserve(std::size_t slabs) {
    Result<Region> region = source().reserve(slab_, slabs);
    EXPECT_TRUE(region) << region.error().message;
    return *std::move(region);
  }
  void expect_held(Bytes bytes) {
    if (const auto held = subject_->held()) {
      EXPECT_EQ(*held, bytes);
    }
  }

  std::unique_ptr<Subject> subject_;
  Bytes slab_{};
};

}  // namespace mais::memory
