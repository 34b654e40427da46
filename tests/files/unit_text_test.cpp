#include "mais/files/unit_text.hpp"

#include <random>

#include <gmock/gmock.h>

namespace mais::files {
namespace {

using namespace mais::literals;
using ::testing::HasSubstr;

TEST(UnitText, ReadsWhatAPersonWrites) {
  EXPECT_EQ(*parse_bytes("24 GiB"), 24_GiB);
  EXPECT_EQ(*parse_bytes("24GiB"), 24_GiB);
  EXPECT_EQ(*parse_bytes("1.5 MiB"), 1536_KiB);
  EXPECT_EQ(*parse_bytes("16.06 GB"), Bytes(16'060'000'000));
  EXPECT_EQ(*parse_bytes("512"), 512_B);
  EXPECT_EQ(*parse_duration("50 ms"), 50ms);
  EXPECT_EQ(*parse_duration("1.5 s"), 1500ms);
  EXPECT_EQ(*parse_duration("10 us"), 10us);
  EXPECT_EQ(*parse_duration("2 h"), 2h);
  EXPECT_DOUBLE_EQ(parse_bandwidth("240 GB/s")->value, 240e9);
  EXPECT_DOUBLE_EQ(parse_bandwidth("240e9")->value, 240e9);
  EXPECT_DOUBLE_EQ(parse_flops("73 TFLOP/s")->value, 73e12);
  EXPECT_DOUBLE_EQ(parse_flops("73 TFLOPS")->value, 73e12);
}

TEST(UnitText, ADurationWithoutAUnitIsRefusedWithAnExample) {
  const auto duration = parse_duration("50");
  ASSERT_FALSE(duration);
  EXPECT_EQ(duration.error().code, ErrorCode::parse_error);
  EXPECT_THAT(duration.error().message,
              HasSubstr("'50' is not a duration; write it like \"50 ms\""));
}

TEST(UnitText, NonsenseIsRefused) {
  for (const char* text :
       {"", " ", "GiB", "12 apples", "1 GiB GiB", "nan", "inf", "1e999", "0x10"}) {
    EXPECT_FALSE(parse_bytes(text)) << text;
    EXPECT_FALSE(parse_bandwidth(text)) << text;
  }
}

TEST(UnitText, AbsurdSizesSaturate) {
  EXPECT_EQ(*parse_bytes("99999999 PiB"), Bytes::max());
  EXPECT_EQ(*parse_bytes("1e300 PiB"), Bytes::max());
}

TEST(UnitText, EveryTextReadsBackAsTheSameValue) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    const auto count = static_cast<std::int64_t>(random() >> (1 + random() % 62));
    EXPECT_EQ(*parse_bytes(to_text(Bytes(count))), Bytes(count));
    EXPECT_EQ(*parse_bytes(to_text(Bytes(count % 1000 * (1 << 20)))),
              Bytes(count % 1000 * (1 << 20)));
    EXPECT_EQ(*parse_duration(to_text(Duration(count))), Duration(count));
    const double rate = static_cast<double>(count) * (i % 2 ? 1 : 1e-3);
    EXPECT_EQ(parse_bandwidth(to_text(BytesPerSecond{rate}))->value, rate);
    EXPECT_EQ(parse_flops(to_text(FlopsPerSecond{rate}))->value, rate);
  }
  EXPECT_EQ(to_text(24_GiB), "24 GiB");
  EXPECT_EQ(to_text(Duration(50ms)), "50 ms");
  EXPECT_EQ(to_text(BytesPerSecond{1.63e12}), "1.63 TB/s");
}

}  // namespace
}  // namespace mais::files
