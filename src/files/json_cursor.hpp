// How far a JSON parser has read, and how deep it may go.
#pragma once

#include <cstddef>
#include <iterator>
#include <string>

namespace mais::files {

inline constexpr int kDeepestNesting = 64;  // of lists and objects

inline std::string nested_too_deep() {
  return "lists and objects are nested more than " + std::to_string(kDeepestNesting) + " deep";
}

// Walks the text and leaves behind how far the parser has read.
class JsonCursor {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  JsonCursor(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  JsonCursor& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  JsonCursor operator++(int) {
    JsonCursor before = *this;
    ++*this;
    return before;
  }
  bool operator==(const JsonCursor& other) const { return at_ == other.at_; }
  bool operator!=(const JsonCursor& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** reached_;
};

}  // namespace mais::files
