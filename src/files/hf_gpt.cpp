// Decoders of the first generation: GPT-2 and its kin.
#include <algorithm>
#include <array>

#include "hf_families.hpp"

namespace mais::files {

namespace {

constexpr LinearNames kGptNames = {.q = "attn.c_attn",
                                   .k = "attn.c_attn",
                                   .v = "attn.c_attn",
                                   .o = "attn.c_proj",
                                   .up = "mlp.c_fc",
                                   .down = "mlp.c_proj"};
constexpr LinearNames kNeoxNames = {.q = "query_key_value",
                                    .k = "query_key_value",
                                    .v = "query_key_value",
                                    .o = "dense",
                                    .up = "dense_h_to_4h",
                                    .down = "dense_4h_to_h"};

// Absolute positions or none, biases everywhere, names of their own.
DecoderShape gpt_shape(ConfigFields& fields, std::string_view width, std::string_view layers,
                       std::string_view heads, bool tied_by_default) {
  DecoderShape shape;
  shape.width = fields.need(width);
  shape.heads = fields.need(heads, kMostHeads);
  shape.kv_heads = shape.heads;
  if (shape.width % shape.heads != 0) fields.refuse(heads, "does not divide " + std::string(width));
  shape.key_size = shape.value_size = std::max<std::int64_t>(1, shape.width / shape.heads);
  shape.feed_forward = 4 * shape.width;
  shape.vocabulary = fields.need("vocab_size");
  shape.plan.resize(static_cast<std::size_t>(fields.need(layers, kMostLayers)));
  shape.gated = false;
  shape.norm_bias = true;
  shape.tied = fields.flag("tie_word_embeddings", tied_by_default);
  return shape;
}

void with_biases(DecoderShape& shape, bool there) {
  shape.qkv_bias = shape.o_bias = shape.mlp_bias = there;
}

void gpt2(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = gpt_shape(fields, "n_embd", "n_layer", "n_head", true);
  with_biases(shape, true);
  shape.names = kGptNames;
  shape.positions = fields.need("n_positions");
  shape.feed_forward = fields.get("n_inner", shape.feed_forward, kMostLength, 1);
  finish_decoder(fields, architecture, shape);
}

void gpt_bigcode(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = gpt_shape(fields, "n_embd", "n_layer", "n_head", true);
  with_biases(shape, true);
  shape.names = kGptNames;
  shape.positions = fields.need("n_positions");
  shape.feed_forward = fields.get("n_inner", shape.feed_forward, kMostLength, 1);
  if (fields.flag("multi_query", true)) shape.kv_heads = 1;
  finish_decoder(fields, architecture, shape);
}

void gptj(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = gpt_shape(fields, "n_embd", "n_layer", "n_head", false);
  shape.mlp_bias = shape.output_bias = true;
  shape.norms = 1;
  shape.names.o = "out_proj";
  shape.names.up = "fc_in";
  shape.names.down = "fc_out";
  shape.feed_forward = fields.get("n_inner", shape.feed_forward, kMostLength, 1);
  finish_decoder(fields, architecture, shape);
}

void gpt_neox(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape =
      gpt_shape(fields, "hidden_size", "num_hidden_layers", "num_attention_heads", false);
  with_biases(shape, true);
  shape.qkv_bias = shape.o_bias = fields.flag("attention_bias", true);
  shape.names = kNeoxNames;
  shape.feed_forward = fields.need("intermediate_size");
  finish_decoder(fields, architecture, shape);
}

void opt(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape =
      gpt_shape(fields, "hidden_size", "num_hidden_layers", "num_attention_heads", true);
  with_biases(shape, fields.flag("enable_bias", true));
  shape.names.o = "out_proj";
  shape.names.up = "fc1";
  shape.names.down = "fc2";
  shape.feed_forward = fields.need("ffn_dim");
  shape.positions = fields.need("max_position_embeddings") + 2;  // two rows are for padding
  shape.final_norm = fields.flag("do_layer_norm_before", true);
  if (fields.get("word_embed_proj_dim", shape.width, kMostLength, 1) != shape.width) {
    fields.refuse("word_embed_proj_dim", "differs from hidden_size; that is not supported");
  }
  finish_decoder(fields, architecture, shape);
}

void bloom(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = gpt_shape(fields, fields.has("hidden_size") ? "hidden_size" : "n_embed",
                                 fields.has("n_layer") ? "n_layer" : "num_hidden_layers",
                                 fields.has("n_head") ? "n_head" : "num_attention_heads", true);
  with_biases(shape, true);
  shape.names = kNeoxNames;
  shape.around_vectors = 2 * shape.width;  // a norm on the embeddings
  finish_decoder(fields, architecture, shape);
}

void mpt(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = gpt_shape(fields, "d_model", "n_layers", "n_heads", true);
  const bool biased = !fields.flag("no_bias", true);
  with_biases(shape, biased);
  shape.norm_bias = biased;
  shape.names = {.q = "Wqkv", .k = "Wqkv", .v = "Wqkv", .o = "out_proj"};
  shape.feed_forward = shape.width * fields.get("expansion_ratio", 4, 64, 1);
  ConfigFields attention = fields.object("attn_config");
  shape.kv_heads = attention.get("kv_n_heads", shape.heads, kMostHeads, 1);
  if (!attention.flag("alibi", true)) shape.positions = fields.need("max_seq_len");
  finish_decoder(fields, architecture, shape);
}

void falcon(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = gpt_shape(
      fields, "hidden_size", fields.has("num_hidden_layers") ? "num_hidden_layers" : "n_layer",
      fields.has("num_attention_heads") ? "num_attention_heads" : "n_head", true);
  with_biases(shape, fields.flag("bias", false));
  shape.names = kNeoxNames;
  const bool grouped = fields.flag("new_decoder_architecture", false);
  if (grouped) {
    const char* key = fields.has("num_kv_heads") ? "num_kv_heads" : "n_head_kv";
    shape.kv_heads = fields.need(key, kMostHeads);
  } else if (fields.flag("multi_query", true)) {
    shape.kv_heads = 1;
  }
  const std::int64_t in_parallel = fields.get("num_ln_in_parallel_attn", grouped ? 2 : 1, 2, 1);
  shape.norms = fields.flag("parallel_attn", true) ? in_parallel : 2;
  shape.feed_forward = fields.get("ffn_hidden_size", shape.feed_forward, kMostLength, 1);
  finish_decoder(fields, architecture, shape);
}

constexpr std::array kGptModels = {
    HfFamily{"bloom", bloom},       HfFamily{"falcon", falcon},
    HfFamily{"gpt2", gpt2},         HfFamily{"gpt_bigcode", gpt_bigcode},
    HfFamily{"gpt_neox", gpt_neox}, HfFamily{"gptj", gptj},
    HfFamily{"mpt", mpt},           HfFamily{"opt", opt},
};

}  // namespace

std::span<const HfFamily> hf_gpt() {
  return kGptModels;
}

}  // namespace mais::files
