#include "mais/files/footprint.hpp"

#include <gmock/gmock.h>

#include "gguf_writer.hpp"
#include "mais/files/gguf.hpp"
#include "mais/files/gguf_architecture.hpp"
#include "mais/files/hf_config.hpp"

namespace mais::files {
namespace {

using testing::HasSubstr;

Architecture llama(int layers = 32, int kv_heads = 8) {
  return *parse_hf_config(
      R"({"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
          "num_hidden_layers": )" +
          std::to_string(layers) + R"(, "num_attention_heads": 32, "num_key_value_heads": )" +
          std::to_string(kv_heads) + R"(, "vocab_size": 128256, "torch_dtype": "bfloat16"})",
      "config.json");
}

TEST(Footprint, OfFilesIsTheSumOfTheirTensors) {
  const Result<ModelFile> file = parse_gguf(small_gguf().bytes(), "m.gguf");
  const Result<Footprint> print = footprint(*gguf_architecture(*file), {}, &*file);
  ASSERT_TRUE(print) << print.error().message;
  EXPECT_TRUE(print->exact);
  EXPECT_EQ(print->weights, file->weight_bytes());
  EXPECT_EQ(print->model.weights, file->weight_bytes());
  EXPECT_EQ(print->load, file->file_bytes());
  ASSERT_EQ(print->layers.size(), 2U);
  EXPECT_EQ(print->layers[1].count(), 2 * 256 + 2 * 2304 + 2 * 1152 + 3 * 4608);
  EXPECT_EQ(print->around.count(), 2176 + 256 + 4096);
  EXPECT_EQ(print->roles[static_cast<std::size_t>(WeightRole::attention)].count(),
            2 * (2 * 2304 + 2 * 1152));
  EXPECT_EQ(print->roles[static_cast<std::size_t>(WeightRole::output)].count(), 4096);
  // The table is looked up in, not read as a whole.
  EXPECT_EQ(print->model.cost.weights_read, file->weight_bytes() - Bytes(2176));
}

TEST(Footprint, FilesThatLackALayerAreRefused) {
  const Result<ModelFile> file = parse_gguf(small_gguf().bytes(), "m.gguf");
  const Result<Footprint> print = footprint(llama(3), {}, &*file);
  ASSERT_FALSE(print);
  EXPECT_THAT(print.error().message, HasSubstr("no tensor of layer 2"));
}

TEST(Footprint, QuantisedWeightsTakeTheirBlocks) {
  const auto print = footprint(llama(), {.weight_type = ElementType::q4_0});
  const std::int64_t norms = 65LL * 4096;
  EXPECT_EQ(print->weights.count(), (8'030'261'248 - norms) / 32 * 18 + 4 * norms);
}

TEST(Footprint, TensorParallelPartsHoldTheWholeOnceAndWhatIsRepeated) {
  const Architecture model = llama();
  const auto one = footprint(model);
  const auto four = footprint(model, {.tensor_parallel = 4});
  ASSERT_EQ(four->shards.size(), 4U);
  Bytes sum;
  for (const Shard& shard : four->shards) sum += shard.weights;
  const std::int64_t norms = 65LL * 4096 * 2;
  EXPECT_EQ(sum.count(), one->weights.count() + 3 * norms);
  EXPECT_EQ(four->shards[0].weights, four->shards[3].weights);
  EXPECT_EQ(four->model.state[0].per_token.count() * 4, one->model.state[0].per_token.count());
}

TEST(Footprint, TensorParallelRemaindersFallToTheFirst) {
  const auto three = footprint(llama(), {.tensor_parallel = 3});  // 8 KV heads: 3, 3, 2
  EXPECT_EQ(three->shards[0].state[0].per_token.count(), 2LL * 3 * 128 * 2 * 32);
  EXPECT_EQ(three->shards[2].state[0].per_token.count(), 2LL * 2 * 128 * 2 * 32);
  EXPECT_GT(three->shards[0].weights, three->shards[2].weights);
  EXPECT_EQ(three->model.weights, three->shards[0].weights);
}

TEST(Footprint, KvHeadsAreRepeatedWhereThereAreFewerThanDevices) {
  const auto eight = footprint(llama(32, 2), {.tensor_parallel = 8});
  for (const Shard& shard : eight->shards) {
    EXPECT_EQ(shard.state[0].per_token.count(), 2LL * 1 * 128 * 2 * 32);
    EXPECT_EQ(shard.weights, eight->model.weights);
  }
  const auto latent = *parse_hf_config(
      R"({"model_type": "deepseek_v3", "hidden_size": 512, "intermediate_size": 1024,
          "moe_intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 8,
          "kv_lora_rank": 64, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 32,
          "n_routed_experts": 8, "num_experts_per_tok": 2, "vocab_size": 1000})",
      "config.json");
  EXPECT_EQ(footprint(latent, {.tensor_parallel = 4})->model.state[0].per_token.count(),
            4 * (64 + 16) * 2);
}

TEST(Footprint, PipelineStagesHaveEveryLayerOnce) {
  const auto print = footprint(llama(30), {.pipeline_parallel = 4});
  std::vector<std::size_t> layers;
  std::size_t next = 0;
  Bytes sum;
  for (const Shard& shard : print->shards) {
    EXPECT_EQ(shard.first_layer, next);
    next = shard.last_layer;
    layers.push_back(shard.last_layer - shard.first_layer);
    sum += shard.weights;
  }
  EXPECT_EQ(next, 30U);
  EXPECT_THAT(layers, testing::ElementsAre(7, 8, 8, 7));
  // The last norm is counted at both ends.
  EXPECT_EQ(sum.count(), print->weights.count() + 4096 * 2);
}

TEST(Footprint, AbsurdOptionsAreRefused) {
  const auto fault = [](const FootprintOptions& options) {
    const auto print = footprint(llama(), options);
    return print ? std::string("was made") : print.error().message;
  };
  EXPECT_THAT(fault({.tensor_parallel = 0}), HasSubstr("1 or more"));
  EXPECT_THAT(fault({.tensor_parallel = 4096, .pipeline_parallel = 4096}), HasSubstr("at most"));
  EXPECT_THAT(fault({.pipeline_parallel = 33}),
              HasSubstr("33 pipeline stages are more than the 32"));
  EXPECT_THAT(fault({.kv_type = ElementType::q4_k}), HasSubstr("blocks of 256"));
  EXPECT_THAT(footprint(Architecture{}).error().message, HasSubstr("no layers"));
}

TEST(Footprint, AdaptersCount) {
  const auto print = footprint(
      llama(), {.adapter = LoraAdapter{.rank = 16, .targets = {"q_proj"}, .type = ElementType::f16},
                .adapters = 3});
  EXPECT_EQ(print->adapters.count(), 3LL * 2 * 32 * 16 * (4096 + 4096));
  EXPECT_EQ(print->model.weights, footprint(llama())->weights + print->adapters);
}

// What llama.cpp's compute buffer takes for a token of it: 59392 numbers in 32 bits, and the mask.
TEST(Footprint, WorkspaceHasTheGatedProductBesideWhatItIsMadeOf) {
  const auto print = footprint(llama(), {.activation_type = ElementType::f32});
  EXPECT_EQ(print->model.workspace.per_token.count(), 4 * (3 * 14336 + 4 * 4096));
}

TEST(Footprint, EveryAssumptionIsListed) {
  EXPECT_THAT(footprint(llama())->assumptions,
              testing::AllOf(testing::Contains(HasSubstr("weights: every parameter in bf16")),
                             testing::Contains(HasSubstr("state: f16")),
                             testing::Contains(HasSubstr("not counted"))));
}

TEST(Fit, AnEncoderComputesAllTokensOfItsBatch) {
  const Model bert =
      footprint(*parse_hf_config(
                    R"({"model_type": "bert", "hidden_size": 768, "intermediate_size": 3072,
          "num_hidden_layers": 12, "num_attention_heads": 12, "vocab_size": 30522,
          "max_position_embeddings": 512})",
                    "config.json"))
          ->model;
  EXPECT_EQ(bytes_needed(bert, 64, Tokens(512), Tokens(1)) - bert.weights - bert.workspace.fixed,
            bert.workspace.per_token * Tokens(64 * 512));
}

