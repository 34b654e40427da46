// Reads numbers and punctuation off the front of a text, without copying it. What the trace parsers
// stand on.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "mais/result.hpp"

namespace mais::sim {

inline constexpr std::int64_t kMaxTraceTokens = 100'000'000;
inline constexpr double kMaxTraceSeconds = 10 * 365.25 * 86400;

class TextScanner {
 public:
  explicit TextScanner(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  bool done() const { return at_ == end_; }
  char peek() const { return at_ == end_ ? '\0' : *at_; }
  std::string_view rest() const { return {at_, static_cast<std::size_t>(end_ - at_)}; }

  void skip_blanks() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t')) ++at_;
  }
  // Takes the character when it is next.
  bool take(char expected) {
    if (at_ == end_ || *at_ != expected) return false;
    ++at_;
    return true;
  }
  // A number as it is written in CSV and JSON; false leaves the place as it was.
  bool take_number(double& value) {
    const auto [next, error] = std::from_chars(at_, end_, value);
    if (error != std::errc{} || !std::isfinite(value)) return false;
    at_ = next;
    return true;
  }
  bool take_integer(std::int64_t& value) {
    const auto [next, error] = std::from_chars(at_, end_, value);
    if (error != std::errc{}) return false;
    if (next != end_ && (*next == '.' || *next == 'e' || *next == 'E')) return false;
    at_ = next;
    return true;
  }
  bool take_unsigned(std::uint64_t& value) {
    const auto [next, error] = std::from_chars(at_, end_, value);
    if (error != std::errc{}) return false;
    at_ = next;
    return true;
  }
  // Everything up to `stop`, which is taken too, or up to the end.
  std::string_view take_until(char stop) {
    const char* const start = at_;
    while (at_ != end_ && *at_ != stop) ++at_;
    const std::string_view taken(start, static_cast<std::size_t>(at_ - start));
    if (at_ != end_) ++at_;
    return taken;
  }

 private:
  const char* at_;
  const char* end_;
};

// The lines of a text, numbered from 1; a carriage return before the line feed is cut off.
class Lines {
 public:
  explicit Lines(std::string_view text) : scanner_(text) {}
  bool next(std::string_view& line) {
    if (scanner_.done()) return false;
    line = scanner_.take_until('\n');
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    ++number_;
    return true;
  }
  std::int64_t number() const { return number_; }

 private:
  TextScanner scanner_;
  std::int64_t number_ = 0;
};

inline tl::unexpected<Error> bad_line(std::string_view origin, std::int64_t line,
                                      const std::string& problem) {
  return fail(ErrorCode::parse_error,
              std::string(origin) + ":" + std::to_string(line) + ": " + problem);
}

// A piece of the input as a message may show it: short, and nothing unprintable.
inline std::string shown(std::string_view text) {
  std::string result(text.substr(0, 40));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
  }
  return "'" + result + (text.size() > 40 ? "...'" : "'");
}

}  // namespace mais::sim
