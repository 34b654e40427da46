// Shared prefixes of one instance: found, fetched from the host tier, handed over, dropped.
#include <algorithm>

#include "core/state_memory.hpp"

namespace mais::core {

// Never the whole sequence: its last token is always computed, since its output is wanted.
std::span<const BlockHash> StateMemory::shareable(const Sequence& sequence) const noexcept {
  if (block_tokens_ == 0) return {};
  const std::int64_t most = (sequence.prompt + sequence.generated - 1) / block_tokens_;
  const auto size = static_cast<std::int64_t>(sequence.prefix.size());
  return {sequence.prefix.data(), static_cast<std::size_t>(std::min(most, size))};
}

std::int64_t StateMemory::matched_tokens(const Sequence& sequence) const noexcept {
  const auto prefix = shareable(sequence);
  if (prefix.empty()) return 0;
  std::size_t blocks = cache_.match(prefix);
  if (const std::size_t deeper = tier_.match(prefix); deeper > blocks) {
    const HostTier::Node deepest = tier_.cache().find(prefix[deeper - 1]);
    if (tier_.seconds_in(1) < tier_.cache().cost(deepest)) blocks = deeper;
  }
  return static_cast<std::int64_t>(blocks) * block_tokens_;
}

std::int64_t StateMemory::used_tokens(const Sequence& sequence) const noexcept {
  return static_cast<std::int64_t>(cache_.match_used(shareable(sequence))) * block_tokens_;
}

void StateMemory::join(Sequence& sequence, PrefixCache::Node node) {
  cache_.use(node);
  cache_.mark_reused(node);
  sequence.nodes.push_back(node);
  sequence.ready = std::max(sequence.ready, tier_.arrival(node));
}

void StateMemory::attach(Sequence& sequence) {
  for (const BlockHash hash : shareable(sequence)) {
    const PrefixCache::Node node = cache_.find(hash);
    if (node == PrefixCache::kNoNode) return;
    join(sequence, node);
    const auto held = cache_.pages(node);
    sequence.pages.insert(sequence.pages.end(), held.begin(), held.end());
  }
}

void StateMemory::fetch(Context& context, Sequence& sequence) {
  const auto prefix = shareable(sequence);
  const std::size_t first = sequence.nodes.size();
  const std::size_t last = tier_.match(prefix);
  if (last <= first) return;
  double again = 0;
  for (std::size_t i = first; i < last; ++i) {
    const HostTier::Node node = tier_.cache().find(prefix[i]);
    if (node == PrefixCache::kNoNode) return;
    again += tier_.cache().cost(node);
  }
  if (tier_.seconds_in(context.now, static_cast<std::int64_t>(last - first)) >= again) return;
  for (std::size_t i = first; i < last; ++i) {
    if (!fetch_block(context, sequence, prefix[i])) return;
  }
}

bool StateMemory::fetch_block(Context& context, Sequence& sequence, BlockHash hash) {
  const std::uint32_t per_block = cache_.pages_per_block();
  while (pool_.free() < per_block) {
    if (!evict_prefix(context)) return false;
  }
  const Bytes bytes = page_bytes() * std::int64_t{per_block};
  std::optional<ReservationId> part;
  while (!(part = context.ledger.try_reserve(prefix_, bytes, Hold::revocable))) {
    if (!evict_prefix(context)) return false;
  }
  const std::size_t had = sequence.pages.size();
  for (std::uint32_t i = 0; i < per_block; ++i) sequence.pages.push_back(pool_.take());
  const double again = tier_.cache().cost(tier_.cache().find(hash));
  const PrefixCache::Node parent =
      sequence.nodes.empty() ? PrefixCache::kNoNode : sequence.nodes.back();
  const PrefixCache::Node node =
      cache_.insert(parent, hash, {sequence.pages.data() + had, per_block}, again);
  cache_.mark_reused(node);
  hold_node(node, *part);
  tier_.copy_in(context.now, cache_, node);
  sequence.nodes.push_back(node);
  sequence.ready = std::max(sequence.ready, tier_.arrival(node));
  return true;
}

void StateMemory::hold_node(PrefixCache::Node node, ReservationId part) {
  if (held_by_node_.size() <= node) held_by_node_.resize(node + 1);
  held_by_node_[node] = part;
}

// Puts a shared block where the sequence has pages of its own for the same tokens.
void StateMemory::share(Context& context, Sequence& sequence, PrefixCache::Node node) {
  const std::uint32_t per_block = cache_.pages_per_block();
  const std::int64_t own = own_pages(sequence);
  const Bytes bytes(bytes_at(own) - bytes_at(own - per_block));
  const std::size_t at = sequence.nodes.size() * per_block;
  const auto shared = cache_.pages(node);
  for (std::uint32_t i = 0; i < per_block; ++i) {
    pool_.give_back(sequence.pages[at + i]);
    sequence.pages[at + i] = shared[i];
  }
  sequence.charged -= bytes.count();
  context.ledger.shrink(tenants_[sequence.tenant.value()].reservation, bytes);
  join(sequence, node);
  sequence.told = 0;
}

PrefixCache::Node StateMemory::adoptable(const Sequence& sequence, Time now, std::size_t block,
                                         std::int64_t computed) const noexcept {
  const auto prefix = shareable(sequence);
  if (block >= prefix.size() || computed < static_cast<std::int64_t>(block) * block_tokens_ ||
      sequence.pages.size() < (block + 1) * cache_.pages_per_block()) {
    return PrefixCache::kNoNode;
  }
  const PrefixCache::Node node = cache_.find(prefix[block]);
  return node != PrefixCache::kNoNode && tier_.arrival(node) <= now ? node : PrefixCache::kNoNode;
}

std::int64_t StateMemory::computed_with_adopted(const Sequence& sequence, Time now,
                                                std::int64_t computed) const noexcept {
  std::size_t block = sequence.nodes.size();
  while (adoptable(sequence, now, block, computed) != PrefixCache::kNoNode) {
    computed = std::max(computed, static_cast<std::int64_t>(++block) * block_tokens_);
  }
  return computed;
}

void StateMemory::adopt(Context& context, Sequence& sequence, std::int64_t computed) {
  for (;;) {
    const auto node = adoptable(sequence, context.now, sequence.nodes.size(), computed);
    if (node == PrefixCache::kNoNode) return;
    share(context, sequence, node);
    computed = std::max(computed, static_cast<std::int64_t>(sequence.nodes.size()) * block_tokens_);
  }
}

void StateMemory::publish(Context& context, Sequence& sequence, const CostModel& cost,
                          std::int64_t tokens) {
  const std::uint32_t per_block = cache_.pages_per_block();
  while (sequence.nodes.size() < sequence.prefix.size()) {
    const std::size_t block = sequence.nodes.size();
    const auto end = static_cast<std::int64_t>(block + 1) * block_tokens_;
    if (end > tokens) return;
    // Somebody else computed the same at the same time: this copy is kept until adopt().
    if (cache_.find(sequence.prefix[block]) != PrefixCache::kNoNode) return;
    // The pages leave the tenant's account for the shared one, below the same limits: that always
    // fits.
    const std::int64_t own = own_pages(sequence);
    const Bytes bytes(bytes_at(own) - bytes_at(own - per_block));
    const ReservationId part =
        context.ledger.split(tenants_[sequence.tenant.value()].reservation, bytes);
    const bool moved = context.ledger.try_set_hold(part, Hold::revocable) &&
                       context.ledger.try_move(part, prefix_);
    MAIS_EXPECTS(moved, "a computed block could not be handed over to the prefix cache");
    sequence.charged -= bytes.count();
    const PrefixCache::Node parent =
        sequence.nodes.empty() ? PrefixCache::kNoNode : sequence.nodes.back();
    const double again =
        cost.marginal(static_cast<double>(block_tokens_), static_cast<double>(end - block_tokens_));
    const PrefixCache::Node node =
        cache_.insert(parent, sequence.prefix[block],
                      {sequence.pages.data() + block * per_block, per_block}, again);
    sequence.nodes.push_back(node);
    hold_node(node, part);
    if (tier_.exists()) fresh_.push_back({.node = node, .hash = sequence.prefix[block]});
  }
}

namespace {

// Names a block that belongs to one request alone (the finaliser of splitmix64; Steele, Lea and
// Flood, OOPSLA 2014).
BlockHash own_block(RequestId id, std::size_t block) {
  std::uint64_t bits = static_cast<std::uint64_t>(id) * 0x9e3779b97f4a7c15ULL + block + 1;
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ULL;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebULL;
  return bits ^ (bits >> 31);
}

}  // namespace

std::optional<double> StateMemory::seconds_in(std::int64_t tokens) const noexcept {
  if (!tier_.exists()) return std::nullopt;
  return tier_.seconds_in((tokens + block_tokens_ - 1) / block_tokens_);
}

std::int64_t StateMemory::swap_out(Context& context, Sequence& sequence, const CostModel& cost,
                                   bool may_copy) {
  const std::int64_t shared = static_cast<std::int64_t>(sequence.nodes.size()) * block_tokens_;
  if (!tier_.exists() || !swaps_) return shared;
  const auto blocks = static_cast<std::size_t>(sequence.computed / block_tokens_);
  const auto more = static_cast<double>(blocks) - static_cast<double>(sequence.nodes.size());
  const double again =
      cost.marginal(more * static_cast<double>(block_tokens_), static_cast<double>(shared));
  if (may_copy && more > 0 &&
      tier_.seconds_through(context.now, static_cast<std::int64_t>(more)) < again) {
    while (sequence.prefix.size() < blocks) {
      sequence.prefix.push_back(own_block(sequence.id, sequence.prefix.size()));
    }
    publish(context, sequence, cost, sequence.computed);
    write_through(context);
  }
  for (std::size_t deepest = sequence.nodes.size(); deepest-- > 0;) {
    sequence.swapped = tier_.keep(sequence.prefix[deepest]);
    if (sequence.swapped != kNoIndex) {
      return static_cast<std::int64_t>(deepest + 1) * block_tokens_;
    }
  }
  return 0;
}

void StateMemory::forget_swapped(Sequence& sequence) {
  if (sequence.swapped == kNoIndex) return;
  tier_.release(sequence.swapped);
  sequence.swapped = kNoIndex;
}

bool StateMemory::evict_prefix(Context& context) {
  freed_.clear();
  const PrefixCache::Node node = cache_.evict(freed_);
  if (node == PrefixCache::kNoNode) return false;
  for (const std::uint32_t page : freed_) pool_.give_back(page);
  context.ledger.release(held_by_node_[node]);
  return true;
}

void StateMemory::write_through(Context& context) {
  for (const Fresh& block : fresh_) {
    if (cache_.live(block.node) && cache_.hash(block.node) == block.hash) {
      tier_.copy_out(context, cache_, block.node);
    }
  }
  fresh_.clear();
}

void StateMemory::land(Context& context) {
  if (!tier_.exists()) return;
  tier_.land(context.now, cache_);
  tier_.settle(context.ledger);
}

}  // namespace mais::core
