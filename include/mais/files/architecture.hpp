// What a network of the transformer family is made of, as plain data: towers of layers, what each
// layer keeps for a sequence, and every matrix with its size. Filled in from the published
// configuration: config.json (hf_config.hpp) or GGUF metadata (gguf_architecture.hpp).
//
// An architecture is exact about its parameters: their sum is the published number. Formulas and
// families are in docs/models.md. Plain values; functions are pure and safe from any thread.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mais/files/element_type.hpp"
#include "mais/model.hpp"
#include "mais/units.hpp"

namespace mais::files {

// What a parameter is for; footprints are told apart by it.
enum class WeightRole : std::uint8_t {
  embedding,
  attention,
  recurrent,     // state space and linear attention
  feed_forward,  // of every token: dense, or shared by all experts
  experts,       // of the tokens that are routed to them
  router,
  norm,
  output,
  projector,  // between towers, and poolers
  other,      // tensors of a file whose name says nothing
};
inline constexpr std::size_t kWeightRoles = 10;
std::string_view to_string(WeightRole role) noexcept;

// `copies` matrices of inputs x outputs. In a step, each token passes through `used` of them.
struct Linear {
  std::string name{};  // as in the published checkpoint, and as LoRA names its targets: "q_proj"
  WeightRole role = WeightRole::attention;
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  bool bias = false;
  std::int64_t copies = 1;
  std::int64_t used = 1;  // 0: looked up, not multiplied (embedding tables)
  std::int64_t units =
      0;  // parts it can be cut into for tensor parallelism; 0: each device has all

  std::int64_t matrix() const noexcept;  // parameters; saturates
  std::int64_t biases() const noexcept;
};

enum class AttentionKind : std::uint8_t {
  full,    // multi-head, grouped-query, multi-query: keys and values of kv_heads
  latent,  // one compressed vector for each token (DeepSeek-V2, section 2.1)
};

struct Attention {
  AttentionKind kind = AttentionKind::full;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t key_size = 0;       // of a head; latent: with the rotary part
  std::int64_t value_size = 0;     // of a head
  std::int64_t latent_size = 0;    // latent: the compressed vector
  std::int64_t rope_size = 0;      // latent: the rotary key that all heads share, kept beside it
  std::optional<Tokens> window{};  // tokens that it sees; none: all
  bool cached = true;              // false: of an encoder, or with the cache of another layer
};

// A state of fixed size for each sequence.
struct Recurrence {
  std::int64_t state_elements = 0;  // of the recurrence, kept in 32 bits
  std::int64_t conv_elements = 0;   // of the short convolution before it, kept as activations are
};

struct Layer {
  std::optional<Attention> attention{};
  std::optional<Attention> cross{};  // to the output of an encoder
  std::optional<Recurrence> recurrence{};
  std::vector<Linear> linears{};
  std::int64_t vectors = 0;  // other parameters: norms, scales, convolutions, sinks
  std::int64_t mixed = 0;    // of them, those in tensors of two dimensions and more
};

// A stack of layers of one width, and what lies around it.
struct Tower {
  std::string name{};  // "decoder", "encoder", "vision", ...
  std::int64_t width = 0;
  std::vector<Layer> layers{};
  Layer around{};          // embeddings, last norm, output, projector
  bool generates = false;  // runs once for each token, and keeps state
};

struct Architecture {
  std::string family{};  // "llama", "deepseek_v3", ...
  std::string name{};    // of the model, where the file says it
  Batching batching = Batching::iteration;
  std::vector<Tower> towers{};
  std::int64_t vocabulary = 0;
  bool tied = false;  // the output matrix is the embedding table, stored once
  std::optional<Tokens> max_context{};
  std::optional<Tokens> encoder_context{};  // encoder-decoder: tokens that cross attention keeps
  ElementType type = ElementType::f16;      // of the published weights
  // A guess has an architecture that is not known, and is off by this part either way; 0 else.
  double margin = 0;
  std::vector<std::string> notes{};  // what was assumed

  // All are O(layers x matrices) and saturate.
  std::int64_t parameters() const noexcept;
  std::int64_t parameters(WeightRole role) const noexcept;
  // That one token is multiplied with: experts by the `used` ones, no embedding tables, the output
  // matrix also where it is tied.
  std::int64_t active_parameters() const noexcept;
  // The tower that generates, or the last.
  const Tower* main_tower() const noexcept;
};

// A low-rank adapter (Hu et al., LoRA, 2021): for each matrix that it targets, rank x (inputs +
// outputs) parameters.
struct LoraAdapter {
  std::int64_t rank = 0;
  std::vector<std::string> targets{};  // names of linears; empty: all of attention
  ElementType type = ElementType::f32;
};
// Parameters of the adapter on that network; not_found when no matrix has a target's name.
Result<std::int64_t> lora_parameters(const Architecture& architecture, const LoraAdapter& adapter);

}  // namespace mais::files
