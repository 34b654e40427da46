// Decoders with attention in every layer, from Llama on.
#include <algorithm>
#include <array>

#include "hf_families.hpp"

namespace mais::files {

DecoderShape usual_decoder(ConfigFields& fields, bool tied_by_default) {
  DecoderShape shape;
  shape.width = fields.need("hidden_size");
  shape.heads = fields.need("num_attention_heads", kMostHeads);
  shape.kv_heads = fields.get("num_key_value_heads", shape.heads, kMostHeads, 1);
  if (!fields.has("head_dim") && shape.width % shape.heads != 0) {
    fields.refuse("num_attention_heads", "does not divide hidden_size; head_dim is needed");
  }
  if (shape.heads % shape.kv_heads != 0) {
    fields.refuse("num_key_value_heads", "does not divide num_attention_heads");
  }
  shape.key_size =
      fields.get("head_dim", std::max<std::int64_t>(1, shape.width / shape.heads), kMostHeads, 1);
  shape.value_size = shape.key_size;
  shape.feed_forward = fields.need("intermediate_size");
  shape.vocabulary = fields.need("vocab_size");
  shape.tied = fields.flag("tie_word_embeddings", tied_by_default);
  shape.plan.resize(static_cast<std::size_t>(fields.need("num_hidden_layers", kMostLayers)));
  return shape;
}

void finish_decoder(ConfigFields& fields, Architecture& architecture, const DecoderShape& shape) {
  architecture.towers.push_back(make_tower(shape, "decoder"));
  architecture.vocabulary = shape.vocabulary;
  architecture.tied = shape.tied && shape.output;
  for (const char* key : {"max_position_embeddings", "n_positions", "max_seq_len", "seq_length"}) {
    if (const auto length = fields.maybe(key, kMostTokens)) {
      architecture.max_context = Tokens(*length);
      break;
    }
  }
}

void set_windows(ConfigFields& fields, DecoderShape& shape, bool (*sliding)(std::size_t layer)) {
  const std::optional<std::int64_t> window = fields.maybe("sliding_window", kMostTokens);
  const std::vector<std::string> types = fields.texts("layer_types");
  if (!types.empty() && types.size() != shape.plan.size()) {
    return fields.refuse("layer_types",
                         "has " + std::to_string(types.size()) + " entries; one for each of the " +
                             std::to_string(shape.plan.size()) + " layers is needed");
  }
  for (std::size_t i = 0; i < shape.plan.size(); ++i) {
    const bool slides = types.empty() ? sliding(i) : types[i] == "sliding_attention";
    if (!slides) continue;
    if (window) {
      shape.plan[i].window = Tokens(*window);
    } else if (!types.empty()) {
      return fields.refuse("sliding_window", "is missing, but layer_types has sliding layers");
    }
  }
}

namespace {

bool in_every_layer(std::size_t) {
  return true;
}
bool in_even_layers(std::size_t i) {
  return i % 2 == 0;
}
bool but_every_fourth(std::size_t i) {
  return (i + 1) % 4 != 0;
}
bool but_every_sixth(std::size_t i) {
  return (i + 1) % 6 != 0;
}

constexpr LinearNames kFusedPhi3 = {.q = "qkv_proj",
                                    .k = "qkv_proj",
                                    .v = "qkv_proj",
                                    .gate = "gate_up_proj",
                                    .up = "gate_up_proj"};
// Biases as one field of each half says.
DecoderShape llama_shape(ConfigFields& fields, bool tied_by_default = false) {
  DecoderShape shape = usual_decoder(fields, tied_by_default);
  shape.qkv_bias = shape.o_bias = fields.flag("attention_bias", fields.flag("bias", false));
  shape.mlp_bias = fields.flag("mlp_bias", false);
  return shape;
}

void llama(ConfigFields& fields, Architecture& architecture) {
  finish_decoder(fields, architecture, llama_shape(fields));
}

void mistral(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = usual_decoder(fields);
  set_windows(fields, shape, in_every_layer);
  finish_decoder(fields, architecture, shape);
}

void granite(ConfigFields& fields, Architecture& architecture) {
  finish_decoder(fields, architecture, llama_shape(fields, true));
}

void olmo2(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = llama_shape(fields);
  shape.qk_norm = QkNorm::per_head;
  finish_decoder(fields, architecture, shape);
}

// Experts in every layer, as wide as "intermediate_size".
void experts_everywhere(ConfigFields& fields, DecoderShape& shape, const char* count) {
  shape.experts.count = fields.need(count);
  shape.experts.used = fields.need("num_experts_per_tok");
  shape.experts.width = shape.feed_forward;
  for (LayerPlan& plan : shape.plan) plan.experts = true;
}

void olmoe(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = llama_shape(fields);
  shape.qk_norm = QkNorm::per_head;
  experts_everywhere(fields, shape, "num_experts");
  finish_decoder(fields, architecture, shape);
}

void nemotron(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = llama_shape(fields);
  shape.gated = false;
  shape.norm_bias = true;
  finish_decoder(fields, architecture, shape);
}

void stablelm(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = usual_decoder(fields);
  shape.norm_bias = true;
  shape.qkv_bias = fields.flag("use_qkv_bias", false);
  if (fields.flag("qk_layernorm", false)) {
    shape.qk_norm = QkNorm::per_head;
  }
  finish_decoder(fields, architecture, shape);
}

// Qwen2 and Qwen3: windows only where they are switched on, from a layer on.
void qwen_windows(ConfigFields& fields, DecoderShape& shape) {
  if (fields.has("layer_types")) return set_windows(fields, shape, in_every_layer);
  if (!fields.flag("use_sliding_window", false)) return;
  const std::int64_t first = fields.get("max_window_layers", 0, kMostLayers);
  const std::optional<std::int64_t> window = fields.maybe("sliding_window", kMostTokens);
  for (std::size_t i = static_cast<std::size_t>(first); window && i < shape.plan.size(); ++i) {
    shape.plan[i].window = Tokens(*window);
  }
}

void qwen_experts(ConfigFields& fields, DecoderShape& shape) {
  shape.experts.count = fields.need("num_experts");
  shape.experts.used = fields.need("num_experts_per_tok");
  shape.experts.width = fields.need("moe_intermediate_size");
  shape.experts.shared_width = fields.get("shared_expert_intermediate_size", 0);
  shape.experts.shared_gate = shape.experts.shared_width > 0;
  const auto step = static_cast<std::size_t>(fields.get("decoder_sparse_step", 1, kMostLayers, 1));
  const std::vector<std::int64_t> dense = fields.numbers("mlp_only_layers");
  for (std::size_t i = 0; i < shape.plan.size(); ++i) {
    const bool skipped =
        std::find(dense.begin(), dense.end(), static_cast<std::int64_t>(i)) != dense.end();
    shape.plan[i].experts = !skipped && (i + 1) % step == 0;
  }
}

DecoderShape qwen2_shape(ConfigFields& fields) {
  DecoderShape shape = usual_decoder(fields);
  shape.qkv_bias = fields.flag("qkv_bias", true);
  qwen_windows(fields, shape);
  return shape;
}

void qwen2(ConfigFields& fields, Architecture& architecture) {
  finish_decoder(fields, architecture, qwen2_shape(fields));
}

void qwen2_moe(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = qwen2_shape(fields);
  qwen_experts(fields, shape);
  finish_decoder(fields, architecture, shape);
}

DecoderShape qwen3_shape(ConfigFields& fields) {
  DecoderShape shape = llama_shape(fields);
  if (!fields.has("head_dim")) {
    shape.key_size = shape.value_size = fields.usually("head_dim", 128);
  }
  shape.qk_norm = QkNorm::shared;
  qwen_windows(fields, shape);
  return shape;
}

void qwen3(ConfigFields& fields, Architecture& architecture) {
  finish_decoder(fields, architecture, qwen3_shape(fields));
}

void qwen3_moe(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = qwen3_shape(fields);
  qwen_experts(fields, shape);
  finish_decoder(fields, architecture, shape);
}

void mixtral(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = usual_decoder(fields);
  set_windows(fields, shape, in_every_layer);
  shape.names.gate = "w1";
  shape.names.up = "w3";
  shape.names.down = "w2";
  experts_everywhere(fields, shape, "num_local_experts");
  finish_decoder(fields, architecture, shape);
}

void phimoe(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = llama_shape(fields);
  shape.norm_bias = true;
  shape.output_bias = fields.flag("lm_head_bias", false);
  set_windows(fields, shape, in_every_layer);
  experts_everywhere(fields, shape, "num_local_experts");
  finish_decoder(fields, architecture, shape);
}

DecoderShape gemma_shape(ConfigFields& fields) {
  if (!fields.has("head_dim")) fields.refuse("head_dim", "is missing; Gemma states it");
  return usual_decoder(fields, true);
}

void gemma(ConfigFields& fields, Architecture& architecture) {
  finish_decoder(fields, architecture, gemma_shape(fields));
}

void gemma2(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = gemma_shape(fields);
  shape.norms = 4;
  set_windows(fields, shape, in_even_layers);
  finish_decoder(fields, architecture, shape);
}

// The published configuration of Gemma 3 with vision leaves most fields of its text to defaults.
void gemma3_text(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape;
  shape.width = fields.need("hidden_size");
  shape.feed_forward = fields.need("intermediate_size");
  shape.heads = fields.usually("num_attention_heads", 8, kMostHeads);
  shape.kv_heads = fields.usually("num_key_value_heads", 4, kMostHeads);
  shape.key_size = shape.value_size = fields.usually("head_dim", 256, kMostHeads);
  shape.vocabulary = fields.usually("vocab_size", 262'208);
  shape.plan.resize(static_cast<std::size_t>(fields.need("num_hidden_layers", kMostLayers)));
  shape.tied = fields.flag("tie_word_embeddings", true);
  shape.norms = 4;
  shape.qk_norm = QkNorm::shared;
  const std::int64_t pattern = fields.get("sliding_window_pattern", 6, kMostLayers, 1);
  if (pattern != 6 && !fields.has("layer_types")) {
    fields.refuse("sliding_window_pattern", "is not 6; layer_types is needed");
  }
  set_windows(fields, shape, but_every_sixth);
  finish_decoder(fields, architecture, shape);
}

void phi(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = usual_decoder(fields);
  shape.qkv_bias = shape.o_bias = shape.mlp_bias = shape.norm_bias = shape.output_bias = true;
  shape.gated = false;
  shape.norms = 1;
  shape.names.o = "dense";
  shape.names.up = "fc1";
  shape.names.down = "fc2";
  finish_decoder(fields, architecture, shape);
}

void phi3(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = usual_decoder(fields);
  shape.names = kFusedPhi3;
  set_windows(fields, shape, in_every_layer);
  finish_decoder(fields, architecture, shape);
}

DecoderShape cohere_shape(ConfigFields& fields) {
  DecoderShape shape = usual_decoder(fields, true);
  shape.qkv_bias = shape.o_bias = fields.flag("attention_bias", false);
  shape.norms = 1;
  return shape;
}

void cohere(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = cohere_shape(fields);
  if (fields.flag("use_qk_norm", false)) shape.qk_norm = QkNorm::per_head;
  finish_decoder(fields, architecture, shape);
}

void cohere2(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = cohere_shape(fields);
  if (fields.get("sliding_window_pattern", 4, kMostLayers, 1) != 4 && !fields.has("layer_types")) {
    fields.refuse("sliding_window_pattern", "is not 4; layer_types is needed");
  }
  set_windows(fields, shape, but_every_fourth);
  finish_decoder(fields, architecture, shape);
}

void starcoder2(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = usual_decoder(fields, true);
  shape.qkv_bias = shape.o_bias = shape.mlp_bias = fields.flag("use_bias", true);
  shape.norm_bias = true;
  shape.gated = false;
  shape.names.up = "c_fc";
  shape.names.down = "c_proj";
  set_windows(fields, shape, in_every_layer);
  finish_decoder(fields, architecture, shape);
}

void gpt_oss(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = usual_decoder(fields);
  shape.qkv_bias = shape.o_bias = fields.flag("attention_bias", true);
  shape.sinks = true;
  set_windows(fields, shape, in_even_layers);
  experts_everywhere(fields, shape, "num_local_experts");
  shape.experts.bias = true;
  finish_decoder(fields, architecture, shape);
}

// DeepSeek-V2 and -V3: latent attention, the first layers dense.
void deepseek(ConfigFields& fields, Architecture& architecture, bool corrected) {
  DecoderShape shape;
  shape.width = fields.need("hidden_size");
  shape.heads = fields.need("num_attention_heads", kMostHeads);
  shape.kv_heads = shape.heads;
  shape.feed_forward = fields.need("intermediate_size");
  shape.vocabulary = fields.need("vocab_size");
  shape.tied = fields.flag("tie_word_embeddings", false);
  shape.qkv_bias = shape.o_bias = fields.flag("attention_bias", false);
  shape.plan.resize(static_cast<std::size_t>(fields.need("num_hidden_layers", kMostLayers)));
  shape.latent = Latent{.q_rank = fields.maybe("q_lora_rank"),
                        .kv_rank = fields.need("kv_lora_rank"),
                        .nope = fields.need("qk_nope_head_dim", kMostHeads),
                        .rope = fields.need("qk_rope_head_dim", kMostHeads),
                        .value = fields.need("v_head_dim", kMostHeads)};
  const std::int64_t width = fields.need("moe_intermediate_size");
  shape.experts = {.count = fields.need("n_routed_experts"),
                   .used = fields.need("num_experts_per_tok"),
                   .width = width,
                   .shared_width = width * fields.get("n_shared_experts", 0, 256),
                   .shared_gate = false,
                   .bias = false,
                   .router_bias = corrected};
  const auto dense = static_cast<std::size_t>(fields.get("first_k_dense_replace", 0, kMostLayers));
  const auto every = static_cast<std::size_t>(fields.get("moe_layer_freq", 1, kMostLayers, 1));
  for (std::size_t i = 0; i < shape.plan.size(); ++i) {
    shape.plan[i].experts = i >= dense && i % every == 0;
  }
  if (const auto extra = fields.maybe("num_nextn_predict_layers", kMostLayers, 0);
      extra.value_or(0) > 0) {
    fields.note("layers for predicting several tokens (num_nextn_predict_layers = " +
                std::to_string(*extra) + ") are in the published files and not counted");
  }
  finish_decoder(fields, architecture, shape);
}

void deepseek_v2(ConfigFields& fields, Architecture& architecture) {
  deepseek(fields, architecture, false);
}

void deepseek_v3(ConfigFields& fields, Architecture& architecture) {
  deepseek(fields, architecture, true);
}

constexpr std::array kDecoders = {
    HfFamily{"cohere", cohere},
    HfFamily{"cohere2", cohere2},
    HfFamily{"deepseek_v2", deepseek_v2},
    HfFamily{"deepseek_v3", deepseek_v3},
    HfFamily{"gemma", gemma},
    HfFamily{"gemma2", gemma2},
    HfFamily{"gemma3_text", gemma3_text},
    HfFamily{"gpt_oss", gpt_oss},
    HfFamily{"granite", granite},
    HfFamily{"internlm2", llama},
    HfFamily{"kimi_k2", deepseek_v3},
    HfFamily{"llama", llama},
    HfFamily{"mistral", mistral},
    HfFamily{"mixtral", mixtral},
    HfFamily{"nemotron", nemotron},
    HfFamily{"olmo2", olmo2},
    HfFamily{"olmoe", olmoe},
    HfFamily{"phi", phi},
    HfFamily{"phi3", phi3},
    HfFamily{"phimoe", phimoe},
    HfFamily{"qwen2", qwen2},
    HfFamily{"qwen2_moe", qwen2_moe},
    HfFamily{"qwen3", qwen3},
    HfFamily{"qwen3_moe", qwen3_moe},
    HfFamily{"stablelm", stablelm},
    HfFamily{"starcoder2", starcoder2},
};

}  // namespace

std::span<const HfFamily> hf_decoders() {
  return kDecoders;
}

}  // namespace mais::files
