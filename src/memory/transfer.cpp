#include "memory/transfer.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "mais/memory/host_source.hpp"
#include "memory/checksum.hpp"

namespace mais::memory {

namespace {

using Kind = CopyEnd::Kind;

CopyEnd at(CopyEnd end, std::size_t by) noexcept {
  if (end.kind == Kind::file) {
    end.offset += static_cast<std::int64_t>(by);
  } else {
    end.address += by;
  }
  return end;
}

// Down to whole cells, so that buffers cut a copy where checksums do.
std::size_t cells(std::size_t size) noexcept {
  return size / kChecksumCell * kChecksumCell;
}

}  // namespace

Transfer::Transfer(MemorySource* staging, Bytes staging_piece, std::unique_ptr<FileIo> files)
    : staging_(staging),
      staging_piece_(static_cast<std::size_t>(staging_piece.count())),
      files_(std::move(files)) {
  if (staging_ == nullptr) {
    ordinary_ = std::make_unique<HostSource>();
    staging_ = ordinary_.get();
  }
}

Result<std::unique_ptr<Transfer>> Transfer::create(MemorySource* staging, Bytes staging_piece,
                                                   std::unique_ptr<FileIo> files) {
  auto made = std::unique_ptr<Transfer>(new Transfer(staging, staging_piece, std::move(files)));
  if (staging != nullptr) {
    if (Result<void> done = made->reserve_staging(); !done) return tl::unexpected(done.error());
  }
  return made;
}

Result<void> Transfer::reserve_staging() {
  if (buffers_) return {};
  const auto unit = static_cast<std::size_t>(staging_->granularity().count());
  std::size_t size = std::max(staging_piece_, kChecksumCell);
  size = (size + unit - 1) / unit * unit;
  Result<Region> region = staging_->reserve(Bytes(static_cast<std::int64_t>(size)), 2);
  if (!region) return tl::unexpected(std::move(region.error()));
  if (Result<void> done = region->commit(0, 2); !done) return done;
  buffers_ = *std::move(region);
  return {};
}

Result<CudaLane*> Transfer::lane_of(const CudaDevice& device) {
  std::unique_ptr<CudaLane>& lane = lanes_[&device];
  if (!lane) {
    Result<std::unique_ptr<CudaLane>> made = CudaLane::open(device);
    if (!made) return tl::unexpected(std::move(made.error()));
    lane = *std::move(made);
  }
  return lane.get();
}

Result<std::uint64_t> Transfer::run(const CopyQueue::Piece& piece) {
  if (Result<void> done = copy(piece); !done) return tl::unexpected(std::move(done.error()));
  if (!piece.verify) return 0;
  const Result<std::uint64_t> source = checksum_at(piece.from, piece.size, piece.offset);
  if (!source) return source;
  const Result<std::uint64_t> target = checksum_at(piece.to, piece.size, piece.offset);
  if (!target) return target;
  if (*source != *target) {
    return fail(ErrorCode::io_error,
                "the two ends differ after the copy, within the " + std::to_string(piece.size) +
                    " B from byte " + std::to_string(piece.offset) +
                    " on: one of them changed meanwhile, or was not written right");
  }
  return target;
}

Result<void> Transfer::copy(const CopyQueue::Piece& piece) {
  if (piece.from.kind == Kind::device || piece.to.kind == Kind::device) {
    return copy_by_device(piece);
  }
  if (piece.from.kind == Kind::host && piece.to.kind == Kind::host) {
    std::memcpy(piece.to.address, piece.from.address, piece.size);
    return {};
  }
  return copy_by_file(piece);
}

Result<void> Transfer::copy_by_file(const CopyQueue::Piece& piece) {
  if (piece.to.kind == Kind::host) return fetch(piece.from, piece.to.address, piece.size);
  if (piece.from.kind == Kind::host) return store(piece.from.address, piece.to, piece.size);
  if (Result<void> done = reserve_staging(); !done) return done;
  std::byte* const buffer = buffers_->address(0);
  const auto room = static_cast<std::size_t>(buffers_->slab_size().count());
  for (std::size_t done = 0; done < piece.size;) {
    const std::size_t size = std::min(room, piece.size - done);
    if (Result<void> got = fetch(at(piece.from, done), buffer, size); !got) return got;
    if (Result<void> put = store(buffer, at(piece.to, done), size); !put) return put;
    done += size;
  }
  return {};
}

// From an end that is no device's into memory of the host, and back.
Result<void> Transfer::fetch(const CopyEnd& from, std::byte* to, std::size_t size) {
  if (from.kind == Kind::file) return files_->read(from.file, to, size, from.offset);
  std::memcpy(to, from.address, size);
  return {};
}
Result<void> Transfer::store(const std::byte* from, const CopyEnd& to, std::size_t size) {
  if (to.kind == Kind::file) return files_->write(to.file, from, size, to.offset);
  std::memcpy(to.address, from, size);
  return {};
}

// With one end that is no device's and not pinned, two buffers take turns: while the device copies
// one, the other is filled or emptied.
Result<void> Transfer::copy_by_device(const CopyQueue::Piece& piece) {
  const bool outward = piece.from.kind == Kind::device;
  Result<CudaLane*> found = lane_of(outward ? *piece.from.device : *piece.to.device);
  if (!found) return tl::unexpected(std::move(found.error()));
  CudaLane& lane = **found;
  const CopyEnd& other = outward ? piece.to : piece.from;
  if (other.kind == Kind::device || (other.kind == Kind::host && other.pinned)) {
    if (Result<void> done = lane.begin(0, piece.to.address, piece.from.address, piece.size);
        !done) {
      return done;
    }
    return lane.await(0);
  }

  if (Result<void> done = reserve_staging(); !done) return done;
  const auto room = static_cast<std::size_t>(buffers_->slab_size().count());
  const std::size_t turns = (piece.size + room - 1) / room;
  const auto size_of = [&](std::size_t turn) { return std::min(room, piece.size - turn * room); };
  const auto slot_of = [](std::size_t turn) { return static_cast<int>(turn % CudaLane::kSlots); };
  Result<void> result;
  if (outward) {
    const auto begin = [&](std::size_t turn) {
      return lane.begin(slot_of(turn), buffers_->address(turn % 2),
                        piece.from.address + turn * room, size_of(turn));
    };
    result = begin(0);
    for (std::size_t turn = 0; result && turn < turns; ++turn) {
      if (turn + 1 < turns) result = begin(turn + 1);
      if (result) result = lane.await(slot_of(turn));
      if (result) {
        result = store(buffers_->address(turn % 2), at(piece.to, turn * room), size_of(turn));
      }
    }
  } else {
    for (std::size_t turn = 0; result && turn < turns; ++turn) {
      result = lane.await(slot_of(turn));  // of the turn before the last: the buffer is free
      if (result) {
        result = fetch(at(piece.from, turn * room), buffers_->address(turn % 2), size_of(turn));
      }
      if (result) {
        result = lane.begin(slot_of(turn), piece.to.address + turn * room,
                            buffers_->address(turn % 2), size_of(turn));
      }
    }
  }
  // Whatever happened, nothing is under way when the piece has ended.
  for (int slot = 0; slot < CudaLane::kSlots; ++slot) {
    if (Result<void> done = lane.await(slot); !done && result) result = std::move(done);
  }
  return result;
}

Result<std::uint64_t> Transfer::checksum_at(const CopyEnd& end, std::size_t size,
                                            std::uint64_t offset) {
  if (end.kind == Kind::host) return checksum(end.address, size, offset);
  if (Result<void> done = reserve_staging(); !done) return tl::unexpected(std::move(done.error()));
  std::byte* const buffer = buffers_->address(0);
  const std::size_t room = cells(static_cast<std::size_t>(buffers_->slab_size().count()));
  std::uint64_t sum = 0;
  for (std::size_t done = 0; done < size;) {
    const std::size_t part = std::min(room, size - done);
    if (end.kind == Kind::file) {
      if (Result<void> got = fetch(at(end, done), buffer, part); !got) {
        return tl::unexpected(std::move(got.error()));
      }
    } else {
      Result<CudaLane*> lane = lane_of(*end.device);
      if (!lane) return tl::unexpected(std::move(lane.error()));
      Result<void> got = (*lane)->begin(0, buffer, end.address + done, part);
      if (got) got = (*lane)->await(0);
      if (!got) return tl::unexpected(std::move(got.error()));
    }
    sum += checksum(buffer, part, offset + done);
    done += part;
  }
  return sum;
}

}  // namespace mais::memory
