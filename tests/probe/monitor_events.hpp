// The events of one kind among those that the monitor told.
#pragma once

#include <variant>
#include <vector>

#include "mais/probe/watch.hpp"

namespace mais::probing {

template <class Kind>
std::vector<Kind> of_kind(const std::vector<MonitorEvent>& events) {
  std::vector<Kind> list;
  for (const MonitorEvent& event : events) {
    if (const auto* one = std::get_if<Kind>(&event)) list.push_back(*one);
  }
  return list;
}

}  // namespace mais::probing
