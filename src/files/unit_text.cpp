#include "mais/files/unit_text.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>

#include "files/trimmed.hpp"

namespace mais::files {

namespace {

struct Unit {
  std::string_view name;
  double scale;
  // What to_text() may write; the others are only understood.
  bool written = false;
};

constexpr double kKi = 1024;

constexpr std::array kByteUnits = {
    Unit{"PiB", kKi* kKi* kKi* kKi* kKi, true},
    Unit{"TiB", kKi* kKi* kKi* kKi, true},
    Unit{"GiB", kKi* kKi* kKi, true},
    Unit{"MiB", kKi* kKi, true},
    Unit{"KiB", kKi, true},
    Unit{"B", 1},
    Unit{"kB", 1e3},
    Unit{"KB", 1e3},
    Unit{"MB", 1e6},
    Unit{"GB", 1e9},
    Unit{"TB", 1e12},
    Unit{"PB", 1e15},
};
constexpr std::array kTimeUnits = {
    Unit{"h", 3600e9, true}, Unit{"min", 60e9, true}, Unit{"s", 1e9, true}, Unit{"ms", 1e6, true},
    Unit{"us", 1e3, true},   Unit{"ns", 1, true},     Unit{"\u00b5s", 1e3}, Unit{"\u03bcs", 1e3},
};
constexpr std::array kBandwidthUnits = {
    Unit{"TB/s", 1e12, true},
    Unit{"GB/s", 1e9, true},
    Unit{"MB/s", 1e6, true},
    Unit{"kB/s", 1e3, true},
    Unit{"B/s", 1},
    Unit{"KiB/s", kKi},
    Unit{"MiB/s", kKi* kKi},
    Unit{"GiB/s", kKi* kKi* kKi},
    Unit{"TiB/s", kKi* kKi* kKi* kKi},
};
constexpr std::array kFlopUnits = {
    Unit{"PFLOP/s", 1e15, true}, Unit{"TFLOP/s", 1e12, true},
    Unit{"GFLOP/s", 1e9, true},  Unit{"MFLOP/s", 1e6, true},
    Unit{"FLOP/s", 1},           Unit{"PFLOPS", 1e15},
    Unit{"TFLOPS", 1e12},        Unit{"GFLOPS", 1e9},
    Unit{"MFLOPS", 1e6},         Unit{"FLOPS", 1},
};

struct Parsed {
  double number = 0;
  std::optional<std::int64_t> whole;  // the number, where it was written without fraction
  const Unit* unit = nullptr;         // null: none was written
};

tl::unexpected<Error> not_a(std::string_view what, std::string_view text,
                            std::string_view example) {
  std::string message = "'";
  message.append(text).append("' is not a ").append(what);
  message.append("; write it like ").append(example);
  return fail(ErrorCode::parse_error, std::move(message));
}

std::optional<Parsed> parse(std::string_view text, std::span<const Unit> units) {
  text = trimmed(text);
  const char* const end = text.data() + text.size();
  Parsed parsed;
  const auto [number_end, error] = std::from_chars(text.data(), end, parsed.number);
  if (error != std::errc{} || !std::isfinite(parsed.number)) return std::nullopt;
  std::int64_t whole = 0;
  const auto [whole_end, whole_error] = std::from_chars(text.data(), end, whole);
  if (whole_error == std::errc{} && whole_end == number_end) parsed.whole = whole;

  const std::string_view name =
      trimmed(std::string_view(number_end, static_cast<std::size_t>(end - number_end)));
  if (name.empty()) return parsed;
  for (const Unit& unit : units) {
    if (unit.name == name) {
      parsed.unit = &unit;
      return parsed;
    }
  }
  return std::nullopt;
}

std::int64_t count_of(const Parsed& parsed) {
  const double scale = parsed.unit ? parsed.unit->scale : 1;
  if (parsed.whole) {
    return detail::saturating_multiply(*parsed.whole, static_cast<std::int64_t>(scale));
  }
  return detail::saturating_count(std::round(parsed.number * scale));
}

std::string shortest(double value) {
  std::array<char, 32> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return std::string(buffer.data(), end);
}

// The largest written unit that the count is a whole multiple of.
std::string count_text(std::int64_t count, std::span<const Unit> units, std::string_view smallest) {
  for (const Unit& unit : units) {
    const auto scale = static_cast<std::int64_t>(unit.scale);
    if (unit.written && count != 0 && count % scale == 0) {
      return std::to_string(count / scale) + " " + std::string(unit.name);
    }
  }
  return std::to_string(count) + std::string(smallest);
}

// The shortest text over all units that reads back as the very same number.
std::string rate_text(double value, std::span<const Unit> units, std::string_view plain) {
  std::string best = shortest(value) + std::string(plain);
  for (const Unit& unit : units) {
    const double scaled = value / unit.scale;
    if (!unit.written || scaled < 1 || scaled * unit.scale != value) continue;
    std::string text = shortest(scaled) + " " + std::string(unit.name);
    if (text.size() < best.size()) best = std::move(text);
  }
  return best;
}

}  // namespace

Result<Bytes> parse_bytes(std::string_view text) {
  const auto parsed = parse(text, kByteUnits);
  if (!parsed) return not_a("size", text, "\"24 GiB\" or 1048576 (bytes)");
  return Bytes(count_of(*parsed));
}

Result<Duration> parse_duration(std::string_view text) {
  const auto parsed = parse(text, kTimeUnits);
  if (!parsed || !parsed->unit) return not_a("duration", text, "\"50 ms\" or \"1.5 s\"");
  return Duration(count_of(*parsed));
}

Result<BytesPerSecond> parse_bandwidth(std::string_view text) {
  const auto parsed = parse(text, kBandwidthUnits);
  if (!parsed) return not_a("bandwidth", text, "\"240 GB/s\" or 240e9 (bytes per second)");
  return BytesPerSecond{parsed->number * (parsed->unit ? parsed->unit->scale : 1)};
}

Result<FlopsPerSecond> parse_flops(std::string_view text) {
  const auto parsed = parse(text, kFlopUnits);
  if (!parsed) return not_a("rate", text, "\"73 TFLOP/s\" or 73e12 (FLOP per second)");
  return FlopsPerSecond{parsed->number * (parsed->unit ? parsed->unit->scale : 1)};
}

std::string to_text(Bytes bytes) {
  return count_text(bytes.count(), kByteUnits, " B");
}
std::string to_text(Duration duration) {
  return count_text(duration.count(), kTimeUnits, " s");
}
std::string to_text(BytesPerSecond rate) {
  return rate_text(rate.value, kBandwidthUnits, " B/s");
}
std::string to_text(FlopsPerSecond rate) {
  return rate_text(rate.value, kFlopUnits, " FLOP/s");
}

}  // namespace mais::files
