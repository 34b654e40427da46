// Lines and words of a small text file, and how a fault in one is told. What the parsers of the
// probe stand on.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "mais/result.hpp"

namespace mais::probing {

// Takes what stands before `stop` off the front, and the stop; everything when it is not there.
inline std::string_view take_until(std::string_view& text, char stop) {
  const std::size_t at = text.find(stop);
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return taken;
}

inline std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// The next word, blanks around it dropped; empty at the end.
inline std::string_view take_word(std::string_view& text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) {
    text = {};
    return {};
  }
  text.remove_prefix(first);
  const std::size_t length = text.find_first_of(" \t");
  const std::string_view word = text.substr(0, length);
  text.remove_prefix(word.size());
  return word;
}

// The whole text as a number.
template <class Number>
bool to_number(std::string_view text, Number& value) {
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && next == end && !text.empty();
}

// A piece of the input as a message may show it: short, and nothing unprintable.
inline std::string shown(std::string_view text) {
  std::string result(text.substr(0, 40));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
  }
  return "'" + result + (text.size() > 40 ? "...'" : "'");
}

inline tl::unexpected<Error> bad_line(std::string_view origin, std::size_t line,
                                      const std::string& problem) {
  return fail(ErrorCode::parse_error,
              std::string(origin) + ":" + std::to_string(line) + ": " + problem);
}

// Walks over lines, numbered from 1.
class LineWalk {
 public:
  explicit LineWalk(std::string_view text) : rest_(text) {}
  bool next(std::string_view& line) {
    if (rest_.empty()) return false;
    line = take_until(rest_, '\n');
    ++number_;
    return true;
  }
  std::size_t number() const { return number_; }

 private:
  std::string_view rest_;
  std::size_t number_ = 0;
};

}  // namespace mais::probing
