// The families of config.json, each a function from its fields to an architecture.
#pragma once

#include <span>
#include <string_view>

#include "config_fields.hpp"
#include "decoder_shape.hpp"

namespace mais::files {

struct HfFamily {
  std::string_view model_type{};
  void (*build)(ConfigFields& fields, Architecture& architecture) = nullptr;
};

// The lists: one of each kind of network.
std::span<const HfFamily> hf_decoders();
std::span<const HfFamily> hf_gpt();
std::span<const HfFamily> hf_hybrids();
std::span<const HfFamily> hf_encoders();
std::span<const HfFamily> hf_vision();
std::span<const HfFamily> hf_llama4();

// The family of that name in any of the lists, or null.
const HfFamily* find_hf_family(std::string_view model_type);

// A decoder of the usual field names: hidden_size, num_attention_heads, num_key_value_heads,
// head_dim, intermediate_size, num_hidden_layers, vocab_size, tie_word_embeddings.
DecoderShape usual_decoder(ConfigFields& fields, bool tied_by_default = false);
// The decoder as the tower that generates.
void finish_decoder(ConfigFields& fields, Architecture& architecture, const DecoderShape& shape);
// windows from "layer_types", else where sliding(i), from "sliding_window".
void set_windows(ConfigFields& fields, DecoderShape& shape, bool (*sliding)(std::size_t layer));

}  // namespace mais::files
