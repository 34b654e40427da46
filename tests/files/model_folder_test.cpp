#include "mais/files/model_folder.hpp"

#include <gmock/gmock.h>

#include "gguf_writer.hpp"
#include "mais/files/footprint.hpp"
#include "safetensors_writer.hpp"
#include "scratch_folder.hpp"

namespace mais::files {
namespace {

using testing::HasSubstr;

constexpr const char* kConfig =
    R"({"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1,
        "num_attention_heads": 4, "vocab_size": 32, "torch_dtype": "bfloat16"})";

std::string fault_of(const std::string& path) {
  const Result<ModelOnDisk> model = open_model(path);
  return model ? "was read" : model.error().message;
}

TEST(ModelFolder, FindsWhatIsThere) {
  const ScratchFolder gguf, safetensors, config;
  gguf.write("m.gguf", small_gguf().bytes());
  EXPECT_EQ(open_model(gguf.at(""))->file->format, ModelFormat::gguf);
  EXPECT_EQ(open_model(gguf.at("m.gguf"))->architecture.family, "llama");
  safetensors.write("config.json", kConfig);
  EXPECT_FALSE(open_model(safetensors.at(""))->file);
  safetensors.write("model.safetensors", small_safetensors().bytes());
  const auto model = open_model(safetensors.at(""));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->file->format, ModelFormat::safetensors);
  EXPECT_EQ(model->architecture.type, ElementType::bf16);
}

TEST(ModelFolder, SaysWhatIsMissingOrTooMuch) {
  const ScratchFolder folder;
  EXPECT_THAT(fault_of(folder.at("nothing")), HasSubstr("there is no such file or folder"));
  EXPECT_THAT(fault_of(folder.at("")), HasSubstr("holds no model; a .gguf file"));
  EXPECT_THAT(fault_of(folder.write("x.bin", "abc")), HasSubstr("neither .gguf"));
  EXPECT_THAT(fault_of(folder.write("x.onnx", "abc")), HasSubstr("the command arena plans"));
  folder.write("a.gguf", small_gguf().bytes());
  folder.write("b.gguf", small_gguf().bytes());
  EXPECT_THAT(fault_of(folder.at("")), HasSubstr("holds 2 models (a.gguf, b.gguf); name one"));
  EXPECT_THAT(fault_of(folder.write("m.safetensors", small_safetensors().bytes())),
              HasSubstr("there is no config.json beside it"));
}

TEST(HfConfig, WhatIsWrongIsNamedWithItsLine) {
  const auto fault = [](const std::string& json) {
    const Result<Architecture> read = parse_hf_config(json, "config.json");
    return read ? std::string("was read") : read.error().message;
  };
  EXPECT_THAT(fault("{"), HasSubstr("config.json:1: this is not JSON"));
  EXPECT_THAT(fault("[]"), HasSubstr("a configuration is an object"));
  EXPECT_THAT(fault("{}"), HasSubstr("model_type: is missing"));
  EXPECT_THAT(fault("{\"model_type\": \"novelty\"}"), HasSubstr("'novelty' is not known; known are "
                                                                "bamba, bart"));
  EXPECT_THAT(fault("{\"model_type\": \"llama\",\n\"hidden_size\": -4}"),
              HasSubstr("config.json:2: hidden_size: is -4; a whole number from 1 to 16777216"));
  EXPECT_THAT(fault("{\"model_type\": \"llama\",\n\"hidden_size\": \"big\"}"),
              HasSubstr("is a text; a whole number"));
  EXPECT_THAT(fault("{\"model_type\": \"llama\"}"), HasSubstr("hidden_size: is missing"));
  EXPECT_THAT(
      fault(std::string(kConfig).replace(std::string(kConfig).find("\"num_hidden_layers\": 1"), 22,
                                         "\"num_hidden_layers\": 1000000000")),
      HasSubstr("num_hidden_layers: is 1000000000"));
  EXPECT_THAT(fault("{\"a\\n\": 1, \"a\\n\": 2}"), HasSubstr("the key 'a?' is given twice"));
  EXPECT_THAT(fault("{\"model_type\": \"llava\", \"vision_config\": {}, \"text_config\": "
                    "{\"model_type\": \"new\\nline\"}}"),
              HasSubstr("'new?line', which is not known"));
  EXPECT_THAT(fault(std::string(2 << 20, ' ')), HasSubstr("at most 1 MiB"));
  EXPECT_THAT(fault(std::string(100'000, '[')), HasSubstr("nested more than 64 deep"));
  // Many keys take no longer than few: a quarter of a second would be a search through all of them.
  std::string keys = "{\"model_type\":\"novelty\"";
  for (int i = 0; i < 80'000; ++i) keys += ",\"" + std::to_string(i) + "\":0";
  EXPECT_THAT(fault(keys + "}"), HasSubstr("is not known"));
}

TEST(HfConfig, AGuessIsMadeOnlyWhenAskedForAndMarked) {
  std::string json = kConfig;
  json.replace(json.find("llama"), 5, "novelty");
  EXPECT_FALSE(parse_hf_config(json, "config.json"));
  const Result<Architecture> guess = parse_hf_config(json, "config.json", {.guess = true});
  ASSERT_TRUE(guess) << guess.error().message;
  EXPECT_EQ(guess->margin, 0.25);
  EXPECT_EQ(footprint(*guess)->margin, 0.25);
  EXPECT_THAT(footprint(*guess)->assumptions, testing::Contains(HasSubstr("GUESS")));
  // Nothing to guess from.
  EXPECT_FALSE(parse_hf_config("{\"model_type\": \"novelty\"}", "config.json", {.guess = true}));
}

TEST(HfConfig, AnAdapterHasItsRankTimesBothSides) {
  const Result<Architecture> llama = parse_hf_config(
      R"({"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
          "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
          "vocab_size": 128256})",
      "config.json");
  const auto of = [&](const char* json) {
    return lora_parameters(*llama, *parse_adapter_config(json, "adapter_config.json"));
  };
  EXPECT_EQ(*of(R"({"r": 16, "target_modules": ["q_proj", "v_proj"]})"),
            32LL * 16 * ((4096 + 4096) + (4096 + 1024)));
  // All seven matrices: the number that PEFT prints for Llama 3 8B at rank 16.
  EXPECT_EQ(*of(R"({"r": 16, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj",
                    "gate_proj", "up_proj", "down_proj"]})"),
            41'943'040);
  EXPECT_THAT(of(R"({"r": 16, "target_modules": ["c_attn"]})").error().message,
              HasSubstr("targets 'c_attn', but no matrix of llama"));
  EXPECT_THAT(parse_adapter_config("{}", "adapter_config.json").error().message,
              HasSubstr("adapter_config.json:1: r: is missing"));
}

TEST(HfConfig, AnAdapterOnAFusedMatrixHasOneInnerSide) {
  const Result<Architecture> phi3 = parse_hf_config(
      R"({"model_type": "phi3", "hidden_size": 3072, "intermediate_size": 8192,
          "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 32064})",
      "config.json");
  EXPECT_EQ(*lora_parameters(*phi3, {.rank = 8, .targets = {"qkv_proj"}}),
            32LL * 8 * (3072 + 3 * 3072));
}

}  // namespace
}  // namespace mais::files
