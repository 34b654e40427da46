#include "files/json_document.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <unordered_set>

#include <nlohmann/json.hpp>

#include "byte_source.hpp"
#include "json_cursor.hpp"

namespace mais::files {

namespace {

// Builds the tree from the parser's events. Every member returns false to stop.
class TreeBuilder {
 public:
  TreeBuilder(std::string_view text, const char** reached)
      : counted_(text.data()), reached_(reached) {}

  bool null() { return add({}); }
  bool boolean(bool value) {
    JsonNode node{.kind = JsonNode::Kind::boolean};
    node.boolean = value;
    return add(std::move(node));
  }
  bool number_integer(std::int64_t value) {
    JsonNode node{.kind = JsonNode::Kind::integer};
    node.integer = value;
    node.number = static_cast<double>(value);
    return add(std::move(node));
  }
  bool number_unsigned(std::uint64_t value) {
    if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return number_integer(static_cast<std::int64_t>(value));
    }
    return number_float(static_cast<double>(value), {});
  }
  bool number_float(double value, const std::string&) {
    JsonNode node{.kind = JsonNode::Kind::number};
    node.number = value;
    return add(std::move(node));
  }
  bool string(std::string& value) {
    JsonNode node{.kind = JsonNode::Kind::string};
    node.text = std::move(value);
    return add(std::move(node));
  }
  bool binary(std::vector<std::uint8_t>&) { return false; }  // not in text
  bool start_object(std::size_t) { return open(JsonNode::Kind::object); }
  bool start_array(std::size_t) { return open(JsonNode::Kind::array); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    if (!keys_.back().insert(name).second) {
      return stop("the key '" + shown(name) + "' is given twice");
    }
    key_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) {
    std::string message = error.what();
    if (const auto tag = message.find("] "); tag != std::string::npos) message.erase(0, tag + 2);
    if (const auto where = message.find(": "); where != std::string::npos) {
      message.erase(0, where + 2);  // the parser counts lines and columns its own way
    }
    return stop("this is not JSON: " + message);
  }

  JsonNode take_root() { return std::move(root_); }
  const std::string& problem() const { return problem_; }
  // Line of the character read last: the end of a token, or the one after a number.
  std::int32_t line() {
    const char* const last = *reached_ > counted_ ? *reached_ - 1 : counted_;
    line_ += static_cast<std::int32_t>(std::count(counted_, last, '\n'));
    counted_ = last;
    return line_;
  }

 private:
  bool stop(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }
  // Where the value went, or null for the root.
  JsonNode* place(JsonNode node) {
    node.line = line();
    if (open_.empty()) {
      root_ = std::move(node);
      return &root_;
    }
    JsonNode& parent = *open_.back();
    if (parent.kind == JsonNode::Kind::array) return &parent.items.emplace_back(std::move(node));
    return &parent.members.emplace_back(std::move(key_), std::move(node)).second;
  }
  bool add(JsonNode node) {
    place(std::move(node));
    return true;
  }
  bool open(JsonNode::Kind kind) {
    if (open_.size() == kDeepestNesting) return stop(nested_too_deep());
    open_.push_back(place(JsonNode{.kind = kind}));
    keys_.emplace_back();
    return true;
  }
  bool close() {
    open_.pop_back();
    keys_.pop_back();
    return true;
  }

  JsonNode root_;
  // Innermost last. Stable: a list grows only while its last element is closed.
  std::vector<JsonNode*> open_;
  std::vector<std::unordered_set<std::string>> keys_;  // of each of them: no search through members
  std::string key_;
  std::string problem_;
  const char* counted_;
  const char** reached_;
  std::int32_t line_ = 1;
};

}  // namespace

const JsonNode* JsonNode::find(std::string_view key) const {
  const auto found = std::find_if(members.begin(), members.end(),
                                  [&](const auto& member) { return member.first == key; });
  return found == members.end() ? nullptr : &found->second;
}

std::string_view kind_name(JsonNode::Kind kind) noexcept {
  switch (kind) {
    case JsonNode::Kind::null:
      return "null";
    case JsonNode::Kind::boolean:
      return "true or false";
    case JsonNode::Kind::integer:
    case JsonNode::Kind::number:
      return "a number";
    case JsonNode::Kind::string:
      return "a text";
    case JsonNode::Kind::array:
      return "a list";
    case JsonNode::Kind::object:
      return "an object";
  }
  return "unknown";
}

Result<JsonNode> parse_json(std::string_view text, std::string_view origin) {
  const char* reached = text.data();
  TreeBuilder builder(text, &reached);
  const bool parsed = nlohmann::json::sax_parse(
      JsonCursor(text.data(), &reached), JsonCursor(text.data() + text.size(), &reached), &builder);
  if (!parsed) {
    return fail(ErrorCode::parse_error, std::string(origin) + ":" + std::to_string(builder.line()) +
                                            ": " + builder.problem());
  }
  return builder.take_root();
}

std::int32_t line_of(const JsonNode& root, std::string_view path) {
  const JsonNode* node = &root;
  while (!path.empty()) {
    const JsonNode* next = nullptr;
    if (path.front() == '[') {
      std::size_t index = 0;
      const auto [end, error] = std::from_chars(path.data() + 1, path.data() + path.size(), index);
      if (error == std::errc{} && index < node->items.size()) next = &node->items[index];
      const auto close = path.find(']');
      path.remove_prefix(close == std::string_view::npos ? path.size() : close + 1);
    } else {
      if (path.front() == '.') path.remove_prefix(1);
      const auto end = std::min(path.find_first_of(".["), path.size());
      next = node->find(path.substr(0, end));
      path.remove_prefix(end);
    }
    if (next == nullptr) break;
    node = next;
  }
  return node->line;
}

}  // namespace mais::files
