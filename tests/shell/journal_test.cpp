// A journal: everything is in it, it is executed again bit for bit, and whatever happens to the
// file, what is read from it was written to it.
#include "mais/journal.hpp"

#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "mais/core/ledger_snapshot.hpp"
#include "mais/reexecution.hpp"
#include "shell/journal_format.hpp"
#include "shell/journal_run.hpp"
#include "shell/temporary_file.hpp"

namespace mais {
namespace {

using ::testing::HasSubstr;

#ifdef MAIS_LONG_TESTS
constexpr int kSeeds = 300;
constexpr int kRounds = 3000;
#else
constexpr int kSeeds = 4;
constexpr int kRounds = 150;
#endif

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

template <class Value>
std::string bytes_of(const Value& value) {
  std::string bytes;
  shell::ArchiveWriter{bytes}(value);
  return bytes;
}

std::string bytes_of(const Observation& seen) {
  std::string bytes;
  shell::RecordPlace place;
  shell::write_observation(bytes, seen, place);
  return bytes;
}

class Recorder : public Observer {
 public:
  void observe(const Observation& observed) override { seen.push_back(observed); }
  std::vector<Observation> seen;
};

struct Written {
  std::string bytes;
  std::vector<Observation> seen;
};

// A short run: its file and what was observed.
Written short_run(int rounds, JournalOptions options = {}) {
  const TemporaryFile file;
  const auto recorder = std::make_shared<Recorder>();
  {
    ManualClock clock;
    auto journal = Journal::create(file.path(), options).value();
    Scheduler scheduler =
        make_scheduler(eventful_machine(Policy::projected()),
                       {.clock = clock.options().clock, .observers = {journal, recorder}});
    std::mt19937_64 random(5);
    for (int i = 0; i < rounds; ++i) {
      clock.advance(std::chrono::microseconds(random() % 3000));
      live(scheduler, random(), 1, true);
    }
  }
  return {contents(file.path()), recorder->seen};
}

std::vector<Observation> read_all(JournalReader& reader) {
  std::vector<Observation> all;
  Observation seen;
  while (reader.next(seen)) all.push_back(seen);
  return all;
}

std::vector<Observation> read_all(Result<JournalReader> reader) {
  return read_all(reader.value());
}

TEST(Journal, HoldsEveryObservationAndTheConfiguration) {
  const Written run = short_run(40);
  auto reader = reader_of(run.bytes);
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ(bytes_of(reader->config()), bytes_of(eventful_machine(Policy::projected())));
  const auto read = read_all(*reader);
  ASSERT_EQ(read.size(), run.seen.size());
  for (std::size_t i = 0; i < read.size(); ++i) {
    ASSERT_EQ(bytes_of(read[i]), bytes_of(run.seen[i])) << i;
    ASSERT_EQ(read[i].number, run.seen[i].number);
    ASSERT_EQ(read[i].now, run.seen[i].now);
  }
  EXPECT_EQ(reader->end().kind, JournalEnd::Kind::closed);
  EXPECT_EQ(reader->end().offset, run.bytes.size());
  EXPECT_EQ(reader->end().records, run.seen.size());
}

// What the compact form leaves out is at its default: nothing of an action is lost.
TEST(Journal, ActionsUseNoFieldThatIsLeftOut) {
  for (const Observation& seen : short_run(60).seen) {
    for (const core::Action& action : seen.actions) {
      if (action.kind != core::ActionKind::accepted) {
        ASSERT_EQ(action.why, core::RouteReason{});
      }
      if (action.kind != core::ActionKind::refused) {
        ASSERT_EQ(bytes_of(action.refusal), bytes_of(Refusal{}));
      }
      if (action.kind == core::ActionKind::granted) continue;
      ASSERT_EQ(action.space, SpaceId{});
      if (action.kind != core::ActionKind::preempted) {
        ASSERT_EQ(action.bytes, 0_B);
      }
    }
  }
}

TEST(Journal, IsExecutedAgainBitForBitAfterRandomRunsWithThreads) {
  const Policy policies[] = {Policy::no_evict(), Policy::optimistic(), Policy::projected()};
  std::size_t preempted = 0;
  for (int seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const TemporaryFile file;
    core::PlannerView left;
    {
      auto journal = Journal::create(file.path()).value();
      Scheduler scheduler = make_scheduler(eventful_machine(policies[seed % 3]),
                                           {.observers = {journal}, .delivery = {.capacity = 64}});
      {
        std::vector<std::jthread> threads;
        for (unsigned t = 0; t < 3; ++t) {
          threads.emplace_back(
              [&, t] { live(scheduler, 100U * static_cast<unsigned>(seed) + t, kRounds, t == 0); });
        }
      }
      scheduler.shutdown();  // after which time changes nothing any more
      left = scheduler.snapshot();
      EXPECT_TRUE(journal->close());
    }
    auto reader = JournalReader::open(file.path());
    ASSERT_TRUE(reader) << reader.error().message;
    auto again = Reexecution::of(reader->config());
    ASSERT_TRUE(again);
    Observation seen;
    std::optional<core::PlannerView> view;
    while (reader->next(seen)) {
      const auto difference = again->follow(seen);
      ASSERT_FALSE(difference) << *difference;
      for (const auto& action : seen.actions) {
        preempted += action.kind == core::ActionKind::preempted;
      }
    }
    EXPECT_EQ(reader->end().kind, JournalEnd::Kind::closed) << reader->end().message;
    const auto end = again->planner().view();
    EXPECT_EQ(end.submitted, left.submitted);
    EXPECT_EQ(end.finished, left.finished);
    EXPECT_EQ(end.refused, left.refused);
    EXPECT_EQ(end.expired, left.expired);
    EXPECT_EQ(end.cancelled, left.cancelled);
  }
  EXPECT_GT(preempted, 0U);  // or the runs are too easy
}

TEST(Journal, CutAnywhereGivesWhatIsWholeAndSaysWhereItStopped) {
  const Written run = short_run(5);
  auto whole = reader_of(run.bytes);
  const auto all = read_all(*whole);
  std::size_t first = 0;  // length with which the configuration is there
  std::size_t last_count = 0;
  for (std::size_t size = 0; size < run.bytes.size(); ++size) {
    SCOPED_TRACE(size);
    auto reader = reader_of(run.bytes.substr(0, size));
    if (!reader) {
      ASSERT_EQ(first, 0U) << reader.error().message;
      ASSERT_EQ(reader.error().code, ErrorCode::parse_error);
      ASSERT_THAT(reader.error().message, HasSubstr("memory: byte "));
      continue;
    }
    if (first == 0) first = size;
    const auto read = read_all(*reader);
    ASSERT_LE(read.size(), all.size());
    ASSERT_GE(read.size(), last_count);
    last_count = read.size();
    for (std::size_t i = 0; i < read.size(); ++i) ASSERT_EQ(bytes_of(read[i]), bytes_of(all[i]));
    const JournalEnd& end = reader->end();
    ASSERT_TRUE(end.kind == JournalEnd::Kind::open || end.kind == JournalEnd::Kind::cut);
    ASSERT_EQ(end.kind == JournalEnd::Kind::open, end.offset == size);
    ASSERT_LE(end.offset, size);
    ASSERT_THAT(end.message, HasSubstr("byte " + std::to_string(end.offset)));
  }
  EXPECT_EQ(last_count, all.size());
  EXPECT_GT(first, 100U);
}

TEST(Journal, ChangedAnywhereNeverGivesAWrongRecord) {
  const Written run = short_run(3);
  auto whole = reader_of(run.bytes);
  const auto all = read_all(*whole);
  for (std::size_t at = 0; at < run.bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bytes = run.bytes;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      auto reader = reader_of(bytes);
      if (!reader) continue;
      const auto read = read_all(*reader);
      ASSERT_NE(reader->end().kind, JournalEnd::Kind::closed) << at << "." << bit;
      ASSERT_LE(reader->end().offset, at);
      ASSERT_LE(read.size(), all.size());
      for (std::size_t i = 0; i < read.size(); ++i) ASSERT_EQ(bytes_of(read[i]), bytes_of(all[i]));
    }
  }
}

// Where each record begins, by walking over the lengths.
std::vector<std::size_t> record_starts(const std::string& bytes) {
  std::vector<std::size_t> starts;
  for (std::size_t at = shell::kJournalHeader; at < bytes.size();) {
    starts.push_back(at);
    std::uint64_t length = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<std::uint8_t>(bytes[at++]);
      length |= std::uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) break;
    }
    at += length + 4;
  }
  return starts;
}

