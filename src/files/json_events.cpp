#include "json_events.hpp"

#include <limits>

#include <nlohmann/json.hpp>

#include "json_cursor.hpp"

namespace mais::files {

// The parser's events in our words.
class JsonEventsAdapter {
 public:
  explicit JsonEventsAdapter(JsonEvents& events) : events_(events) {}

  bool null() { return events_.other("null"); }
  bool boolean(bool) { return events_.other("true or false"); }
  bool number_integer(std::int64_t value) { return events_.number(value); }
  bool number_unsigned(std::uint64_t value) {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return events_.other("a number of 2^63 or more");
    }
    return events_.number(static_cast<std::int64_t>(value));
  }
  bool number_float(double, const std::string&) {
    return events_.other("a number that is not whole");
  }
  bool string(std::string& value) { return events_.text(value); }
  bool binary(std::vector<std::uint8_t>&) { return false; }  // not in text
  bool start_object(std::size_t) { return start(false); }
  bool start_array(std::size_t) { return start(true); }
  bool end_object() { return end(); }
  bool end_array() { return end(); }
  bool key(std::string& name) { return events_.key(name); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) {
    std::string message = error.what();
    if (const auto tag = message.find("] "); tag != std::string::npos) message.erase(0, tag + 2);
    if (const auto where = message.find(": "); where != std::string::npos) {
      message.erase(0, where + 2);  // the parser's own words for the place
    }
    for (char& c : message) {
      if (c < ' ' || c > '~') c = '?';
    }
    if (message.size() > 200) message.resize(200);
    return events_.stop("this is not JSON: " + message);
  }

 private:
  bool start(bool list) {
    if (events_.depth_ == kDeepestNesting) return events_.stop(nested_too_deep());
    ++events_.depth_;
    return events_.open(list);
  }
  bool end() {
    --events_.depth_;
    return events_.close();
  }

  JsonEvents& events_;
};

std::optional<JsonEvents::Problem> JsonEvents::parse(std::string_view text) {
  const char* reached = text.data();
  JsonEventsAdapter adapter(*this);
  depth_ = 0;
  problem_.clear();
  // Without exceptions and without a tree: the parser keeps a bit for each level.
  const bool parsed = nlohmann::json::sax_parse(
      JsonCursor(text.data(), &reached), JsonCursor(text.data() + text.size(), &reached), &adapter);
  if (parsed) return std::nullopt;
  const auto read = static_cast<std::size_t>(reached - text.data());
  return Problem{read > 0 ? read - 1 : 0, problem_.empty() ? "this is not JSON" : problem_};
}

}  // namespace mais::files
