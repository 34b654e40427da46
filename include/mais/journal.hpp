// A journal: what a scheduler was told, when, and what it decided, in a file that survives a crash.
//
//   auto journal = Journal::create("server.journal");
//   auto scheduler = Scheduler::create(config, {.observers = {*journal}});
//
// The file begins with the configuration, so that it can be executed again without anything else
// (mais/reexecution.hpp). Each record carries a checksum that covers all before it: whatever
// happens to the file, a reader gives the records up to some place, exactly as they were written,
// and says where and why it stopped. docs/journal.md describes the format, version 1.
//
// Cost: an observation is encoded into a buffer, in the thread that delivers it; the file is
// written when the buffer is full. There is no thread. What the buffer holds is lost when the
// process is killed: see JournalOptions.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>

#include "mais/observer.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais {

struct JournalOptions {
  // The file is written when so much waits in the buffer. 0: after each record, so that a killed
  // process loses nothing that was delivered.
  Bytes buffer = Bytes(64 << 10);
  // And when something is observed so long, by the scheduler's clock, after the last write.
  Duration at_most = std::chrono::seconds(1);
  // Each write waits until the disk has it, so that a killed machine loses no more than a process.
  bool durable = false;
  bool replace = false;  // a file that is there already, instead of failing
};

struct JournalStatus {
  std::uint64_t records = 0;       // observed and encoded, all of the file's but the first and last
  std::uint64_t bytes = 0;         // handed to the operating system
  std::optional<Error> failure{};  // a write failed: nothing is written any more
};

// Give it to one scheduler. flush(), close() and status() from any thread.
class Journal final : public Observer {
 public:
  // io_error when the file cannot be created; already_exists unless JournalOptions::replace.
  static Result<std::shared_ptr<Journal>> create(const std::string& path,
                                                 JournalOptions options = {});
  ~Journal() override;  // closes

  void begin(const Config& config) override;
  void observe(const Observation& seen) override;

  // Writes what the buffer holds. The first failure of any write, if there was one.
  Result<void> flush();
  // The same, and marks the end: a reader then knows that nothing is missing. What is observed
  // later is not kept. Once; later calls only answer.
  Result<void> close();
  JournalStatus status() const;

 private:
  class File;
  explicit Journal(std::unique_ptr<File> file) noexcept;

  std::unique_ptr<File> file_;
};

// Why a journal has no more records.
struct JournalEnd {
  enum class Kind : std::uint8_t {
    closed,   // it was closed
    open,     // it ends behind a record, without having been closed: the process was killed
    cut,      // it ends inside a record: the process or the machine was killed while writing
    damaged,  // what comes is not what was written
  };
  Kind kind = Kind::open;
  std::uint64_t offset = 0;   // bytes from the beginning of the file that are good
  std::uint64_t records = 0;  // observations up to there
  std::string message{};      // one sentence
};

// Reads a journal from the beginning. One user at a time; holds one record in memory.
class JournalReader {
 public:
  // io_error; parse_error when it is no journal, of another version, or its configuration is not
  // there in whole. Messages carry `name` and the offset.
  static Result<JournalReader> open(const std::string& path);
  static Result<JournalReader> read(std::unique_ptr<std::istream> in, std::string name);

  JournalReader(JournalReader&&) noexcept;
  JournalReader& operator=(JournalReader&&) noexcept;
  ~JournalReader();

  // Of the scheduler that was observed. Not validated.
  const Config& config() const noexcept;

  // The next observation; false at the end, for good. A gap in its numbers is what the scheduler
  // dropped (WhenFull::drop).
  bool next(Observation& seen);
  // After next() was false.
  const JournalEnd& end() const noexcept;

 private:
  struct State;
  explicit JournalReader(std::unique_ptr<State> state) noexcept;

  std::unique_ptr<State> state_;
};

}  // namespace mais
