// The copier over FAKE CUDA devices: every pair of ends, and what devices refuse. The fake copies
// nothing before somebody waits for its stream, so a wait that is missing shows.
#include <cstdlib>
#include <cstring>
#include <random>
#include <unistd.h>

#include <gmock/gmock.h>

#include "fake/fake_drivers.hpp"
#include "mais/memory/copier.hpp"
#include "mais/memory/pinned_source.hpp"

namespace mais::memory {
namespace {

using namespace mais::literals;
using probing::fake::FakeDrivers;
using Status = CopyResult::Status;
using ::testing::HasSubstr;

constexpr std::size_t kRoom = std::size_t{2} << 20;

class CudaCopierTest : public ::testing::Test {
 protected:
  CudaCopierTest() {
    char name[] = "/tmp/mais-cuda-copier-XXXXXX";
    file_ = ::mkstemp(name);
    ::unlink(name);
    drivers_.world.gpus = probing::fake::two_gpus();
    for (int ordinal : {0, 1}) {
      devices_.push_back(*CudaDevice::open(ordinal, FakeDrivers::cuda()));
      sources_.push_back(*cuda_virtual_memory(devices_.back()));
      regions_.push_back(*sources_.back()->reserve(Bytes(kRoom), 2));
      EXPECT_TRUE(regions_.back().commit(0, 2));
    }
    pinned_ = std::make_unique<PinnedSource>(PinnedOptions{.limit = 32_MiB, .device = devices_[0]});
    regions_.push_back(*pinned_->reserve(Bytes(kRoom), 2));
    EXPECT_TRUE(regions_.back().commit(0, 2));
    plain_.resize(2 * kRoom);
  }
  ~CudaCopierTest() override {
    regions_.clear();
    pinned_.reset();
    sources_.clear();
    devices_.clear();
    EXPECT_EQ(drivers_.world.contexts_now, 0);
    EXPECT_EQ(drivers_.world.streams_now, 0);
    EXPECT_EQ(drivers_.world.allocations_now, 0) << "events";
    EXPECT_EQ(drivers_.world.registrations_now, 0);
    ::close(file_);
  }

  // Two places of `kind`: device 0, device 1, pinned, plain host memory, a file.
  static constexpr int kKinds = 5;
  CopyEnd place(int kind, std::size_t which) {
    if (kind < 2) {
      return CopyEnd::on_device(*devices_[static_cast<std::size_t>(kind)],
                                regions_[static_cast<std::size_t>(kind)].address(which));
    }
    if (kind == 2) return CopyEnd::host(regions_[2].address(which), pinned_->reach());
    if (kind == 3) return CopyEnd::host(plain_.data() + which * kRoom);
    return CopyEnd::in_file(file_, static_cast<std::int64_t>(which * kRoom));
  }
  // What is at a place, without the copier: a fake device's memory is memory of this process.
  std::vector<unsigned char> look(const CopyEnd& end, std::size_t size) {
    std::vector<unsigned char> bytes(size);
    if (end.kind == CopyEnd::Kind::file) {
      EXPECT_EQ(::pread(end.file, bytes.data(), size, end.offset), static_cast<ssize_t>(size));
    } else {
      std::memcpy(bytes.data(), end.address, size);
    }
    return bytes;
  }
  void put(const CopyEnd& end, const std::vector<unsigned char>& bytes) {
    if (end.kind == CopyEnd::Kind::file) {
      EXPECT_EQ(::pwrite(end.file, bytes.data(), bytes.size(), end.offset),
                static_cast<ssize_t>(bytes.size()));
    } else {
      std::memcpy(end.address, bytes.data(), bytes.size());
    }
  }
  CopyResult copy(Copier& copier, const CopyEnd& from, const CopyEnd& to, std::size_t size,
                  bool verify = false) {
    CopyResult result;
    const auto id = copier.submit(
        {.from = from, .to = to, .bytes = Bytes(static_cast<std::int64_t>(size)), .verify = verify},
        [&](const CopyResult& told) { result = told; });
    EXPECT_TRUE(id) << id.error().message;
    copier.drain();
    return result;
  }

