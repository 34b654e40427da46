// The memory behind the blocks of a KV cache whose ids somebody else hands out: the planner.
//
// Blocks 0 ... blocks - 1 (as core::Step::blocks holds them) have their addresses from the
// beginning; memory is mapped behind them by whole slabs, when it is first needed, and an account
// is charged for exactly what is mapped.
//
//   blocks  0   1   2   3 | 4   5   6   7 | 8   9  10  11 | ...
//   slabs   0: mapped     | 1: not        | 2: mapped     |
//
//   auto cache = BlockBacking::create(source, shared.open(kv), {.block = 2_MiB, .blocks = 4096});
//   cache->back(step.blocks);              // before the step
//   kernel(cache->base(), step.blocks);    // block i is at base + i * block
//   cache->unback(view.free_pages);        // slabs in which nothing is used go back
//
// BlockPool is the same with ids of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "mais/memory/memory_source.hpp"
#include "mais/shared_ledger.hpp"

namespace mais::memory {

using BlockId = std::uint32_t;

struct BlockOptions {
  Bytes block{};             // bytes of one block, > 0
  std::uint32_t blocks = 0;  // > 0: the most there can ever be; takes addresses, no memory
  // What memory is mapped by. Made larger where it must be: to a common multiple of the block and
  // the source's granularity, but never larger than all blocks need. Blocks whose size is a
  // multiple of the granularity, or divides it, keep slabs as small as asked.
  Bytes slab = Bytes(32 << 20);
  // For debugging: a block given back is filled with a pattern, and looked at when it is handed out
  // again; one that was written meanwhile aborts. BlockPool only, host memory only.
  bool poison = false;
};

// Threads: every member from any thread; address(), base() and figures wait for nobody, the others
// for one mutex. The source and what the gate was opened of outlive this.
class BlockBacking {
 public:
  // invalid_argument: a block size or count that is not positive, or more than there can be
  // addresses; over_capacity: there are not so many addresses.
  static Result<BlockBacking> create(MemorySource& source, SharedLedger::Gate gate,
                                     BlockOptions options);
  BlockBacking(BlockBacking&&) noexcept;
  BlockBacking& operator=(BlockBacking&&) noexcept;
  ~BlockBacking();  // unmaps everything; who uses a block then is lost

  // --- Addresses, O(1) ------------------------------------------------------------------------

  // Aborts where there is no such block or its slab is not mapped, naming the block. Stays the same
  // for as long as the slab is mapped; where base() is not null, for ever.
  void* address(BlockId block) const;
  // Block i is at base() + i * block_size(), mapped or not; null where the source cannot promise
  // that (MemorySource, Region::base).
  std::byte* base() const noexcept;
  // The block that holds an address, if it is in a mapped slab. O(1), where base() is null
  // O(slabs).
  std::optional<BlockId> block_at(const void* address) const noexcept;

  // --- Memory, by whole slabs -----------------------------------------------------------------

  // Sees to it that every one of these blocks is mapped; aborts for a block that is not there. All,
  // or none newly: over_limit, over_capacity of the ledger (the account would go over), or what the
  // source says. O(blocks + slabs newly mapped).
  Result<void> back(std::span<const BlockId> blocks);
  // Unmaps every slab whose blocks are all in `free`, a list without duplicates such as
  // core::InstanceView::free_pages. Returns the bytes that went back. O(free + slabs).
  Bytes unback(std::span<const BlockId> free);

  // The same for one slab. map(): nothing to do when it is mapped. unmap(): false when it is not
  // mapped, or when the system does not take it back (then it stays mapped and charged).
  Result<void> map(std::uint32_t slab);
  bool unmap(std::uint32_t slab);
  bool is_mapped(std::uint32_t slab) const noexcept;

  // --- Figures --------------------------------------------------------------------------------

  Bytes block_size() const noexcept;
  std::uint32_t blocks() const noexcept;
  std::uint32_t blocks_per_slab() const noexcept;  // the last slab may hold fewer
  Bytes slab_size() const noexcept;
  std::uint32_t slabs() const noexcept;
  std::uint32_t mapped_slabs() const noexcept;
  Bytes mapped() const noexcept;  // and so what the account is charged
  Reach reach() const;

 private:
  struct State;
  explicit BlockBacking(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace mais::memory
