// Vision towers, and models that see through one.
#include <algorithm>
#include <array>

#include "byte_source.hpp"
#include "hf_families.hpp"

namespace mais::files {

namespace {

// A stack of pre-norm layers over patches.
struct Vision {
  DecoderShape shape{};
  std::int64_t patch = 0, image = 0, channels = 3;

  std::int64_t patches() const { return (image / patch) * (image / patch); }
  Linear embedding(bool bias, std::int64_t frames = 1) const {
    return {.name = "patch_embedding",
            .role = WeightRole::embedding,
            .inputs = channels * frames * patch * patch,
            .outputs = shape.width,
            .bias = bias};
  }
};

Linear projector(const char* name, std::int64_t inputs, std::int64_t outputs, bool bias) {
  return {.name = name,
          .role = WeightRole::projector,
          .inputs = inputs,
          .outputs = outputs,
          .bias = bias};
}

// Of CLIP, SigLIP and ViT: biases, LayerNorm, two matrices in the feed-forward part.
DecoderShape tower_shape(ConfigFields& fields, std::int64_t width, std::int64_t heads,
                         std::int64_t layers, std::int64_t feed_forward) {
  DecoderShape shape;
  shape.width = fields.usually("hidden_size", width);
  shape.heads = shape.kv_heads = fields.usually("num_attention_heads", heads, kMostHeads);
  if (shape.width % shape.heads != 0) {
    fields.refuse("num_attention_heads", "does not divide hidden_size");
  }
  shape.key_size = shape.value_size = std::max<std::int64_t>(1, shape.width / shape.heads);
  shape.feed_forward = fields.usually("intermediate_size", feed_forward);
  shape.plan.resize(
      static_cast<std::size_t>(fields.usually("num_hidden_layers", layers, kMostLayers)));
  shape.gated = shape.cached = shape.output = false;
  shape.qkv_bias = shape.o_bias = shape.mlp_bias = shape.norm_bias = true;
  shape.names.o = "out_proj";
  shape.names.up = "fc1";
  shape.names.down = "fc2";
  return shape;
}

void read_image(ConfigFields& fields, Vision& vision, std::int64_t image, std::int64_t patch) {
  vision.image = fields.usually("image_size", image, kMostHeads);
  vision.patch = fields.usually("patch_size", patch, kMostHeads);
  vision.channels = fields.get("num_channels", 3, 1024, 1);
}

Tower clip_tower(ConfigFields& fields) {
  Vision vision{.shape = tower_shape(fields, 768, 12, 12, 3072)};
  read_image(fields, vision, 224, 32);
  vision.shape.positions = vision.patches() + 1;
  vision.shape.around_vectors = 3 * vision.shape.width;  // class token, norm before the layers
  Tower tower = make_tower(vision.shape, "vision");
  tower.around.linears.push_back(vision.embedding(false));
  return tower;
}

Tower siglip_tower(ConfigFields& fields) {
  Vision vision{.shape = tower_shape(fields, 768, 12, 12, 3072)};
  read_image(fields, vision, 224, 16);
  vision.shape.positions = vision.patches();
  Tower tower = make_tower(vision.shape, "vision");
  tower.around.linears.push_back(vision.embedding(true));
  return tower;
}

// Of Pixtral: gated and without biases, positions by rotation.
Tower pixtral_tower(ConfigFields& fields) {
  Vision vision{.shape = tower_shape(fields, 1024, 16, 24, 4096)};
  read_image(fields, vision, 1024, 16);
  DecoderShape& shape = vision.shape;
  shape.gated = true;
  shape.qkv_bias = shape.o_bias = shape.mlp_bias = shape.norm_bias = false;
  shape.names = {.o = "o_proj"};
  // One norm, before the layers: counted as the last.
  Tower tower = make_tower(shape, "vision");
  tower.around.linears.push_back(vision.embedding(false));
  return tower;
}

void finish_tower(Architecture& architecture, Tower tower) {
  architecture.batching = Batching::request;
  architecture.towers.push_back(std::move(tower));
}

void clip_vision(ConfigFields& fields, Architecture& architecture) {
  finish_tower(architecture, clip_tower(fields));
}

void clip(ConfigFields& fields, Architecture& architecture) {
  ConfigFields text = fields.object("text_config");
  const std::int64_t shared = fields.usually("projection_dim", 512);
  Tower vision;
  {
    ConfigFields eyes = fields.object("vision_config");
    vision = clip_tower(eyes);
  }
  vision.around.linears.push_back(projector("visual_projection", vision.width, shared, false));
  architecture.towers.push_back(std::move(vision));
  DecoderShape shape = tower_shape(text, 512, 8, 12, 2048);
  shape.vocabulary = text.usually("vocab_size", 49'408);
  shape.positions = text.usually("max_position_embeddings", 77);
  Tower words = make_tower(shape, "text");
  words.around.linears.push_back(projector("text_projection", shape.width, shared, false));
  words.around.vectors += 1;  // the learned temperature
  finish_tower(architecture, std::move(words));
  architecture.vocabulary = shape.vocabulary;
  architecture.max_context = Tokens(shape.positions);
}

void vit(ConfigFields& fields, Architecture& architecture) {
  Vision vision{.shape = tower_shape(fields, 768, 12, 12, 3072)};
  read_image(fields, vision, 224, 16);
  vision.shape.positions = vision.patches() + 1;
  vision.shape.around_vectors = vision.shape.width;  // class token
  vision.shape.qkv_bias = fields.flag("qkv_bias", true);
  Tower tower = make_tower(vision.shape, "vision");
  tower.around.linears.push_back(vision.embedding(true));
  tower.around.linears.push_back(
      projector("pooler.dense", vision.shape.width, vision.shape.width, true));
  fields.note("the encoder with its pooler, without a head for a task");
  finish_tower(architecture, std::move(tower));
}

void build_text(const HfFamily& family, ConfigFields& fields, Architecture& architecture) {
  Architecture words;
  family.build(fields, words);
  for (Tower& tower : words.towers) architecture.towers.push_back(std::move(tower));
  architecture.vocabulary = words.vocabulary;
  architecture.tied = words.tied;
  architecture.max_context = words.max_context;
}

// The text half of a pair, by its own family.
void add_text(ConfigFields& fields, Architecture& architecture, std::string_view otherwise) {
  ConfigFields text = fields.object("text_config");
  const std::string type = text.text("model_type", otherwise);
  const HfFamily* family = find_hf_family(type);
  if (family == nullptr) {
    return fields.refuse("text_config",
                         "has the model_type '" + shown(type) + "', which is not known");
  }
  build_text(*family, text, architecture);
}

std::int64_t text_width(const Architecture& architecture) {
  const Tower* tower = architecture.main_tower();
  return tower == nullptr ? 1 : tower->width;
}

void llava(ConfigFields& fields, Architecture& architecture) {
  ConfigFields eyes = fields.object("vision_config");
  const std::string type = eyes.text("model_type", "clip_vision_model");
  if (type != "clip_vision_model" && type != "siglip_vision_model" && type != "pixtral") {
    fields.refuse("vision_config",
                  "has the model_type '" + shown(type) + "'; CLIP, SigLIP or Pixtral is needed");
  }
  architecture.towers.push_back(type == "clip_vision_model" ? clip_tower(eyes)
                                : type == "pixtral"         ? pixtral_tower(eyes)
                                                            : siglip_tower(eyes));
  add_text(fields, architecture, "llama");
  Tower& vision = architecture.towers.front();
  const std::int64_t width = text_width(architecture);
  vision.around.linears.push_back(projector("linear_1", vision.width, width, true));
  vision.around.linears.push_back(projector("linear_2", width, width, true));
}

void paligemma(ConfigFields& fields, Architecture& architecture) {
  ConfigFields eyes = fields.object("vision_config");
  architecture.towers.push_back(siglip_tower(eyes));
  add_text(fields, architecture, "gemma");
  Tower& vision = architecture.towers.front();
  vision.around.linears.push_back(
      projector("multi_modal_projector", vision.width, text_width(architecture), true));
}

void gemma3(ConfigFields& fields, Architecture& architecture) {
  ConfigFields eyes = fields.object("vision_config");
  architecture.towers.push_back(siglip_tower(eyes));
  add_text(fields, architecture, "gemma3_text");
  Tower& vision = architecture.towers.front();
  vision.around.linears.push_back(
      projector("mm_input_projection", vision.width, text_width(architecture), false));
  vision.around.vectors += vision.width;  // a norm before it
}

// Two frames at once, 2 x 2 patches merged into one token of the text.
void add_merged_tower(Architecture& architecture, const Vision& vision, std::int64_t merge,
                      std::int64_t text) {
  Tower tower = make_tower(vision.shape, "vision");
  tower.around.linears.push_back(vision.embedding(false, 2));
  const std::int64_t merged = vision.shape.width * merge * merge;
  tower.around.linears.push_back(projector("merger.mlp.0", merged, merged, true));
  tower.around.linears.push_back(projector("merger.mlp.2", merged, text, true));
  architecture.towers.push_back(std::move(tower));
}

// The published configurations have the fields of the text at the top, later ones in text_config.
void add_qwen_text(ConfigFields& fields, Architecture& architecture) {
  ConfigFields nested = fields.object("text_config");
  build_text(*find_hf_family("qwen2"), fields.has("hidden_size") ? fields : nested, architecture);
}

void qwen2_vl(ConfigFields& fields, Architecture& architecture) {
  ConfigFields eyes = fields.object("vision_config");
  Vision vision;
  vision.shape = DecoderShape{};
  vision.shape.width = eyes.usually("embed_dim", 1280);
  vision.shape.heads = vision.shape.kv_heads = eyes.usually("num_heads", 16, kMostHeads);
  vision.shape.key_size = vision.shape.value_size = vision.shape.width / vision.shape.heads;
  vision.shape.feed_forward = vision.shape.width * eyes.usually("mlp_ratio", 4, 64);
  vision.shape.plan.resize(static_cast<std::size_t>(eyes.usually("depth", 32, kMostLayers)));
  vision.shape.gated = vision.shape.cached = vision.shape.output = false;
  vision.shape.qkv_bias = vision.shape.o_bias = vision.shape.mlp_bias = true;
  vision.shape.norm_bias = true;
  vision.patch = eyes.usually("patch_size", 14, kMostHeads);
  add_qwen_text(fields, architecture);
  add_merged_tower(architecture, vision, eyes.usually("spatial_merge_size", 2, 64),
                   text_width(architecture));
}

void qwen2_5_vl(ConfigFields& fields, Architecture& architecture) {
  ConfigFields eyes = fields.object("vision_config");
  Vision vision;
  vision.shape.width = eyes.usually("hidden_size", 1280);
  vision.shape.heads = vision.shape.kv_heads = eyes.usually("num_heads", 16, kMostHeads);
  vision.shape.key_size = vision.shape.value_size = vision.shape.width / vision.shape.heads;
  vision.shape.feed_forward = eyes.usually("intermediate_size", 3420);
  vision.shape.plan.resize(static_cast<std::size_t>(eyes.usually("depth", 32, kMostLayers)));
  vision.shape.cached = vision.shape.output = false;
  vision.shape.qkv_bias = vision.shape.o_bias = vision.shape.mlp_bias = true;
  vision.patch = eyes.usually("patch_size", 14, kMostHeads);
  add_qwen_text(fields, architecture);
  add_merged_tower(architecture, vision, eyes.usually("spatial_merge_size", 2, 64),
                   text_width(architecture));
}

constexpr std::array kVisionModels = {
    HfFamily{"clip", clip},           HfFamily{"clip_vision_model", clip_vision},
    HfFamily{"gemma3", gemma3},       HfFamily{"llava", llava},
    HfFamily{"paligemma", paligemma}, HfFamily{"qwen2_5_vl", qwen2_5_vl},
    HfFamily{"qwen2_vl", qwen2_vl},   HfFamily{"vit", vit},
};

}  // namespace

std::span<const HfFamily> hf_vision() {
  return kVisionModels;
}

}  // namespace mais::files
