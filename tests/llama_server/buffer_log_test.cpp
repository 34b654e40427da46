// Lines as llama.cpp writes them, and lines that only look like them.
#include "buffer_log.hpp"

#include <gmock/gmock.h>

namespace llama_server {
namespace {

using mais::Bytes;

BufferSizes read(std::initializer_list<std::string_view> lines) {
  BufferSizes sizes;
  for (const std::string_view line : lines) read_buffer_line(line, sizes);
  return sizes;
}

TEST(BufferLogTest, SizesAreReadFromTheLinesThatSayThem) {
  EXPECT_EQ(read({"load_tensors:          CPU model buffer size =  4437.50 MiB",
                  "llama_context:        CPU  output buffer size =     0.50 MiB",
                  "llama_kv_cache:        CPU KV buffer size =  1024.00 MiB",
                  "llama_kv_cache: size =  256.00 MiB (  2048 cells,  32 layers, 32/1 seqs), "
                  "K (f16):  128.00 MiB, V (f16):  128.00 MiB",
                  "sched_reserve:        CPU compute buffer size =    10.25 MiB"}),
            (BufferSizes{.weights = Bytes(4653056000),
                         .state = Bytes(256 << 20),
                         .compute = Bytes(41 << 18),
                         .output = Bytes(1 << 19)}));
}

TEST(BufferLogTest, SeveralBuffersOfAKindAddUp) {
  const auto sizes =
      read({"x: CPU compute buffer size =    1.00 MiB", "x: BLAS compute buffer size =    2.50 MiB",
            "llama_kv_cache_unified: size =    1.50 MiB (   512 cells,   2 layers)",
            "llama_kv_cache: size =    0.25 MiB (   256 cells,   1 layers)"});
  EXPECT_EQ(sizes.compute, Bytes(7 << 19));
  EXPECT_EQ(sizes.state, Bytes(7 << 18));
}

TEST(BufferLogTest, OtherLinesSayNothing) {
  EXPECT_EQ(read({"", "compute buffer size", "x: CPU compute buffer size = many MiB",
                  "x: CPU compute buffer size = 5.00 GiB", "x: CPU compute buffer size = -1.00 MiB",
                  "x: CPU model buffer size =", "print_info: size = 12.00 MiB",
                  "x: CPU compute buffer size is  10.3790 MiB, matches expectation",
                  "x: CPU model buffer size = nan MiB"}),
            BufferSizes{});
}

TEST(BufferLogTest, WhatALineSaysIsHalfADigitMoreOrLess) {
  EXPECT_EQ(at_most(Bytes(0)), Bytes(0));
  EXPECT_EQ(at_least(Bytes(0)), Bytes(0));
  // 0.995001 MiB is written as 1.00, and 1.004999 MiB too.
  EXPECT_LE(at_least(Bytes(1 << 20)), Bytes(1043335));
  EXPECT_GE(at_least(Bytes(1 << 20)), Bytes(1043330));
  EXPECT_GE(at_most(Bytes(1 << 20)), Bytes(1053817));
  EXPECT_LE(at_most(Bytes(1 << 20)), Bytes(1053822));
}

TEST(BufferLogTest, PiecesOfALineAreOneLineAndErrorsAreKept) {
  BufferLog log;
  constexpr int kInfo = 2, kWarn = 3, kError = 4;
  log.add(kInfo, "x: CPU compute buffer");
  log.add(kInfo, " size = 1.00 MiB\n");
  EXPECT_EQ(log.sizes().compute, Bytes(1 << 20));
  log.add(kWarn, "a warning\n");
  EXPECT_EQ(log.complaint(), "a warning");
  for (const char* text : {"one\n", "two\n", "three\n"}) log.add(kError, text);
  EXPECT_EQ(log.complaint(), "one; two");
}

}  // namespace
}  // namespace llama_server
