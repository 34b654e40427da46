#include "memory/checksum.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace mais::memory {

namespace {

// Odd numbers with about as many ones as zeros; the finaliser is that of splitmix64 (Steele, Lea
// and Flood 2014).
constexpr std::uint64_t kA = 0x9e3779b97f4a7c15, kB = 0xc2b2ae3d27d4eb4f;

std::uint64_t finish(std::uint64_t value) noexcept {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

std::uint64_t word_at(const unsigned char* bytes) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

std::uint64_t mix(std::uint64_t lane, std::uint64_t word) noexcept {
  return std::rotl(lane ^ (word * kB), 29) * kA;
}

// Four lanes, so that the multiplications of one word do not wait for those of the last.
std::uint64_t hash(const unsigned char* bytes, std::size_t size, std::uint64_t seed) noexcept {
  std::uint64_t lanes[4] = {seed + kA, seed ^ kB, seed - kB, seed * kA + 1};
  std::size_t left = size;
  for (; left >= 32; left -= 32, bytes += 32) {
    for (std::size_t lane = 0; lane < 4; ++lane) {
      lanes[lane] = mix(lanes[lane], word_at(bytes + 8 * lane));
    }
  }
  std::uint64_t sum = size;
  for (const std::uint64_t lane : lanes) sum = mix(sum, finish(lane));
  for (; left >= 8; left -= 8, bytes += 8) sum = mix(sum, word_at(bytes));
  std::uint64_t last = 0;
  std::memcpy(&last, bytes, left);
  return finish(mix(sum, last));
}

}  // namespace

std::uint64_t checksum(const void* bytes, std::size_t size, std::uint64_t offset) noexcept {
  const auto* at = static_cast<const unsigned char*>(bytes);
  std::uint64_t sum = 0, cell = offset / kChecksumCell;
  while (size > 0) {
    const std::size_t part = std::min(size, kChecksumCell);
    sum += hash(at, part, finish(cell++));
    at += part;
    size -= part;
  }
  return sum;
}

}  // namespace mais::memory
