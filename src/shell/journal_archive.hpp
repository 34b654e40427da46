// How values are written as bytes, and read again: numbers as variable-length integers (signed ones
// zigzag), real numbers as their 8 bytes, text, lists and options with a count before them.
//
// A type is described once, by fields() in journal_fields.hpp, for both directions.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "mais/units.hpp"

namespace mais::shell {

// The last enumerator of an enumeration that may be in a journal; see journal_fields.hpp.
template <class Enum>
struct LastOf;

template <class Value>
inline constexpr bool kIsId = false;
template <class Tag>
inline constexpr bool kIsId<Id<Tag>> = true;

class ArchiveWriter {
 public:
  explicit ArchiveWriter(std::string& out) noexcept : out_(out) {}

  template <class... Values>
  void operator()(const Values&... values) {
    (put(values), ...);
  }

 private:
  void varint(std::uint64_t value) {
    while (value >= 0x80) {
      out_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    out_.push_back(static_cast<char>(value));
  }

  template <class Value>
  void put(const Value& value) {
    if constexpr (std::same_as<Value, bool>) {
      out_.push_back(value ? 1 : 0);
    } else if constexpr (std::signed_integral<Value>) {
      const auto wide = static_cast<std::int64_t>(value);
      varint(static_cast<std::uint64_t>(wide) << 1 ^ static_cast<std::uint64_t>(wide >> 63));
    } else if constexpr (std::unsigned_integral<Value>) {
      varint(value);
    } else if constexpr (std::is_enum_v<Value>) {
      varint(static_cast<std::uint64_t>(value));
    } else if constexpr (kIsId<Value>) {
      varint(value.value());
    } else if constexpr (requires { value.time_since_epoch(); }) {
      put(value.time_since_epoch().count());
    } else if constexpr (requires { value.count(); }) {  // quantities, ratios, durations
      put(static_cast<std::int64_t>(value.count()));
    } else {
      fields(*this, value);
    }
  }
  void put(double value) {
    auto bits = std::bit_cast<std::uint64_t>(value);
    for (int byte = 0; byte < 8; ++byte, bits >>= 8) out_.push_back(static_cast<char>(bits));
  }
  void put(const std::string& text) {
    varint(text.size());
    out_.append(text);
  }
  template <class Value>
  void put(const std::vector<Value>& list) {
    varint(list.size());
    for (const Value& value : list) put(value);
  }
  template <class Value, std::size_t kCount>
  void put(const std::array<Value, kCount>& list) {
    for (const Value& value : list) put(value);
  }
  template <class Value>
  void put(const std::optional<Value>& option) {
    put(option.has_value());
    if (option) put(*option);
  }

  std::string& out_;
};

// Reads what an ArchiveWriter wrote. Bytes that no writer writes are refused: then problem() says
// what is wrong, everything that is read afterwards is as it was, and nothing large was allocated.
class ArchiveReader {
 public:
  explicit ArchiveReader(std::string_view bytes) noexcept : rest_(bytes) {}

  template <class... Values>
  void operator()(Values&... values) {
    (take(values), ...);
  }

  // Empty: none.
  const std::string& problem() const noexcept { return problem_; }
  std::size_t left() const noexcept { return rest_.size(); }
  void refuse(std::string_view why) {
    if (problem_.empty()) problem_ = why;
    rest_ = {};
  }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = static_cast<std::uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      if (shift == 63 && byte > 1) {
        refuse("a number is larger than 64 bits");
        return 0;
      }
      value |= std::uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) return value;
    }
    refuse("it ends inside a number");
    return 0;
  }
  std::uint64_t varint_up_to(std::uint64_t most, std::string_view why) {
    const std::uint64_t value = varint();
    if (value <= most) return value;
    refuse(why);
    return 0;
  }
  // Of a list whose members take a byte or more.
  std::size_t count() {
    const std::uint64_t size = varint();
    if (size <= rest_.size()) return static_cast<std::size_t>(size);
    refuse("a list is longer than what is left of the record");
    return 0;
  }

  template <class Value>
  void take(Value& value) {
    if constexpr (std::same_as<Value, bool>) {
      value = varint_up_to(1, "a truth value is neither 0 nor 1") != 0;
    } else if constexpr (std::signed_integral<Value>) {
      const std::uint64_t zigzag = varint();
      const auto wide = static_cast<std::int64_t>(zigzag >> 1 ^ (0 - (zigzag & 1)));
      if (wide < std::numeric_limits<Value>::min() || wide > std::numeric_limits<Value>::max()) {
        return refuse("a number is out of range");
      }
      value = static_cast<Value>(wide);
    } else if constexpr (std::unsigned_integral<Value>) {
      value = static_cast<Value>(
          varint_up_to(std::numeric_limits<Value>::max(), "a number is out of range"));
    } else if constexpr (std::is_enum_v<Value>) {
      value = static_cast<Value>(varint_up_to(static_cast<std::uint64_t>(LastOf<Value>::value),
                                              "a choice is none of those there are"));
    } else if constexpr (kIsId<Value>) {
      std::uint32_t number = 0;
      take(number);
      value = Value(number);
    } else if constexpr (requires { value.time_since_epoch(); }) {
      typename Value::duration::rep count{};
      take(count);
      value = Value(typename Value::duration(count));
    } else if constexpr (requires { value.count(); }) {
      std::int64_t count = 0;
      take(count);
      value = Value(count);
    } else {
      fields(*this, value);
    }
  }
  void take(double& value) {
    if (rest_.size() < 8) return refuse("it ends inside a number");
    std::uint64_t bits = 0;
    for (std::size_t byte = 0; byte < 8; ++byte) {
      bits |= std::uint64_t{static_cast<std::uint8_t>(rest_[byte])} << (8 * byte);
    }
    rest_.remove_prefix(8);
    value = std::bit_cast<double>(bits);
  }
  void take(std::string& text) {
    const std::size_t size = count();
    text.assign(rest_.substr(0, size));
    rest_.remove_prefix(std::min(size, rest_.size()));
  }
  template <class Value>
  void take(std::vector<Value>& list) {
    const std::size_t size = count();
    list.clear();
    for (std::size_t i = 0; i < size && problem_.empty(); ++i) take(list.emplace_back());
  }
  template <class Value, std::size_t kCount>
  void take(std::array<Value, kCount>& list) {
    for (Value& value : list) take(value);
  }
  template <class Value>
  void take(std::optional<Value>& option) {
    bool has = false;
    take(has);
    option.reset();
    if (has) take(option.emplace());
  }

  std::string_view rest_;
  std::string problem_;
};

}  // namespace mais::shell
