// Units as types: bytes, tokens, blocks, their ratios, and time that is always passed in.
//
// A quantity is a 64-bit signed count with a unit. Quantities of one unit add, subtract and
// compare; a mixed sum does not compile. Arithmetic saturates at +-(2^63 - 1): an absurd request
// becomes "can never fit", not an overflow. Everything here is constexpr, allocates nothing, and is
// safe to use from any thread.
#pragma once

#include <chrono>
#include <compare>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace mais {

namespace detail {

inline constexpr std::int64_t kCountMax = std::numeric_limits<std::int64_t>::max();

constexpr std::int64_t saturating_add(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum) && sum >= -kCountMax) return sum;
  return a < 0 ? -kCountMax : kCountMax;
}

constexpr std::int64_t saturating_multiply(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t product = 0;
  if (!__builtin_mul_overflow(a, b, &product) && product >= -kCountMax) return product;
  return (a < 0) == (b < 0) ? kCountMax : -kCountMax;
}

// A double cut to the range of a count; NaN becomes 0.
constexpr std::int64_t saturating_count(double value) noexcept {
  if (!(value == value)) return 0;
  if (value >= static_cast<double>(kCountMax)) return kCountMax;
  if (value <= -static_cast<double>(kCountMax)) return -kCountMax;
  return static_cast<std::int64_t>(value);
}

}  // namespace detail

// A signed count of one unit. `Unit` is an empty tag type.
template <class Unit>
class Quantity {
 public:
  constexpr Quantity() noexcept = default;
  constexpr explicit Quantity(std::int64_t count) noexcept : count_(count) {}

  constexpr std::int64_t count() const noexcept { return count_; }
  static constexpr Quantity max() noexcept { return Quantity(detail::kCountMax); }

  constexpr auto operator<=>(const Quantity&) const noexcept = default;

  constexpr Quantity operator-() const noexcept {
    return Quantity(detail::saturating_multiply(count_, -1));
  }
  constexpr Quantity& operator+=(Quantity other) noexcept {
    count_ = detail::saturating_add(count_, other.count_);
    return *this;
  }
  constexpr Quantity& operator-=(Quantity other) noexcept { return *this += -other; }

  friend constexpr Quantity operator+(Quantity a, Quantity b) noexcept { return a += b; }
  friend constexpr Quantity operator-(Quantity a, Quantity b) noexcept { return a -= b; }
  template <std::integral Count>
  friend constexpr Quantity operator*(Quantity a, Count n) noexcept {
    return Quantity(detail::saturating_multiply(a.count_, static_cast<std::int64_t>(n)));
  }
  template <std::integral Count>
  friend constexpr Quantity operator*(Count n, Quantity a) noexcept {
    return a * n;
  }
  // Scaling by a fraction rounds towards zero.
  friend constexpr Quantity operator*(Quantity a, double factor) noexcept {
    return Quantity(detail::saturating_count(static_cast<double>(a.count_) * factor));
  }
  friend constexpr Quantity operator/(Quantity a, std::int64_t n) noexcept {
    return Quantity(a.count_ / n);
  }
  // How many times b fits into a; b must not be zero.
  friend constexpr std::int64_t operator/(Quantity a, Quantity b) noexcept {
    return a.count_ / b.count_;
  }
  friend constexpr Quantity operator%(Quantity a, Quantity b) noexcept {
    return Quantity(a.count_ % b.count_);
  }

 private:
  std::int64_t count_ = 0;
};

using Bytes = Quantity<struct BytesUnit>;
using Tokens = Quantity<struct TokensUnit>;
using Blocks = Quantity<struct BlocksUnit>;  // KV cache pages of a fixed number of tokens

// `Numerator` units for each `Denominator` unit, as a whole number: 128_KiB / 1_tok.
template <class Numerator, class Denominator>
class Ratio {
 public:
  constexpr Ratio() noexcept = default;
  constexpr explicit Ratio(std::int64_t count) noexcept : count_(count) {}
  constexpr std::int64_t count() const noexcept { return count_; }
  constexpr auto operator<=>(const Ratio&) const noexcept = default;
  friend constexpr Ratio operator+(Ratio a, Ratio b) noexcept {
    return Ratio(detail::saturating_add(a.count_, b.count_));
  }
  friend constexpr Quantity<Numerator> operator*(Ratio r, Quantity<Denominator> q) noexcept {
    return Quantity<Numerator>(detail::saturating_multiply(r.count_, q.count()));
  }
  friend constexpr Quantity<Numerator> operator*(Quantity<Denominator> q, Ratio r) noexcept {
    return r * q;
  }

