#include "decoder_shape.hpp"

namespace mais::files {

namespace {

using detail::saturating_add;
using detail::saturating_multiply;

// Adds to the list that it was made for.
class LinearAdder {
 public:
  explicit LinearAdder(Layer& layer) : layer_(layer) {}
  Linear& operator()(std::string_view name, WeightRole role, std::int64_t inputs,
                     std::int64_t outputs, bool bias, std::int64_t units) {
    layer_.linears.push_back({.name = std::string(name),
                              .role = role,
                              .inputs = inputs,
                              .outputs = outputs,
                              .bias = bias,
                              .copies = 1,
                              .used = 1,
                              .units = units});
    return layer_.linears.back();
  }

 private:
  Layer& layer_;
};

std::int64_t norm_parameters(const DecoderShape& shape) {
  return saturating_multiply(shape.width, shape.norm_bias ? 2 : 1);
}

void add_latent(Layer& layer, const DecoderShape& shape, const Latent& latent) {
  LinearAdder add(layer);
  constexpr WeightRole kRole = WeightRole::attention;
  const std::int64_t query = saturating_multiply(shape.heads, latent.nope + latent.rope);
  if (latent.q_rank) {
    add("q_a_proj", kRole, shape.width, *latent.q_rank, shape.qkv_bias, 0);
    add("q_b_proj", kRole, *latent.q_rank, query, false, shape.heads);
    layer.vectors += *latent.q_rank;
  } else {
    add("q_proj", kRole, shape.width, query, false, shape.heads);
  }
  add("kv_a_proj_with_mqa", kRole, shape.width, latent.kv_rank + latent.rope, shape.qkv_bias, 0);
  add("kv_b_proj", kRole, latent.kv_rank,
      saturating_multiply(shape.heads, latent.nope + latent.value), false, shape.heads);
  add("o_proj", kRole, saturating_multiply(shape.heads, latent.value), shape.width, shape.o_bias,
      shape.heads);
  layer.vectors += latent.kv_rank;
  layer.attention = Attention{.kind = AttentionKind::latent,
                              .heads = shape.heads,
                              .kv_heads = 1,
                              .key_size = latent.nope + latent.rope,
                              .value_size = latent.value,
                              .latent_size = latent.kv_rank,
                              .rope_size = latent.rope,
                              .window = {},
                              .cached = shape.cached};
}

void add_attention(Layer& layer, const DecoderShape& shape, const LayerPlan& plan) {
  LinearAdder add(layer);
  constexpr WeightRole kRole = WeightRole::attention;
  const std::int64_t heads = plan.heads.value_or(shape.heads);
  const std::int64_t kv_heads = plan.kv_heads.value_or(shape.kv_heads);
  if (heads == 0) return;  // a layer whose attention was pruned
  const std::int64_t query = saturating_multiply(heads, shape.key_size);
  const std::int64_t key = saturating_multiply(kv_heads, shape.key_size);
  const std::int64_t value = saturating_multiply(kv_heads, shape.value_size);
  const std::int64_t width = shape.width;
  add(shape.names.q, kRole, width, shape.gated_query ? saturating_multiply(2, query) : query,
      shape.qkv_bias, heads);
  add(shape.names.k, kRole, width, key, shape.qkv_bias && shape.k_bias, kv_heads);
  add(shape.names.v, kRole, width, value, shape.qkv_bias, kv_heads);
  add(shape.names.o, kRole, saturating_multiply(heads, shape.value_size), width, shape.o_bias,
      heads);
  if (shape.qk_norm == QkNorm::shared) layer.vectors += 2 * shape.key_size;
  if (shape.qk_norm == QkNorm::per_head) layer.vectors += saturating_add(query, key);
  if (shape.sinks) layer.vectors += heads;
  layer.attention = Attention{.kind = AttentionKind::full,
                              .heads = heads,
                              .kv_heads = kv_heads,
                              .key_size = shape.key_size,
                              .value_size = shape.value_size,
                              .latent_size = 0,
                              .rope_size = 0,
                              .window = plan.window,
                              .cached = shape.cached};
}

void add_mamba(Layer& layer, const StateSpace& ssm, std::int64_t width) {
  LinearAdder add(layer);
  constexpr WeightRole kRole = WeightRole::recurrent;
  add("in_proj", kRole, width, 2 * ssm.inner, ssm.bias, ssm.inner);
  add("x_proj", kRole, ssm.inner, ssm.time_rank + 2 * ssm.state, false, ssm.inner);
  add("dt_proj", kRole, ssm.time_rank, ssm.inner, true, ssm.inner);
  add("out_proj", kRole, ssm.inner, width, ssm.bias, ssm.inner);
  const std::int64_t conv = saturating_multiply(ssm.inner, ssm.conv);
  const std::int64_t state = saturating_multiply(ssm.inner, ssm.state);
  layer.mixed = saturating_add(conv, state);  // conv1d.weight and A_log
  layer.vectors += layer.mixed + ssm.inner /* D */ + (ssm.conv_bias ? ssm.inner : 0) +
                   (ssm.inner_norms ? ssm.time_rank + 2 * ssm.state : 0);
  layer.recurrence = Recurrence{.state_elements = state, .conv_elements = conv};
}

void add_mamba2(Layer& layer, const StateSpace& ssm, std::int64_t width) {
  LinearAdder add(layer);
  constexpr WeightRole kRole = WeightRole::recurrent;
  const std::int64_t bc = saturating_multiply(2 * ssm.groups, ssm.state);
  const std::int64_t channels = saturating_add(ssm.inner, bc);
  add("in_proj", kRole, width, saturating_add(2 * ssm.inner + ssm.heads, bc), ssm.bias, ssm.heads);
  add("out_proj", kRole, ssm.inner, width, ssm.bias, ssm.heads);
  const std::int64_t conv = saturating_multiply(channels, ssm.conv);
  layer.mixed = conv;
  layer.vectors += conv + (ssm.conv_bias ? channels : 0) + 3 * ssm.heads /* dt, A, D */ +
                   ssm.inner /* gated norm */;
  layer.recurrence = Recurrence{.state_elements = saturating_multiply(ssm.inner, ssm.state),
                                .conv_elements = conv};
}

void add_gated_delta(Layer& layer, const StateSpace& ssm, std::int64_t width) {
  LinearAdder add(layer);
  constexpr WeightRole kRole = WeightRole::recurrent;
  const std::int64_t key = saturating_multiply(ssm.key_heads, ssm.key_size);
  const std::int64_t value = saturating_multiply(ssm.value_heads, ssm.value_size);
  const std::int64_t channels = saturating_add(2 * key, value);
  add("in_proj_qkvz", kRole, width, saturating_add(2 * key, 2 * value), false, ssm.key_heads);
  add("in_proj_ba", kRole, width, 2 * ssm.value_heads, false, ssm.value_heads);
  add("out_proj", kRole, value, width, false, ssm.value_heads);
  const std::int64_t conv = saturating_multiply(channels, ssm.conv);
  layer.mixed = conv;
  layer.vectors += conv + 2 * ssm.value_heads + ssm.value_size;
  layer.recurrence =
      Recurrence{.state_elements = saturating_multiply(
                     ssm.value_heads, saturating_multiply(ssm.key_size, ssm.value_size)),
                 .conv_elements = conv};
}

// Matrices of a feed-forward part, `copies` of them of which each token takes `used`.
void add_mlp(Layer& layer, const DecoderShape& shape, WeightRole role, std::int64_t inner,
             bool bias, std::int64_t copies, std::int64_t used) {
  const std::size_t first = layer.linears.size();
  LinearAdder add(layer);
  if (shape.gated) add(shape.names.gate, role, shape.width, inner, bias, inner);
  add(shape.names.up, role, shape.width, inner, bias, inner);
  add(shape.names.down, role, inner, shape.width, bias, inner);
  for (std::size_t i = first; i < layer.linears.size(); ++i) {
    layer.linears[i].copies = copies;
    layer.linears[i].used = used;
  }
}

void add_feed_forward(Layer& layer, const DecoderShape& shape, const LayerPlan& plan) {
  if (!plan.experts) {
    const std::int64_t inner = plan.feed_forward.value_or(shape.feed_forward);
    if (inner > 0) add_mlp(layer, shape, WeightRole::feed_forward, inner, shape.mlp_bias, 1, 1);
    return;
  }
  const Experts& experts = shape.experts;
  LinearAdder add(layer);
  add("gate", WeightRole::router, shape.width, experts.count, experts.bias, 0);
  if (experts.router_bias) layer.vectors += experts.count;
  add_mlp(layer, shape, WeightRole::experts, experts.width, experts.bias, experts.count,
          experts.used);
  if (experts.shared_width > 0) {
    add_mlp(layer, shape, WeightRole::feed_forward, experts.shared_width, shape.mlp_bias, 1, 1);
    if (experts.shared_gate) {
      add("shared_expert_gate", WeightRole::router, shape.width, 1, false, 0);
    }
  }
}

std::string crossed(std::string_view name) {
  return "encoder_attn." + std::string(name);
}

}  // namespace

Layer make_layer(const DecoderShape& shape, const LayerPlan& plan) {
  Layer layer;
  layer.vectors = saturating_multiply(shape.norms, norm_parameters(shape));
  switch (plan.mixer) {
    case Mixer::attention:
      shape.latent ? add_latent(layer, shape, *shape.latent) : add_attention(layer, shape, plan);
      break;
    case Mixer::mamba:
      add_mamba(layer, shape.ssm, shape.width);
      break;
    case Mixer::mamba2:
      add_mamba2(layer, shape.ssm, shape.width);
      break;
    case Mixer::gated_delta:
      add_gated_delta(layer, shape.ssm, shape.width);
      break;
  }
  if (plan.mixer == Mixer::attention || shape.mlp_in_ssm) add_feed_forward(layer, shape, plan);
  return layer;
}

Tower make_tower(const DecoderShape& shape, std::string_view name) {
  Tower tower{.name = std::string(name),
              .width = shape.width,
              .layers = {},
              .around = {},
              .generates = shape.cached};
  LinearAdder add(tower.around);
  if (shape.vocabulary > 0 && shape.embeds) {
    add("embed_tokens", WeightRole::embedding, shape.vocabulary, shape.width, false,
        shape.vocabulary)
        .used = 0;
  }
  if (shape.positions > 0) {
    add("embed_positions", WeightRole::embedding, shape.positions, shape.width, false, 0).used = 0;
  }
  if (shape.output && !shape.tied) {
    add("lm_head", WeightRole::output, shape.width, shape.vocabulary, shape.output_bias,
        shape.vocabulary);
  } else if (shape.output && shape.output_bias) {
    tower.around.vectors += shape.vocabulary;
  }
  tower.around.vectors += shape.around_vectors + (shape.final_norm ? norm_parameters(shape) : 0);
  tower.layers.reserve(shape.plan.size());
  for (const LayerPlan& plan : shape.plan) tower.layers.push_back(make_layer(shape, plan));
  return tower;
}

void add_cross_attention(Layer& layer, const DecoderShape& shape, std::int64_t memory) {
  LinearAdder add(layer);
  constexpr WeightRole kRole = WeightRole::attention;
  const std::int64_t query = saturating_multiply(shape.heads, shape.key_size);
  const std::int64_t key = saturating_multiply(shape.kv_heads, shape.key_size);
  const std::int64_t value = saturating_multiply(shape.kv_heads, shape.value_size);
  add(crossed(shape.names.q), kRole, shape.width, query, shape.qkv_bias, shape.heads);
  add(crossed(shape.names.k), kRole, memory, key, shape.qkv_bias && shape.k_bias, shape.kv_heads);
  add(crossed(shape.names.v), kRole, memory, value, shape.qkv_bias, shape.kv_heads);
  add(crossed(shape.names.o), kRole, saturating_multiply(shape.heads, shape.value_size),
      shape.width, shape.o_bias, shape.heads);
  layer.vectors += norm_parameters(shape);
  layer.cross = Attention{.kind = AttentionKind::full,
                          .heads = shape.heads,
                          .kv_heads = shape.kv_heads,
                          .key_size = shape.key_size,
                          .value_size = shape.value_size,
                          .latent_size = 0,
                          .rope_size = 0,
                          .window = {},
                          .cached = true};
}

}  // namespace mais::files
