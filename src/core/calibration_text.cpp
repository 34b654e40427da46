// Calibration as text. After a first line that names the format, a line for each key, its fields
// separated by tabs: model, configuration, kind (with \t, \n and \\ for a tab, a line's end and a
// backslash), how many were observed, how many of them missed, the two figures that steer the
// bound, and the samples, oldest first, separated by blanks.
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "mais/core/calibration.hpp"

namespace mais::core {

namespace {

constexpr std::string_view kFirstLine = "mais calibration 1";
constexpr std::size_t kFields = 8;
constexpr double kMostRatio = 1e19;  // all the bytes there may be, where one was predicted
constexpr std::array<std::string_view, kFields> kNames = {
    "model",  "configuration", "kind",       "observed",
    "missed", "part aimed at", "after miss", "samples"};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\t') {
      out += "\\t";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\\') {
      out += "\\\\";
    } else {
      out += c;
    }
  }
  return out;
}

std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    if (text[i] == 't') {
      out += '\t';
    } else if (text[i] == 'n') {
      out += '\n';
    } else if (text[i] == '\\') {
      out += '\\';
    } else {
      return std::nullopt;
    }
  }
  return out;
}

// The shortest text that is read back as the same number.
void append(std::string& text, double number) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  text.append(digits.data(), end);
}

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if constexpr (std::is_floating_point_v<Number>) {
    if (!std::isfinite(number)) return std::nullopt;
  }
  return number;
}

tl::unexpected<Error> wrong(std::size_t line, const std::string& what) {
  return fail(ErrorCode::parse_error, "calibration, line " + std::to_string(line) + ": " + what);
}

tl::unexpected<Error> wrong_field(std::size_t line, std::size_t field, std::string_view found,
                                  const std::string& right) {
  return wrong(line, std::string(kNames[field]) + " '" + std::string(found.substr(0, 40)) +
                         "' is not " + right);
}

}  // namespace

std::string Calibration::text() const {
  std::string text(kFirstLine);
  text += '\n';
  for (const auto& [key, bound] : bounds_) {
    text += escaped(key.model) + '\t' + escaped(key.configuration) + '\t' + escaped(key.kind) +
            '\t' + std::to_string(bound.observed_) + '\t' + std::to_string(bound.missed_) + '\t';
    append(text, bound.miss_part_);
    text += '\t';
    append(text, bound.after_miss_);
    text += '\t';
    for (std::size_t i = 0; i < bound.recent_.size(); ++i) {
      if (i > 0) text += ' ';
      append(text, bound.recent_[(bound.next_ + i) % bound.recent_.size()]);
    }
    text += '\n';
  }
  return text;
}

Result<Calibration> Calibration::parse(std::string_view text, const CalibrationOptions& options) {
  Calibration read(options);
  const auto next_line = [&text] {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return line;
  };
  if (text.find('\n') == std::string_view::npos || next_line() != kFirstLine) {
    return wrong(1, "a calibration begins with '" + std::string(kFirstLine) + "'");
  }
  for (std::size_t number = 2; !text.empty(); ++number) {
    if (text.find('\n') == std::string_view::npos) {
      return wrong(number, "the line has no end: the file was cut off");
    }
    std::string_view line = next_line();
    std::array<std::string_view, kFields> fields{};
    for (std::size_t i = 0; i < kFields; ++i) {
      const std::size_t tab = line.find('\t');
      if ((tab == std::string_view::npos) != (i == kFields - 1)) {
        return wrong(number, "a line has " + std::to_string(kFields) +
                                 " fields separated by tabs, this one has not");
      }
      fields[i] = line.substr(0, tab);
      if (tab != std::string_view::npos) line.remove_prefix(tab + 1);
    }
    std::array<std::string, 3> names;
    for (std::size_t i = 0; i < names.size(); ++i) {
      auto name = unescaped(fields[i]);
      if (!name) return wrong_field(number, i, fields[i], "a text: after \\ comes t, n or \\");
      names[i] = *std::move(name);
    }
    UpperBound bound(options);
    for (std::string_view samples = fields[7]; !samples.empty();) {
      const std::size_t end = samples.find(' ');
      const auto sample = number_in<double>(samples.substr(0, end));
      if (!sample || *sample < 0 || *sample > kMostRatio) {
        return wrong_field(number, 7, samples.substr(0, end), "measured / predicted, 0 ... 1e19");
      }
      bound.observe(*sample);
      samples.remove_prefix(end == std::string_view::npos ? samples.size() : end + 1);
    }
    if (bound.recent_.empty()) return wrong_field(number, 7, fields[7], "one number at least");
    const auto observed = number_in<std::uint64_t>(fields[3]);
    const auto missed = number_in<std::uint64_t>(fields[4]);
    const auto aimed = number_in<double>(fields[5]);
    const auto after_miss = number_in<double>(fields[6]);
    if (!observed || *observed < bound.recent_.size()) {
      return wrong_field(number, 3, fields[3], "a count, at least that of the samples");
    }
    if (!missed || *missed > *observed) {
      return wrong_field(number, 4, fields[4], "a count, at most that of the observed");
    }
    if (!aimed || *aimed < -1 || *aimed > 1) {
      return wrong_field(number, 5, fields[5], "a part between -1 and 1");
    }
    if (!after_miss || *after_miss < 0 || *after_miss > 2 * kMostRatio) {
      return wrong_field(number, 6, fields[6], "a factor, 0 ... 2e19");
    }
    bound.observed_ = *observed;
    bound.missed_ = *missed;
    bound.miss_part_ = *aimed;
    bound.after_miss_ = *after_miss;
    bound.factor_ = std::max(bound.quantile(), bound.after_miss_);
    CalibrationKey key{std::move(names[0]), std::move(names[1]), std::move(names[2])};
    if (!read.bounds_.emplace(std::move(key), std::move(bound)).second) {
      return wrong(number, "the key was given before");
    }
  }
  return read;
}

}  // namespace mais::core
