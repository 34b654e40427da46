// The largest value in a range of a fixed sequence, O(1) after O(n log n): a sparse table.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace mais::graph {

class RangeMax {
 public:
  explicit RangeMax(const std::vector<std::int64_t>& values) : levels_{values} {
    for (std::size_t half = 1; 2 * half <= values.size(); half *= 2) {
      const std::vector<std::int64_t>& below = levels_.back();
      std::vector<std::int64_t> level(values.size() - 2 * half + 1);
      for (std::size_t i = 0; i < level.size(); ++i) {
        level[i] = std::max(below[i], below[i + half]);
      }
      levels_.push_back(std::move(level));
    }
  }

  // Over [first, last); the range must not be empty.
  std::int64_t operator()(std::int32_t first, std::int32_t last) const {
    const auto begin = static_cast<std::size_t>(first);
    const auto length = static_cast<std::size_t>(last - first);
    const auto level = static_cast<std::size_t>(std::bit_width(length) - 1);
    return std::max(levels_[level][begin],
                    levels_[level][begin + length - (std::size_t{1} << level)]);
  }

 private:
  std::vector<std::vector<std::int64_t>> levels_;
};

}  // namespace mais::graph
