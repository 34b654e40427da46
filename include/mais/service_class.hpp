// How urgent a request is, in three steps that a user can tell apart.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mais {

enum class ServiceClass : std::uint8_t {
  realtime,   // somebody waits for every token: voice, autocompletion
  streaming,  // somebody reads along: chat
  batch,      // nobody waits: evaluation, summaries overnight
};

inline constexpr std::size_t kServiceClasses = 3;
inline constexpr std::array<ServiceClass, kServiceClasses> kAllServiceClasses = {
    ServiceClass::realtime, ServiceClass::streaming, ServiceClass::batch};

constexpr std::string_view to_string(ServiceClass service_class) noexcept {
  switch (service_class) {
    case ServiceClass::realtime:
      return "realtime";
    case ServiceClass::streaming:
      return "streaming";
    case ServiceClass::batch:
      return "batch";
  }
  return "unknown";
}

}  // namespace mais
