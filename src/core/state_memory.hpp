// The state (KV cache) of one instance: pages with ids, their bytes in the ledger, and the prefixes
// that sequences share. All that takes or gives back state goes through here, so that pages and
// bytes never disagree.
//
// Accounts: <space> -> <instance> -> {weights, workspace, state -> {<tenant>..., prefix}}.
// A sequence's own pages are charged to its tenant; shared pages once, to `prefix`. What the host
// tier holds is charged to an account of its own space; see HostTier.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/host_tier.hpp"
#include "core/sequence.hpp"
#include "mais/config.hpp"
#include "mais/core/cost.hpp"
#include "mais/core/ledger.hpp"
#include "mais/core/page_pool.hpp"
#include "mais/core/prefix_cache.hpp"

namespace mais::core {

class StateMemory {
 public:
  StateMemory() = default;
  // Opens the accounts below the root of the device's space.
  static Result<StateMemory> open(Ledger& ledger, const Config& config, InstanceId id);

  // --- Sizes ---

  std::int64_t page_tokens() const noexcept { return page_tokens_; }
  Bytes page_bytes() const noexcept { return Bytes(page_bytes_); }
  std::uint32_t pages_for(std::int64_t tokens) const noexcept {
    const std::int64_t pages = tokens <= 0 ? 0 : (tokens - 1) / page_tokens_ + 1;
    return static_cast<std::uint32_t>(std::min<std::int64_t>(pages, kNoIndex));
  }
  // Bytes that a sequence of so many own pages is charged with. O(groups).
  std::int64_t bytes_at(std::int64_t pages) const noexcept;
  // Does a sequence take more the longer it gets, without end?
  bool grows() const noexcept { return page_bytes_ > 0; }
  // Pages beyond which a sequence that does not grow takes no more.
  std::int64_t widest_pages() const noexcept;
  // What of a bound a tenant could have at most: firm memory never comes from another's guarantee.
  Bytes most_of(Bytes bound, TenantId tenant) const noexcept;
  // What of the space is promised to nobody, once everything is opened.
  void set_unpromised(Bytes bytes) noexcept { unpromised_ = bytes; }
  // The longest sequence that the whole pool could hold, in tokens.
  std::int64_t most_tokens(const Ledger& ledger) const noexcept;
  Bytes limit(const Ledger& ledger) const { return *ledger.limit(state_); }
  Bytes guarantee(const Ledger& ledger) const { return ledger.guarantee(state_); }
  Bytes used(const Ledger& ledger) const { return ledger.used(state_); }

  // Pages that a sequence could get now, evicting unused prefixes.
  std::int64_t available_pages(const Ledger& ledger) const noexcept;
  // Bytes above what the instance may hold now, after a limit fell: to be brought back.
  Bytes overdrawn(const Ledger& ledger) const;

  // --- Sequences ---

  // Gives `count` more pages to the sequence, evicting unused prefixes where need be. False, and
  // nothing is changed but unused prefixes, when there is not enough.
  bool take(Context& context, Sequence& sequence, std::uint32_t count);
  // Would it be the tenant's own limit that stands in the way?
  bool bound_by_tenant(const Ledger& ledger, const Sequence& sequence, std::uint32_t count) const;
  // Gives back the last `count` own pages of the sequence.
  void shed(Context& context, Sequence& sequence, std::uint32_t count);
  // Gives back all.
  void give_back(Context& context, Sequence& sequence);
  std::uint32_t own_pages(const Sequence& sequence) const noexcept {
    return static_cast<std::uint32_t>(sequence.pages.size() -
                                      sequence.nodes.size() * cache_.pages_per_block());
  }

  // --- Shared prefixes ---

  bool shares_prefixes() const noexcept { return block_tokens_ > 0; }
  // Tokens of the sequence whose state is in the pool, or in the host tier from where fetching is
  // faster than computing; never all of it: its last token is always computed.
  std::int64_t matched_tokens(const Sequence& sequence) const noexcept;
  // Of these, tokens that running sequences hold already: sharing them takes no page.
  std::int64_t used_tokens(const Sequence& sequence) const noexcept;
  // The shareable block of the sequence that holds this token, null where there is none.
  const BlockHash* block_at(const Sequence& sequence, std::int64_t token) const noexcept {
    const auto prefix = shareable(sequence);
    const auto block = static_cast<std::size_t>(token / block_tokens_);
    return block < prefix.size() ? &prefix[block] : nullptr;
  }
  // Puts the matched pages of the pool at the head of an empty block table.
  void attach(Sequence& sequence);
  // After them, blocks that are in the host tier only, if that is faster than computing them: they
  // get pages, and Sequence::ready says when their content will be there.
  void fetch(Context& context, Sequence& sequence);
  // How far a sequence that has computed so much would be with the blocks that others completed
  // meanwhile, and puts them in its table. Its next step must be the one being formed: until then
  // the engine believes in the pages that this gives back.
  std::int64_t computed_with_adopted(const Sequence& sequence, Time now,
                                     std::int64_t computed) const noexcept;
  void adopt(Context& context, Sequence& sequence, std::int64_t computed);
  // Hands the pages of blocks that were computed in full over to the cache.
  void publish(Context& context, Sequence& sequence, const CostModel& cost) {
    publish(context, sequence, cost, std::min(sequence.computed, sequence.prompt));
  }
  bool evict_prefix(Context& context);
  const PrefixCache& cache() const noexcept { return cache_; }

