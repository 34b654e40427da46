// Prefix blocks of one instance in host memory: what the pool drops comes back from here.
//
// A block is copied out once it was computed, while its pages are still in the pool
// (write-through), so that the pool can drop it at any time afterwards without waiting. A request
// that matches blocks which are only here has them copied in, where that is faster than computing
// them again. What leaves the tier for others is chosen as in the pool; see PrefixCache.
//
// The two directions are independent queues, as StateMove in mais/core/action.hpp says; each copy
// is predicted to take bytes / bandwidth + latency of its link for each page, corrected by what
// was measured. Both ends of a copy are busy until its predicted end: neither is dropped before.
//
// Account: <host space> -> "<instance> tier". Revocable and without a guarantee: it is a cache.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/sequence.hpp"
#include "mais/config.hpp"
#include "mais/core/ledger.hpp"
#include "mais/core/page_pool.hpp"
#include "mais/core/prefix_cache.hpp"

namespace mais::core {

class HostTier {
 public:
  using Node = PrefixCache::Node;

  HostTier() = default;  // none: matches nothing, takes nothing
  // Opens the account below the root of the tier's space.
  static Result<HostTier> open(Ledger& ledger, const Config& config, InstanceId id,
                               std::uint32_t pages_per_block);

  bool exists() const noexcept { return pages_.size() > 0; }
  AccountId account() const noexcept { return account_; }
  Bytes used(const Ledger& ledger) const { return exists() ? ledger.used(account_) : Bytes(0); }
  const PagePool& pages() const noexcept { return pages_; }
  const PrefixCache& cache() const noexcept { return cache_; }

  // How many leading blocks of the prefix are here. O(log blocks).
  std::size_t match(std::span<const BlockHash> prefix) const noexcept {
    return exists() ? cache_.match(prefix) : 0;
  }
  // Seconds until `blocks` more would have arrived in the pool, were they asked for now.
  double seconds_in(Time now, std::int64_t blocks) const noexcept;
  double seconds_in(std::int64_t blocks) const noexcept;  // with nothing else on the way
  // Seconds to copy so many blocks out now, and in again some time.
  double seconds_through(Time now, std::int64_t blocks) const noexcept;

  // --- Copies; `pool` is the prefix cache of the instance's pool ---

  // Copies a block of the pool, and those before it, out if they are not here yet. Drops others to
  // make room; does nothing where that is not enough.
  void copy_out(Context& context, PrefixCache& pool, Node block);
  // Copies a block that is here into the pages of a node of the pool, just inserted.
  void copy_in(Time now, PrefixCache& pool, Node block);
  // The predicted time at which a node of the pool has its content: long ago for most. O(1).
  Time arrival(Node block) const noexcept {
    return block < arrivals_.size() ? arrivals_[block] : Time{};
  }
  // Counts a use of a node of the pool for the same block here, if there is one.
  void touch(const PrefixCache& pool, Node block, PrefixCache::Wanted wanted);
  // Keeps a block, and those before it, until release(). kNoNode if it is not here.
  Node keep(BlockHash hash);
  void release(Node host) { cache_.leave(host); }

  // So many pages were copied one way in so long. One report that is far off moves the prediction
  // by little.
  void moves_measured(StateMove::Kind kind, std::int64_t pages, Duration took) noexcept;

  // Ends the copies that should be done by now.
  void land(Time now, PrefixCache& pool);
  // When the next copy will be done, if any is under way.
  std::optional<Time> next_landing() const noexcept;
  // Copies begun since the last call, in their order, are appended.
  void take_moves(std::vector<StateMove>& moves);
  bool has_moves() const noexcept { return !moves_.empty(); }

  // Drops blocks until so many bytes are given back, as far as they are not busy. Returns how many
  // were.
  Bytes give_way(Ledger& ledger, Bytes bytes);
  // Brings the account, and all above it, back under a limit that fell.
  void settle(Ledger& ledger);
  // Everything is gone.
  void close(Ledger& ledger, PrefixCache& pool);

 private:
  struct Landing {
    Time done{};
    Node pool = PrefixCache::kNoNode;
    Node host = PrefixCache::kNoNode;
  };
  // Copies under way in one direction, first in, first out.
  struct Direction {
    Duration page_time{};
    Time free{};
    std::vector<Landing> landings;
    std::size_t first = 0;
  };
  bool take_pages(Ledger& ledger);
  bool evict(Ledger& ledger);
  void start(Direction& way, Time now, StateMove::Kind kind, PrefixCache& pool, Node block,
             Node host);
  void land(Direction& way, Time now, PrefixCache& pool);
  Bytes block_bytes() const noexcept {
    return page_bytes_ * std::int64_t{cache_.pages_per_block()};
  }

  PagePool pages_;
  PrefixCache cache_;
  Bytes page_bytes_{};
  AccountId account_{};
  ReservationId held_{};
  Direction out_, in_;
  std::vector<Time> arrivals_;  // by node of the pool
  std::vector<StateMove> moves_;
  // Kept for their room.
  std::vector<std::uint32_t> taken_, freed_;
  std::vector<Node> chain_;
};

}  // namespace mais::core
