#include "attention.hpp"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include <gmock/gmock.h>

namespace torch_server {
namespace {

constexpr PageLayout kLayout{.layers = 2, .kv_heads = 2, .head_width = 16, .tokens = 8};

struct Cache {
  explicit Cache(std::int64_t tokens, std::uint32_t seed = 7) : random(seed) {
    const auto pages = static_cast<std::size_t>((tokens + kLayout.tokens - 1) / kLayout.tokens);
    // Whatever is not written yet is nobody's business.
    memory.assign(pages, std::vector<float>(static_cast<std::size_t>(kLayout.floats()), NAN));
    for (auto& page : memory) table.push_back(page.data());
    for (std::int64_t t = 0; t < tokens; ++t) {
      keys.push_back(numbers(32));
      values.push_back(numbers(32));
      float* page = table[static_cast<std::size_t>(t / kLayout.tokens)];
      store_token(kLayout, page, 1, t % kLayout.tokens, keys.back().data(), values.back().data());
    }
  }
  std::vector<float> numbers(std::size_t count) {
    std::normal_distribution<float> normal;
    std::vector<float> result(count);
    for (float& value : result) value = normal(random);
    return result;
  }
  std::vector<float> attended(const std::vector<float>& query, std::int64_t heads,
                              std::int64_t count,
                              Instructions instructions = Instructions::best) const {
    std::vector<float> scratch(static_cast<std::size_t>(scratch_floats(kLayout, count)));
    std::vector<float> out(query.size());
    attend(kLayout, 1, heads, {.pages = table.data(), .keys = count}, query.data(), scratch.data(),
           out.data(), instructions);
    return out;
  }

  std::mt19937 random;
  std::vector<std::vector<float>> memory;
  std::vector<float*> table;
  std::vector<std::vector<float>> keys, values;
};

TEST(Attention, AgreesWithTheDefinitionInDoublePrecision) {
  for (const std::int64_t heads : {2, 4, 6, 10, 14}) {
    for (const std::int64_t count : {1, 7, 8, 9, 40}) {
      Cache cache(40);
      const std::vector<float> query = cache.numbers(static_cast<std::size_t>(heads * 16));
      const std::vector<float> out = cache.attended(query, heads, count);
      for (std::int64_t head = 0; head < heads; ++head) {
        const std::int64_t kv = head / (heads / 2);
        std::vector<double> weights;
        double sum = 0;
        for (std::int64_t t = 0; t < count; ++t) {
          double score = 0;
          for (std::int64_t i = 0; i < 16; ++i) {
            score += double{query[static_cast<std::size_t>(head * 16 + i)]} *
                     cache.keys[static_cast<std::size_t>(t)][static_cast<std::size_t>(kv * 16 + i)];
          }
          weights.push_back(std::exp(score / 4));
          sum += weights.back();
        }
        for (std::int64_t i = 0; i < 16; ++i) {
          double expected = 0;
          for (std::int64_t t = 0; t < count; ++t) {
            expected +=
                weights[static_cast<std::size_t>(t)] / sum *
                cache.values[static_cast<std::size_t>(t)][static_cast<std::size_t>(kv * 16 + i)];
          }
          EXPECT_NEAR(out[static_cast<std::size_t>(head * 16 + i)], expected, 2e-6)
              << heads << " heads, " << count << " keys, head " << head;
        }
      }
    }
  }
}

TEST(Attention, EveryMachineGivesTheSameBits) {
  for (const std::int64_t heads : {2, 4, 6, 8, 14}) {
    for (const std::int64_t count : {1, 8, 23, 40}) {
      Cache cache(40);
      const std::vector<float> query = cache.numbers(static_cast<std::size_t>(heads * 16));
      EXPECT_EQ(cache.attended(query, heads, count),
                cache.attended(query, heads, count, Instructions::baseline));
    }
  }
}

TEST(Attention, LaterTokensInTheLastPageDoNotMatter) {
  const Cache longer(40);
  const Cache shorter(35);
  Cache numbers(1, 3);
  const std::vector<float> query = numbers.numbers(6 * 16);
  EXPECT_EQ(shorter.attended(query, 6, 35), longer.attended(query, 6, 35));
}

TEST(Attention, ScoresFarApartGiveWeightsOfZeroAndOne) {
  Cache cache(9);
  std::vector<float> query(2 * 16);
  for (std::size_t i = 0; i < 32; ++i) query[i] = 1e4F * cache.keys[4][i];
  const std::vector<float> out = cache.attended(query, 2, 9);
  for (std::size_t i = 0; i < 32; ++i) EXPECT_FLOAT_EQ(out[i], cache.values[4][i]);
}

TEST(Rotation, KeepsLengthsAndTurnsProductsByTheDistanceAlone) {
  Cache numbers(1);
  const auto product = [&](std::int64_t p, std::int64_t q) {
    Cache same(1, 5);
    std::vector<float> a = same.numbers(16), b = same.numbers(16);
    std::vector<float> cosines(8), sines(8);
    rotary_angles(p, 16, 10000, cosines.data(), sines.data());
    rotate(a.data(), 16, cosines.data(), sines.data());
    rotary_angles(q, 16, 10000, cosines.data(), sines.data());
    rotate(b.data(), 16, cosines.data(), sines.data());
    double sum = 0;
    for (std::size_t i = 0; i < 16; ++i) sum += double{a[i]} * b[i];
    return sum;
  };
  EXPECT_NEAR(product(3, 10), product(90, 97), 1e-5);
  EXPECT_GT(std::abs(product(3, 10) - product(3, 11)), 1e-3);
}

}  // namespace
}  // namespace torch_server
