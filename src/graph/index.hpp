// Operators and tensors are numbered by signed integers, so that -1 can say "none"; containers are
// not.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mais::graph {

inline std::size_t at(std::int32_t index) noexcept {
  return static_cast<std::size_t>(index);
}

}  // namespace mais::graph
