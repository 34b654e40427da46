// CRC-32C (Castagnoli, Braeuer and Herrmann, Optimization of cyclic redundancy-check codes, IEEE
// Trans. Communications 1993), eight bytes at a time (Kounavis and Berry, IEEE ISCC 2005).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mais::shell {

namespace detail {

using CrcTables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr CrcTables crc_tables() {
  CrcTables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1) != 0 ? 0x82f63b78U : 0U);
    tables[0][byte] = rest;
  }
  for (std::size_t ahead = 1; ahead < 8; ++ahead) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[ahead - 1][byte];
      tables[ahead][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

inline constexpr CrcTables kCrcTables = crc_tables();

}  // namespace detail

// Of `bytes` behind whatever gave `before`; 0 at the beginning.
constexpr std::uint32_t crc32c(std::string_view bytes, std::uint32_t before = 0) noexcept {
  const auto& tables = detail::kCrcTables;
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  std::uint32_t crc = ~before;
  while (bytes.size() >= 8) {
    crc ^= static_cast<std::uint32_t>(at(0)) | static_cast<std::uint32_t>(at(1)) << 8 |
           static_cast<std::uint32_t>(at(2)) << 16 | static_cast<std::uint32_t>(at(3)) << 24;
    crc = tables[7][crc & 0xff] ^ tables[6][crc >> 8 & 0xff] ^ tables[5][crc >> 16 & 0xff] ^
          tables[4][crc >> 24] ^ tables[3][at(4)] ^ tables[2][at(5)] ^ tables[1][at(6)] ^
          tables[0][at(7)];
    bytes.remove_prefix(8);
  }
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ tables[0][(crc ^ static_cast<std::uint8_t>(byte)) & 0xff];
  }
  return ~crc;
}

static_assert(crc32c("123456789") == 0xe3069283U);  // RFC 3720, B.4 names the polynomial

}  // namespace mais::shell
