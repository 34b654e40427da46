#include "mais/files/layers_of.hpp"

#include <gmock/gmock.h>

#include "gguf_writer.hpp"
#include "mais/core/split.hpp"
#include "mais/files/gguf.hpp"
#include "mais/files/gguf_architecture.hpp"
#include "mais/files/hf_config.hpp"
#include "published_models.hpp"

namespace mais::files {
namespace {

using testing::HasSubstr;

Bytes sum_of(const core::LayeredModel& model) {
  Bytes sum;
  for (const core::ModelLayer& layer : model.layers) {
    sum += layer.weight_bytes() + layer.experts.bytes;
  }
  return model.tied ? sum - model.layers.front().table.bytes : sum;
}

// Bytes of weights and of state, and FLOPs, are the footprint's, for every published model.
TEST(LayersOf, AddUpToTheFootprint) {
  int models = 0;
  for (const PublishedModel& published : kPublishedModels) {
    const Result<Architecture> architecture =
        parse_hf_config(quoted(published.config), "config.json");
    ASSERT_TRUE(architecture) << published.name;
    const Result<Footprint> print = footprint(*architecture);
    const Result<core::LayeredModel> model = layers_of(*architecture);
    if (architecture->batching == Batching::request) {
      EXPECT_THAT(model.error().message, HasSubstr("splits are for models that generate"));
      continue;
    }
    ++models;
    ASSERT_TRUE(model) << published.name << model.error().message;
    EXPECT_EQ(sum_of(*model), print->weights) << published.name;
    Bytes state;
    double flops = 0, pair = 0;
    for (const core::ModelLayer& layer : model->layers) {
      Model alone;
      alone.state = layer.state;
      state += alone.state_bytes(Tokens(5000), TokensPerBlock(16));
      flops += layer.flops_per_token + layer.expert_flops_per_token;
      pair += layer.flops_per_pair;
    }
    EXPECT_EQ(state, print->model.state_bytes(Tokens(5000), TokensPerBlock(16))) << published.name;
    EXPECT_NEAR(flops, print->model.cost.flops_per_token, 1e-6 * flops) << published.name;
    EXPECT_NEAR(pair, print->model.cost.attention_flops_per_pair, 1e-6 * pair + 1e-9)
        << published.name;
  }
  EXPECT_GE(models, 30);
}

TEST(LayersOf, OfFilesAreTheirTensors) {
  const Result<ModelFile> file = parse_gguf(small_gguf().bytes(), "m.gguf");
  const Result<core::LayeredModel> model = layers_of(*gguf_architecture(*file), {}, &*file);
  ASSERT_TRUE(model);
  ASSERT_EQ(model->layers.size(), 4U);
  EXPECT_EQ(sum_of(*model), file->weight_bytes());
  EXPECT_EQ(model->layers[0].table.bytes, Bytes(2176));
  EXPECT_EQ(model->layers[2].weight_bytes(), Bytes(2 * 256 + 2 * 2304 + 2 * 1152 + 3 * 4608));
  EXPECT_EQ(model->layers[3].weight_bytes(), Bytes(4096));
}

TEST(LayersOf, TensorParallelPartsAreTheFootprints) {
  const Architecture architecture = *parse_hf_config(
      R"({"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
          "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
          "vocab_size": 128256, "torch_dtype": "bfloat16"})",
      "config.json");
  const auto model = layers_of(architecture);
  for (const int ranks : {2, 3, 8}) {
    const auto print = footprint(architecture, {.tensor_parallel = ranks});
    Bytes first;
    for (const core::ModelLayer& layer : model->layers) {
      first += layer.table.of_rank(ranks) + layer.aside;
      for (const core::CutBytes& part : layer.weights) first += part.of_rank(ranks);
    }
    // Rounded up for each matrix there, for all of a layer that are cut alike here.
    EXPECT_NEAR(static_cast<double>(first.count()),
                static_cast<double>(print->shards[0].weights.count()), 32 * 8);
  }
}

}  // namespace
}  // namespace mais::files
