// What each tenant got of one instance lately: device time, fading over about a minute.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "mais/units.hpp"

namespace mais::core {

// A plain value; deterministic: no libm. Allocates only in resize().
class TenantUsage {
 public:
  void resize(std::size_t tenants) {
    usage_.resize(tenants);
    recent_.reserve(tenants);
  }

  // O(1).
  void add(TenantId tenant, std::int64_t now, double seconds) {
    Usage& usage = usage_[tenant.value()];
    usage.seconds = faded(usage, now) + seconds;
    usage.at = now;
    if (usage.recent) return;
    usage.recent = true;
    recent_.push_back(tenant);
  }
  double seconds(TenantId tenant, std::int64_t now) const noexcept {
    return faded(usage_[tenant.value()], now);
  }

  // Tenants that got something not long ago. O(these).
  const std::vector<TenantId>& recent(std::int64_t now) {
    std::erase_if(recent_, [&](TenantId tenant) {
      Usage& usage = usage_[tenant.value()];
      usage.recent = now - usage.at < kRecentNanoseconds;
      return !usage.recent;
    });
    return recent_;
  }

 private:
  static constexpr double kMemorySeconds = 60;
  static constexpr std::int64_t kRecentNanoseconds = 60'000'000'000;
  struct Usage {
    double seconds = 0;
    std::int64_t at = 0;
    bool recent = false;
  };
  // exp(-t / memory), to first order; never below 0.
  static double faded(const Usage& usage, std::int64_t now) noexcept {
    const double passed = static_cast<double>(std::max<std::int64_t>(0, now - usage.at)) * 1e-9;
    return usage.seconds * kMemorySeconds / (kMemorySeconds + passed);
  }

  std::vector<Usage> usage_;
  std::vector<TenantId> recent_;
};

}  // namespace mais::core
