// A JSON document as a tree that remembers the line of every value, so that a fault can name it.
//
// The tree owns its text. Reading it is safe against hostile input: depth and size are bounded, a
// key that is given twice is an error, nothing throws.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mais/result.hpp"

namespace mais::files {

struct JsonNode {
  enum class Kind : std::uint8_t { null, boolean, integer, number, string, array, object };
  Kind kind = Kind::null;
  std::int32_t line = 1;  // where the value ends, or where its bracket opens
  bool boolean = false;
  std::int64_t integer = 0;
  double number = 0;  // also set for integers
  std::string text{};
  std::vector<JsonNode> items{};                            // array
  std::vector<std::pair<std::string, JsonNode>> members{};  // object, in the order of the text

  // The member of that name, or null. O(members).
  const JsonNode* find(std::string_view key) const;
};

// "a string", "a list", ... for messages.
std::string_view kind_name(JsonNode::Kind kind) noexcept;

// parse_error with "origin:line: " and what is wrong. O(text).
Result<JsonNode> parse_json(std::string_view text, std::string_view origin);

// The line of the value at a path such as "spaces[1].capacity", or of the deepest value on the way
// that exists. O(path x members).
std::int32_t line_of(const JsonNode& root, std::string_view path);

}  // namespace mais::files
