// Files, by pread and by io_uring where there is one: the same questions to both.
#include "memory/file_io.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <functional>
#include <random>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>

namespace mais::memory {
namespace {

using ::testing::HasSubstr;

// Every third call is interrupted, every other hands over a part only.
struct Halting {
  static inline int calls = 0;
  static std::size_t part(std::size_t size) { return ++calls % 2 == 0 ? (size + 2) / 3 : size; }
  static bool interrupted() {
    if (++calls % 3 != 0) return false;
    errno = EINTR;
    return true;
  }
};

struct Way {
  const char* name;
  std::function<std::unique_ptr<FileIo>(std::string& why_not)> make;
};
void PrintTo(const Way& way, std::ostream* out) {
  *out << way.name;
}

class FileIoTest : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    std::string why_not;
    io_ = GetParam().make(why_not);
    if (!io_) GTEST_SKIP() << why_not;
    char name[] = "/tmp/mais-file-io-XXXXXX";
    file_ = ::mkstemp(name);
    ASSERT_GE(file_, 0);
    ::unlink(name);
    std::mt19937 dice(7);
    data_.resize((3 << 20) + 4321);  // more than the requests that are under way at once
    for (std::byte& byte : data_) byte = static_cast<std::byte>(dice());
  }
  void TearDown() override {
    if (file_ >= 0) ::close(file_);
  }
  std::unique_ptr<FileIo> io_;
  int file_ = -1;
  std::vector<std::byte> data_;
};

INSTANTIATE_TEST_SUITE_P(
    Ways, FileIoTest,
    ::testing::Values(Way{"plain", [](std::string&) { return plain_file_io(); }},
                      Way{"halting",
                          [](std::string&) {
                            return plain_file_io(
                                {.read = [](int file, void* to, std::size_t size,
                                            off_t offset) -> ssize_t {
                                   if (Halting::interrupted()) return -1;
                                   return ::pread(file, to, Halting::part(size), offset);
                                 },
                                 .write = [](int file, const void* from, std::size_t size,
                                             off_t offset) -> ssize_t {
                                   if (Halting::interrupted()) return -1;
                                   return ::pwrite(file, from, Halting::part(size), offset);
                                 }});
                          }},
                      Way{"io_uring", [](std::string& why_not) { return uring_file_io(why_not); }}),
    [](const auto& way) { return way.param.name; });

TEST_P(FileIoTest, WhatIsWrittenIsRead) {
  ASSERT_TRUE(io_->write(file_, data_.data(), data_.size(), 100));
  std::vector<std::byte> back(data_.size());
  ASSERT_TRUE(io_->read(file_, back.data(), back.size(), 100));
  EXPECT_EQ(back, data_);
  ASSERT_TRUE(io_->read(file_, back.data(), 10, 105));
  EXPECT_TRUE(std::equal(back.begin(), back.begin() + 10, data_.begin() + 5));
}

TEST_P(FileIoTest, AFileThatEndsEarlyIsAnErrorThatSaysWhere) {
  ASSERT_TRUE(io_->write(file_, data_.data(), 2'000'000, 0));
  std::vector<std::byte> back(3'000'000);
  const Result<void> result = io_->read(file_, back.data(), back.size(), 0);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::io_error);
  EXPECT_THAT(result.error().message, HasSubstr("the file ends at offset"));
  EXPECT_FALSE(io_->read(file_, back.data(), 1, 2'000'000));
  EXPECT_FALSE(io_->read(file_, back.data(), 2'000'001, 0)) << "it ends within the last request";
  EXPECT_TRUE(io_->read(file_, back.data(), 1, 1'999'999)) << "it works on after an error";
}

TEST_P(FileIoTest, AFullDiskIsAnError) {
  const int full = ::open("/dev/full", O_RDWR);
  if (full < 0) GTEST_SKIP() << "there is no /dev/full";
  const Result<void> result = io_->write(full, data_.data(), data_.size(), 0);
  ::close(full);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("No space left on device"));
}

TEST_P(FileIoTest, AFileThatIsNotOpenOrNotForThatIsAnError) {
  const Result<void> closed = io_->read(9999, data_.data(), 1, 0);
  ASSERT_FALSE(closed);
  EXPECT_THAT(closed.error().message, HasSubstr("Bad file descriptor"));
  const int only_read = ::open("/dev/zero", O_RDONLY);
  EXPECT_FALSE(io_->write(only_read, data_.data(), 1, 0));
  ::close(only_read);
}

}  // namespace
}  // namespace mais::memory