TEST(Fit, LargestContextAndConcurrencyAreTheLastThatFit) {
  const Model model = footprint(llama())->model;
  const TokensPerBlock page(16);
  for (const Bytes memory : {Bytes(17LL << 30), Bytes(24LL << 30), Bytes(80LL << 30)}) {
    const auto context = largest_context(model, memory, 2, Tokens(1 << 20), Tokens(512), page);
    ASSERT_TRUE(context);
    EXPECT_LE(bytes_needed(model, 2, *context, Tokens(512), page), memory);
    EXPECT_GT(bytes_needed(model, 2, *context + Tokens(1), Tokens(512), page), memory);
    const std::int64_t most = largest_concurrency(model, memory, Tokens(4096), Tokens(512), page);
    EXPECT_LE(bytes_needed(model, most, Tokens(4096), Tokens(512), page), memory);
    EXPECT_GT(bytes_needed(model, most + 1, Tokens(4096), Tokens(512), page), memory);
  }
  EXPECT_EQ(largest_context(model, Bytes(8LL << 30), 1, Tokens(100), Tokens(1), page),
            std::nullopt);
  EXPECT_EQ(largest_concurrency(model, Bytes(8LL << 30), Tokens(1), Tokens(1), page), 0);
  EXPECT_EQ(largest_context(model, Bytes(80LL << 30), 1, Tokens(100), Tokens(1), page),
            Tokens(100));
}

}  // namespace
}  // namespace mais::files
