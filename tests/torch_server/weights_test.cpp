// Weights from files, and shapes from configurations.
#include <cmath>
#include <filesystem>
#include <unistd.h>

#include <gmock/gmock.h>

#include "safetensors_weights.hpp"
#include "safetensors_writer.hpp"
#include "shape_config.hpp"
#include "small_decoder.hpp"

namespace torch_server {
namespace {

using testing::HasSubstr;

class WeightsTest : public testing::Test {
 protected:
  WeightsTest() { std::filesystem::create_directories(folder_); }
  ~WeightsTest() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  mais::Result<std::unique_ptr<Engine>> loaded(SmallBudgets& budgets, const std::string& from) {
    auto source = safetensors_weights(from);
    if (!source) return tl::unexpected<mais::Error>(source.error());
    auto engine = make_decoder(small_options(budgets), std::move(*source));
    if (engine) {
      if (auto load = (*engine)->load(); !load) return tl::unexpected<mais::Error>(load.error());
    }
    return engine;
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("mais_weights_" + std::to_string(::getpid()));
};

TEST_F(WeightsTest, AModelFromAFileIsTheModelThatWasWritten) {
  SmallBudgets budgets;
  const auto expected = sequential(*loaded_decoder(small_options(budgets)), prompt_of(20, 1), 20);
  const auto source = random_weights(1);
  SafetensorsWriter::write(path("model.safetensors"), SafetensorsWriter::tensors(small_shape()),
                           *source, "F32");
  const auto engine = loaded(budgets, folder_.string());
  ASSERT_TRUE(engine) << engine.error().message;
  EXPECT_EQ(sequential(**engine, prompt_of(20, 1), 20), expected);
  EXPECT_THAT((*engine)->info().weights_from, HasSubstr("model.safetensors"));
}

TEST_F(WeightsTest, ShardsAreReadThroughTheirIndex) {
  SmallBudgets budgets;
  const auto expected = sequential(*loaded_decoder(small_options(budgets)), prompt_of(20, 1), 20);
  const auto source = random_weights(1);
  const auto all = SafetensorsWriter::tensors(small_shape());
  const auto middle = all.begin() + 7;
  SafetensorsWriter::write(path("a.safetensors"), {all.begin(), middle}, *source, "F32");
  SafetensorsWriter::write(path("b.safetensors"), {middle, all.end()}, *source, "F32");
  std::string index = R"({"metadata":{},"weight_map":{)";
  for (auto tensor = all.begin(); tensor != all.end(); ++tensor) {
    index += (tensor == all.begin() ? "\"" : ",\"") + tensor->name + "\":\"" +
             (tensor < middle ? "a" : "b") + ".safetensors\"";
  }
  std::ofstream(path("model.safetensors.index.json")) << index << "}}";
  const auto engine = loaded(budgets, folder_.string());
  ASSERT_TRUE(engine) << engine.error().message;
  EXPECT_EQ(sequential(**engine, prompt_of(20, 1), 20), expected);
}

TEST_F(WeightsTest, ShortTypesAreWidenedExactly) {
  const auto source = random_weights(2);
  const std::vector<SafetensorsWriter::Tensor> one{{"a", {64, 48}}};
  std::vector<float> values(64 * 48), read(64 * 48);
  ASSERT_TRUE(source->read("a", 64, 48, 0, values));
  for (const std::string type : {"BF16", "F16"}) {
    SafetensorsWriter::write(path("a.safetensors"), one, *source, type);
    const auto file = safetensors_weights(path("a.safetensors"));
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_TRUE((*file)->read("a", 64, 48, 0, read));
    for (std::size_t i = 0; i < read.size(); ++i) {
      // The number cut off after 8 or 11 bits, if it is not too small.
      const auto cut = std::bit_cast<float>(std::bit_cast<std::uint32_t>(values[i]) &
                                            (type == "BF16" ? 0xFFFF0000U : 0xFFFFE000U));
      EXPECT_EQ(read[i], type == "F16" && std::abs(cut) < 0x1p-14F ? 0.0F : cut) << type;
    }
    std::vector<float> rows(2 * 48);
    ASSERT_TRUE((*file)->read("a", 64, 48, 5, rows));
    EXPECT_TRUE(std::equal(rows.begin(), rows.end(), read.begin() + 5 * 48));
  }
}

// Every number that binary16 has, by the value that its definition gives it.
TEST_F(WeightsTest, EveryHalfIsReadAsItsValue) {
  const auto value = [](std::size_t bits) {
    const auto fraction = static_cast<float>(bits & 0x3FFU);
    const auto exponent = static_cast<int>(bits >> 10 & 0x1FU);
    const float size =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    return (bits & 0x8000U) != 0 ? -size : size;
  };
  std::string data;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    data.push_back(static_cast<char>(bits));
    data.push_back(static_cast<char>(bits >> 8));
  }
  const std::string header = R"({"a":{"dtype":"F16","shape":[64,1024],"data_offsets":[0,131072]}})";
  std::ofstream out(path("a.safetensors"), std::ios::binary);
  const std::uint64_t length = header.size();
  for (int i = 0; i < 8; ++i) out.put(static_cast<char>(length >> (8 * i)));
  out << header << data;
  out.close();
  const auto file = safetensors_weights(path("a.safetensors"));
  ASSERT_TRUE(file) << file.error().message;
  std::vector<float> read(65536);
  ASSERT_TRUE((*file)->read("a", 64, 1024, 0, read));
  for (std::size_t bits = 0; bits < 65536; ++bits) {
    if ((bits >> 10 & 0x1FU) == 0x1FU) {  // infinities, and what is no number
      EXPECT_EQ(std::isinf(read[bits]), (bits & 0x3FFU) == 0) << bits;
      EXPECT_EQ(std::isnan(read[bits]), (bits & 0x3FFU) != 0) << bits;
    } else {
      EXPECT_EQ(read[bits], value(bits)) << bits;
    }
  }
}

TEST_F(WeightsTest, FilesThatDoNotFitTheShapeAreRefusedWithTheTensorAndLeaveNothingTaken) {
  const auto source = random_weights(1);
  const auto refusal = [&](std::vector<SafetensorsWriter::Tensor> list, const char* type = "F32") {
    SmallBudgets budgets;
    SafetensorsWriter::write(path("model.safetensors"), list, *source, type);
    const auto engine = loaded(budgets, folder_.string());
    EXPECT_EQ(budgets.used(), mais::Bytes(0));
    return engine ? "it was loaded" : engine.error().message;
  };
  auto list = SafetensorsWriter::tensors(small_shape());
  list[5].shape = {63, 96};
  EXPECT_THAT(refusal(list), HasSubstr("o_proj.weight is [63, 96]; the configuration makes it "
                                       "[64, 96]"));
  list = SafetensorsWriter::tensors(small_shape());
  list.pop_back();
  EXPECT_THAT(refusal(list), HasSubstr("there is no tensor lm_head.weight"));
  list = SafetensorsWriter::tensors(small_shape());
  EXPECT_THAT(refusal(list, "I16"), HasSubstr("is stored as i16; f32, f16 and bf16 are read"));
  EXPECT_FALSE(safetensors_weights(path("nothing")));
}

constexpr const char* kConfig = R"({"model_type": "llama", "vocab_size": 32000,
  "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22,
  "num_attention_heads": 32, "num_key_value_heads": 4, "max_position_embeddings": 2048,
  "rms_norm_eps": 1e-05, "rope_scaling": null, "tie_word_embeddings": false})";

