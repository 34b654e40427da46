#include "mais/memory/block_pool.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <utility>

#include "memory/block_abort.hpp"
#include "memory/slab_set.hpp"

namespace mais::memory {

namespace {

constexpr BlockId kNone = ~BlockId{0};
constexpr unsigned char kPoison = 0xdb;

}  // namespace

struct BlockPool::State {
  struct Slab {
    BlockId free = kNone;     // the one given back last; next[] leads on
    std::uint32_t fresh = 0;  // blocks from here on were never handed out since it was mapped
    std::uint32_t used = 0;
    bool leaving = false;  // goes when `used` is zero
  };

  State(const BlockBacking& of, const BlockOptions& options)
      : per_slab(of.blocks_per_slab()),
        blocks(of.blocks()),
        block_size(static_cast<std::size_t>(of.block_size().count())),
        poison(options.poison),
        slabs(of.slabs()),
        open(of.slabs()),
        unmapped(of.slabs()),
        next(of.blocks(), kNone),
        used_bit(of.blocks(), false),
        size(of.slabs()) {
    for (std::uint32_t slab = 0; slab < of.slabs(); ++slab) unmapped.insert(slab);
  }

  std::uint32_t held(std::uint32_t slab) const {
    return std::min(per_slab, blocks - slab * per_slab);
  }