TEST(Journal, RecordLeftOutSwappedOrRepeatedIsNoticed) {
  const Written run = short_run(12);
  auto starts = record_starts(run.bytes);
  starts.push_back(run.bytes.size());
  ASSERT_GT(starts.size(), 20U);
  const auto record = [&](std::size_t i) {
    return run.bytes.substr(starts[i], starts[i + 1] - starts[i]);
  };
  const auto stops_at = [&](const std::string& bytes, std::size_t records) {
    auto reader = reader_of(bytes);
    const auto read = read_all(*reader);
    EXPECT_EQ(reader->end().kind, JournalEnd::Kind::damaged);
    EXPECT_THAT(reader->end().message, HasSubstr("checksum of a record"));
    EXPECT_EQ(read.size(), records);
  };
  for (std::size_t i = 1; i + 3 < starts.size(); ++i) {
    const std::string before = run.bytes.substr(0, starts[i]);
    stops_at(before + run.bytes.substr(starts[i + 1]), i - 1);
    stops_at(before + record(i + 1) + record(i) + run.bytes.substr(starts[i + 2]), i - 1);
    stops_at(before + record(i) + run.bytes.substr(starts[i]), i);
  }
}

TEST(Journal, ZerosBehindTheEndAreNoRecords) {
  std::string bytes = short_run(3).bytes;
  bytes.resize(record_starts(bytes).back());  // not closed
  bytes.append(4096, '\0');                   // as a file system leaves after a power cut
  auto reader = reader_of(bytes);
  EXPECT_FALSE(read_all(*reader).empty());
  EXPECT_EQ(reader->end().kind, JournalEnd::Kind::damaged);
  EXPECT_THAT(reader->end().message, HasSubstr("no record has a length of 0"));
}

