#include "memory/checksum.hpp"

#include <random>
#include <set>
#include <vector>

#include <gmock/gmock.h>

namespace mais::memory {
namespace {

std::vector<unsigned char> noise(std::size_t size, unsigned seed) {
  std::mt19937 dice(seed);
  std::vector<unsigned char> bytes(size);
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(dice());
  return bytes;
}

TEST(Checksum, PiecesInAnyOrderSumToTheWhole) {
  const auto bytes = noise(5 * kChecksumCell + 123, 1);
  const std::uint64_t whole = checksum(bytes.data(), bytes.size(), 0);
  std::uint64_t sum =
      checksum(bytes.data() + 3 * kChecksumCell, 2 * kChecksumCell + 123, 3 * kChecksumCell);
  sum += checksum(bytes.data(), kChecksumCell, 0);
  sum += checksum(bytes.data() + kChecksumCell, 2 * kChecksumCell, kChecksumCell);
  EXPECT_EQ(sum, whole);
}

TEST(Checksum, EveryFlippedBitAndEveryLengthIsSeen) {
  auto bytes = noise(200, 2);
  std::set<std::uint64_t> seen;
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    EXPECT_TRUE(seen.insert(checksum(bytes.data(), size, 0)).second) << size;
  }
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<unsigned char>(1U << (bit % 8));
    EXPECT_TRUE(seen.insert(checksum(bytes.data(), bytes.size(), 0)).second) << bit;
    bytes[bit / 8] ^= static_cast<unsigned char>(1U << (bit % 8));
  }
}

TEST(Checksum, CellsThatChangedPlacesAreSeen) {
  const auto a = noise(kChecksumCell, 3), b = noise(kChecksumCell, 4);
  EXPECT_NE(checksum(a.data(), a.size(), 0) + checksum(b.data(), b.size(), kChecksumCell),
            checksum(b.data(), b.size(), 0) + checksum(a.data(), a.size(), kChecksumCell));
}

TEST(Checksum, ZeroesOfDifferentLengthDiffer) {
  const std::vector<unsigned char> zeroes(4 * kChecksumCell);
  std::set<std::uint64_t> seen;
  for (std::size_t size = 0; size < 100; ++size) seen.insert(checksum(zeroes.data(), size, 0));
  for (std::size_t cells = 1; cells <= 4; ++cells) {
    seen.insert(checksum(zeroes.data(), cells * kChecksumCell, 0));
  }
  EXPECT_EQ(seen.size(), 104U);
}

// A stored checksum is good tomorrow: the value of some bytes is written down.
TEST(Checksum, DoesNotChange) {
  std::vector<unsigned char> bytes(1000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(i * 7);
  EXPECT_EQ(checksum(bytes.data(), bytes.size(), 0), 17267024235330759164ULL);
}

}  // namespace
}  // namespace mais::memory
