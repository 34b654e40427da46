// Carries out pieces of copies: what one worker owns for it.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "mais/memory/memory_source.hpp"
#include "memory/copy_queue.hpp"
#include "memory/cuda_lane.hpp"
#include "memory/file_io.hpp"

namespace mais::memory {

// One user at a time.
class Transfer {
 public:
  // Buffers for staging are taken from `staging` at once, or from ordinary memory when needed.
  static Result<std::unique_ptr<Transfer>> create(MemorySource* staging, Bytes staging_piece,
                                                  std::unique_ptr<FileIo> files);

  // Copies the piece. Its checksum when it was verified, else 0.
  Result<std::uint64_t> run(const CopyQueue::Piece& piece);

 private:
  Transfer(MemorySource* staging, Bytes staging_piece, std::unique_ptr<FileIo> files);
  Result<void> reserve_staging();
  Result<CudaLane*> lane_of(const CudaDevice& device);
  Result<void> copy(const CopyQueue::Piece& piece);
  Result<void> copy_by_file(const CopyQueue::Piece& piece);
  Result<void> copy_by_device(const CopyQueue::Piece& piece);
  Result<void> fetch(const CopyEnd& from, std::byte* to, std::size_t size);
  Result<void> store(const std::byte* from, const CopyEnd& to, std::size_t size);
  Result<std::uint64_t> checksum_at(const CopyEnd& end, std::size_t size, std::uint64_t offset);

  std::unique_ptr<MemorySource> ordinary_;  // where no source was given
  MemorySource* staging_;
  const std::size_t staging_piece_;
  std::optional<Region> buffers_;  // two slabs, each a buffer
  std::unique_ptr<FileIo> files_;
  std::map<const CudaDevice*, std::unique_ptr<CudaLane>> lanes_;
};

}  // namespace mais::memory