  const std::uint32_t per_slab, blocks;
  const std::size_t block_size;
  const bool poison;
  mutable std::mutex mutex;
  std::vector<Slab> slabs;
  SlabSet open;      // mapped, not leaving, with a free block
  SlabSet unmapped;  // neither mapped nor leaving
  std::vector<BlockId> next;
  std::vector<bool> used_bit;
  std::uint32_t size;         // most slabs that may be mapped
  std::uint32_t staying = 0;  // mapped and not leaving, at most `size`
  std::uint32_t used = 0;
  std::uint32_t available = 0;
};

Result<BlockPool> BlockPool::create(MemorySource& source, SharedLedger::Gate gate,
                                    BlockOptions options) {
  if (options.poison && !source.reach().host) {
    return fail(ErrorCode::invalid_argument,
                source.name() + ": only memory that the CPU reaches can be poisoned");
  }
  Result<BlockBacking> backing = BlockBacking::create(source, std::move(gate), options);
  if (!backing) return tl::unexpected(std::move(backing.error()));
  auto state = std::make_unique<State>(*backing, options);
  return BlockPool(*std::move(backing), std::move(state));
}

BlockPool::BlockPool(BlockBacking backing, std::unique_ptr<State> state) noexcept
    : backing_(std::move(backing)), state_(std::move(state)) {}
BlockPool::BlockPool(BlockPool&&) noexcept = default;
BlockPool& BlockPool::operator=(BlockPool&&) noexcept = default;
BlockPool::~BlockPool() = default;

// --- Handing out -------------------------------------------------------------------------------

// Maps the lowest slab that is not.
Result<void> BlockPool::map_one() {
  State& state = *state_;
  const std::optional<std::uint32_t> slab = state.unmapped.lowest();
  if (state.staying >= state.size || !slab) {
    return fail(ErrorCode::over_limit,
                "all " + std::to_string(state.used) + " blocks that the pool may map are in use");
  }
  if (Result<void> done = backing_.map(*slab); !done) return done;
  state.slabs[*slab] = {};
  state.unmapped.erase(*slab);
  state.open.insert(*slab);
  ++state.staying;
  state.available += state.held(*slab);
  return {};
}

// A block of the lowest slab that has one; there is one.
BlockId BlockPool::take() {
  State& state = *state_;
  const std::uint32_t index = *state.open.lowest();
  BlockPool::State::Slab& slab = state.slabs[index];
  BlockId block = slab.free;
  const bool fresh = block == kNone;
  if (fresh) {
    block = index * state.per_slab + slab.fresh++;
  } else {
    slab.free = state.next[block];
  }
  state.used_bit[block] = true;
  ++state.used;
  --state.available;
  if (++slab.used == state.held(index)) state.open.erase(index);
  if (state.poison && !fresh) {
    const auto* const bytes = static_cast<const unsigned char*>(address(block));
    if (bytes[0] != kPoison || std::memcmp(bytes, bytes + 1, state.block_size - 1) != 0) {
      abort_block(block, "was written after it was given back");
    }
  }
  return block;
}

// Maps until `wanted` blocks are free, or nothing.
Result<void> BlockPool::map_for(std::size_t wanted) {
  State& state = *state_;
  std::vector<std::uint32_t> fresh;
  while (state.available < wanted) {
    const std::optional<std::uint32_t> slab = state.unmapped.lowest();
    if (Result<void> done = map_one(); !done) {
      for (const std::uint32_t undone : fresh) drop(undone);
      return done;
    }
    fresh.push_back(*slab);
  }
  return {};
}

Result<void> BlockPool::prepare(std::uint32_t free_blocks) {
  const std::scoped_lock lock(state_->mutex);
  return map_for(free_blocks);
}

Result<BlockId> BlockPool::try_acquire() {
  const std::scoped_lock lock(state_->mutex);
  if (state_->available == 0) {
    if (Result<void> done = map_one(); !done) return tl::unexpected(std::move(done.error()));
  }
  return take();
}

std::optional<BlockId> BlockPool::acquire() {
  const Result<BlockId> block = try_acquire();
  return block ? std::optional<BlockId>(*block) : std::nullopt;
}

Result<void> BlockPool::acquire(std::span<BlockId> blocks) {
  const std::scoped_lock lock(state_->mutex);
  if (state_->available < blocks.size()) {
    if (Result<void> done = map_for(blocks.size()); !done) return done;
  }
  for (BlockId& block : blocks) block = take();
  return {};
}

// --- Taking back -------------------------------------------------------------------------------

void BlockPool::release(BlockId block) {
  const std::scoped_lock lock(state_->mutex);
  put_back(block);
}

void BlockPool::release(std::span<const BlockId> blocks) {
  const std::scoped_lock lock(state_->mutex);
  for (const BlockId block : blocks) put_back(block);
}

void BlockPool::put_back(BlockId block) {
  State& state = *state_;
  if (block >= state.blocks) abort_foreign(block, state.blocks);
  if (!state.used_bit[block]) abort_block(block, "is given back and was not in use");
  if (state.poison) std::memset(address(block), kPoison, state.block_size);
  state.used_bit[block] = false;
  --state.used;
  const std::uint32_t index = block / state.per_slab;
  BlockPool::State::Slab& slab = state.slabs[index];
  --slab.used;
  state.next[block] = std::exchange(slab.free, block);
  if (!slab.leaving) {
    ++state.available;
    state.open.insert(index);
  } else if (slab.used == 0) {
    drop(index);
  }
}

// Unmaps a slab in which nothing is in use; false when the system does not take it back.
bool BlockPool::drop(std::uint32_t index) {
  State& state = *state_;
  BlockPool::State::Slab& slab = state.slabs[index];
  if (!backing_.unmap(index)) return false;
  if (!slab.leaving) {
    --state.staying;
    state.available -= state.held(index);
    state.open.erase(index);
  }
  slab = {};
  state.unmapped.insert(index);
  return true;
}

void BlockPool::leave(std::uint32_t index) {
  State& state = *state_;
  BlockPool::State::Slab& slab = state.slabs[index];
  slab.leaving = true;
  --state.staying;
  state.available -= state.held(index) - slab.used;
  state.open.erase(index);
}

void BlockPool::stay(std::uint32_t index) {
  State& state = *state_;
  BlockPool::State::Slab& slab = state.slabs[index];
  slab.leaving = false;
  ++state.staying;
  state.available += state.held(index) - slab.used;
  if (slab.used < state.held(index)) state.open.insert(index);
}

SlabsReturned BlockPool::resize(std::uint32_t slabs) {
  const std::scoped_lock lock(state_->mutex);
  State& state = *state_;
  state.size = std::min(slabs, backing_.slabs());
  const Bytes before = backing_.mapped();

  // The fullest first, and of those that are alike the lowest: these stay.
  std::vector<std::uint32_t> mapped;
  for (std::uint32_t slab = 0; slab < backing_.slabs(); ++slab) {
    if (backing_.is_mapped(slab)) mapped.push_back(slab);
  }
  std::stable_sort(mapped.begin(), mapped.end(), [&](std::uint32_t a, std::uint32_t b) {
    return state.slabs[a].used > state.slabs[b].used;
  });
  SlabsReturned result;
  for (std::size_t i = 0; i < mapped.size(); ++i) {
    const std::uint32_t slab = mapped[i];
    const bool stays = i < state.size;
    if (stays == state.slabs[slab].leaving) stays ? stay(slab) : leave(slab);
    if (stays) continue;
    if (state.slabs[slab].used > 0 || !drop(slab)) {
      result.busy.push_back({slab, state.slabs[slab].used});
    }
  }
  std::sort(result.busy.begin(), result.busy.end(),
            [](const BusySlab& a, const BusySlab& b) { return a.slab < b.slab; });
  result.returned = before - backing_.mapped();
  return result;
}

Bytes BlockPool::trim() {
  const std::scoped_lock lock(state_->mutex);
  const Bytes before = backing_.mapped();
  for (std::uint32_t slab = 0; slab < backing_.slabs(); ++slab) {
    if (backing_.is_mapped(slab) && state_->slabs[slab].used == 0) drop(slab);
  }
  return before - backing_.mapped();
}

// --- Figures -----------------------------------------------------------------------------------

void* BlockPool::address(BlockId block) const {
  return backing_.address(block);
}

bool BlockPool::in_use(BlockId block) const {
  const std::scoped_lock lock(state_->mutex);
  if (block >= state_->blocks) abort_foreign(block, state_->blocks);
  return state_->used_bit[block];
}
std::uint32_t BlockPool::used() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->used;
}
std::uint32_t BlockPool::available() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->available;
}
std::uint32_t BlockPool::size() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->size;
}

}  // namespace mais::memory
