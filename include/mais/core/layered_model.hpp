// A model layer by layer: what each holds, reads and computes. It is what a split is made from;
// mais/files/layers_of.hpp makes it from an architecture.
#pragma once

#include <string>
#include <vector>

#include "mais/model.hpp"
#include "mais/units.hpp"

namespace mais::core {

// Bytes that tensor parallelism cuts into `units` parts (heads, columns, experts), of which the
// first devices get one more where they do not divide; fewer units than devices are repeated, one
// on each. 0: every device has all.
struct CutBytes {
  Bytes bytes{};
  std::int64_t units = 0;

  // Of the first of `ranks` devices, which has the most. Rounds up. ranks >= 1.
  Bytes of_rank(int ranks) const noexcept;
};

// Embeddings and output are layers too: the first and the last.
struct ModelLayer {
  std::string name{};
  std::vector<CutBytes> weights{};  // read by every step
  CutBytes table{};                 // looked up by row: takes memory, is not read as a whole
  Bytes aside{};                    // takes memory and is not read when answers are generated
  CutBytes experts{};               // all together
  double expert_share = 1;          // of them, what one token is routed to; in (0, 1]
  std::vector<StateGroup> state{};  // of one sequence, kept beside the layer
  std::int64_t state_units = 0;     // as CutBytes::units
  double flops_per_token = 0;       // of `weights`
  double expert_flops_per_token = 0;
  double flops_per_pair = 0;  // of attention, for each token that one attends to
  int all_reduces = 0;        // of tensor parallelism, for each pass

  Bytes weight_bytes() const noexcept;  // weights, table and aside, without experts
};

struct LayeredModel {
  std::string name{};
  std::vector<ModelLayer> layers{};  // in the order in which a token passes them
  bool tied = false;      // the last layer's output is the first's table: stored once in a space
  Workspace workspace{};  // on each device that computes
  BytesPerToken activation{};  // what a token carries from layer to layer
  Duration overhead{};         // of each pass
};

// Every fault, with the path of the field below `model`.
std::vector<Fault> validate(const LayeredModel& model);

}  // namespace mais::core
