// The copier over host memory and files, by hand and with workers.
#include "mais/memory/copier.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <random>
#include <thread>
#include <unistd.h>

#include <gmock/gmock.h>

#include "mais/memory/block_pool.hpp"
#include "mais/memory/host_source.hpp"
#include "small_budget.hpp"

namespace mais::memory {
namespace {

using namespace mais::literals;
using Status = CopyResult::Status;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TemporaryFile {
 public:
  TemporaryFile() {
    char name[] = "/tmp/mais-copier-XXXXXX";
    descriptor_ = ::mkstemp(name);
    ::unlink(name);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { ::close(descriptor_); }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

std::vector<unsigned char> noise(std::size_t size, unsigned seed = 1) {
  std::mt19937 dice(seed);
  std::vector<unsigned char> bytes(size);
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(dice());
  return bytes;
}

class CopierTest : public ::testing::Test {
 protected:
  Copier make(CopierOptions options = {.piece = 64_KiB}) {
    auto copier = Copier::create(options);
    EXPECT_TRUE(copier) << copier.error().message;
    return *std::move(copier);
  }
  Copier::OnDone into(std::vector<CopyResult>& list) {
    return [&list](const CopyResult& result) { list.push_back(result); };
  }
  std::vector<CopyResult> results;
  std::vector<unsigned char> data = noise(300'001);
  std::vector<unsigned char> other = std::vector<unsigned char>(data.size());
  Bytes size = Bytes(static_cast<std::int64_t>(data.size()));
};

TEST_F(CopierTest, CopiesByHandPieceByPiece) {
  Copier copier = make();
  EXPECT_FALSE(copier.run_one());
  ASSERT_TRUE(copier.submit(
      {.from = CopyEnd::host(data.data()), .to = CopyEnd::host(other.data()), .bytes = size},
      into(results)));
  int pieces = 0;
  while (copier.run_one()) ++pieces;
  EXPECT_EQ(pieces, 5);
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].status, Status::done);
  EXPECT_EQ(results[0].bytes, size);
  EXPECT_GT(results[0].rate().value, 0);
  EXPECT_EQ(other, data);
  EXPECT_EQ(copier.pending(), 0U);
}

TEST_F(CopierTest, FilesBothWaysAndFromOneToAnother) {
  for (const bool uring : {true, false}) {
    TemporaryFile one, two;
    std::fill(other.begin(), other.end(), 0);
    Copier copier = make({.piece = 64_KiB, .staging_piece = 64_KiB, .use_io_uring = uring});
    for (const Copy& copy :
         {Copy{.from = CopyEnd::host(data.data()), .to = CopyEnd::in_file(one.descriptor(), 77)},
          Copy{.from = CopyEnd::in_file(one.descriptor(), 77),
          .to = CopyEnd::in_file(two.descriptor(), 5)},
          Copy{.from = CopyEnd::in_file(two.descriptor(), 5), .to = CopyEnd::host(other.data())}}) {
      Copy whole = copy;
      whole.bytes = size;
      whole.verify = true;
      ASSERT_TRUE(copier.submit(whole, into(results)));
    }
    copier.drain();
    EXPECT_EQ(other, data);
  }
  ASSERT_EQ(results.size(), 6U);
  for (const CopyResult& result : results) {
    EXPECT_EQ(result.status, Status::done) << result.error.message;
    EXPECT_EQ(result.checksum, results[0].checksum);
  }
}

TEST_F(CopierTest, AShortFileAndAFullDiskAreFailuresAndNothingHalfDoneIsDone) {
  TemporaryFile file;
  ASSERT_EQ(::ftruncate(file.descriptor(), 100'000), 0);
  const int full = ::open("/dev/full", O_WRONLY);
  Copier copier = make();
  ASSERT_TRUE(copier.submit({.from = CopyEnd::in_file(file.descriptor(), 0),
                             .to = CopyEnd::host(other.data()),
                             .bytes = size},
                            into(results)));
  ASSERT_TRUE(copier.submit(
      {.from = CopyEnd::host(data.data()), .to = CopyEnd::in_file(full, 0), .bytes = size},
      into(results)));
  ASSERT_TRUE(copier.submit(
      {.from = CopyEnd::host(data.data()), .to = CopyEnd::in_file(99'999, 0), .bytes = size},
      into(results)));
  copier.drain();
  ::close(full);
  ASSERT_EQ(results.size(), 3U);
  for (const CopyResult& result : results) {
    EXPECT_EQ(result.status, Status::failed);
    EXPECT_EQ(result.error.code, ErrorCode::io_error);
    EXPECT_EQ(result.rate().value, 0);
  }
  EXPECT_THAT(results[0].error.message, HasSubstr("the file ends at offset 100000"));
  EXPECT_THAT(results[1].error.message, HasSubstr("No space left on device"));
  EXPECT_THAT(results[2].error.message, HasSubstr("Bad file descriptor"));
}

TEST_F(CopierTest, ChecksumsDoNotDependOnPiecesAndFindWhatRotted) {
  TemporaryFile file;
  Copier small = make({.piece = 64_KiB}), large = make({.piece = 4_MiB});
  const Copy out{.from = CopyEnd::host(data.data()),
                 .to = CopyEnd::in_file(file.descriptor(), 0),
                 .bytes = size,
                 .verify = true};
  ASSERT_TRUE(small.submit(out, into(results)));
  small.drain();
  ASSERT_TRUE(large.submit(out, into(results)));
  large.drain();
  ASSERT_TRUE(results[0].checksum);
  EXPECT_EQ(results[0].checksum, results[1].checksum);

  const Copy in{.from = CopyEnd::in_file(file.descriptor(), 0),
                .to = CopyEnd::host(other.data()),
                .bytes = size,
                .expected = results[0].checksum};
  ASSERT_TRUE(small.submit(in, into(results)));
  small.drain();
  EXPECT_EQ(results[2].status, Status::done);
  const unsigned char rotten = data[200'000] ^ 4;
  ASSERT_EQ(::pwrite(file.descriptor(), &rotten, 1, 200'000), 1);
  ASSERT_TRUE(small.submit(in, into(results)));
  small.drain();
  EXPECT_EQ(results[3].status, Status::failed);
  EXPECT_THAT(results[3].error.message, HasSubstr("checksum"));
}

TEST_F(CopierTest, CancelledBeforeItBeganItEndsAtOnce) {
  Copier copier = make();
  const auto id = copier.submit(
      {.from = CopyEnd::host(data.data()), .to = CopyEnd::host(other.data()), .bytes = size},
      into(results));
  EXPECT_TRUE(copier.cancel(*id));
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].status, Status::cancelled);
  EXPECT_FALSE(copier.cancel(*id));
  EXPECT_FALSE(copier.run_one());
  EXPECT_EQ(other, std::vector<unsigned char>(data.size()));
}

TEST_F(CopierTest, CallbacksMaySubmitAndCancelAndDrainWaitsForAllOfIt) {
  for (const std::size_t workers : {0U, 2U}) {
    Copier copier = make({.workers = workers, .piece = 64_KiB});
    std::atomic<int> told{0};
    std::vector<unsigned char> third(data.size());
    const Copy first{
        .from = CopyEnd::host(data.data()), .to = CopyEnd::host(other.data()), .bytes = size};
    const Copy second{
        .from = CopyEnd::host(other.data()), .to = CopyEnd::host(third.data()), .bytes = size};
    ASSERT_TRUE(copier.submit(first, [&](const CopyResult&) {
      ++told;
      EXPECT_TRUE(copier.submit(second, [&](const CopyResult&) { ++told; }));
    }));
    copier.drain();
    EXPECT_EQ(told, 2);
    EXPECT_EQ(third, data);
  }
}

TEST_F(CopierTest, DrainReturnsWhenTheLastCopyEndsByBeingCancelled) {
  Copier copier = make({.workers = 1});
  const Copy copy{
      .from = CopyEnd::host(data.data()), .to = CopyEnd::host(other.data()), .bytes = size};
  std::atomic<bool> busy{false}, cancelling{false};
  ASSERT_TRUE(copier.submit(copy, [&](const CopyResult&) {
    busy = true;
    while (!cancelling) std::this_thread::sleep_for(1ms);
  }));
  while (!busy) std::this_thread::sleep_for(1ms);
  const auto queued = copier.submit(copy, [&](const CopyResult&) {
    cancelling = true;
    std::this_thread::sleep_for(50ms);  // the worker has nothing left, and this is the last to end
  });
  auto drained = std::async(std::launch::async, [&] { copier.drain(); });
  EXPECT_TRUE(copier.cancel(*queued));
  EXPECT_EQ(drained.wait_for(30s), std::future_status::ready);
  ASSERT_TRUE(copier.submit(copy));  // wakes it, had it not returned
}

TEST_F(CopierTest, AFutureHoldsTheResult) {
  Copier copier = make({.workers = 1});
  auto future = copier.start(
      {.from = CopyEnd::host(data.data()), .to = CopyEnd::host(other.data()), .bytes = size});
  ASSERT_TRUE(future);
  EXPECT_EQ(future->get().status, Status::done);
  EXPECT_EQ(other, data);
}

TEST_F(CopierTest, GoingAwayCancelsWhatIsLeftAndTellsEverybody) {
  for (const std::size_t workers : {0U, 3U}) {
    std::atomic<int> told{0};
    {
      Copier copier = make({.workers = workers, .piece = 64_KiB});
      for (int i = 0; i < 50; ++i) {
        ASSERT_TRUE(copier.submit(
            {.from = CopyEnd::host(data.data()), .to = CopyEnd::host(other.data()), .bytes = size},
            [&](const CopyResult& result) {
              ++told;
              EXPECT_NE(result.status, Status::failed);
            }));
      }
    }
    EXPECT_EQ(told, 50);
  }
}

TEST_F(CopierTest, ReportsWhatEachLinkCarried) {
  Copier copier = make();
  Copy copy{.from = CopyEnd::host(data.data()), .to = CopyEnd::host(other.data()), .bytes = size};
  copy.from.space = SpaceId(2);
  copy.to.space = SpaceId(0);
  ASSERT_TRUE(copier.submit(copy));
  copier.drain();
  ASSERT_EQ(copier.traffic().size(), 1U);
  EXPECT_EQ(copier.traffic()[0].bytes, size);
  EXPECT_GT(copier.traffic()[0].rate().value, 0);
}

TEST_F(CopierTest, WrongOptionsAreRefused) {
  for (const CopierOptions& options :
       {CopierOptions{.piece = 0_B}, CopierOptions{.most_pending = 0},
        CopierOptions{.staging_piece = 0_B}, CopierOptions{.piece = Bytes::max()}}) {
    const auto copier = Copier::create(options);
    ASSERT_FALSE(copier);
    EXPECT_EQ(copier.error().code, ErrorCode::invalid_argument);
  }
}

TEST_F(CopierTest, StagingIsTakenAtTheBeginningOrTheCopierIsRefused) {
  class Poor final : public MemorySource {
    std::string name() const override { return "poor"; }
    Bytes granularity() const override { return 4_KiB; }
    Reach reach() const override { return {}; }
    Result<std::unique_ptr<Backing>> open(std::size_t, std::size_t) override {
      return fail(ErrorCode::over_limit, "poor: nothing left");
    }
  } poor;
  const auto copier = Copier::create({.staging = &poor});
  ASSERT_FALSE(copier);
  EXPECT_THAT(copier.error().message, HasSubstr("nothing left"));
  HostSource rich;
  EXPECT_TRUE(Copier::create({.workers = 2, .staging = &rich}));
}

TEST_F(CopierTest, WorkersAreBoundToNodesOrItIsNoted) {
  Copier bound = make({.workers = 2, .worker_nodes = {0, 77}});
  Copy copy{.from = CopyEnd::host(data.data()), .to = CopyEnd::host(other.data()), .bytes = size};
  copy.to.numa_node = 0;
  // A worker notes it before it copies anything, but one of the two may do so late.
  ASSERT_TRUE(bound.submit(copy));
  bound.drain();
  for (int i = 0; i < 2000 && bound.notes().empty(); ++i) std::this_thread::sleep_for(1ms);
  EXPECT_THAT(bound.notes(), Contains(HasSubstr("NUMA node 77")));
  EXPECT_EQ(other, data);
}

TEST_F(CopierTest, ExecutesThePlannersMovesOfPages) {
  SmallBudget budget{1_MiB};
  HostSource source;
  auto pool =
      *BlockBacking::create(source, budget.gate(), {.block = 4_KiB, .blocks = 8, .slab = 16_KiB});
  auto tier =
      *BlockBacking::create(source, budget.gate(), {.block = 4_KiB, .blocks = 8, .slab = 16_KiB});
  const std::vector<BlockId> inner = {1, 5}, outer = {6};
  ASSERT_TRUE(pool.back(inner));
  ASSERT_TRUE(tier.back(outer));
  std::memset(pool.address(1), 42, 4096);
  std::memset(pool.address(5), 0, 4096);
  Copier copier = make();
  using Kind = core::StateMove::Kind;
  const Copy out = copy_of({.kind = Kind::out, .block = 1, .host_block = 6}, pool, tier);
  const Copy in = copy_of({.kind = Kind::in, .block = 5, .host_block = 6}, pool, tier);
  EXPECT_EQ(out.urgency, Urgency::prefetch);
  EXPECT_EQ(in.urgency, Urgency::demand);
  ASSERT_TRUE(copier.submit(out, into(results)));
  ASSERT_TRUE(copier.submit(in, into(results)));
  copier.drain();
  EXPECT_EQ(std::memcmp(pool.address(5), pool.address(1), 4096), 0);
}

using CopierDeathTest = CopierTest;

TEST_F(CopierDeathTest, RunOneWithWorkersAborts) {
  Copier copier = make({.workers = 1});
  EXPECT_DEATH(copier.run_one(), "run_one\\(\\) of a copier that has workers");
}

// Copies between random places of one memory, many of which overlap: the outcome is that of one
// after another in the order of submission, whatever their urgency and however many copy.
class AsIfOneAfterAnother : public CopierTest, public ::testing::WithParamInterface<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Workers, AsIfOneAfterAnother, ::testing::Values(0, 1, 3));

TEST_P(AsIfOneAfterAnother, IsTheOutcome) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 dice(seed);
  for (int round = 0; round < 5; ++round) {
    std::vector<unsigned char> memory = noise(1 << 20, seed), model = memory;
    std::atomic<int> done{0};
    int submitted = 0;
    {
      Copier copier = make({.workers = GetParam(), .piece = 64_KiB});
      for (int i = 0; i < 100; ++i) {
        const std::size_t bytes = 1 + dice() % 200'000;
        const std::size_t from = dice() % (memory.size() - bytes),
                          to = dice() % (memory.size() - bytes);
        if (from < to + bytes && to < from + bytes) continue;
        ++submitted;
        ASSERT_TRUE(copier.submit(
            {.from = CopyEnd::host(memory.data() + from),
             .to = CopyEnd::host(memory.data() + to),
             .bytes = Bytes(static_cast<std::int64_t>(bytes)),
             .urgency = dice() % 2 == 0 ? Urgency::demand : Urgency::prefetch,
             .verify = dice() % 4 == 0},
            [&](const CopyResult& result) { done += result.status == Status::done; }));
        std::memcpy(model.data() + to, model.data() + from, bytes);
        if (GetParam() == 0 && dice() % 3 == 0) copier.run_one();
      }
      copier.drain();
    }
    EXPECT_EQ(done, submitted);
    ASSERT_TRUE(memory == model);
  }
}

TEST_F(CopierTest, ManyThreadsSubmitAndCancelAndEachCopyEndsOnce) {
  constexpr int kThreads = 4, kEach = 200;
  std::atomic<int> done{0}, cancelled{0}, asked{0};
  TemporaryFile file;
  {
    Copier copier = make({.workers = 3, .piece = 64_KiB});
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 dice(static_cast<unsigned>(t));
        // Places of its own, so that copies of different threads do not meet.
        std::vector<unsigned char> from = noise(150'000, static_cast<unsigned>(t)), to(from.size());
        std::vector<std::future<CopyResult>> futures;
        for (int i = 0; i < kEach; ++i) {
          const auto id =
              copier.submit({.from = CopyEnd::host(from.data()),
                             .to = i % 10 == 0 ? CopyEnd::in_file(file.descriptor(), t * 1'000'000)
                                               : CopyEnd::host(to.data()),
                             .bytes = Bytes(static_cast<std::int64_t>(from.size())),
                             .urgency = i % 2 == 0 ? Urgency::demand : Urgency::prefetch},
                            [&](const CopyResult& result) {
                              ++(result.status == Status::done ? done : cancelled);
                              EXPECT_NE(result.status, Status::failed) << result.error.message;
                            });
          ASSERT_TRUE(id);
          if (dice() % 3 == 0) asked += copier.cancel(*id);
        }
        copier.drain();
      });
    }
    threads.clear();
    EXPECT_EQ(copier.pending(), 0U);
  }
  EXPECT_EQ(done + cancelled, kThreads * kEach);
  EXPECT_EQ(cancelled, asked);
  EXPECT_GT(done, 0);
}

}  // namespace
}  // namespace mais::memory
