// A strict reader of the text format 0.0.4 of Prometheus: refuses, with the line, whatever a
// scraper might refuse or take for something else. For tests.
#pragma once

#include <cctype>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mais {

class Exposition {
 public:
  using Labels = std::map<std::string, std::string>;
  struct Family {
    std::string type{};
    std::map<std::string, std::map<Labels, double>> series{};  // by name of the sample
  };

  // Throws std::runtime_error.
  explicit Exposition(std::string_view text) {
    if (!text.empty() && text.back() != '\n') fail("the last line has no end");
    while (!text.empty()) {
      line_ = text.substr(0, text.find('\n'));
      text.remove_prefix(line_.size() + 1);
      rest_ = line_;
      if (line_.starts_with('#')) {
        comment();
      } else {
        sample();
      }
    }
    for (auto& [name, family] : families_) {
      if (family.series.empty()) fail(name + " has no series");
      if (family.type == "histogram") check_histogram(name, family);
    }
  }

  const std::map<std::string, Family>& families() const { return families_; }
  bool has(const std::string& family) const { return families_.contains(family); }
  // All series of a sample: of a counter, a gauge, or x_bucket, x_sum, x_count.
  std::map<Labels, double> series(const std::string& sample) const {
    for (const auto& [name, family] : families_) {
      if (const auto found = family.series.find(sample); found != family.series.end()) {
        return found->second;
      }
    }
    throw std::runtime_error("no sample is called " + sample);
  }
  double value(const std::string& sample, const Labels& labels = {}) const {
    const auto all = series(sample);
    const auto found = all.find(labels);
    if (found == all.end()) throw std::runtime_error("no such series of " + sample);
    return found->second;
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw std::runtime_error(why + ", in: " + std::string(line_));
  }
  void expect(std::string_view text) {
    if (!rest_.starts_with(text)) fail("expected '" + std::string(text) + "'");
    rest_.remove_prefix(text.size());
  }
  std::string name(bool colons) {
    std::size_t size = 0;
    const auto fits = [&](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return c == '_' || (colons && c == ':') || (byte < 0x80 && std::isalpha(byte)) ||
             (size > 0 && std::isdigit(byte));
    };
    while (size < rest_.size() && fits(rest_[size])) ++size;
    if (size == 0) fail("expected a name");
    std::string taken(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return taken;
  }
  std::string quoted() {
    expect("\"");
    std::string value;
    while (!rest_.empty() && rest_.front() != '"') {
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '\\') {
        if (rest_.empty()) break;
        c = rest_.front();
        rest_.remove_prefix(1);
        if (c != 'n' && c != '"' && c != '\\') fail("unknown escape");
        if (c == 'n') c = '\n';
      }
      value += c;
    }
    expect("\"");
    return value;
  }
  double number(std::string_view text) const {
    if (text == "+Inf") return HUGE_VAL;
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) {
      fail("no number");
    }
    return value;
  }

  void comment() {
    const bool is_help = line_.starts_with("# HELP ");
    expect(is_help ? "# HELP " : "# TYPE ");
    const std::string of = name(true);
    expect(" ");
    if (is_help) {
      if (rest_.empty()) fail("an empty help text");
      if (!helped_.insert(of).second) fail("a second help text");
      return;
    }
    if (rest_ != "counter" && rest_ != "gauge" && rest_ != "histogram") fail("unknown type");
    if (!helped_.contains(of)) fail("no help text before");
    if (!families_.insert({of, {.type = std::string(rest_)}}).second) fail("a second type");
    if (rest_ == "counter" && !of.ends_with("_total")) fail("a counter ends in _total");
    current_ = of;
  }

  void sample() {
    const std::string of = name(true);
    if (current_.empty()) fail("a sample before any type");
    Family& family = families_[current_];
    const bool is_histogram = family.type == "histogram";
    const bool belongs = is_histogram ? of == current_ + "_bucket" || of == current_ + "_sum" ||
                                            of == current_ + "_count"
                                      : of == current_;
    if (!belongs) fail("not of the family " + current_);
    Labels labels;
    if (rest_.starts_with("{")) {
      do {
        rest_.remove_prefix(1);
        const std::string label = name(false);
        expect("=");
        if (!labels.insert({label, quoted()}).second) fail("a label stands twice");
      } while (rest_.starts_with(","));
      expect("}");
    }
    expect(" ");
    const double value = number(rest_);
    if (family.type != "gauge" && value < 0) fail("a count below 0");
    if (!family.series[of].insert({labels, value}).second) fail("a series stands twice");
  }

  void check_histogram(const std::string& name, Family& family) {
    std::map<Labels, std::map<double, double>> buckets;
    for (const auto& [all, count] : family.series[name + "_bucket"]) {
      Labels labels = all;
      const auto le = labels.extract("le");
      if (!le) fail(name + " has a bucket without bound");
      buckets[labels][number(le.mapped())] = count;
    }
    if (family.series[name + "_sum"].size() != buckets.size()) fail(name + " lacks a sum");
    if (family.series[name + "_count"].size() != buckets.size()) fail(name + " lacks a count");
    for (const auto& [labels, counts] : buckets) {
      double before = 0;
      for (const auto& [bound, count] : counts) {
        if (count < before) fail(name + " has buckets that fall");
        before = count;
      }
      if (counts.rbegin()->first != HUGE_VAL) fail(name + " has no last bucket");
      const auto total = family.series[name + "_count"].find(labels);
      if (total == family.series[name + "_count"].end() || total->second != before) {
        fail(name + " counts others than its buckets");
      }
    }
  }

  std::string_view line_, rest_;
  std::string current_;
  std::set<std::string> helped_;
  std::map<std::string, Family> families_;
};

}  // namespace mais
