// Mutated journals, with and without checksums that agree with the mutation.
#include "shell/journal_fuzz.hpp"

#include <fstream>
#include <iterator>
#include <random>

#include <gmock/gmock.h>

#include "shell/journal_run.hpp"

namespace mais {
namespace {

#ifdef MAIS_LONG_TESTS
constexpr int kTexts = 500'000;
#else
constexpr int kTexts = 1'500;
#endif

TEST(JournalFuzz, AnyBytesGiveAJournalOrOneError) {
  const Config config = eventful_machine(Policy::projected());
  std::string config_bytes;
  shell::ArchiveWriter{config_bytes}(config);
  const TemporaryFile file;
  {
    Scheduler scheduler =
        make_scheduler(config, {.observers = {Journal::create(file.path()).value()}});
    live(scheduler, 4, 25, true);
  }
  std::ifstream in(file.path(), std::ios::binary);
  const std::string seed{std::istreambuf_iterator<char>(in), {}};
  std::mt19937_64 random(11);
  for (int i = 0; i < kTexts; ++i) {
    std::string bytes = seed;
    for (std::uint64_t n = 1 + random() % 4; n > 0; --n) {
      // Mostly behind the configuration, so that the records are met.
      const std::size_t from = random() % 4 == 0 ? 0 : config_bytes.size() + 20;
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
      if (bytes.size() < config_bytes.size() + 40) break;
    }
    if (random() % 4 != 0) bytes = with_right_checksums(std::move(bytes));
    SCOPED_TRACE(i);
    fuzz_journal(bytes, config_bytes);
  }
}

}  // namespace
}  // namespace mais
