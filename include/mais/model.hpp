// What a model needs: bytes of weights, bytes of state for each sequence, workspace and time for
// each step. Plain data; filled in by hand, from JSON (mais/files/model_json.hpp), or from model
// files.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais {

// How a model's requests are run together.
enum class Batching : std::uint8_t {
  iteration,  // decoders: the batch is formed anew at every step
  request,    // encoders, vision, embeddings: a batch runs once, as a whole
};

// One group of layers whose per-sequence state grows alike. A model has a list of them:
//   full or grouped-query attention  {per_token = 2 * layers * kv_heads * head_size * bytes}
//   latent attention                 {per_token = layers * latent_size * bytes}
//   sliding window                   the same, with window
//   recurrent, state space, cross    {fixed = state bytes}
struct StateGroup {
  std::string name{};
  BytesPerToken per_token{};
  std::optional<Tokens> window{};  // tokens beyond the last `window` are dropped
  Bytes fixed{};                   // for each sequence, from its first token on
};

// Scratch memory of one step: an upper bound that holds while the step runs.
struct Workspace {
  Bytes fixed{};
  BytesPerToken per_token{};          // for each token computed in the step
  Bytes per_sequence{};               // for each sequence in the step
  BytesPerToken per_context_token{};  // for each token of state that the step attends to

  Bytes bytes(Tokens tokens, std::int64_t sequences, Tokens context) const noexcept {
    return fixed + per_token * tokens + per_sequence * sequences + per_context_token * context;
  }
};

// What one step costs on a roofline (Williams et al., Roofline, CACM 2009): the linear layers
// compute or read the weights, whichever takes longer; attention likewise with the state it reads.
struct StepCost {
  double flops_per_token = 0;           // 2 x active parameters
  double attention_flops_per_pair = 0;  // a new token attending to one token: 4 x layers x width
  Bytes weights_read{};                 // once a step
  BytesPerToken state_read{};           // for each token of context
  Duration overhead{};                  // launch, sampling, scheduling: once a step
};

struct Model {
  std::string name{};
  Batching batching = Batching::iteration;
  Bytes weights{};
  std::vector<StateGroup> state{};
  Workspace workspace{};
  StepCost cost{};
  std::optional<Tokens> max_context{};  // prompt + output of one sequence
  std::vector<Tokens> shape_buckets{};  // request batching: lengths that a batch is padded to

  // State of one sequence of `length` tokens, kept in pages of `page` tokens: a group holds whole
  // pages of what its window still covers. O(groups).
  Bytes state_bytes(Tokens length, TokensPerBlock page) const noexcept;
  // Bytes that one more page of an unwindowed sequence takes.
  Bytes page_bytes(TokensPerBlock page) const noexcept;
  // True when the state of a prefix can be shared by sequences: no window and no fixed part.
  bool prefix_shareable() const noexcept;
};

std::string_view to_string(Batching batching) noexcept;

// Every fault, with the path of the field below `model`.
std::vector<Fault> validate(const Model& model);

}  // namespace mais
