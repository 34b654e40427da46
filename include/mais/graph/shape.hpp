// Bytes of a tensor whose shape may have dimensions known only by a bound. Unknown is never 0.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::graph {

using Dimension = std::variant<std::int64_t, std::string>;  // a length, or the name of one

struct DimensionBound {
  std::int64_t most = 0;                // the largest length it takes
  std::vector<std::int64_t> buckets{};  // lengths are padded up to one of these; ascending
};
using DimensionBounds = std::map<std::string, DimensionBound>;

// The bytes a shape takes at most: each named dimension counts its bound, padded up to its bucket.
// A scalar has one element. Errors (invalid_argument): a negative length, a name without a bound, a
// bound below 1 or above every bucket, more than 2^62 bytes.
Result<Bytes> bytes_at_most(const std::vector<Dimension>& shape, Bytes element,
                            const DimensionBounds& bounds);

}  // namespace mais::graph
