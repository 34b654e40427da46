#include "model_argument.hpp"

#include <cmath>

#include <gmock/gmock.h>

namespace torch_server {
namespace {

using testing::HasSubstr;

TEST(ModelArgumentTest, RandomModelsHaveAboutTheSizeThatWasAsked) {
  for (const std::int64_t size : {300'000, 1'000'000, 3'000'000, 25'000'000, 1'000'000'000}) {
    for (const Role role : {Role::decoder, Role::encoder}) {
      const Shape shape = shape_of_size(size, role);
      EXPECT_TRUE(validate(shape).empty()) << size;
      const auto got = static_cast<double>(parameters(shape, role));
      EXPECT_LT(std::abs(got / static_cast<double>(size) - 1), 0.25) << size << ", got " << got;
    }
  }
}

TEST(ModelArgumentTest, ATinySizeGivesTheSmallestModel) {
  EXPECT_TRUE(validate(shape_of_size(1, Role::decoder)).empty());
}

TEST(ModelArgumentTest, NamesAndSizesAreRead) {
  const auto model = parse_model("a=random:1.5M", Role::decoder, 7);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->name, "a");
  EXPECT_EQ(model->seed, 7U);
  EXPECT_TRUE(model->folder.empty());
  EXPECT_EQ(model->shape, shape_of_size(1'500'000, Role::decoder));
}

TEST(ModelArgumentTest, WhatIsNoModelIsRefusedWithTheText) {
  for (const char* text : {"", "a", "=random:1M", "a="}) {
    const auto model = parse_model(text, Role::decoder, 1);
    ASSERT_FALSE(model) << text;
    EXPECT_THAT(model.error().message, HasSubstr("is no NAME=random:SIZE or NAME=DIR"));
  }
  for (const char* text : {"a=random:", "a=random:0", "a=random:-3M", "a=random:5G", "a=random:3MB",
                           "a=random:nan", "a=random:inf", "a=random:1e99"}) {
    const auto model = parse_model(text, Role::decoder, 1);
    ASSERT_FALSE(model) << text;
    EXPECT_THAT(model.error().message, HasSubstr("is no number of parameters")) << text;
  }
}

}  // namespace
}  // namespace torch_server