  // --- The host tier ---

  // Before a running sequence gives its memory back: what of its state is in the host tier stays
  // there for it until forget_swapped(); where it is faster to copy all of it out and in again than
  // to compute it, and `may_copy`, the rest is copied too, and its pages come free when it was.
  // Returns how many tokens it will have when it comes back.
  std::int64_t swap_out(Context& context, Sequence& sequence, const CostModel& cost, bool may_copy);
  void forget_swapped(Sequence& sequence);
  // Pages that come free when copies under way are done. O(1).
  std::uint32_t pages_leaving() const noexcept { return cache_.busy_pages(); }
  // Seconds to bring so many tokens back from the tier; none: there is no tier.
  std::optional<double> seconds_in(std::int64_t tokens) const noexcept;

  const HostTier& tier() const noexcept { return tier_; }
  // Ends the copies that should be done by now.
  void land(Context& context);
  // Copies blocks out that were computed since the last call.
  void write_through(Context& context);
  bool has_moves() const noexcept { return tier_.has_moves(); }
  void moves_measured(StateMove::Kind kind, std::int64_t pages, Duration took) noexcept {
    tier_.moves_measured(kind, pages, took);
  }
  void take_moves(std::vector<StateMove>& moves) { tier_.take_moves(moves); }
  Bytes tier_gives_way(Ledger& ledger, Bytes bytes) { return tier_.give_way(ledger, bytes); }

  // --- Bounds ---

  // Between 0 and the configured state. What is guaranteed falls and rises with it.
  void set_limit(Ledger& ledger, Bytes limit) const;
  // A limit, and what of the state is guaranteed at most from now on.
  void set_bounds(Ledger& ledger, Bytes limit, Bytes guarantee);
  void set_tenant_limit(Ledger& ledger, TenantId tenant, std::optional<Bytes> limit) const;
  // Bytes held beyond what the instance is guaranteed, and so lent by others.
  Bytes borrowed(const Ledger& ledger) const;
  // What its weights, or the workspace of a step, lack: others hold it, though it is guaranteed.
  Bytes weights_lacking(const Ledger& ledger) const;
  Bytes workspace_lacking(const Ledger& ledger) const;
  // The same of `bytes` more state, as far as that is guaranteed.
  Bytes state_lacking(const Ledger& ledger, Bytes bytes) const;
  Bytes needed_without_state() const noexcept { return weights_ + workspace_; }
  AccountId state_account() const noexcept { return state_; }
  AccountId tenant_account(TenantId tenant) const { return tenants_[tenant.value()].account; }
  const PagePool& pages() const noexcept { return pool_; }

  // Scratch memory of a step: false if there is no room for it.
  bool take_workspace(Ledger& ledger, Bytes bytes);
  void keep_workspace(Ledger& ledger, Bytes bytes);  // of what was taken
  void give_back_workspace(Ledger& ledger) { keep_workspace(ledger, Bytes(0)); }

  // The instance is gone: its weights and prefixes with it. Sequences give back by themselves.
  void close(Context& context);
  // It is back: weights are charged again. False while others hold its memory.
  bool reopen(Ledger& ledger);

 private:
  struct Own;
  Bytes fair_guarantee(const Ledger& ledger, const Own& own) const;
  struct Own {
    AccountId account;
    Bytes guarantee;
    ReservationId reservation;
  };
  struct Fresh {  // a block that is not in the host tier yet
    PrefixCache::Node node;
    BlockHash hash;
  };
  std::span<const BlockHash> shareable(const Sequence& sequence) const noexcept;
  void join(Sequence& sequence, PrefixCache::Node node);
  void share(Context& context, Sequence& sequence, PrefixCache::Node node);
  PrefixCache::Node adoptable(const Sequence& sequence, Time now, std::size_t block,
                              std::int64_t computed) const noexcept;
  bool fetch_block(Context& context, Sequence& sequence, BlockHash hash);
  void publish(Context& context, Sequence& sequence, const CostModel& cost, std::int64_t tokens);
  void hold_node(PrefixCache::Node node, ReservationId part);
  struct Window {
    std::int64_t page_bytes;
    std::int64_t most_pages;
  };

  std::int64_t page_tokens_ = 16;
  std::int64_t page_bytes_ = 0;   // of groups that grow for ever
  std::int64_t fixed_bytes_ = 0;  // of groups that do not grow
  std::vector<Window> windows_;
  std::int64_t block_tokens_ = 0;  // of a shared block; 0: nothing is shared

  AccountId instance_, weights_account_, workspace_account_, state_;
  Bytes weights_, workspace_, state_bytes_, state_guarantee_;
  Bytes configured_guarantee_, unpromised_;
  ReservationId weights_held_, workspace_held_;
  Hold hold_ = Hold::revocable;
  std::vector<Own> tenants_;
  AccountId prefix_;

  PagePool pool_;
  PrefixCache cache_;
  HostTier tier_;
  bool swaps_ = false;
  std::vector<Fresh> fresh_;
  std::vector<ReservationId> held_by_node_;
  std::vector<std::uint32_t> freed_;  // kept for its room
};

}  // namespace mais::core
