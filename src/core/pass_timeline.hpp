// When the parts of forward passes run: layers in order on their executors, weights copied ahead
// over each stage's link through two buffers.
//
//   link      [copy 3 ][copy 7 ]      [copy 11]        copy 11 waits until layer 3 was computed
//   stage     | 1 | 2 |  3  | 4 | 5 | 6 |  7  | 8 ...
//
// A stage turns to another pass when it has handed one on; the host serves whoever comes first.
#pragma once

#include <array>
#include <vector>

#include "split_costs.hpp"

namespace mais::core {

struct PassPart {
  int executor = -1;  // none: activations on their way
  WorkTime work{};
  int stage = -1;          // whose link copies the weights for it; none: they are there
  double copy = 0;         // seconds
  bool on_demand = false;  // the copy begins when the part before has ended
  bool leaves = false;     // the last part of this pass on its executor, were it a stage
};

// The parts of a pass with that placement; every mode must be possible. Empty where activations
// have no way.
std::vector<PassPart> parts_of(const SplitCosts& costs, const std::vector<LayerPlace>& places);

class PassTimeline {
 public:
  explicit PassTimeline(const Sites& sites)
      : executors_(sites.groups.size() + 1, 0), links_(sites.groups.size()) {}

  // Appends a pass that may begin at `ready`; gives its end. Passes go in that order everywhere.
  double run(const std::vector<PassPart>& parts, double ready);

  // Passes of `groups` of sequences, `rounds` of each, one after the other in each group; gives the
  // ends of the last group's.
  std::vector<double> run_groups(const std::vector<PassPart>& parts, int groups, int rounds);

 private:
  struct LinkState {
    double free = 0;
    std::array<double, 2> used{};  // when the parts before last and last of this link ended
  };
  double begin(const PassPart& part, double ready) const;
  double run_part(const PassPart& part, double ready);

  std::vector<double> executors_;  // when each is free
  std::vector<LinkState> links_;
};

// Seconds from token to token of each sequence where `groups` of them are under way, in the long
// run: rounds 9 to 16 of a timeline that begins empty, and no less than the host's memory needs.
double step_seconds(const SplitCosts& costs, const std::vector<LayerPlace>& places, int groups);

}  // namespace mais::core
