// Metrics in Prometheus' text format, without labels but one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace server {

class GaugeText {
 public:
  enum class Kind : std::uint8_t { gauge, counter };

  // Begins a metric; values follow.
  GaugeText& metric(std::string name, Kind kind, std::string_view help) {
    name_ = std::move(name);
    text_ += "# HELP " + name_ + " " + std::string(help) + "\n# TYPE " + name_ +
             (kind == Kind::gauge ? " gauge\n" : " counter\n");
    return *this;
  }
  template <class Number>
  GaugeText& value(Number number) {
    text_ += name_ + " " + std::to_string(number) + "\n";
    return *this;
  }
  template <class Number>
  GaugeText& value(std::string_view label, std::string_view of, Number number) {
    text_ += name_ + "{" + std::string(label) + "=\"" + escaped(of) + "\"} " +
             std::to_string(number) + "\n";
    return *this;
  }
  std::string text() && { return std::move(text_); }

 private:
  static std::string escaped(std::string_view value) {
    std::string result;
    for (const char c : value) {
      if (c == '\\' || c == '"') result += '\\';
      if (c == '\n') {
        result += "\\n";
      } else {
        result += c;
      }
    }
    return result;
  }

  std::string name_, text_;
};

}  // namespace server
