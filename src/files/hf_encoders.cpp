// Encoders, and pairs of encoder and decoder.
#include <algorithm>
#include <array>

#include "hf_families.hpp"

namespace mais::files {

namespace {

// Layers of an encoder of the BERT kind: biases everywhere, a norm after each half.
DecoderShape encoder_shape(ConfigFields& fields, const char* width, const char* layers,
                           const char* heads, const char* feed_forward) {
  DecoderShape shape;
  shape.width = fields.need(width);
  shape.heads = fields.need(heads, kMostHeads);
  shape.kv_heads = shape.heads;
  if (shape.width % shape.heads != 0) fields.refuse(heads, "does not divide " + std::string(width));
  shape.key_size = shape.value_size = std::max<std::int64_t>(1, shape.width / shape.heads);
  shape.feed_forward = fields.need(feed_forward);
  shape.plan.resize(static_cast<std::size_t>(fields.need(layers, kMostLayers)));
  shape.gated = shape.cached = shape.output = false;
  shape.qkv_bias = shape.o_bias = shape.mlp_bias = shape.norm_bias = true;
  return shape;
}

void finish_encoder(Architecture& architecture, const DecoderShape& shape, std::int64_t context) {
  architecture.batching = Batching::request;
  architecture.towers.push_back(make_tower(shape, "encoder"));
  architecture.vocabulary = shape.vocabulary;
  architecture.max_context = Tokens(context);
}

void bert(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = encoder_shape(fields, "hidden_size", "num_hidden_layers",
                                     "num_attention_heads", "intermediate_size");
  shape.names = {.q = "query",
                 .k = "key",
                 .v = "value",
                 .o = "output.dense",
                 .up = "intermediate.dense",
                 .down = "output.dense"};
  shape.vocabulary = fields.need("vocab_size");
  const std::int64_t context = fields.need("max_position_embeddings");
  shape.positions = context + fields.get("type_vocab_size", 2);
  shape.final_norm = false;
  shape.around_vectors = 2 * shape.width;  // the norm of the embeddings
  finish_encoder(architecture, shape, context);
  architecture.towers.back().around.linears.push_back({.name = "pooler.dense",
                                                       .role = WeightRole::projector,
                                                       .inputs = shape.width,
                                                       .outputs = shape.width,
                                                       .bias = true});
  fields.note("the encoder with its pooler, without a head for a task");
}

void distilbert(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = encoder_shape(fields, "dim", "n_layers", "n_heads", "hidden_dim");
  shape.names = {
      .q = "q_lin", .k = "k_lin", .v = "v_lin", .o = "out_lin", .up = "lin1", .down = "lin2"};
  shape.vocabulary = fields.need("vocab_size");
  shape.positions = fields.need("max_position_embeddings");
  shape.final_norm = false;
  shape.around_vectors = 2 * shape.width;
  finish_encoder(architecture, shape, shape.positions);
}

void modernbert(ConfigFields& fields, Architecture& architecture) {
  DecoderShape shape = encoder_shape(fields, "hidden_size", "num_hidden_layers",
                                     "num_attention_heads", "intermediate_size");
  shape.names = {
      .q = "Wqkv", .k = "Wqkv", .v = "Wqkv", .o = "Wo", .gate = "Wi", .up = "Wi", .down = "mlp.Wo"};
  shape.gated = true;
  shape.qkv_bias = shape.o_bias = fields.flag("attention_bias", false);
  shape.mlp_bias = fields.flag("mlp_bias", false);
  shape.norm_bias = fields.flag("norm_bias", false);
  shape.vocabulary = fields.need("vocab_size");
  shape.around_vectors = shape.width;
  const std::int64_t window = fields.get("local_attention", 128, kMostTokens, 1);
  const auto every =
      static_cast<std::size_t>(fields.get("global_attn_every_n_layers", 3, kMostLayers, 1));
  for (std::size_t i = 0; i < shape.plan.size(); ++i) {
    if (i % every != 0) shape.plan[i].window = Tokens(window);
  }
  finish_encoder(architecture, shape, fields.need("max_position_embeddings", kMostTokens));
  // The first layer is not normed again after the embeddings.
  Layer& first = architecture.towers.back().layers.front();
  first.vectors -= shape.norm_bias ? 2 * shape.width : shape.width;
}

// A pair: `encoder` reads once, `decoder` keeps the keys and values of what it wrote.
void finish_pair(ConfigFields& fields, Architecture& architecture, const DecoderShape& encoder,
                 const DecoderShape& decoder, std::int64_t encoder_context) {
  architecture.towers.push_back(make_tower(encoder, "encoder"));
  architecture.encoder_context = Tokens(encoder_context);
  finish_decoder(fields, architecture, decoder);
  architecture.vocabulary = std::max(encoder.vocabulary, decoder.vocabulary);
  for (Layer& layer : architecture.towers.back().layers) {
    add_cross_attention(layer, decoder, encoder.width);
  }
}

void t5(ConfigFields& fields, Architecture& architecture) {
  DecoderShape encoder;
  encoder.width = fields.need("d_model");
  encoder.heads = encoder.kv_heads = fields.need("num_heads", kMostHeads);
  encoder.key_size = encoder.value_size = fields.need("d_kv", kMostHeads);
  encoder.feed_forward = fields.need("d_ff");
  encoder.gated = fields.text("feed_forward_proj", "relu").starts_with("gated-");
  encoder.names = {.q = "q",
                   .k = "k",
                   .v = "v",
                   .o = "o",
                   .gate = "wi_0",
                   .up = encoder.gated ? "wi_1" : "wi",
                   .down = "wo"};
  encoder.vocabulary = fields.need("vocab_size");
  encoder.tied = fields.flag("tie_word_embeddings", true);
  const std::int64_t layers = fields.need("num_layers", kMostLayers);
  encoder.plan.resize(static_cast<std::size_t>(layers));
  // Positions are a bias on the scores, learned once for each stack.
  encoder.around_vectors =
      encoder.heads * fields.get("relative_attention_num_buckets", 32, kMostHeads, 1);
  DecoderShape decoder = encoder;
  decoder.plan.resize(
      static_cast<std::size_t>(fields.get("num_decoder_layers", layers, kMostLayers, 1)));
  encoder.cached = encoder.output = false;
  decoder.embeds = false;  // both stacks look up in one table
  const std::int64_t context = fields.get("n_positions", 512, kMostLength, 1);
  fields.note("cross attention keeps inputs of up to " + std::to_string(context) +
              " tokens; T5 itself has no limit");
  finish_pair(fields, architecture, encoder, decoder, context);
}

DecoderShape half(ConfigFields& fields, const std::string& side) {
  const std::string layers = side + "_layers", heads = side + "_attention_heads",
                    feed_forward = side + "_ffn_dim";
  DecoderShape shape =
      encoder_shape(fields, "d_model", layers.c_str(), heads.c_str(), feed_forward.c_str());
  shape.names.o = "out_proj";
  shape.names.up = "fc1";
  shape.names.down = "fc2";
  return shape;
}

void bart(ConfigFields& fields, Architecture& architecture) {
  DecoderShape encoder = half(fields, "encoder");
  DecoderShape decoder = half(fields, "decoder");
  const std::int64_t context = fields.need("max_position_embeddings");
  const bool last_norm = fields.text("model_type") == "mbart";
  encoder.vocabulary = decoder.vocabulary = fields.need("vocab_size");
  for (DecoderShape* shape : {&encoder, &decoder}) {
    shape->positions = context + 2;  // two rows are for padding
    shape->around_vectors = 2 * shape->width;
    shape->final_norm = last_norm;
  }
  decoder.cached = decoder.output = true;
  decoder.tied = fields.flag("tie_word_embeddings", true);
  decoder.embeds = false;
  finish_pair(fields, architecture, encoder, decoder, context);
}

void whisper(ConfigFields& fields, Architecture& architecture) {
  DecoderShape encoder = half(fields, "encoder");
  DecoderShape decoder = half(fields, "decoder");
  encoder.k_bias = decoder.k_bias = false;
  const std::int64_t context = fields.need("max_source_positions");
  encoder.positions = context;
  decoder.positions = fields.need("max_target_positions");
  decoder.vocabulary = fields.need("vocab_size");
  decoder.cached = decoder.output = true;
  decoder.tied = fields.flag("tie_word_embeddings", true);
  finish_pair(fields, architecture, encoder, decoder, context);
  architecture.max_context = Tokens(decoder.positions);
  // Two convolutions of width 3 in front: from the spectrum, and once more.
  Layer& around = architecture.towers.front().around;
  const std::int64_t mel = fields.need("num_mel_bins", kMostHeads);
  around.linears.push_back({.name = "conv1",
                            .role = WeightRole::embedding,
                            .inputs = 3 * mel,
                            .outputs = encoder.width,
                            .bias = true});
  around.linears.push_back({.name = "conv2",
                            .role = WeightRole::embedding,
                            .inputs = 3 * encoder.width,
                            .outputs = encoder.width,
                            .bias = true});
}

constexpr std::array kEncoders = {
    HfFamily{"bart", bart},
    HfFamily{"bert", bert},
    HfFamily{"distilbert", distilbert},
    HfFamily{"mbart", bart},
    HfFamily{"modernbert", modernbert},
    HfFamily{"mt5", t5},
    HfFamily{"roberta", bert},
    HfFamily{"t5", t5},
    HfFamily{"whisper", whisper},
    HfFamily{"xlm-roberta", bert},
};

}  // namespace

std::span<const HfFamily> hf_encoders() {
  return kEncoders;
}

}  // namespace mais::files
