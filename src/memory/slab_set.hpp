// A set of slabs that knows its lowest member: words of bits, and words that say which of those
// are not zero. O(1) to change, O(slabs / 4096) to find.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace mais::memory {

class SlabSet {
 public:
  explicit SlabSet(std::size_t slabs) : words_(slabs / 64 + 1), summary_(slabs / 4096 + 1) {}
  void insert(std::uint32_t slab) {
    words_[slab / 64] |= bit(slab);
    summary_[slab / 4096] |= bit(slab / 64);
  }
  void erase(std::uint32_t slab) {
    words_[slab / 64] &= ~bit(slab);
    if (words_[slab / 64] == 0) summary_[slab / 4096] &= ~bit(slab / 64);
  }
  std::optional<std::uint32_t> lowest() const {
    for (std::size_t i = 0; i < summary_.size(); ++i) {
      if (summary_[i] == 0) continue;
      const std::size_t word = i * 64 + static_cast<std::size_t>(std::countr_zero(summary_[i]));
      return static_cast<std::uint32_t>(word * 64 +
                                        static_cast<std::size_t>(std::countr_zero(words_[word])));
    }
    return std::nullopt;
  }

 private:
  static std::uint64_t bit(std::uint32_t at) { return std::uint64_t{1} << (at % 64); }
  std::vector<std::uint64_t> words_, summary_;
};

}  // namespace mais::memory
