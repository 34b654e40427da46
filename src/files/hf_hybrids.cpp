// State-space models, and hybrids of recurrent and attention layers.
#include <algorithm>
#include <array>

#include "hf_families.hpp"

namespace mais::files {

namespace {

// A stack of Mamba layers: one norm each, no feed-forward part, no positions.
DecoderShape mamba_shape(ConfigFields& fields, Mixer mixer) {
  DecoderShape shape;
  shape.width = fields.need("hidden_size");
  shape.vocabulary = fields.need("vocab_size");
  shape.tied = fields.flag("tie_word_embeddings", mixer == Mixer::mamba);
  shape.norms = 1;
  shape.mlp_in_ssm = false;
  shape.ssm.inner = shape.width * fields.get("expand", 2, 64, 1);
  shape.ssm.state = fields.need("state_size");
  shape.ssm.conv = fields.get("conv_kernel", 4, 1024, 1);
  shape.ssm.bias = fields.flag("use_bias", false);
  shape.ssm.conv_bias = fields.flag("use_conv_bias", true);
  shape.plan.assign(static_cast<std::size_t>(fields.need("num_hidden_layers", kMostLayers)),
                    LayerPlan{.mixer = mixer});
  return shape;
}

// A number, or "auto": a sixteenth of the width.
std::int64_t time_rank(ConfigFields& fields, const char* key, std::int64_t width) {
  return fields.has_number(key) ? fields.need(key) : (width + 15) / 16;
}

void mamba(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = mamba_shape(fields, Mixer::mamba);
  shape.ssm.inner = fields.get("intermediate_size", shape.ssm.inner, kMostLength, 1);
  shape.ssm.time_rank = time_rank(fields, "time_step_rank", shape.width);
  finish_decoder(fields, architecture, shape);
}

void mamba2(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = mamba_shape(fields, Mixer::mamba2);
  shape.ssm.heads = fields.need("num_heads", kMostHeads);
  shape.ssm.groups = fields.get("n_groups", 8, kMostHeads, 1);
  const std::int64_t head = fields.get("head_dim", 64, kMostHeads, 1);
  if (shape.ssm.heads * head != shape.ssm.inner) {
    fields.refuse("num_heads", "times head_dim is not expand x hidden_size");
  }
  finish_decoder(fields, architecture, shape);
}

void jamba(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = usual_decoder(fields);
  const auto number = [&](const char* key, std::int64_t otherwise, std::int64_t least) {
    return static_cast<std::size_t>(fields.get(key, otherwise, kMostLayers, least));
  };
  const std::size_t attention_every = number("attn_layer_period", 8, 1);
  const std::size_t attention_at = number("attn_layer_offset", 4, 0);
  const std::size_t experts_every = number("expert_layer_period", 2, 1);
  const std::size_t experts_at = number("expert_layer_offset", 1, 0);
  shape.experts = {.count = fields.get("num_experts", 16, kMostHeads, 1),
                   .used = fields.get("num_experts_per_tok", 2, kMostHeads, 1),
                   .width = shape.feed_forward};
  for (std::size_t i = 0; i < shape.plan.size(); ++i) {
    if (i % attention_every != attention_at) shape.plan[i].mixer = Mixer::mamba;
    shape.plan[i].experts = shape.experts.count > 1 && i % experts_every == experts_at;
  }
  shape.ssm = {.inner = shape.width * fields.get("mamba_expand", 2, 64, 1),
               .state = fields.get("mamba_d_state", 16, kMostLength, 1),
               .conv = fields.get("mamba_d_conv", 4, 1024, 1),
               .time_rank = time_rank(fields, "mamba_dt_rank", shape.width),
               .inner_norms = true};
  shape.ssm.bias = fields.flag("mamba_proj_bias", false);
  shape.ssm.conv_bias = fields.flag("mamba_conv_bias", true);
  finish_decoder(fields, architecture, shape);
}

void bamba(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = usual_decoder(fields);
  const std::vector<std::int64_t> attention = fields.numbers("attn_layer_indices");
  for (std::size_t i = 0; i < shape.plan.size(); ++i) {
    const bool attends = std::find(attention.begin(), attention.end(),
                                   static_cast<std::int64_t>(i)) != attention.end();
    if (!attends) shape.plan[i].mixer = Mixer::mamba2;
  }
  shape.ssm = {.inner = shape.width * fields.get("mamba_expand", 2, 64, 1),
               .state = fields.get("mamba_d_state", 256, kMostLength, 1),
               .conv = fields.get("mamba_d_conv", 4, 1024, 1)};
  shape.ssm.heads = fields.get("mamba_n_heads", 128, kMostHeads, 1);
  shape.ssm.groups = fields.get("mamba_n_groups", 1, kMostHeads, 1);
  shape.ssm.bias = fields.flag("mamba_proj_bias", false);
  shape.ssm.conv_bias = fields.flag("mamba_conv_bias", true);
  finish_decoder(fields, architecture, shape);
}

void qwen3_next(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = usual_decoder(fields);
  shape.qk_norm = QkNorm::shared;
  shape.gated_query = true;
  shape.experts = {.count = fields.need("num_experts"),
                   .used = fields.need("num_experts_per_tok"),
                   .width = fields.need("moe_intermediate_size"),
                   .shared_width = fields.need("shared_expert_intermediate_size"),
                   .shared_gate = true};
  shape.ssm.conv = fields.get("linear_conv_kernel_dim", 4, 1024, 1);
  shape.ssm.key_heads = fields.need("linear_num_key_heads", kMostHeads);
  shape.ssm.key_size = fields.need("linear_key_head_dim", kMostHeads);
  shape.ssm.value_heads = fields.need("linear_num_value_heads", kMostHeads);
  shape.ssm.value_size = fields.need("linear_value_head_dim", kMostHeads);
  const std::vector<std::string> types = fields.texts("layer_types");
  const auto every =
      static_cast<std::size_t>(fields.get("full_attention_interval", 4, kMostLayers, 1));
  if (!types.empty() && types.size() != shape.plan.size()) {
    fields.refuse("layer_types", "has another number of entries than there are layers");
    return;
  }
  for (std::size_t i = 0; i < shape.plan.size(); ++i) {
    const bool linear = types.empty() ? (i + 1) % every != 0 : types[i] == "linear_attention";
    if (linear) shape.plan[i].mixer = Mixer::gated_delta;
    shape.plan[i].experts = true;
  }
  finish_decoder(fields, architecture, shape);
}

constexpr std::array kHybrids = {
    HfFamily{"bamba", bamba}, HfFamily{"falcon_mamba", mamba}, HfFamily{"jamba", jamba},
    HfFamily{"mamba", mamba}, HfFamily{"mamba2", mamba2},      HfFamily{"qwen3_next", qwen3_next},
};

}  // namespace

std::span<const HfFamily> hf_hybrids() {
  return kHybrids;
}

}  // namespace mais::files