TEST(Journal, SomethingBehindTheLastRecordIsNoticed) {
  auto reader = reader_of(short_run(3).bytes + "x");
  read_all(*reader);
  EXPECT_EQ(reader->end().kind, JournalEnd::Kind::damaged);
  EXPECT_THAT(reader->end().message, HasSubstr("something comes behind"));
}

TEST(Journal, SaysWhatIsWrongWithAFile) {
  const auto why = [](std::string bytes) { return reader_of(std::move(bytes)).error().message; };
  EXPECT_THAT(why(""), HasSubstr("memory: byte 0: is no journal: it has 0 bytes"));
  EXPECT_THAT(why("PNG and then something"), HasSubstr("does not begin with MAISJRNL"));
  std::string other = "MAISJRNL";
  shell::append_u32(other, 7);
  shell::append_u32(other, shell::crc32c(other));
  EXPECT_THAT(why(other), HasSubstr("is of version 7; this reader knows version 1"));
  EXPECT_THAT(JournalReader::open("/nonexistent/j").error().message, HasSubstr("cannot be opened"));
}

TEST(Journal, DroppedObservationsAreAGapThatStopsTheExecution) {
  const TemporaryFile file;
  Observation seen;
  {
    auto journal = Journal::create(file.path()).value();
    journal->begin(small_machine());
    for (const std::uint64_t number : {1U, 2U, 6U}) {
      seen.number = number;
      seen.event = core::event::Tick{};
      journal->observe(seen);
    }
  }
  auto reader = JournalReader::open(file.path());
  auto again = Reexecution::of(reader->config());
  ASSERT_TRUE(reader->next(seen) && !again->follow(seen));
  ASSERT_TRUE(reader->next(seen) && !again->follow(seen));
  ASSERT_TRUE(reader->next(seen));
  EXPECT_EQ(seen.number, 6U);
  EXPECT_THAT(again->follow(seen).value(), HasSubstr("observation 6: 3 before it were dropped"));
}

