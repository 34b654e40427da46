#include "mais/units.hpp"

#include <gtest/gtest.h>

namespace mais {
namespace {

using namespace mais::literals;

TEST(Units, LiteralsCountBytes) {
  EXPECT_EQ((2_GiB).count(), 2LL << 30);
  EXPECT_EQ(128_KiB, 131072_B);
  EXPECT_EQ(1_TiB, 1024_GiB);
}

TEST(Units, RatiosConvertBetweenUnits) {
  constexpr BytesPerToken kv = 128_KiB / 1_tok;
  EXPECT_EQ(kv * 16_tok, 2_MiB);
  EXPECT_EQ(4_GiB / (kv * 1_tok), 32768);
}

TEST(Units, ArithmeticSaturatesInsteadOfWrapping) {
  EXPECT_EQ(Bytes::max() + 1_B, Bytes::max());
  EXPECT_EQ(Bytes::max() * 2, Bytes::max());
  EXPECT_EQ(-Bytes::max() - 5_B, -Bytes::max());
  EXPECT_EQ(Bytes::max() * -3, -Bytes::max());
  EXPECT_EQ(1_TiB * 1e300, Bytes::max());
  EXPECT_EQ((128_KiB / 1_tok) * Tokens::max(), Bytes::max());
  EXPECT_EQ(from_seconds(1e300), Duration::max());
  EXPECT_EQ(saturating_add(Time(Duration::max()), 1s), Time(Duration::max()));
}

TEST(Units, ScalingByAFractionRoundsTowardsZero) {
  EXPECT_EQ(10_B * 0.25, 2_B);
  EXPECT_EQ(-(10_B) * 0.25, -(2_B));
  EXPECT_EQ(10_B * std::numeric_limits<double>::quiet_NaN(), 0_B);
}

TEST(Units, BlocksForRoundsUp) {
  constexpr TokensPerBlock block(16);
  EXPECT_EQ(blocks_for(0_tok, block), 0_blk);
  EXPECT_EQ(blocks_for(1_tok, block), 1_blk);
  EXPECT_EQ(blocks_for(16_tok, block), 1_blk);
  EXPECT_EQ(blocks_for(17_tok, block), 2_blk);
  EXPECT_EQ(blocks_for(Tokens::max(), TokensPerBlock(1)), Blocks::max());
}

TEST(Units, TransferTimeIsBytesOverRate) {
  EXPECT_EQ(Bytes(25'000'000'000) / BytesPerSecond{25e9}, 1s);
  EXPECT_EQ(1_B / BytesPerSecond{0}, Duration::max());
}

}  // namespace
}  // namespace mais
