// "name value" lines to and from plain data: one description of a struct's fields serves both ways.
// What the sections of a machine record are made of.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "mais/result.hpp"
#include "mais/units.hpp"
#include "probe/text_lines.hpp"

namespace mais::probing {

inline bool from_text(std::string_view text, std::string& value) {
  value = text;
  return true;
}
template <class Number>
requires(std::integral<Number> || std::floating_point<Number>) bool from_text(std::string_view text,
                                                                              Number& value) {
  if constexpr (std::floating_point<Number>) {
    return to_number(text, value) && value >= -1e300 && value <= 1e300;
  } else {
    return to_number(text, value);
  }
}
inline bool from_text(std::string_view text, bool& value) {
  value = text == "yes";
  return value || text == "no";
}
inline bool from_text(std::string_view text, Bytes& value) {
  std::int64_t count = 0;
  if (!to_number(text, count) || count < 0) return false;
  value = Bytes(count);
  return true;
}

inline std::string as_text(const std::string& value) {
  std::string line = value;  // a value is one line
  for (char& c : line) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return std::string(trimmed(line));
}
inline std::string as_text(bool value) {
  return value ? "yes" : "no";
}
template <std::integral Number>
std::string as_text(Number value) {
  return std::to_string(value);
}
std::string as_text(double value);  // the shortest that reads back the same
inline std::string as_text(Bytes value) {
  return std::to_string(value.count());
}

class FieldWriter {
 public:
  static constexpr bool kReads = false;

  template <class T>
  void field(std::string_view name, const T& value) {
    line(name, as_text(value));
  }
  template <class T>
  void field(std::string_view name, const std::optional<T>& value) {
    if (value) field(name, *value);
  }
  // One line for each item.
  template <class T, class Describe>
  void each(std::string_view name, const std::vector<T>& list, const Describe& describe) {
    for (const T& item : list) {
      FieldWriter inner;
      describe(inner, const_cast<T&>(item));
      line(name, "");
      indent_ += "  ";
      for (const std::string& text : inner.lines_) lines_.push_back(indent_ + text);
      indent_.resize(indent_.size() - 2);
    }
  }

  // Ready to stand in a section: each with its bar.
  std::string text() const {
    std::string all;
    for (const std::string& line : lines_) all.append("|").append(line).append("\n");
    return all;
  }

 private:
  void line(std::string_view name, const std::string& value) {
    lines_.push_back(indent_ + std::string(name) + (value.empty() ? "" : " " + value));
  }
  std::vector<std::string> lines_;
  std::string indent_;
};

// Reads a block of lines; deeper ones belong to the line above them. The first fault is kept.
class FieldReader {
 public:
  static constexpr bool kReads = true;

  struct Line {
    std::size_t number = 0;
    std::string_view text;  // with its indentation
  };

  FieldReader(std::vector<Line> lines, std::string_view origin, std::optional<Error>& fault);
  ~FieldReader();
  FieldReader(const FieldReader&) = delete;
  FieldReader& operator=(const FieldReader&) = delete;

  template <class T>
  void field(std::string_view name, T& value) {
    const Entry* entry = take(name);
    if (entry == nullptr) return;
    T read{};
    if (!entry->inner.empty() || !from_text(entry->value, read)) {
      refuse(*entry);
    } else {
      value = std::move(read);
    }
  }
  template <class T>
  void field(std::string_view name, std::optional<T>& value) {
    if (!has(name)) return;
    T read{};
    field(name, read);
    value = std::move(read);
  }
  template <class T, class Describe>
  void each(std::string_view name, std::vector<T>& list, const Describe& describe) {
    while (const Entry* entry = take(name)) {
      if (!entry->value.empty()) refuse(*entry);
      FieldReader inner(entry->inner, origin_, fault_);
      describe(inner, list.emplace_back());
    }
  }

 private:
  struct Entry {
    std::size_t number = 0;
    std::string_view name, value;
    std::vector<Line> inner;
    bool taken = false;
  };

  bool has(std::string_view name) const;
  const Entry* take(std::string_view name);  // the first of that name that was not taken
  void refuse(const Entry& entry);

  std::vector<Entry> entries_;
  std::string_view origin_;
  std::optional<Error>& fault_;
};

}  // namespace mais::probing
