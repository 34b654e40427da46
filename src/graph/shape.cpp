#include "mais/graph/shape.hpp"

#include <algorithm>

namespace mais::graph {

Result<Bytes> bytes_at_most(const std::vector<Dimension>& shape, Bytes element,
                            const DimensionBounds& bounds) {
  Bytes bytes = element;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::string where = "dimension " + std::to_string(i);
    std::int64_t length = 0;
    if (const auto* fixed = std::get_if<std::int64_t>(&shape[i])) {
      length = *fixed;
      if (length < 0) {
        return fail(ErrorCode::invalid_argument,
                    where + " is " + std::to_string(length) + "; give it a name and a bound");
      }
    } else {
      const std::string& name = std::get<std::string>(shape[i]);
      const auto bound = bounds.find(name);
      if (bound == bounds.end() || bound->second.most < 1) {
        return fail(ErrorCode::invalid_argument,
                    where + " (" + name + ") has no upper bound; give one of at least 1");
      }
      length = bound->second.most;
      const std::vector<std::int64_t>& buckets = bound->second.buckets;
      if (!buckets.empty()) {
        const auto bucket = std::lower_bound(buckets.begin(), buckets.end(), length);
        if (bucket == buckets.end()) {
          return fail(ErrorCode::invalid_argument, where + " (" + name + ") may be " +
                                                       std::to_string(length) +
                                                       ", longer than every bucket");
        }
        length = *bucket;
      }
    }
    bytes = bytes * length;
  }
  if (bytes.count() > std::int64_t{1} << 62U) {
    return fail(ErrorCode::invalid_argument, "the shape has more than 2^62 bytes");
  }
  return bytes;
}

}  // namespace mais::graph
