// The fields of a configuration, with what is wrong about them said once, and with their line.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json_document.hpp"
#include "mais/result.hpp"

namespace mais::files {

inline constexpr std::int64_t kMostLength = 1 << 24;  // of a dimension
inline constexpr std::int64_t kMostHeads = 1 << 16;   // also the size of a head
inline constexpr std::int64_t kMostLayers = 4096;
inline constexpr std::int64_t kMostTokens = std::int64_t{1} << 40;

// Shared by the fields of nested objects: the first fault, and what was assumed.
struct ConfigLog {
  std::string origin{};
  std::optional<Error> error{};
  std::vector<std::string> notes{};
};

// Reads members of one object. After a fault every read gives its fallback; the caller asks for the
// log's error once, at the end.
class ConfigFields {
 public:
  ConfigFields(const JsonNode& node, ConfigLog& log, std::string path = {})
      : node_(node), log_(log), path_(std::move(path)) {}

  bool has(std::string_view key) const;  // null is as if it were not there
  bool has_number(std::string_view key) const;
  // A whole number from `least` to `most` that must be there.
  std::int64_t need(std::string_view key, std::int64_t most = kMostLength, std::int64_t least = 1);
  // The same, where it may be left out: silently, or with a note that a default was taken.
  std::int64_t get(std::string_view key, std::int64_t otherwise, std::int64_t most = kMostLength,
                   std::int64_t least = 0);
  std::int64_t usually(std::string_view key, std::int64_t otherwise,
                       std::int64_t most = kMostLength, std::int64_t least = 1);
  std::optional<std::int64_t> maybe(std::string_view key, std::int64_t most = kMostLength,
                                    std::int64_t least = 1);
  bool flag(std::string_view key, bool otherwise);
  double real(std::string_view key, double otherwise);
  std::string text(std::string_view key, std::string_view otherwise = {});
  std::vector<std::string> texts(std::string_view key);
  std::vector<std::int64_t> numbers(std::string_view key);
  // An object; an empty one where it is missing.
  ConfigFields object(std::string_view key) const;

  void refuse(std::string_view key, const std::string& problem);
  void note(std::string text) { log_.notes.push_back(std::move(text)); }

 private:
  const JsonNode* find(std::string_view key) const;

  const JsonNode& node_;
  ConfigLog& log_;
  std::string path_;
};

}  // namespace mais::files