 private:
  std::int64_t count_ = 0;
};

using BytesPerToken = Ratio<BytesUnit, TokensUnit>;
using BytesPerBlock = Ratio<BytesUnit, BlocksUnit>;
using TokensPerBlock = Ratio<TokensUnit, BlocksUnit>;

constexpr BytesPerToken operator/(Bytes bytes, Tokens tokens) noexcept {
  return BytesPerToken(bytes.count() / tokens.count());
}

// The smallest number of blocks that holds `tokens`.
constexpr Blocks blocks_for(Tokens tokens, TokensPerBlock per_block) noexcept {
  const std::int64_t size = per_block.count();
  return tokens.count() <= 0 ? Blocks(0) : Blocks((tokens.count() - 1) / size + 1);
}

// Rates are real numbers per second; they come from data sheets and measurements.
struct BytesPerSecond {
  double value = 0;
  constexpr auto operator<=>(const BytesPerSecond&) const noexcept = default;
};
struct FlopsPerSecond {
  double value = 0;
  constexpr auto operator<=>(const FlopsPerSecond&) const noexcept = default;
};

// Time is a length since the host's epoch (its start, the start of a trace). The timeline has no
// now(): decision code cannot read a clock.
struct Timeline {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Timeline>;
  static constexpr bool is_steady = true;
};
using Duration = Timeline::duration;
using Time = Timeline::time_point;

// Seconds to a Duration and back. Saturates at +-292 years; NaN becomes zero.
constexpr Duration from_seconds(double seconds) noexcept {
  return Duration(detail::saturating_count(seconds * 1e9));
}
constexpr double to_seconds(Duration d) noexcept {
  return static_cast<double>(d.count()) * 1e-9;
}
constexpr double to_seconds(Time t) noexcept {
  return to_seconds(t.time_since_epoch());
}

// t + d, saturating at the ends of the timeline.
constexpr Time saturating_add(Time t, Duration d) noexcept {
  return Time(Duration(detail::saturating_add(t.time_since_epoch().count(), d.count())));
}

// How long `bytes` take at `rate`; a rate of zero or less takes for ever.
constexpr Duration operator/(Bytes bytes, BytesPerSecond rate) noexcept {
  return rate.value > 0 ? from_seconds(static_cast<double>(bytes.count()) / rate.value)
                        : Duration::max();
}

inline namespace literals {
constexpr Bytes operator""_B(unsigned long long n) {
  return Bytes(static_cast<std::int64_t>(n));
}
constexpr Bytes operator""_KiB(unsigned long long n) {
  return 1024 * Bytes(static_cast<std::int64_t>(n));
}
constexpr Bytes operator""_MiB(unsigned long long n) {
  return 1024 * operator""_KiB(n);
}
constexpr Bytes operator""_GiB(unsigned long long n) {
  return 1024 * operator""_MiB(n);
}
constexpr Bytes operator""_TiB(unsigned long long n) {
  return 1024 * operator""_GiB(n);
}
constexpr Tokens operator""_tok(unsigned long long n) {
  return Tokens(static_cast<std::int64_t>(n));
}
constexpr Blocks operator""_blk(unsigned long long n) {
  return Blocks(static_cast<std::int64_t>(n));
}
using namespace std::chrono_literals;  // 5ms, 2s
}  // namespace literals

// A small integer that names one thing of one kind: an index into the list it was declared in.
template <class Tag>
class Id {
 public:
  constexpr Id() noexcept = default;
  constexpr explicit Id(std::uint32_t value) noexcept : value_(value) {}
  constexpr std::uint32_t value() const noexcept { return value_; }
  constexpr auto operator<=>(const Id&) const noexcept = default;

 private:
  std::uint32_t value_ = 0;
};

using SpaceId = Id<struct SpaceTag>;        // Machine::spaces
using DeviceId = Id<struct DeviceTag>;      // Machine::devices
using ModelId = Id<struct ModelTag>;        // Config::models
using InstanceId = Id<struct InstanceTag>;  // Config::instances
using TenantId = Id<struct TenantTag>;      // Config::tenants

// Names a request for its whole life. Given by the planner in order of submission, never used
// twice.
enum class RequestId : std::uint64_t {};

}  // namespace mais
