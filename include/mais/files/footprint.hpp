// What a model will need, before a byte is allocated: from its architecture, exact where its files
// are there too.
//
// Weights and state are exact; workspace is a bound; time is the roofline's. Whatever was assumed
// is listed. The formulas, with their sources, are in docs/models.md. Pure, and safe from any
// thread.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "mais/files/architecture.hpp"
#include "mais/files/model_file.hpp"
#include "mais/model.hpp"
#include "mais/result.hpp"

namespace mais::files {

struct FootprintOptions {
  std::optional<ElementType> weight_type{};  // instead of the published one; not with files
  ElementType kv_type = ElementType::f16;    // f32, f16, bf16, f8_*, q8_0, q4_0, ...
  ElementType activation_type = ElementType::f16;
  int tensor_parallel = 1;    // devices that share every layer
  int pipeline_parallel = 1;  // stages of layers, each on its own devices
  bool windows = true;        // false: the engine keeps what lies behind a layer's window too
  std::optional<Tokens> encoder_context{};  // of a pair: what cross attention keeps; its limit else
  std::optional<LoraAdapter> adapter{};
  int adapters = 1;                                      // that are resident at once
  Bytes library_workspace{32 << 20};                     // of matrix libraries on each device
  Duration step_overhead{std::chrono::milliseconds(1)};  // StepCost::overhead
};

// What one device holds.
struct Shard {
  int tensor_rank = 0;
  int stage = 0;
  std::size_t first_layer = 0, last_layer = 0;  // of the main tower; [first, last)
  Bytes weights{};
  std::vector<StateGroup> state{};
};

struct Footprint {
  // Ready for a planner's configuration: what the fullest device needs. On one device that is the
  // whole model; with several, each figure is the largest of any shard, so it bounds them all, and
  // cost is a device's part of the work.
  Model model{};
  std::vector<Shard> shards{};  // by stage, then tensor rank

  Bytes weights{};                          // of the whole model, adapters too
  std::array<Bytes, kWeightRoles> roles{};  // of the whole model; sums to weights less adapters
  std::vector<Bytes> layers{};              // of each layer of the main tower
  Bytes around{};                           // of all else: embeddings, output, other towers
  Bytes adapters{};
  Bytes load{};  // read from files to load it
  std::int64_t parameters = 0;

  // Of one step on one device: what every token reads, and all experts together, of which a token
  // is routed to `expert_share`.
  Bytes common_read{};
  Bytes experts{};
  double expert_share = 1;

  double margin = 0;   // of a guess; 0: exact as far as the assumptions go
  bool exact = false;  // weights are the sum of the tensors in the files
  std::vector<std::string> assumptions{};

  // Weights that a step of so many tokens reads: experts by the chance that one token or more is
  // routed to each, were routing even. O(1).
  Bytes weights_read(double tokens) const noexcept;
};

// With `file`, weights are the sums of its tensors and the architecture divides them among devices.
// Errors: invalid_argument: parallelism below 1, more stages than layers, a state type that heads
// do not fill (a block of 32), files with fewer layers than the architecture, a weight type
// together with files; not_found: an adapter's target. O(layers + tensors + shards x layers).
Result<Footprint> footprint(const Architecture& architecture, const FootprintOptions& options = {},
                            const ModelFile* file = nullptr);

// Bytes that the model needs on its fullest device with so many sequences of `context` tokens, in a
// step that computes `step_tokens`; models that batch by request compute all of them. O(groups).
Bytes bytes_needed(const Model& model, std::int64_t sequences, Tokens context, Tokens step_tokens,
                   TokensPerBlock page = TokensPerBlock(16)) noexcept;

// The longest context that `sequences` of them can have within `memory`, at most `most`; none where
// not even one token fits. O(groups x log most).
std::optional<Tokens> largest_context(const Model& model, Bytes memory, std::int64_t sequences,
                                      Tokens most, Tokens step_tokens,
                                      TokensPerBlock page = TokensPerBlock(16)) noexcept;
// The most sequences of `context` tokens that fit within `memory`; 0: none. O(groups x 63).
std::int64_t largest_concurrency(const Model& model, Bytes memory, Tokens context,
                                 Tokens step_tokens,
                                 TokensPerBlock page = TokensPerBlock(16)) noexcept;

}  // namespace mais::files
