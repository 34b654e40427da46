// How fast a partial placement can become at best: the relaxed problem, where what is left divides
// and lies on any of the stages that are left.
//
// A round takes no less than the chain of a pass, than the copies of one link, than what the host's
// memory serves, than its computing, or than the computing of a stage; the last two count once for
// each group of sequences. So it takes no less than any mean of these, and the least mean for the
// layers from i on within R bytes is a knapsack with choices, whose relaxation takes the steepest
// steps first (Sinha and Zoltners, Operations Research 1979): a convex function of R, kept for each
// i and some means.
#pragma once

#include <vector>

#include "split_costs.hpp"

namespace mais::core {

// Seconds that were taken, of one pass.
struct Taken {
  double chain = 0;
  double copies = 0;     // of all stages' links
  double traffic = 0;    // of the host's memory
  double busy = 0;       // of the stage at hand
  double host_busy = 0;  // of the host's computing
};

class SplitBounds {
 public:
  SplitBounds(const SplitCosts& costs, int groups, bool resident_only);

  // Of a placement of the layers before `layer` that took so much, with `left` bytes on each device
  // of the `stages` that are left, together, beside buffers of `buffer` bytes. Infinite where the
  // rest does not fit.
  double seconds(std::size_t layer, const Taken& taken, std::int64_t left, std::int64_t buffer,
                 int stages) const;

 private:
  struct Step {    // along which bytes buy time
    double bytes;  // until here
    double saved;  // when it is taken
    double rate;   // seconds for each byte
  };
  struct Rest {  // of the layers from one on
    double seconds = 0;
    std::vector<Step> steps{};  // the steepest first
  };
  struct Mean {
    Taken weights{};
    std::vector<Rest> rests{};  // by layer
  };

  Mean mean_of(const SplitCosts& costs, const Taken& weights) const;
  std::vector<Step> steps_of(const SplitCosts& costs, std::size_t layer, const Taken& weights,
                             double& base) const;
  static double at_least(const Mean& mean, std::size_t layer, const Taken& taken, double room);

  bool resident_only_;
  std::vector<double> least_bytes_;    // of the layers from each on
  std::vector<std::int64_t> buffers_;  // that any placement has: sizes of copied layers, and 0
  std::vector<std::vector<double>> neediest_;  // of them, bytes with more buffers; by buffers_
  std::vector<double> resident_bytes_;         // of all of them
  std::vector<double> least_buffer_;           // of one that is not resident
  std::vector<Mean> means_;
  std::vector<std::vector<Mean>> of_stages_;  // by the number of stages that are left
};

}  // namespace mais::core
