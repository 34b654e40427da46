// JSON of any size as events, for headers that would be large as a tree. Memory is the caller's
// matter: nothing is kept here but how deep the text is nested.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mais::files {

class JsonEvents {
 public:
  struct Problem {
    std::size_t offset = 0;  // of the byte read last
    std::string text{};
  };
  virtual ~JsonEvents() = default;

  // What is wrong with the text, or what a member said when it stopped. O(text).
  std::optional<Problem> parse(std::string_view text);

 protected:
  // Each returns whether to go on; false only by stop().
  virtual bool key(const std::string& name) = 0;
  virtual bool text(const std::string& value) = 0;
  virtual bool number(std::int64_t value) = 0;
  virtual bool other(const char* kind) = 0;  // true, false, null, a number that is not whole
  virtual bool open(bool list) = 0;          // depth() counts it already
  virtual bool close() = 0;                  // depth() does not count it any more

  bool stop(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }
  int depth() const { return depth_; }

 private:
  friend class JsonEventsAdapter;
  std::string problem_;
  int depth_ = 0;
};

}  // namespace mais::files
