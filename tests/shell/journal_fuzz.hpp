// What must hold for any bytes: a journal or one error; records until an end that says where; and
// an execution that never aborts.
#pragma once

#include <memory>
#include <sstream>
#include <string>
#include <string_view>

#include "mais/journal.hpp"
#include "mais/reexecution.hpp"
#include "shell/journal_format.hpp"

namespace mais {

inline void fuzz_journal(std::string_view bytes, const std::string& executable_config) {
  auto reader =
      JournalReader::read(std::make_unique<std::istringstream>(std::string(bytes)), "fuzz");
  if (!reader) {
    if (reader.error().message.find("fuzz: byte ") != 0) std::abort();
    return;
  }
  // A configuration that was changed may ask for more memory than there is; that is its right.
  std::string config;
  shell::ArchiveWriter{config}(reader->config());
  std::optional<Reexecution> again;
  if (config == executable_config) again = Reexecution::of(reader->config()).value();
  Observation seen;
  std::uint64_t records = 0;
  while (reader->next(seen)) {
    ++records;
    if (again && again->follow(seen)) again.reset();
  }
  const JournalEnd& end = reader->end();
  if (end.records != records || end.offset > bytes.size() || end.message.empty()) std::abort();
  if (reader->next(seen)) std::abort();
}

// With every checksum put right, so that what it guards is met.
inline std::string with_right_checksums(std::string bytes) {
  if (bytes.size() < shell::kJournalHeader) return bytes;
  std::uint32_t sum = shell::crc32c(std::string_view(bytes).substr(0, 12));
  const auto put = [&](std::size_t at) {
    for (std::size_t byte = 0; byte < 4; ++byte) {
      bytes[at + byte] = static_cast<char>(sum >> (8 * byte));
    }
  };
  put(12);
  for (std::size_t at = shell::kJournalHeader; at < bytes.size();) {
    std::size_t length = 0;
    std::size_t digits = 0;
    while (at + digits < bytes.size() && digits < 5) {
      const auto byte = static_cast<std::uint8_t>(bytes[at + digits]);
      length |= std::size_t{byte & 0x7fU} << (7 * digits);
      ++digits;
      if (byte < 0x80) break;
    }
    if (length > bytes.size() || at + digits + length + 4 > bytes.size()) break;
    sum = shell::crc32c(std::string_view(bytes).substr(at, digits + length), sum);
    put(at + digits + length);
    at += digits + length + 4;
  }
  return bytes;
}

}  // namespace mais