TEST(Journal, FirstDifferenceIsNamed) {
  const Written run = short_run(40);
  const auto difference_when = [&](auto change) {
    auto again = Reexecution::of(eventful_machine(Policy::projected()));
    for (Observation seen : run.seen) {
      const bool changed = change(seen);
      const auto difference = again->follow(seen);
      if (changed) return difference.value_or("none");
      EXPECT_FALSE(difference);
    }
    return std::string("nothing was changed");
  };
  EXPECT_THAT(difference_when([](Observation& seen) {
                if (seen.actions.empty()) return false;
                seen.actions.pop_back();
                return true;
              }),
              HasSubstr("was nothing more, now is 'accepted request"));
  EXPECT_THAT(difference_when([](Observation& seen) {
                if (seen.step.entries.empty()) return false;
                ++seen.step.predicted;
                return true;
              }),
              HasSubstr("handed out step"));
  EXPECT_THAT(difference_when([](Observation& seen) {
                if (!seen.wake_at) return false;
                ++*seen.wake_at;
                return true;
              }),
              HasSubstr("was to be woken at"));
  EXPECT_THAT(difference_when([](Observation& seen) {
                seen.event = core::event::NextStep{.instance = InstanceId(9)};
                return true;
              }),
              HasSubstr("the event names number 9 of 2"));
}

TEST(Journal, FileThatIsThereIsNotOverwrittenUnlessAsked) {
  const TemporaryFile file;
  ASSERT_TRUE(Journal::create(file.path()));
  const auto second = Journal::create(file.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::already_exists);
  EXPECT_THAT(second.error().message, HasSubstr("name another file"));
  EXPECT_TRUE(Journal::create(file.path(), {.replace = true}));
  EXPECT_EQ(Journal::create("/nonexistent/j").error().code, ErrorCode::io_error);
}

TEST(Journal, BufferIsWrittenWhenFullWhenOldAndWhenAsked) {
  const TemporaryFile file;
  auto journal = Journal::create(file.path(), {.buffer = 200_B, .at_most = 5ms}).value();
  journal->begin(small_machine());
  const auto begun = journal->status().bytes;
  EXPECT_EQ(contents(file.path()).size(), begun);
  Observation seen{.event = core::event::Tick{}};
  const auto tick = [&](Duration at) {
    ++seen.number;
    seen.now = Time(at);
    journal->observe(seen);
    return contents(file.path()).size() - begun;
  };
  EXPECT_EQ(tick(0ms), 0U);
  EXPECT_EQ(tick(4ms), 0U);
  EXPECT_GT(tick(5ms), 0U);  // old
  const auto before = journal->status().bytes;
  for (int i = 0; i < 30 && journal->status().bytes == before; ++i) tick(6ms);
  EXPECT_GT(journal->status().bytes, before);  // full
  tick(6ms);
  EXPECT_TRUE(journal->flush());
  EXPECT_EQ(contents(file.path()).size(), journal->status().bytes);
  EXPECT_EQ(read_all(JournalReader::open(file.path())).size(), journal->status().records);
  EXPECT_TRUE(journal->close());
  EXPECT_TRUE(journal->close());
  const auto closed = journal->status().bytes;
  tick(7ms);  // not kept
  EXPECT_TRUE(journal->flush());
  EXPECT_EQ(journal->status().bytes, closed);
}

TEST(Journal, FullDiskIsSaidAndDoesNotStopTheScheduler) {
  auto journal = Journal::create("/dev/full", {.buffer = 0_B, .replace = true});
  if (!journal) GTEST_SKIP() << journal.error().message;
  Scheduler scheduler = make_scheduler(small_machine(), {.observers = {*journal}});
  EXPECT_TRUE(scheduler.acquire({.space = kPool, .bytes = 1_MiB}));
  ASSERT_TRUE((*journal)->status().failure);
  EXPECT_THAT((*journal)->status().failure->message, HasSubstr("/dev/full: cannot be written"));
  EXPECT_FALSE((*journal)->flush());
}

TEST(Journal, DurableWritesReachTheDisk) {
  const Written run = short_run(5, {.buffer = 0_B, .durable = true});
  EXPECT_EQ(read_all(reader_of(run.bytes)).size(), run.seen.size());
}

TEST(Journal, CompactForm) {  // a submit, a step and its report in less than 100 bytes each
  const Written run = short_run(100);
  EXPECT_LT(run.bytes.size() / run.seen.size(), 100U);
}

TEST(JournalDeathTest, IsOfOneScheduler) {
  const TemporaryFile file;
  auto journal = Journal::create(file.path()).value();
  journal->begin(small_machine());
  EXPECT_DEATH(journal->begin(small_machine()), "a journal is of one scheduler");
}

}  // namespace
}  // namespace mais
