#include <cmath>

#include <gtest/gtest.h>

#include "weights.hpp"

namespace torch_server {
namespace {

TEST(RandomWeights, PartsOfAMatrixAreThoseOfTheWhole) {
  const auto source = random_weights(3);
  std::vector<float> whole(40 * 15), part(7 * 15);
  ASSERT_TRUE(source->read("a", 40, 15, 0, whole));
  for (std::int64_t first = 0; first + 7 <= 40; ++first) {
    ASSERT_TRUE(source->read("a", 40, 15, first, part));
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + first * 15)) << first;
  }
  std::vector<float> other(40 * 15);
  ASSERT_TRUE(source->read("b", 40, 15, 0, other));
  EXPECT_NE(other, whole);
}

TEST(RandomWeights, AreNormalWithTheVarianceThatKeepsActivations) {
  std::vector<float> values(300 * 256);
  ASSERT_TRUE(random_weights(1)->read("a", 300, 256, 0, values));
  double sum = 0, squares = 0, within = 0;
  for (const float value : values) {
    sum += value;
    squares += double{value} * value;
    within += std::abs(value) < 1.0 / 16;
  }
  const auto count = static_cast<double>(values.size());
  EXPECT_NEAR(sum / count, 0, 1e-3);
  EXPECT_NEAR(squares / count * 256, 1, 0.02);
  EXPECT_NEAR(within / count, 0.6827, 0.01);  // within one standard deviation
}

}  // namespace
}  // namespace torch_server
