// How one value of each type stands in JSON: read(node, value) and write(value) for every type that
// a field of machine, model or configuration may have.
//
// read() returns nothing when it worked, else what was wrong and what would be right.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <nlohmann/json.hpp>

#include "files/json_document.hpp"
#include "mais/config.hpp"
#include "mais/units.hpp"

namespace mais::files {

using Json = nlohmann::ordered_json;

struct Wrong {
  std::string problem;
  std::string remedy;
};
using Outcome = std::optional<Wrong>;

Outcome read(const JsonNode& node, std::string& value);
Outcome read(const JsonNode& node, bool& value);
Outcome read(const JsonNode& node, double& value);
Outcome read(const JsonNode& node, Bytes& value);
Outcome read(const JsonNode& node, Duration& value);
Outcome read(const JsonNode& node, BytesPerSecond& value);
Outcome read(const JsonNode& node, FlopsPerSecond& value);
Outcome read(const JsonNode& node, BytesPerToken& value);

// A whole number between two bounds, both included.
Outcome read_whole(const JsonNode& node, std::int64_t low, std::int64_t high, std::int64_t& value);
// One of a few words.
Outcome read_word(const JsonNode& node, std::span<const std::string_view> words,
                  std::size_t& index);

inline Outcome read(const JsonNode& node, Tokens& value) {
  std::int64_t count = 0;
  if (Outcome wrong = read_whole(node, -detail::kCountMax, detail::kCountMax, count)) return wrong;
  value = Tokens(count);
  return {};
}
inline Outcome read(const JsonNode& node, TokensPerBlock& value) {
  std::int64_t count = 0;
  if (Outcome wrong = read_whole(node, 1, 1 << 20, count)) return wrong;
  value = TokensPerBlock(count);
  return {};
}
template <std::integral Int>
Outcome read(const JsonNode& node, Int& value) {
  constexpr std::int64_t kLow = std::is_unsigned_v<Int> || sizeof(Int) == 8
                                    ? (std::is_unsigned_v<Int> ? 0 : -detail::kCountMax)
                                    : std::numeric_limits<Int>::min();
  constexpr std::int64_t kHigh = sizeof(Int) == 8
                                     ? detail::kCountMax
                                     : static_cast<std::int64_t>(std::numeric_limits<Int>::max());
  std::int64_t count = 0;
  if (Outcome wrong = read_whole(node, kLow, kHigh, count)) return wrong;
  value = static_cast<Int>(count);
  return {};
}

inline Json write(const std::string& value) {
  return value;
}
inline Json write(bool value) {
  return value;
}
inline Json write(double value) {
  return value;
}
template <std::integral Int>
Json write(Int value) {
  return value;
}
Json write(Bytes value);
Json write(Duration value);
Json write(BytesPerSecond value);
Json write(FlopsPerSecond value);
Json write(BytesPerToken value);
inline Json write(Tokens value) {
  return value.count();
}
inline Json write(TokensPerBlock value) {
  return value.count();
}

// The words of an enumeration whose values count from 0, in order.
template <class Enum>
struct EnumWords;

template <>
struct EnumWords<SpaceKind> {
  static constexpr SpaceKind values[] = {SpaceKind::device, SpaceKind::host, SpaceKind::disk};
};
template <>
struct EnumWords<DeviceKind> {
  static constexpr DeviceKind values[] = {DeviceKind::cpu, DeviceKind::gpu};
};
template <>
struct EnumWords<Batching> {
  static constexpr Batching values[] = {Batching::iteration, Batching::request};
};
template <>
struct EnumWords<MemoryPolicy> {
  static constexpr MemoryPolicy values[] = {MemoryPolicy::no_evict, MemoryPolicy::optimistic,
                                            MemoryPolicy::projected};
};
template <>
struct EnumWords<OrderPolicy> {
  static constexpr OrderPolicy values[] = {OrderPolicy::arrival, OrderPolicy::shortest,
                                           OrderPolicy::deadline, OrderPolicy::triage};
};
template <>
struct EnumWords<StepPolicy> {
  static constexpr StepPolicy values[] = {StepPolicy::budget, StepPolicy::paced};
};
template <>
struct EnumWords<ClassOrder> {
  static constexpr ClassOrder values[] = {ClassOrder::strict, ClassOrder::weighted};
};

template <class Enum>
requires std::is_enum_v<Enum> Outcome read(const JsonNode& node, Enum& value) {
  std::string_view words[std::size(EnumWords<Enum>::values)];
  for (std::size_t i = 0; i < std::size(words); ++i)
    words[i] = to_string(EnumWords<Enum>::values[i]);
  std::size_t index = 0;
  if (Outcome wrong = read_word(node, words, index)) return wrong;
  value = EnumWords<Enum>::values[index];
  return {};
}
template <class Enum>
requires std::is_enum_v<Enum> Json write(Enum value) {
  return std::string(to_string(value));
}

}  // namespace mais::files
