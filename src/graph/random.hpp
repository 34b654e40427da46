// A small deterministic generator (xorshift64*), so that core needs no random device and the same
// seed gives the same plan on every platform.
#pragma once

#include <cstdint>

namespace mais::graph {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15U + 0x632be59bd9b4e019U) {
    if (state_ == 0) state_ = 1;
  }
  std::uint64_t next() {
    state_ ^= state_ >> 12U;
    state_ ^= state_ << 25U;
    state_ ^= state_ >> 27U;
    return state_ * 0x2545f4914f6cdd1dU;
  }
  // In [0, bound); bound > 0.
  std::int64_t below(std::int64_t bound) {
    return static_cast<std::int64_t>((next() >> 1U) % static_cast<std::uint64_t>(bound));
  }

 private:
  std::uint64_t state_;
};

}  // namespace mais::graph
