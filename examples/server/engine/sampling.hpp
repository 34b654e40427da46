// How the next token is chosen from what a model thinks of each.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "tokenizer.hpp"

namespace server {

struct Sampling {
  double temperature = 0;  // >= 0; 0: greedy, the likeliest token
  double top_p = 1;  // 0 ... 1: of the likeliest tokens that have so much together, at least one
  std::uint64_t seed = 0;
};

// One user at a time; kept for its room.
class Sampler {
 public:
  // The token at `position` of a sequence (0 is the first of its prompt). Depends on the arguments
  // alone: not on what was chosen before, nor on when, or beside which others, it is. Of equal
  // tokens the lowest is the likeliest. O(tokens), where top_p is below 1 O(tokens log tokens).
  Token choose(std::span<const float> logits, const Sampling& sampling, std::int64_t position) {
    const auto best =
        static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    if (!(sampling.temperature > 0)) return static_cast<Token>(best);
    weights_.resize(logits.size());
    double all = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      weights_[i] =
          std::exp((static_cast<double>(logits[i]) - logits[best]) / sampling.temperature);
      all += weights_[i];
    }
    if (!std::isfinite(all)) return static_cast<Token>(best);
    order_.resize(logits.size());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    // Nucleus sampling: Holtzman et al., The curious case of neural text degeneration, ICLR 2020.
    if (sampling.top_p < 1) {
      std::stable_sort(order_.begin(), order_.end(),
                       [&](std::size_t a, std::size_t b) { return weights_[a] > weights_[b]; });
      double sum = 0;
      std::size_t kept = 0;
      do {
        sum += weights_[order_[kept++]];
      } while (kept < order_.size() && sum < sampling.top_p * all);
      order_.resize(kept);
      all = sum;
    }
    double left = all * drawn(sampling.seed, position);
    for (const std::size_t token : order_) {
      left -= weights_[token];
      if (left < 0) return static_cast<Token>(token);
    }
    return static_cast<Token>(order_.front());  // what rounding has left over
  }

 private:
  // 0 <= u < 1, of the seed and the position alone. The finaliser of SplitMix64 (Steele, Lea and
  // Flood, OOPSLA 2014), twice.
  static double drawn(std::uint64_t seed, std::int64_t position) {
    std::uint64_t bits = seed;
    for (const std::uint64_t next : {std::uint64_t{0}, static_cast<std::uint64_t>(position)}) {
      bits = (bits ^ next) + 0x9e3779b97f4a7c15ULL;
      bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ULL;
      bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebULL;
      bits ^= bits >> 31;
    }
    return static_cast<double>(bits >> 11) * 0x1p-53;
  }

  std::vector<double> weights_;  // of each token, the likeliest is 1
  std::vector<std::size_t> order_;
};

}  // namespace server
