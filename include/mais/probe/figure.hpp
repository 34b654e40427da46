// A figure and how it came to be known. People base purchases on such figures, so none goes without
// its source.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "mais/units.hpp"

namespace mais::probing {

enum class FigureSource : std::uint8_t {
  unknown,     // nobody could say
  configured,  // the host's own word
  firmware,    // what the platform states: ACPI HMAT, by way of the kernel
  measured,    // here, on this machine
  datasheet,   // what the data sheet's arithmetic gives at best, times 0.8
};

std::string_view to_string(FigureSource source) noexcept;

// What of a peak rate is assumed to be reached where nobody has measured.
inline constexpr double kDatasheetShare = 0.8;

// Bytes per second. Of one value only, the three are the same.
struct Rate {
  FigureSource source = FigureSource::unknown;
  BytesPerSecond min{}, median{}, max{};
  std::string how{};  // "PCIe 4.0 x16", "triad, 4 threads, 21 runs"

  bool known() const noexcept { return source != FigureSource::unknown; }
};

Rate unknown_rate(std::string why);
Rate configured_rate(BytesPerSecond rate);
Rate firmware_rate(BytesPerSecond rate, std::string how);
// 0.8 x peak.
Rate datasheet_rate(BytesPerSecond peak, std::string how);
// Least, middle (lower of two) and largest of what was seen; unknown when nothing was.
// O(runs log runs).
Rate measured_rate(std::span<const double> bytes_per_second, std::string how);

// One source of what is known about the machine, and whether it could say anything.
struct SourceStatus {
  std::string name{};  // "hwloc", "CUDA driver", "NVML"
  bool available = false;
  std::string detail{};  // a version, or the reason, in words for a person
};

}  // namespace mais::probing
