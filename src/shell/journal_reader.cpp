#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include "mais/journal.hpp"
#include "shell/journal_format.hpp"

namespace mais {

struct JournalReader::State {
  State(std::unique_ptr<std::istream> from, std::string called)
      : in(std::move(from)), name(std::move(called)) {}

  // Makes `count` bytes or more available behind the place, if the file has them.
  bool have(std::size_t count) {
    if (buffer.size() - at >= count) return true;
    buffer.erase(0, at);
    at = 0;
    constexpr std::size_t kPiece = 64 << 10;
    while (buffer.size() < count && *in) {
      // Piece by piece: a length that is wrong must not allocate what the file does not have.
      const std::size_t before = buffer.size();
      buffer.resize(before + kPiece);
      in->read(buffer.data() + before, static_cast<std::streamsize>(kPiece));
      buffer.resize(before + static_cast<std::size_t>(in->gcount()));
    }
    return buffer.size() >= count;
  }
  std::string_view ahead() const { return std::string_view(buffer).substr(at); }
  std::string where() const { return name + ": byte " + std::to_string(end.offset) + ": "; }

  void stop(JournalEnd::Kind kind, std::string why) {
    ended = true;
    end.kind = kind;
    end.records = records;
    end.message = where() + std::move(why) + " (" + std::to_string(records) + " observations)";
  }

  // The payload of the next record, checked; false at an end.
  bool next_record(std::string_view& payload) {
    std::uint64_t length = 0;
    std::size_t digits = 0;
    while (true) {
      if (!have(digits + 1)) {
        if (digits == 0) {
          stop(JournalEnd::Kind::open, "the journal ends here without having been closed");
        } else {
          stop(JournalEnd::Kind::cut, "the file ends inside the length of a record");
        }
        return false;
      }
      const auto byte = static_cast<std::uint8_t>(ahead()[digits]);
      length |= std::uint64_t{byte & 0x7fU} << (7 * digits);
      ++digits;
      if (byte < 0x80) break;
      if (digits == 5) break;
    }
    if (length == 0 || length > shell::kLongestRecord ||
        (digits > 1 && length >> (7 * (digits - 1)) == 0)) {
      stop(JournalEnd::Kind::damaged, "no record has a length of " + std::to_string(length));
      return false;
    }
    const std::size_t size = digits + static_cast<std::size_t>(length);
    if (!have(size + 4)) {
      stop(JournalEnd::Kind::cut, "the file ends inside a record of " + std::to_string(length) +
                                      " bytes, of which it has " +
                                      std::to_string(ahead().size() - digits));
      return false;
    }
    const std::uint32_t sum = shell::crc32c(ahead().substr(0, size), checksum);
    if (sum != shell::read_u32(ahead().substr(size))) {
      stop(JournalEnd::Kind::damaged,
           "the checksum of a record of " + std::to_string(length) + " bytes is wrong");
      return false;
    }
    checksum = sum;
    payload = ahead().substr(digits, static_cast<std::size_t>(length));
    at += size + 4;
    next_offset = end.offset + size + 4;
    return true;
  }

  // What the header or the configuration suffers from, if anything.
  std::optional<std::string> read_beginning() {
    if (!have(shell::kJournalHeader)) {
      return "is no journal: it has " + std::to_string(ahead().size()) + " bytes; a header takes " +
             std::to_string(shell::kJournalHeader);
    }
    const std::string_view header = ahead().substr(0, shell::kJournalHeader);
    if (!header.starts_with(shell::kJournalMagic)) {
      return "is no journal: it does not begin with " + std::string(shell::kJournalMagic);
    }
    checksum = shell::crc32c(header.substr(0, 12));
    if (checksum != shell::read_u32(header.substr(12))) return "the header's checksum is wrong";
    const std::uint32_t version = shell::read_u32(header.substr(8));
    if (version != shell::kJournalVersion) {
      return "is of version " + std::to_string(version) + "; this reader knows version " +
             std::to_string(shell::kJournalVersion);
    }
    at += shell::kJournalHeader;
    end.offset = shell::kJournalHeader;
    std::string_view payload;
    if (!next_record(payload)) return "the configuration is not there: " + end.message;
    if (payload.front() != static_cast<char>(shell::RecordKind::config)) {
      return "the configuration is not there: the first record is another";
    }
    shell::ArchiveReader archive(payload.substr(1));
    archive(config);
    if (archive.problem().empty() && archive.left() != 0) archive.refuse("it has too many bytes");
    if (!archive.problem().empty()) {
      return "the configuration cannot be read: " + archive.problem();
    }
    end.offset = next_offset;
    return std::nullopt;
  }

  bool next(Observation& seen) {
    std::string_view payload;
    if (ended || !next_record(payload)) return false;
    shell::ArchiveReader archive(payload.substr(1));
    switch (static_cast<shell::RecordKind>(payload.front())) {
      case shell::RecordKind::observation:
        shell::read_observation(archive, seen, place);
        break;
      case shell::RecordKind::closed:
        return finish(archive);
      case shell::RecordKind::config:
        archive.refuse("the configuration comes again");
        break;
      default:
        archive.refuse("its kind is none of those there are");
    }
    if (archive.problem().empty() && archive.left() != 0) archive.refuse("it has too many bytes");
    if (!archive.problem().empty()) {
      stop(JournalEnd::Kind::damaged, "a record cannot be read: " + archive.problem());
      return false;
    }
    end.offset = next_offset;
    ++records;
    return true;
  }

  bool finish(shell::ArchiveReader& archive) {
    std::uint64_t count = 0;
    archive(count);
    if (!archive.problem().empty() || archive.left() != 0 || count != records) {
      stop(JournalEnd::Kind::damaged, "the last record does not say how many there are");
      return false;
    }
    end.offset = next_offset;
    if (have(1)) {
      stop(JournalEnd::Kind::damaged, "something comes behind the last record");
    } else {
      stop(JournalEnd::Kind::closed, "the journal was closed here");
    }
    return false;
  }

  std::unique_ptr<std::istream> in;
  std::string name;
  std::string buffer;
  std::size_t at = 0;  // in buffer
  std::uint64_t next_offset = 0;
  std::uint32_t checksum = 0;
  std::uint64_t records = 0;
  shell::RecordPlace place;
  Config config;
  bool ended = false;
  JournalEnd end;
};

Result<JournalReader> JournalReader::open(const std::string& path) {
  auto file = std::make_unique<std::ifstream>(path, std::ios::binary);
  if (!*file) {
    return fail(ErrorCode::io_error, path + ": cannot be opened: " + std::strerror(errno));
  }
  return read(std::move(file), path);
}

Result<JournalReader> JournalReader::read(std::unique_ptr<std::istream> in, std::string name) {
  auto state = std::make_unique<State>(std::move(in), std::move(name));
  if (const auto problem = state->read_beginning()) {
    return fail(ErrorCode::parse_error, state->where() + *problem);
  }
  return JournalReader(std::move(state));
}

JournalReader::JournalReader(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
JournalReader::JournalReader(JournalReader&&) noexcept = default;
JournalReader& JournalReader::operator=(JournalReader&&) noexcept = default;
JournalReader::~JournalReader() = default;

const Config& JournalReader::config() const noexcept {
  return state_->config;
}

bool JournalReader::next(Observation& seen) {
  return state_->next(seen);
}

const JournalEnd& JournalReader::end() const noexcept {
  return state_->end;
}

}  // namespace mais
