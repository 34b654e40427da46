#include "mais/journal.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <string>
#include <unistd.h>
#include <utility>

#include "shell/journal_format.hpp"
#include "shell/sync.hpp"

namespace mais {

// The file, its buffer, and what was written last. Every member but the constructor locks.
class Journal::File {
 public:
  File(int descriptor, std::string path, const JournalOptions& options)
      : descriptor_(descriptor), path_(std::move(path)), options_(options) {
    buffer_.append(shell::kJournalMagic);
    shell::append_u32(buffer_, shell::kJournalVersion);
    checksum_ = shell::crc32c(buffer_);
    shell::append_u32(buffer_, checksum_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    static_cast<void>(close());
    ::close(descriptor_);
  }

  void begin(const Config& config) {
    const std::lock_guard lock(mutex_);
    MAIS_EXPECTS(!begun_, "a journal is of one scheduler: it has begun already");
    begun_ = true;
    record(shell::RecordKind::config, [&](std::string& out) { shell::ArchiveWriter{out}(config); });
    write();
  }

  void observe(const Observation& seen) {
    const std::lock_guard lock(mutex_);
    MAIS_EXPECTS(begun_, "a journal hears of the configuration first");
    if (closed_ || status_.failure) return;
    record(shell::RecordKind::observation,
           [&](std::string& out) { shell::write_observation(out, seen, place_); });
    ++status_.records;
    if (!written_at_) written_at_ = seen.now;
    if (std::cmp_greater_equal(buffer_.size(), options_.buffer.count()) ||
        seen.now >= saturating_add(*written_at_, options_.at_most)) {
      write();
      written_at_ = seen.now;
    }
  }

  Result<void> flush() {
    const std::lock_guard lock(mutex_);
    write();
    return outcome();
  }

  Result<void> close() {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(closed_, true) && begun_) {
      record(shell::RecordKind::closed,
             [&](std::string& out) { shell::ArchiveWriter{out}(status_.records); });
    }
    write();
    return outcome();
  }

  JournalStatus status() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }

 private:
  Result<void> outcome() const {
    if (status_.failure) return tl::unexpected<Error>(*status_.failure);
    return {};
  }

  template <class Write>
  void record(shell::RecordKind kind, Write write_payload) {
    payload_.assign(1, static_cast<char>(kind));
    write_payload(payload_);
    const std::size_t from = buffer_.size();
    shell::ArchiveWriter{buffer_}(static_cast<std::uint64_t>(payload_.size()));
    buffer_.append(payload_);
    checksum_ = shell::crc32c(std::string_view(buffer_).substr(from), checksum_);
    shell::append_u32(buffer_, checksum_);
  }

  void write() {
    std::string_view rest = buffer_;
    while (!rest.empty() && !status_.failure) {
      const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        fail_with("cannot be written");
      } else {
        rest.remove_prefix(static_cast<std::size_t>(written));
        status_.bytes += static_cast<std::uint64_t>(written);
      }
    }
    if (options_.durable && !buffer_.empty() && !status_.failure && ::fdatasync(descriptor_) != 0) {
      fail_with("cannot be brought to the disk");
    }
    buffer_.clear();
  }

  void fail_with(const char* what) {
    status_.failure = Error{.code = ErrorCode::io_error,
                            .message = path_ + ": " + what + ": " + std::strerror(errno) +
                                       "; nothing is recorded from here on"};
  }

  const int descriptor_;
  const std::string path_;
  const JournalOptions options_;

  mutable shell::Mutex mutex_;  // of all below
  std::string buffer_;
  std::string payload_;
  std::uint32_t checksum_ = 0;
  shell::RecordPlace place_;
  std::optional<Time> written_at_;
  JournalStatus status_;
  bool begun_ = false;
  bool closed_ = false;
};

Result<std::shared_ptr<Journal>> Journal::create(const std::string& path, JournalOptions options) {
  const int when_there = options.replace ? O_TRUNC : O_EXCL;
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | when_there, 0644);
  if (descriptor < 0) {
    if (errno == EEXIST) {
      return fail(ErrorCode::already_exists,
                  path +
                      ": is there already; a journal is of one run: name another file, or set "
                      "JournalOptions::replace");
    }
    return fail(ErrorCode::io_error, path + ": cannot be created: " + std::strerror(errno));
  }
  return std::shared_ptr<Journal>(new Journal(std::make_unique<File>(descriptor, path, options)));
}

Journal::Journal(std::unique_ptr<File> file) noexcept : file_(std::move(file)) {}

Journal::~Journal() = default;

void Journal::begin(const Config& config) {
  file_->begin(config);
}

void Journal::observe(const Observation& seen) {
  file_->observe(seen);
}

Result<void> Journal::flush() {
  return file_->flush();
}

Result<void> Journal::close() {
  return file_->close();
}

JournalStatus Journal::status() const {
  return file_->status();
}

}  // namespace mais