TEST(ShapeConfig, TinyLlamaHasThePublishedNumberOfParameters) {
  const auto shape = parse_shape(kConfig, "config.json");
  ASSERT_TRUE(shape) << shape.error().message;
  EXPECT_EQ(parameters(*shape, Role::decoder), 1'100'048'384);
  EXPECT_EQ(shape->head_width, 64);
  EXPECT_EQ(shape->rope_theta, 10000);
  // 22 layers x 2 x 4 heads x 64 x 4 bytes.
  EXPECT_EQ(state_per_token(*shape), mais::Bytes(45056));
}

TEST(ShapeConfig, WhatWouldBeComputedWronglyIsRefused) {
  const auto with = [](const std::string& field) {
    std::string config = kConfig;
    config.insert(config.size() - 1, ", " + field);
    const auto shape = parse_shape(config, "config.json");
    return shape ? "taken" : shape.error().message;
  };
  EXPECT_THAT(with(R"("attention_bias": true)"), HasSubstr("config.json: attention_bias: is true"));
  EXPECT_THAT(with(R"("mlp_bias": 1)"), HasSubstr("mlp_bias: is 1; true or false"));
  EXPECT_THAT(with(R"("rope_scaling": {"type": "linear", "factor": 2})"),
              HasSubstr("rope_scaling"));
  EXPECT_THAT(with(R"("sliding_window": 4096)"), HasSubstr("sliding_window: is 4096"));
  EXPECT_THAT(with(R"("hidden_act": "gelu")"), HasSubstr("hidden_act: is \"gelu\"; silu"));
  EXPECT_THAT(with(R"("model_type": "qwen2")"), HasSubstr("model_type: is \"qwen2\""));
  EXPECT_THAT(with(R"("num_key_value_heads": 5)"),
              HasSubstr("num_key_value_heads: is 5; a divisor"));
  EXPECT_THAT(with(R"("hidden_size": "wide")"),
              HasSubstr("hidden_size: is \"wide\"; a whole number"));
  EXPECT_THAT(with(R"("head_dim": 1e400)"), HasSubstr("JSON"));
  EXPECT_EQ(with(R"("sliding_window": null, "head_dim": 128)"), "taken");
  EXPECT_THAT(parse_shape("[]", "x").error().message, HasSubstr("x: is not a JSON object"));
  EXPECT_THAT(parse_shape(R"({"model_type": "llama"})", "x").error().message,
              testing::AllOf(HasSubstr("vocab_size: is missing"),
                             HasSubstr("max_position_embeddings: is missing")));
  EXPECT_EQ(read_shape("/nothing/here").error().code, mais::ErrorCode::io_error);
}

}  // namespace
}  // namespace torch_server
