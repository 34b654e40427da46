// An array that grows by a piece at a time: its elements never move, nothing is copied when it
// grows, and it never holds more than one piece that is not used.
//
// A plain value; one user at a time. Only emplace_back and reserve allocate.
#pragma once

#include <cstddef>
#include <vector>

namespace mais::core {

template <class Element>
class ChunkedArray {
 public:
  std::size_t size() const noexcept { return size_; }
  Element& operator[](std::size_t at) noexcept { return chunks_[at / kChunk][at % kChunk]; }
  const Element& operator[](std::size_t at) const noexcept {
    return chunks_[at / kChunk][at % kChunk];
  }

  void emplace_back() {
    reserve(size_ + 1);
    ++size_;
  }
  void reserve(std::size_t count) {
    while (chunks_.size() * kChunk < count) chunks_.emplace_back(kChunk);
  }

 private:
  static constexpr std::size_t kChunk = 1024;

  std::vector<std::vector<Element>> chunks_;
  std::size_t size_ = 0;
};

}  // namespace mais::core
