#include "layer_state.hpp"

#include "weight_shares.hpp"

namespace mais::files {

namespace {

BytesPerToken kv_bytes(const Attention& attention, ElementType type, int ranks, int rank) {
  if (attention.kind == AttentionKind::latent) {  // all heads read it, so each device has all
    return BytesPerToken(bytes_of(type, attention.latent_size + attention.rope_size).count());
  }
  const std::int64_t heads = units_of_rank(attention.kv_heads, ranks, rank);
  const auto bytes = [&](std::int64_t size) {
    return bytes_of(type, detail::saturating_multiply(heads, size)).count();
  };
  return BytesPerToken(
      detail::saturating_add(bytes(attention.key_size), bytes(attention.value_size)));
}

}  // namespace

std::vector<StateGroup> state_of_layer(const Architecture& architecture, const Layer& layer,
                                       const FootprintOptions& options, int ranks, int rank) {
  std::vector<StateGroup> groups;
  if (layer.attention && layer.attention->cached) {
    const Attention& attention = *layer.attention;
    const bool latent = attention.kind == AttentionKind::latent;
    const std::optional<Tokens> window = options.windows ? attention.window : std::nullopt;
    groups.push_back(
        {.name = latent   ? "latent attention"
                 : window ? "attention within " + std::to_string(window->count()) + " tokens"
                          : "attention",
         .per_token = kv_bytes(attention, options.kv_type, ranks, rank),
         .window = window,
         .fixed = Bytes(0)});
  }
  if (layer.cross) {
    const Tokens context =
        options.encoder_context.value_or(architecture.encoder_context.value_or(Tokens(0)));
    groups.push_back({.name = "cross attention",
                      .per_token = {},
                      .window = {},
                      .fixed = kv_bytes(*layer.cross, options.kv_type, ranks, rank) * context});
  }
  if (layer.recurrence) {
    const Bytes all = bytes_of(ElementType::f32, layer.recurrence->state_elements) +
                      bytes_of(options.activation_type, layer.recurrence->conv_elements);
    groups.push_back({.name = "recurrent state",
                      .per_token = {},
                      .window = {},
                      .fixed = share_of(all, 1, ranks)});
  }
  return groups;
}

}  // namespace mais::files
