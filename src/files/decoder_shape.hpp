// The numbers that make a decoder (or a stack of encoder layers), whatever format they come from,
// and the layers that they make. The formulas are those of docs/models.md. Readers let no length
// through that is above 2^24 (heads and their sizes: 2^16), so the sums here cannot overflow.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "mais/files/architecture.hpp"

namespace mais::files {

// Architecture::margin of one that is read as a plain decoder because it is not known.
inline constexpr double kGuessMargin = 0.25;

// Names of the matrices in the published checkpoint; two that are equal are one matrix there.
struct LinearNames {
  std::string_view q = "q_proj", k = "k_proj", v = "v_proj", o = "o_proj";
  std::string_view gate = "gate_proj", up = "up_proj", down = "down_proj";
};

enum class QkNorm : std::uint8_t {
  none,
  shared,    // one scale of the size of a head for all heads
  per_head,  // a scale of its own for each head
};

enum class Mixer : std::uint8_t { attention, mamba, mamba2, gated_delta };

// What differs from layer to layer.
struct LayerPlan {
  Mixer mixer = Mixer::attention;
  bool experts = false;
  std::optional<Tokens> window{};
  std::optional<std::int64_t> heads{}, kv_heads{}, feed_forward{};  // where not those of all
};

// DeepSeek-V2 (2024), section 2.1; `nope` and `rope` are the two parts of a head's query.
struct Latent {
  std::optional<std::int64_t> q_rank{};
  std::int64_t kv_rank = 0;
  std::int64_t nope = 0, rope = 0, value = 0;
};

struct Experts {
  std::int64_t count = 0, used = 0, width = 0;
  std::int64_t shared_width = 0;  // of all shared experts together; 0: none
  bool shared_gate = false;       // a scalar that scales the shared expert
  bool bias = false;              // of router and experts
  bool router_bias = false;       // a correction that is added to the scores
};

// Mamba (Gu and Dao 2023), Mamba-2 (Dao and Gu 2024), gated delta rule (Yang et al. 2024).
struct StateSpace {
  std::int64_t inner = 0, state = 0, conv = 0;
  std::int64_t time_rank = 0;          // mamba
  bool inner_norms = false;            // mamba of Jamba: norms of time step, B and C
  std::int64_t heads = 0, groups = 0;  // mamba2
  bool conv_bias = true, bias = false;
  std::int64_t key_heads = 0, key_size = 0, value_heads = 0, value_size = 0;  // gated delta
};

struct DecoderShape {
  std::int64_t width = 0, heads = 0, kv_heads = 0, key_size = 0, value_size = 0;
  std::int64_t feed_forward = 0, vocabulary = 0, positions = 0;
  bool gated = true;
  bool qkv_bias = false, k_bias = true, o_bias = false, mlp_bias = false, output_bias = false;
  bool gated_query = false;  // the query projection has as much again for a gate on the output
  std::int64_t norms = 2;    // in a layer
  bool norm_bias = false;    // LayerNorm with scale and bias, not a scale alone
  bool final_norm = true;
  std::int64_t around_vectors = 0;  // further scales around the layers
  QkNorm qk_norm = QkNorm::none;
  bool sinks = false;  // one learned logit for each head
  bool tied = false;
  bool embeds = true;      // has a table of the vocabulary
  bool output = true;      // has a matrix to the vocabulary
  bool cached = true;      // keeps keys and values; not an encoder
  bool mlp_in_ssm = true;  // layers without attention have a feed-forward part too
  LinearNames names{};
  std::optional<Latent> latent{};
  Experts experts{};
  StateSpace ssm{};
  std::vector<LayerPlan> plan{};  // one for each layer
};

// Of one layer of it.
Layer make_layer(const DecoderShape& shape, const LayerPlan& plan);
// All of it.
Tower make_tower(const DecoderShape& shape, std::string_view name);
// An attention part of its own: keys and values of `memory` wide tokens.
void add_cross_attention(Layer& layer, const DecoderShape& shape, std::int64_t memory);

}  // namespace mais::files
