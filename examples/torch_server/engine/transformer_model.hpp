// What a host is told of a transformer: the numbers of mais::Model, counted as the engines
// allocate.
#pragma once

#include <cstdint>
#include <string>

#include "mais/model.hpp"
#include "shape.hpp"

namespace torch_server {

// Bytes of the largest tile's buffers, of one row of state between layers, and so on, as counted
// by the engines that allocate them.
struct StepBytes {
  std::int64_t fixed = 0;
  std::int64_t per_token = 0;
  std::int64_t per_sequence = 0;
};

mais::Model describe(const std::string& name, const Shape& shape, Role role,
                     std::int64_t weight_bytes, const StepBytes& step);

}  // namespace torch_server
