// Blocks of a KV cache, all of one size, handed out by id.
//
//   auto pool = BlockPool::create(source, shared.open(kv), {.block = 2_MiB, .blocks = 4096});
//   std::optional<BlockId> block = pool->acquire();
//   std::memcpy(pool->address(*block), keys, size);
//   pool->release(*block);
//
// Memory is mapped by whole slabs as blocks are wanted, and charged when it is. Blocks come from
// the lowest slab that has a free one, so that the others run empty. A pool that is to shrink hands
// out no more of the slabs with the fewest blocks in use, and unmaps each when its last block comes
// back: nobody's block moves.
//
// Where a planner chooses the ids itself, BlockBacking is enough.
#pragma once

#include "mais/memory/block_backing.hpp"

namespace mais::memory {

// A slab that cannot go yet.
struct BusySlab {
  std::uint32_t slab = 0;
  std::uint32_t used = 0;  // blocks in use in it
};

// What a resize or a trim did.
struct SlabsReturned {
  Bytes returned{};              // unmapped and uncharged by this call
  std::vector<BusySlab> busy{};  // that go when their last block is released; rising by slab
};

// Threads: every member from any thread; address(), base() and figures wait for nobody, the others
// for one mutex. The source and what the gate was opened of outlive this.
class BlockPool {
 public:
  // Errors as BlockBacking::create. Maps nothing yet.
  static Result<BlockPool> create(MemorySource& source, SharedLedger::Gate gate,
                                  BlockOptions options);
  BlockPool(BlockPool&&) noexcept;
  BlockPool& operator=(BlockPool&&) noexcept;
  ~BlockPool();

  // A block whose contents are unspecified. None when all that may be mapped are in use, the
  // account would go over, or the source has no more memory; try_acquire() says which. O(1), and
  // one mapping when a slab is needed.
  std::optional<BlockId> acquire();
  Result<BlockId> try_acquire();
  // So many blocks, or none. O(count + slabs).
  Result<void> acquire(std::span<BlockId> blocks);
  // Gives a block back. One that is free, or that this pool never had, aborts and is named. O(1),
  // and one unmapping when its slab was waiting to go.
  void release(BlockId block);
  void release(std::span<const BlockId> blocks);

  // The most slabs that may be mapped from now on. Upwards nothing else happens: memory comes as it
  // is wanted. Downwards empty slabs go at once and the rest, those with the fewest blocks in use,
  // as soon as they are empty. O(slabs log slabs).
  SlabsReturned resize(std::uint32_t slabs);
  // Unmaps what is empty now, and leaves the size as it is. O(slabs).
  Bytes trim();
  // Maps memory ahead until so many blocks are free, or changes nothing and says why.
  Result<void> prepare(std::uint32_t free_blocks);

  void* address(BlockId block) const;
  std::byte* base() const noexcept { return backing_.base(); }
  std::optional<BlockId> block_at(const void* address) const noexcept {
    return backing_.block_at(address);
  }
  bool in_use(BlockId block) const;

  std::uint32_t used() const;       // blocks in use
  std::uint32_t available() const;  // mapped and free, and not about to go
  std::uint32_t size() const;       // slabs: what resize() said, at first all
  const BlockBacking& backing() const noexcept { return backing_; }

 private:
  struct State;
  BlockPool(BlockBacking backing, std::unique_ptr<State> state) noexcept;
  // Under the mutex.
  Result<void> map_one();
  Result<void> map_for(std::size_t wanted);
  BlockId take();
  void put_back(BlockId block);
  bool drop(std::uint32_t slab);
  void leave(std::uint32_t slab);
  void stay(std::uint32_t slab);

  BlockBacking backing_;
  std::unique_ptr<State> state_;
};

}  // namespace mais::memory
