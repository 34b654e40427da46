// Mutated journals, with and without checksums that agree with the mutation.
#include "shell/journal_fuzz.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include <gmock/gmock.h>

#include "shell/journal_run.hpp"
#include "shell/temporary_file.hpp"

namespace mais {
namespace {

#ifdef MAIS_LONG_TESTS
constexpr int kTexts = 500'000;
#elif defined(__SANITIZE_ADDRESS__)
constexpr int kTexts = 500;  // each a dozen times slower
#else
constexpr int kTexts = 1'500;
#endif

std::string contents(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string config_bytes() {
  std::string bytes;
  shell::ArchiveWriter{bytes}(eventful_machine(Policy::projected()));
  return bytes;
}

// Journals of version 1 as they were written once: they stay readable, or the version rises.
TEST(JournalFuzz, SeedsAreJournalsOfVersionOne) {
  int seeds = 0;
  for (const auto& file : std::filesystem::directory_iterator(MAIS_JOURNAL_SEEDS)) {
    SCOPED_TRACE(file.path());
    auto reader = reader_of(contents(file.path()));
    ASSERT_TRUE(reader) << reader.error().message;
    std::string config;
    shell::ArchiveWriter{config}(reader->config());
    EXPECT_EQ(config, config_bytes());
    Observation seen;
    while (reader->next(seen)) {
    }
    EXPECT_EQ(reader->end().kind, JournalEnd::Kind::closed) << reader->end().message;
    EXPECT_GT(reader->end().records, 10U);
    fuzz_journal(contents(file.path()), config);
    ++seeds;
  }
  EXPECT_GE(seeds, 2);
}

TEST(JournalFuzz, AnyBytesGiveAJournalOrOneError) {
  const std::string config = config_bytes();
  const TemporaryFile file;
  {
    Scheduler scheduler = make_scheduler(eventful_machine(Policy::projected()),
                                         {.observers = {Journal::create(file.path()).value()}});
    live(scheduler, 4, 25, true);
  }
  const std::string seed = contents(file.path());
  std::mt19937_64 random(11);
  for (int i = 0; i < kTexts; ++i) {
    std::string bytes = seed;
    for (std::uint64_t n = 1 + random() % 4; n > 0; --n) {
      // Mostly behind the configuration, so that the records are met.
      const std::size_t from = random() % 4 == 0 ? 0 : config.size() + 20;
      const std::size_t at = from + random() % (bytes.size() - from);
      switch (random() % 6) {
        case 0:
          bytes.insert(at, 1, static_cast<char>(random()));
          break;
        case 1:
          bytes.erase(at, random() % 9);
          break;
        case 2:
          bytes.insert(at, bytes.substr(at, random() % 60));
          break;
        default:
          bytes[at] = static_cast<char>(random() % 2 == 0 ? random() : 0xff);
      }
      if (bytes.size() < config.size() + 40) break;
    }
    if (random() % 4 != 0) bytes = with_right_checksums(std::move(bytes));
    SCOPED_TRACE(i);
    fuzz_journal(bytes, config);
  }
}

}  // namespace
}  // namespace mais
