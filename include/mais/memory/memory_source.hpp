// Where real memory comes from: addresses that are reserved once, and physical memory that is
// mapped behind them and taken away again, slab by slab.
//
//   Result<Region> region = source.reserve(2_MiB, 1000);  // addresses only
//   region->commit(0, 10);                                // 20 MiB of memory
//   use(region->address(3));
//   region->decommit(0, 5);                               // 10 MiB go back to the machine
//
// One interface for host memory, huge pages, pinned memory, and a GPU's memory by CUDA's virtual
// memory management or its stream-ordered pools; one conformance suite asks each of them the same
// questions (tests/memory/source_conformance.hpp).
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::memory {

// Who gets at memory, and how.
struct Reach {
  bool host = true;                // the CPU reads and writes it
  bool pinned = false;             // its pages stay where they are: devices copy without staging
  std::optional<int> gpu{};        // ordinal of the CUDA device whose memory it is
  std::optional<int> numa_node{};  // of the memory, where it was bound to one
};

// The memory behind one region. For those who write a source: Region has checked every argument.
class Backing {
 public:
  virtual ~Backing() = default;  // unmaps what is mapped, and gives the addresses back
  // Where slab 0 would stand if every slab had its place from the beginning; null if they have not.
  virtual std::byte* base() const noexcept = 0;
  // Maps the slab and says where. Or changes nothing: over_capacity when there is not enough
  // memory, over_limit when a limit of the process stands in the way, unavailable for what else the
  // system says.
  virtual Result<std::byte*> commit(std::size_t slab) = 0;
  // Gives the slab's memory back. On an error it stays mapped and its contents stay.
  virtual Result<void> decommit(std::size_t slab) = 0;
};

// Addresses for `slab_count` slabs of `slab_size` bytes. Move-only; gives everything back when it
// goes. One user at a time; different regions of one source may be used by different threads.
class Region {
 public:
  Region(std::unique_ptr<Backing> backing, Bytes slab_size, std::size_t slab_count);

  Bytes slab_size() const noexcept { return slab_size_; }
  std::size_t slab_count() const noexcept { return addresses_.size(); }
  bool is_committed(std::size_t slab) const { return addresses_.at(slab) != nullptr; }
  Bytes committed() const noexcept;

  // Of a slab; null while it is not committed.
  std::byte* address(std::size_t slab) const { return addresses_.at(slab); }
  // Where slab i is at base() + i * slab_size() from the beginning to the end: that; else null, and
  // a slab's address is its own from commit to decommit.
  std::byte* base() const noexcept { return backing_->base(); }

  // Commits slabs [first, first + count), of which none is committed, or on an error none of them.
  // What is in them is not specified. O(count) calls of the system.
  Result<void> commit(std::size_t first, std::size_t count = 1);
  // Decommits slabs [first, first + count), of which all are committed. An error says that the
  // system did not take one; those before it are decommitted, it and those behind it are not.
  Result<void> decommit(std::size_t first, std::size_t count = 1);

 private:
  std::unique_ptr<Backing> backing_;
  Bytes slab_size_;
  std::size_t committed_ = 0;
  std::vector<std::byte*> addresses_;  // null: not committed
};

// Outlives its regions. Every member may be called from any thread.
class MemorySource {
 public:
  virtual ~MemorySource() = default;

  // Reserves addresses and no memory. invalid_argument: no slab, or a size that is no positive
  // multiple of granularity(); over_capacity: there are not so many addresses.
  Result<Region> reserve(Bytes slab_size, std::size_t slab_count);

  virtual std::string name() const = 0;   // "host memory", "CUDA device 0, virtual memory"
  virtual Bytes granularity() const = 0;  // a slab is a multiple of it
  virtual Reach reach() const = 0;
  // What was asked for and could not be had, and why: one sentence each.
  virtual std::vector<std::string> notes() const { return {}; }

 private:
  virtual Result<std::unique_ptr<Backing>> open(std::size_t slab_size, std::size_t slab_count) = 0;
};

}  // namespace mais::memory
