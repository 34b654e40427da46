// Llama 4: experts in every layer or every second, attention within chunks in three layers of four,
// and a vision tower whose patches are shuffled into a quarter as many.
#include <array>

#include "hf_families.hpp"

namespace mais::files {

namespace {

// "no_rope_layers" has 0 for the layers that see everything; without, every fourth does.
void set_chunks(ConfigFields& fields, DecoderShape& shape) {
  const std::vector<std::int64_t> chunked = fields.numbers("no_rope_layers");
  if (!chunked.empty() && chunked.size() != shape.plan.size()) {
    return fields.refuse("no_rope_layers", "has " + std::to_string(chunked.size()) +
                                               " entries; one for each of the " +
                                               std::to_string(shape.plan.size()) +
                                               " layers is needed");
  }
  const Tokens chunk(fields.usually("attention_chunk_size", 8192, kMostTokens));
  for (std::size_t i = 0; i < shape.plan.size(); ++i) {
    const bool all = chunked.empty() ? (i + 1) % 4 == 0 : chunked[i] == 0;
    if (!all) shape.plan[i].window = chunk;
  }
  fields.note("attention within chunks is counted as a window of a chunk, which is its bound");
}

void llama4_text(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = usual_decoder(fields);
  shape.qkv_bias = shape.o_bias = fields.flag("attention_bias", false);
  shape.experts = {.count = fields.need("num_local_experts"),
                   .used = fields.usually("num_experts_per_tok", 1),
                   .width = shape.feed_forward,
                   .shared_width = shape.feed_forward,
                   .shared_gate = false,
                   .bias = false,
                   .router_bias = false};
  shape.feed_forward = fields.need("intermediate_size_mlp");  // of layers without experts
  const auto step =
      static_cast<std::size_t>(fields.usually("interleave_moe_layer_step", 1, kMostLayers));
  for (std::size_t i = 0; i < shape.plan.size(); ++i) shape.plan[i].experts = (i + 1) % step == 0;
  set_chunks(fields, shape);
  finish_decoder(fields, architecture, shape);
}

Linear without_bias(const char* name, WeightRole role, std::int64_t inputs, std::int64_t outputs) {
  return {.name = name, .role = role, .inputs = inputs, .outputs = outputs};
}

Tower llama4_vision(ConfigFields& fields) {
  DecoderShape shape;
  shape.width = fields.usually("hidden_size", 768);
  shape.heads = shape.kv_heads = fields.usually("num_attention_heads", 16, kMostHeads);
  if (shape.width % shape.heads != 0) {
    fields.refuse("num_attention_heads", "does not divide hidden_size");
  }
  shape.key_size = shape.value_size = std::max<std::int64_t>(1, shape.width / shape.heads);
  shape.feed_forward = fields.usually("intermediate_size", 5632);
  shape.plan.resize(static_cast<std::size_t>(fields.usually("num_hidden_layers", 34, kMostLayers)));
  shape.gated = shape.cached = shape.output = false;
  shape.qkv_bias = shape.o_bias = shape.mlp_bias = shape.norm_bias = true;
  shape.names.up = "fc1";
  shape.names.down = "fc2";
  const std::int64_t patch = fields.usually("patch_size", 14, kMostHeads);
  const std::int64_t side = fields.usually("image_size", 448, kMostHeads) / patch;
  shape.positions = side * side + 1;
  shape.around_vectors = 3 * shape.width;  // class token, norm before the layers
  Tower tower = make_tower(shape, "vision");
  const std::int64_t inner = fields.usually("projector_input_dim", 4096);
  const std::int64_t outer = fields.usually("projector_output_dim", 4096);
  tower.around.linears.push_back(
      without_bias("patch_embedding", WeightRole::embedding,
                   fields.get("num_channels", 3, 1024, 1) * patch * patch, shape.width));
  tower.around.linears.push_back(
      without_bias("mlp.fc1", WeightRole::projector, shape.feed_forward, inner));
  tower.around.linears.push_back(without_bias("mlp.fc2", WeightRole::projector, outer, outer));
  return tower;
}

void llama4(ConfigFields& fields, Architecture& architecture) {
  ConfigFields eyes = fields.object("vision_config"), text = fields.object("text_config");
  architecture.towers.push_back(llama4_vision(eyes));
  llama4_text(text, architecture);
  architecture.towers.front().around.linears.push_back(
      without_bias("multi_modal_projector", WeightRole::projector,
                   eyes.usually("vision_output_dim", 4096), architecture.towers.back().width));
}

constexpr std::array kLlama4 = {HfFamily{"llama4", llama4}, HfFamily{"llama4_text", llama4_text}};

}  // namespace

std::span<const HfFamily> hf_llama4() {
  return kLlama4;
}

}  // namespace mais::files
