#include "mais/memory/block_backing.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <numeric>
#include <utility>

#include "memory/block_abort.hpp"

namespace mais::memory {

struct BlockBacking::State {
  State(Region of, SharedLedger::Gate charged, Reach reached, const BlockOptions& options,
        std::uint32_t in_slab)
      : block(options.block.count()),
        blocks(options.blocks),
        per_slab(in_slab),
        slab_size(of.slab_size()),
        base(of.base()),
        reach(std::move(reached)),
        addresses(of.slab_count()),
        gate(std::move(charged)),
        charges(addresses.size()),
        region(std::move(of)) {}

  Result<void> map(std::uint32_t slab);
  bool unmap(std::uint32_t slab) noexcept;

  const std::int64_t block;
  const std::uint32_t blocks, per_slab;
  const Bytes slab_size;
  std::byte* const base;
  const Reach reach;
  std::vector<std::atomic<std::byte*>> addresses;  // of slabs; null: not mapped
  std::atomic<std::uint32_t> mapped{0};
  std::mutex mutex;  // guards what follows, and writing what stands above
  SharedLedger::Gate gate;
  std::vector<SharedLedger::Charge> charges;  // of slabs
  Region region;                              // goes first: unmapped, then uncharged, as in unmap()
  std::vector<std::uint32_t> counts, fresh;   // room for back() and unback()
};

// Charged before it is mapped, and mapped no more before the charge goes: the account never shows
// less than there is.
Result<void> BlockBacking::State::map(std::uint32_t slab) {
  if (addresses[slab].load(std::memory_order_relaxed) != nullptr) return {};
  Result<SharedLedger::Charge> charge = gate.charge(slab_size);
  if (!charge) return tl::unexpected(std::move(charge.error()));
  if (Result<void> done = region.commit(slab); !done) return done;
  charges[slab] = *std::move(charge);
  addresses[slab].store(region.address(slab), std::memory_order_release);
  mapped.fetch_add(1, std::memory_order_relaxed);
  return {};
}

bool BlockBacking::State::unmap(std::uint32_t slab) noexcept {
  std::byte* const was = addresses[slab].exchange(nullptr);
  if (was == nullptr) return false;
  if (!region.decommit(slab)) {
    addresses[slab].store(was);
    return false;
  }
  mapped.fetch_sub(1, std::memory_order_relaxed);
  charges[slab] = {};
  return true;
}

namespace {

Error invalid(std::string message) {
  return {ErrorCode::invalid_argument, std::move(message), std::nullopt, std::nullopt};
}

// Rounded up to a multiple; nothing where that is more than a count holds.
std::optional<std::int64_t> round_up(std::int64_t value, std::int64_t unit) {
  const std::int64_t over = value % unit;
  std::int64_t sum = value;
  if (over != 0 && __builtin_add_overflow(value, unit - over, &sum)) return std::nullopt;
  return sum;
}

// The size of a slab: see BlockOptions::slab. Nothing where all blocks need more than can be.
std::optional<std::int64_t> size_of_slab(const BlockOptions& options, std::int64_t granularity) {
  const std::int64_t block = options.block.count();
  std::int64_t all = 0;
  if (__builtin_mul_overflow(block, std::int64_t{options.blocks}, &all)) return std::nullopt;
  const std::optional<std::int64_t> most = round_up(all, granularity);
  if (!most) return std::nullopt;
  std::int64_t unit = 0;
  if (__builtin_mul_overflow(block / std::gcd(block, granularity), granularity, &unit)) return most;
  const std::optional<std::int64_t> slab = round_up(std::max(options.slab.count(), unit), unit);
  return slab ? std::min(*slab, *most) : most;
}

}  // namespace

Result<BlockBacking> BlockBacking::create(MemorySource& source, SharedLedger::Gate gate,
                                          BlockOptions options) {
  if (options.block <= Bytes(0) || options.blocks == 0) {
    return tl::unexpected(invalid("a pool of " + std::to_string(options.blocks) + " blocks of " +
                                  std::to_string(options.block.count()) +
                                  " B cannot be; both must be positive"));
  }
  if (options.slab < Bytes(0)) return tl::unexpected(invalid("a slab cannot have a negative size"));
  const std::optional<std::int64_t> slab = size_of_slab(options, source.granularity().count());
  if (!slab) {
    return tl::unexpected(invalid("there are not enough addresses for " +
                                  std::to_string(options.blocks) + " blocks of " +
                                  std::to_string(options.block.count()) + " B"));
  }
  // A slab is never larger than all blocks together, so this is at most their number.
  const auto per_slab = static_cast<std::uint32_t>(
      std::min<std::int64_t>(*slab / options.block.count(), options.blocks));
  const std::size_t slabs = (options.blocks - std::size_t{1}) / per_slab + 1;
  Result<Region> region = source.reserve(Bytes(*slab), slabs);
  if (!region) return tl::unexpected(std::move(region.error()));
  return BlockBacking(std::make_unique<State>(*std::move(region), std::move(gate), source.reach(),
                                              options, per_slab));
}

BlockBacking::BlockBacking(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
BlockBacking::BlockBacking(BlockBacking&&) noexcept = default;
BlockBacking& BlockBacking::operator=(BlockBacking&&) noexcept = default;
BlockBacking::~BlockBacking() = default;

void* BlockBacking::address(BlockId block) const {
  const State& state = *state_;
  if (block >= state.blocks) abort_foreign(block, state.blocks);
  std::byte* const slab = state.addresses[block / state.per_slab].load(std::memory_order_acquire);
  if (slab == nullptr) abort_block(block, "has no memory: its slab is not mapped");
  return slab + std::int64_t{block % state.per_slab} * state.block;
}

std::byte* BlockBacking::base() const noexcept {
  return state_->base;
}

std::optional<BlockId> BlockBacking::block_at(const void* address) const noexcept {
  const State& state = *state_;
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  const auto size = static_cast<std::uintptr_t>(state.slab_size.count());
  const auto in_slab = [&](std::size_t slab) -> std::optional<BlockId> {
    const std::byte* const begin = state.addresses[slab].load(std::memory_order_acquire);
    const std::uintptr_t offset = at - reinterpret_cast<std::uintptr_t>(begin);
    if (begin == nullptr || offset >= size) return std::nullopt;
    const std::uintptr_t in = offset / static_cast<std::uintptr_t>(state.block);
    const std::uintptr_t block = slab * state.per_slab + in;
    if (in >= state.per_slab || block >= state.blocks) return std::nullopt;  // behind the last one
    return static_cast<BlockId>(block);
  };
  if (state.base != nullptr) {
    const std::uintptr_t slab = (at - reinterpret_cast<std::uintptr_t>(state.base)) / size;
    return slab < state.addresses.size() ? in_slab(slab) : std::nullopt;
  }
  for (std::size_t slab = 0; slab < state.addresses.size(); ++slab) {
    if (const auto found = in_slab(slab)) return found;
  }
  return std::nullopt;
}

Result<void> BlockBacking::back(std::span<const BlockId> blocks) {
  State& state = *state_;
  const std::scoped_lock lock(state.mutex);
  state.fresh.clear();
  for (const BlockId block : blocks) {
    if (block >= state.blocks) abort_foreign(block, state.blocks);
    const std::uint32_t slab = block / state.per_slab;
    if (is_mapped(slab)) continue;
    state.fresh.push_back(slab);
    if (Result<void> done = state.map(slab); !done) {
      state.fresh.pop_back();
      for (const std::uint32_t undone : state.fresh) state.unmap(undone);
      return done;
    }
  }
  return {};
}

Bytes BlockBacking::unback(std::span<const BlockId> free) {
  State& state = *state_;
  const std::scoped_lock lock(state.mutex);
  state.counts.assign(slabs(), 0);
  for (const BlockId block : free) {
    if (block >= state.blocks) abort_foreign(block, state.blocks);
    ++state.counts[block / state.per_slab];
  }
  Bytes returned{};
  for (std::uint32_t slab = 0; slab < slabs(); ++slab) {
    const std::uint32_t held = std::min(state.per_slab, state.blocks - slab * state.per_slab);
    MAIS_EXPECTS(state.counts[slab] <= held, "a list of free blocks names one twice");
    if (state.counts[slab] == held && state.unmap(slab)) returned += state.slab_size;
  }
  return returned;
}

Result<void> BlockBacking::map(std::uint32_t slab) {
  MAIS_EXPECTS(slab < slabs(), "map() of a slab that is not there");
  const std::scoped_lock lock(state_->mutex);
  return state_->map(slab);
}

bool BlockBacking::unmap(std::uint32_t slab) {
  MAIS_EXPECTS(slab < slabs(), "unmap() of a slab that is not there");
  const std::scoped_lock lock(state_->mutex);
  return state_->unmap(slab);
}

bool BlockBacking::is_mapped(std::uint32_t slab) const noexcept {
  return slab < slabs() && state_->addresses[slab].load(std::memory_order_acquire) != nullptr;
}

Bytes BlockBacking::block_size() const noexcept {
  return Bytes(state_->block);
}
std::uint32_t BlockBacking::blocks() const noexcept {
  return state_->blocks;
}
std::uint32_t BlockBacking::blocks_per_slab() const noexcept {
  return state_->per_slab;
}
Bytes BlockBacking::slab_size() const noexcept {
  return state_->slab_size;
}
std::uint32_t BlockBacking::slabs() const noexcept {
  return static_cast<std::uint32_t>(state_->addresses.size());
}
std::uint32_t BlockBacking::mapped_slabs() const noexcept {
  return state_->mapped.load();
}
Bytes BlockBacking::mapped() const noexcept {
  return state_->slab_size * mapped_slabs();
}
Reach BlockBacking::reach() const {
  return state_->reach;
}

}  // namespace mais::memory
