// Writes JSON, indented; names and texts are escaped, so any bytes may be in them. What the report
// needs, so that it has JSON where mais::files is off.
#pragma once

#include <cmath>
#include <concepts>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace mais::probing {

class JsonText {
 public:
  template <class Body>
  void object(std::string_view key, const Body& body) {
    bracket(key, '{', '}', body);
  }
  template <class Body>
  void object(const Body& body) {
    bracket("", '{', '}', body);
  }
  template <class List, class Each>
  void list(std::string_view key, const List& items, const Each& each) {
    bracket(key, '[', ']', [&] {
      for (const auto& item : items) each(item);
    });
  }
  void field(std::string_view key, std::string_view value) {
    begin(key);
    quote(value);
  }
  void field(std::string_view key, const char* value) { field(key, std::string_view(value)); }
  void field(std::string_view key, bool value) {
    begin(key);
    text_ += value ? "true" : "false";
  }
  template <std::integral Number>
  void field(std::string_view key, Number value) {
    begin(key);
    text_ += std::to_string(value);
  }
  void field(std::string_view key, double value) {
    begin(key);
    char number[40];
    std::snprintf(number, sizeof number, "%.17g", value);
    if (std::isfinite(value)) {
      double back = 0;
      for (int digits = 6; digits < 17 && back != value; ++digits) {
        std::snprintf(number, sizeof number, "%.*g", digits, value);
        std::sscanf(number, "%lf", &back);
      }
    }
    text_ += std::isfinite(value) ? number : "null";
  }
  template <class T>
  void field(std::string_view key, const std::optional<T>& value) {
    if (value) {
      field(key, *value);
    } else {
      begin(key);
      text_ += "null";
    }
  }

  std::string take() && { return std::move(text_) + "\n"; }

 private:
  template <class Body>
  void bracket(std::string_view key, char open, char close, const Body& body) {
    begin(key);
    text_ += open;
    ++depth_;
    first_ = true;
    body();
    --depth_;
    if (!first_) line();
    first_ = false;
    text_ += close;
  }
  void begin(std::string_view key) {
    if (!first_) text_ += ',';
    if (depth_ > 0) line();
    first_ = false;
    if (key.empty()) return;
    quote(key);
    text_ += ": ";
  }
  void line() { text_.append("\n").append(depth_ * 2, ' '); }
  void quote(std::string_view value) {
    text_ += '"';
    for (const char c : value) {
      const auto code = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        text_ += '\\';
        text_ += c;
      } else if (code < 0x20 || code >= 0x7f) {
        char escape[8];
        std::snprintf(escape, sizeof escape, "\\u%04x", code);
        text_ += escape;
      } else {
        text_ += c;
      }
    }
    text_ += '"';
  }

  std::string text_;
  std::size_t depth_ = 0;
  bool first_ = true;
};

}  // namespace mais::probing
