#include "mais/probe/gpu.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "mais/probe/topology.hpp"

namespace mais::probing {

std::string_view to_string(GpuHealth health) noexcept {
  switch (health) {
    case GpuHealth::good:
      return "good";
    case GpuHealth::unhealthy:
      return "unhealthy";
    case GpuHealth::lost:
      return "lost";
  }
  return "unknown";
}

const NvmlDevice* same_device(const CudaDevice& device, const NvmlReading& nvml) {
  if (!device.uuid.empty()) {
    for (const NvmlDevice& other : nvml.devices) {
      if (other.uuid == device.uuid) return &other;
    }
  }
  if (device.pci.empty()) return nullptr;
  for (const NvmlDevice& other : nvml.devices) {
    if (!device.uuid.empty() && !other.uuid.empty()) continue;
    if (other.pci == device.pci && !other.mig && !other.mig_parent) return &other;
  }
  return nullptr;
}

std::string canonical_uuid(std::string_view text) {
  // The last 36 characters; what stands before says only what kind of thing it is.
  constexpr std::size_t kLength = 36;
  if (text.size() < kLength) return {};
  const std::string_view prefix = text.substr(0, text.size() - kLength);
  if (!prefix.empty() && prefix != "GPU-" && prefix != "MIG-") return {};
  std::string digits(text.substr(prefix.size()));
  for (std::size_t i = 0; i < kLength; ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const auto c = static_cast<unsigned char>(digits[i]);
    if (dash ? c != '-' : std::isxdigit(c) == 0) return {};
    digits[i] = static_cast<char>(std::tolower(c));
  }
  return digits;
}

std::optional<std::string> canonical_pci(std::string_view text) {
  std::uint32_t parts[4] = {};  // domain, bus, device, function
  const std::size_t colons = static_cast<std::size_t>(std::count(text.begin(), text.end(), ':'));
  if (colons != 1 && colons != 2) return std::nullopt;
  std::size_t part = colons == 2 ? 0 : 1;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (; part < 4; ++part) {
    const auto [next, error] = std::from_chars(at, end, parts[part], 16);
    if (error != std::errc{}) return std::nullopt;
    at = next;
    if (part == 3) break;
    if (at == end || *at != (part == 2 ? '.' : ':')) return std::nullopt;
    ++at;
  }
  if (at != end || parts[1] > 0xff || parts[2] > 0x1f || parts[3] > 7) return std::nullopt;
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%04x:%02x:%02x.%x", parts[0], parts[1], parts[2], parts[3]);
  return std::string(buffer);
}

BytesPerSecond pcie_peak(int generation, int width) noexcept {
  constexpr double kTransfers[] = {0, 2.5e9, 5e9, 8e9, 16e9, 32e9, 64e9, 128e9};
  if (generation < 1 || generation > 7 || width < 1 || width > 32) return {};
  const double code = generation <= 2 ? 8.0 / 10 : 128.0 / 130;
  return {kTransfers[generation] * code / 8 * width};
}

BytesPerSecond nvlink_peak(int generation) noexcept {
  constexpr double kPeak[] = {0, 20e9, 25e9, 25e9, 25e9, 50e9};
  if (generation < 1 || generation > 5) return {};
  return {kPeak[generation]};
}

}  // namespace mais::probing