  FakeDrivers drivers_;
  std::vector<std::shared_ptr<CudaDevice>> devices_;
  std::vector<std::unique_ptr<MemorySource>> sources_;
  std::unique_ptr<PinnedSource> pinned_;
  std::vector<Region> regions_;
  std::vector<unsigned char> plain_;
  int file_ = -1;
};

TEST_F(CudaCopierTest, EveryPairOfEndsAtSizesThatFitNothing) {
  std::mt19937 dice(5);
  for (const std::size_t workers : {0U, 2U}) {
    Copier copier = *Copier::create({.workers = workers,
                                     .piece = 256_KiB,
                                     .staging = workers > 0 ? pinned_.get() : nullptr,
                                     .staging_piece = 64_KiB});
    for (int from = 0; from < kKinds; ++from) {
      for (int to = 0; to < kKinds; ++to) {
        for (const std::size_t size :
             {std::size_t{1}, std::size_t{128} << 10, (std::size_t{384} << 10) + 1,
              (std::size_t{512} << 10) - 3}) {
          std::vector<unsigned char> bytes(size);
          const auto salt = dice();
          for (std::size_t i = 0; i < size; ++i) {
            bytes[i] = static_cast<unsigned char>(((i + salt) * 0x9e3779b97f4a7c15) >> 56);
          }
          put(place(from, 0), bytes);
          put(place(to, 1), std::vector<unsigned char>(size));
          const CopyResult result =
              copy(copier, place(from, 0), place(to, 1), size, dice() % 2 == 0);
          ASSERT_EQ(result.status, Status::done) << result.error.message;
          ASSERT_TRUE(look(place(to, 1), size) == bytes) << from << " to " << to << ", " << size;
        }
      }
    }
  }
}

TEST_F(CudaCopierTest, WhateverTheDeviceRefusesIsAFailureOfThatCopyAndNothingStaysUnderWay) {
  int rounds = 0;
  constexpr std::size_t kSome = std::size_t{320} << 10;  // five turns of the buffers
  for (const char* call : {"cuStreamCreate", "cuEventCreate", "cuMemcpyAsync", "cuEventRecord",
                           "cuEventSynchronize", "copying", "cuCtxPushCurrent"}) {
    for (const int other : {1, 2, 3, 4}) {
      for (int successes = 0; successes < 3; ++successes) {
        for (const bool outward : {false, true}) {
          SCOPED_TRACE(std::string(call) + (outward ? " to " : " from ") + std::to_string(other) +
                       " after " + std::to_string(successes));
          Copier copier = *Copier::create({.piece = 1_MiB, .staging_piece = 64_KiB});
          const CopyEnd near = place(0, 0), far = place(other, 1);
          const unsigned char mark = static_cast<unsigned char>(++rounds);
          put(near, std::vector<unsigned char>(kSome, mark));
          put(far, std::vector<unsigned char>(kSome, static_cast<unsigned char>(mark + 1)));
          drivers_.world.cuda_errors[call] = 999;
          drivers_.world.cuda_successes[call] = successes;
          const CopyResult result =
              outward ? copy(copier, near, far, kSome) : copy(copier, far, near, kSome);
          drivers_.world.cuda_errors.clear();
          // What is copied after the end has been told would show now: streams run when they go.
          const auto at_near = look(near, kSome), at_far = look(far, kSome);
          copier = *Copier::create();
          EXPECT_TRUE(look(near, kSome) == at_near && look(far, kSome) == at_far);
          // Some calls are made less often than that for some ends: then all went well.
          if (drivers_.world.cuda_successes[call] < 0) {
            ASSERT_EQ(result.status, Status::failed);
            EXPECT_EQ(result.error.code, ErrorCode::unavailable);
            EXPECT_THAT(result.error.message, HasSubstr("CUDA device "));
          } else {
            ASSERT_EQ(result.status, Status::done) << result.error.message;
          }
        }
      }
    }
  }
}

TEST_F(CudaCopierTest, ACopyThatTheDeviceDidWrongIsFoundWhenVerified) {
  Copier copier = *Copier::create();
  drivers_.world.cuda_errors["copying right"] = 1;
  const CopyResult result = copy(copier, place(3, 0), place(0, 0), 1000, true);
  drivers_.world.cuda_errors.clear();
  EXPECT_EQ(result.status, Status::failed);
  EXPECT_THAT(result.error.message, HasSubstr("differ"));
}

TEST_F(CudaCopierTest, MemoryThatIsNotMappedIsAFailure) {
  Copier copier = *Copier::create();
  const CopyEnd gone = place(0, 1);
  ASSERT_TRUE(regions_[0].decommit(1));
  EXPECT_EQ(copy(copier, place(2, 0), gone, 100).status, Status::failed);
  EXPECT_EQ(copy(copier, gone, place(2, 0), 100).status, Status::failed);
}

}  // namespace
}  // namespace mais::memory
