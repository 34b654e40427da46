// A checksum of bytes that can be taken piece by piece, in any order.
//
// Bytes are cut into cells of kChecksumCell from the beginning of the whole; the checksum is the
// sum over the cells of a 64-bit hash seeded with the cell's number. It finds what went wrong in
// memory and on disks; it keeps nobody out who means harm.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mais::memory {

inline constexpr std::size_t kChecksumCell = std::size_t{64} << 10;

// Of bytes that begin `offset` after the beginning of the whole; a multiple of a cell. The whole's
// checksum is the sum of its pieces', modulo 2^64.
std::uint64_t checksum(const void* bytes, std::size_t size, std::uint64_t offset) noexcept;

}  // namespace mais::memory
