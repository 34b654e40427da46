// kill -9 while a journal is written: it is readable to the last complete record, and executed
// again.
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>
#include <unistd.h>

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "shell/journal_run.hpp"
#include "shell/temporary_file.hpp"

namespace mais {
namespace {

#ifdef MAIS_LONG_TESTS
constexpr int kKills = 1000;
#else
constexpr int kKills = 15;
#endif

[[noreturn]] void live_until_killed(const std::string& path, Bytes buffer) {
  auto journal = Journal::create(path, {.buffer = buffer}).value();
  Scheduler scheduler =
      make_scheduler(eventful_machine(Policy::projected()), {.observers = {journal}});
  std::jthread other([&] {
    for (std::uint64_t seed = 1;; ++seed) live(scheduler, seed, 100, false);
  });
  for (std::uint64_t seed = 1;; ++seed) live(scheduler, 1000 + seed, 100, true);
}

off_t size_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_size : 0;
}

TEST(JournalCrash, KilledProcessLeavesAReadableJournal) {
  std::mt19937_64 random(17);
  for (int kill = 0; kill < kKills; ++kill) {
    SCOPED_TRACE(kill);
    const TemporaryFile file;
    const Bytes buffer(kill % 3 == 0 ? 0 : static_cast<std::int64_t>(random() % 20'000));
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) live_until_killed(file.path(), buffer);
    while (size_of(file.path()) < 30'000) {
      ASSERT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << "it ended by itself";
      std::this_thread::yield();
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));

    auto reader = JournalReader::open(file.path());
    ASSERT_TRUE(reader) << reader.error().message;
    auto again = Reexecution::of(reader->config());
    Observation seen;
    while (reader->next(seen)) {
      const auto difference = again->follow(seen);
      ASSERT_FALSE(difference) << *difference;
    }
    const JournalEnd& end = reader->end();
    EXPECT_TRUE(end.kind == JournalEnd::Kind::open || end.kind == JournalEnd::Kind::cut)
        << end.message;
    EXPECT_GT(end.records, 100U);
    // Everything but the record that was being written is there.
    EXPECT_LT(size_of(file.path()) - static_cast<off_t>(end.offset), 20'000);
  }
}

}  // namespace
}  // namespace mais
