// Buffers as CSV, the form of the MiniMalloc instances: a header line with the columns id, lower,
// upper, size in any order (others are ignored), then one buffer a line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mais/graph/arena.hpp"
#include "mais/result.hpp"

namespace mais::files {

struct BufferTable {
  std::vector<std::string> ids;
  std::vector<graph::Buffer> buffers;
};

// Errors (parse_error, with `name` and the line): a missing column, a field that is no whole number
// in range, an id twice, too few fields. O(bytes).
Result<BufferTable> parse_buffers_csv(std::string_view text, std::string_view name = "csv");

// Columns id, offset.
std::string offsets_csv(const BufferTable& table, const graph::ArenaPlan& plan);

}  // namespace mais::files
