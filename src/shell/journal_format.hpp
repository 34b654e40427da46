// The journal's file, byte for byte; docs/journal.md says the same for people.
//
//   file    = "MAISJRNL" version(4 bytes, little-endian) crc(4) record*
//   record  = length(varint) payload(length bytes) crc(4)
//   payload = kind(1 byte) ...
//
// A record's checksum is the CRC-32C of its length and payload behind the checksum before it: a
// record that is left out, put in, or moved is as wrong as one that is changed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mais/observer.hpp"
#include "shell/crc32c.hpp"
#include "shell/journal_fields.hpp"

namespace mais::shell {

inline constexpr std::string_view kJournalMagic = "MAISJRNL";
inline constexpr std::uint32_t kJournalVersion = 1;
inline constexpr std::size_t kJournalHeader = 16;
inline constexpr std::size_t kLongestRecord = std::size_t{1} << 28;

enum class RecordKind : std::uint8_t {
  config,       // first, once
  observation,  // any number
  closed,       // last: a varint with how many observations there are
};

inline void append_u32(std::string& out, std::uint32_t value) {
  for (int byte = 0; byte < 4; ++byte, value >>= 8) out.push_back(static_cast<char>(value));
}
inline std::uint32_t read_u32(std::string_view bytes) noexcept {
  std::uint32_t value = 0;
  for (std::size_t byte = 0; byte < 4; ++byte) {
    value |= std::uint32_t{static_cast<std::uint8_t>(bytes[byte])} << (8 * byte);
  }
  return value;
}

// What an observation is written as the difference to.
struct RecordPlace {
  std::uint64_t number = 0;
  Time now{};
};

// Behind the kind: how many numbers were skipped, the time since the observation before (which
// wraps around, so that every two times have one), the event, and what came of it.
template <class Archive, Is<Observation> Value>
void fields(Archive& archive, Value& seen, std::uint64_t& skipped, std::int64_t& elapsed) {
  auto& [number, now, event, actions, wake_at, step] = seen;
  bool has_step = !nothing_in(step);
  archive(skipped, elapsed, event, actions, wake_at, has_step);
  if (has_step) archive(step);
  static_cast<void>(number);
  static_cast<void>(now);
}

inline std::uint64_t wrapping(Time time) noexcept {
  return static_cast<std::uint64_t>(time.time_since_epoch().count());
}

inline void write_observation(std::string& out, const Observation& seen, RecordPlace& before) {
  std::uint64_t skipped = seen.number - before.number - 1;
  auto elapsed = static_cast<std::int64_t>(wrapping(seen.now) - wrapping(before.now));
  ArchiveWriter archive(out);
  fields(archive, seen, skipped, elapsed);
  before = {.number = seen.number, .now = seen.now};
}

inline void read_observation(ArchiveReader& archive, Observation& seen, RecordPlace& before) {
  std::uint64_t skipped = 0;
  std::int64_t elapsed = 0;
  seen.step = {};
  fields(archive, seen, skipped, elapsed);
  seen.number = before.number + 1 + skipped;
  seen.now = Time(Duration(
      static_cast<std::int64_t>(wrapping(before.now) + static_cast<std::uint64_t>(elapsed))));
  before = {.number = seen.number, .now = seen.now};
}

}  // namespace mais::shell
