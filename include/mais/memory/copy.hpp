// What a copy between memories is, and what became of it: plain data.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "mais/core/action.hpp"
#include "mais/memory/block_backing.hpp"
#include "mais/memory/cuda_memory.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::memory {

// Where bytes come from or go to. The memory, the file descriptor and the device stay until the
// copy has ended.
struct CopyEnd {
  enum class Kind : std::uint8_t { host, device, file };
  Kind kind = Kind::host;
  std::byte* address = nullptr;        // host and device
  const CudaDevice* device = nullptr;  // device: whose memory it is
  bool pinned = false;                 // host: devices copy without staging (Reach::pinned)
  std::optional<int> numa_node{};      // host: where it is, if known
  int file = -1;                       // file: a descriptor, open for reading or writing
  std::int64_t offset = 0;             // file: >= 0
  std::optional<SpaceId> space{};      // the planner's name for it; copies are summed up by it

  static CopyEnd host(void* address, const Reach& reach = {}) noexcept {
    return {.address = static_cast<std::byte*>(address),
            .pinned = reach.pinned,
            .numa_node = reach.numa_node};
  }
  static CopyEnd on_device(const CudaDevice& device, void* address) noexcept {
    return {.kind = Kind::device, .address = static_cast<std::byte*>(address), .device = &device};
  }
  static CopyEnd in_file(int file, std::int64_t offset) noexcept {
    return {.kind = Kind::file, .file = file, .offset = offset};
  }
};

enum class Urgency : std::uint8_t {
  demand,    // somebody waits for it
  prefetch,  // somebody may want it
};

struct Copy {
  CopyEnd from{}, to{};
  Bytes bytes{};  // > 0
  Urgency urgency = Urgency::demand;
  // For debugging and for what must not rot: when a piece was copied, both ends are read again and
  // their checksums compared. Costs a read of each end.
  bool verify = false;
  // What the checksum of all of it must be (CopyResult::checksum of an earlier copy of the same
  // bytes); implies verify.
  std::optional<std::uint64_t> expected{};
};

// Names one copy of a copier; rises, is never used twice.
enum class CopyId : std::uint64_t {};

struct CopyResult {
  enum class Status : std::uint8_t {
    done,       // every byte is there
    cancelled,  // as asked; what is at its target is not specified
    failed,     // `error` says why; likewise
  };
  CopyId id{};
  Status status = Status::done;
  Error error{};      // failed
  Bytes bytes{};      // asked for
  Duration waited{};  // from submission to the first piece
  Duration took{};    // from the beginning of the first piece to the end of the last
  std::optional<std::uint64_t> checksum{};  // verified: of all bytes, whatever pieces they came in

  // Bytes per second while it was under way; 0 where nothing was copied.
  BytesPerSecond rate() const noexcept {
    return {status == Status::done && took > Duration(0)
                ? static_cast<double>(bytes.count()) / to_seconds(took)
                : 0};
  }
};

// What was copied between two spaces, for who configures Machine::links.
struct LinkTraffic {
  SpaceId from{}, to{};
  Bytes bytes{};    // of pieces that were copied
  Duration busy{};  // time in which at least one piece was under way
  BytesPerSecond rate() const noexcept {
    return {busy > Duration(0) ? static_cast<double>(bytes.count()) / to_seconds(busy) : 0};
  }
};

// The copy that a planner's move of a page stands for: between the pool of an instance (on
// `device`, or in host memory when that is null) and its host tier. Outward ones are prefetches,
// inward ones somebody waits for. Both blocks are mapped, else it aborts.
Copy copy_of(const core::StateMove& move, const BlockBacking& pool, const BlockBacking& host_tier,
             const CudaDevice* device = nullptr);

}  // namespace mais::memory
