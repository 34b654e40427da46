#include "core/state_memory.hpp"

#include <algorithm>

namespace mais::core {

namespace {
constexpr std::int64_t kMostPages = 1 << 24;  // in a block table
constexpr std::int64_t kSwapPages = 16;       // in a block that is swapped out
}  // namespace

Result<StateMemory> StateMemory::open(Ledger& ledger, const Config& config, InstanceId id) {
  const Instance& instance = config.instances[id.value()];
  const Model& model = config.models[instance.model.value()];
  StateMemory memory;
  memory.page_tokens_ = instance.block.count();
  for (const StateGroup& group : model.state) {
    memory.fixed_bytes_ += group.fixed.count();
    const std::int64_t page = (group.per_token * Tokens(memory.page_tokens_)).count();
    if (group.window) {
      const Tokens kept = *group.window + Tokens(memory.page_tokens_ - 1);
      memory.windows_.push_back({page, blocks_for(kept, instance.block).count()});
    } else {
      memory.page_bytes_ += page;
    }
  }
  // A model without growing state needs no page ids; one page then stands for nothing.
  const std::int64_t pages =
      memory.page_bytes_ > 0 ? instance.state.count() / memory.page_bytes_ : 0;
  memory.pool_ = PagePool(static_cast<std::uint32_t>(std::min<std::int64_t>(pages, 1 << 28)));
  const bool shares = config.prefix_block > Tokens(0) && config.policy.share_prefixes;
  memory.swaps_ = config.policy.swap && instance.host_tier.has_value();
  if (model.prefix_shareable() && memory.page_bytes_ > 0 && (shares || memory.swaps_)) {
    // Without shared prefixes blocks only name what of a sequence is swapped out.
    memory.block_tokens_ = shares ? config.prefix_block.count() : kSwapPages * memory.page_tokens_;
    memory.cache_ =
        PrefixCache(static_cast<std::uint32_t>(memory.block_tokens_ / memory.page_tokens_));
    auto tier = HostTier::open(ledger, config, id, memory.cache_.pages_per_block());
    if (!tier) return tl::unexpected<Error>(std::move(tier.error()));
    memory.tier_ = std::move(*tier);
  }

  const SpaceId space = config.machine.devices[instance.device.value()].space;
  const Bytes state_guarantee = instance.guaranteed_state.value_or(instance.state);
  memory.weights_ = model.weights;
  memory.workspace_ = instance.workspace;
  memory.state_bytes_ = instance.state;
  memory.state_guarantee_ = memory.configured_guarantee_ = state_guarantee;
  const auto account = [&](AccountId parent, AccountSpec spec, AccountId& to) -> Result<void> {
    auto made = ledger.add_account(parent, std::move(spec));
    if (!made) return tl::unexpected<Error>(std::move(made.error()));
    to = *made;
    return {};
  };
  const auto hold = [&](AccountId from, Bytes bytes, Hold how, ReservationId& to) -> Result<void> {
    auto made = ledger.reserve(from, bytes, how);
    if (!made) return tl::unexpected<Error>(std::move(made.error()));
    to = *made;
    return {};
  };
  memory.hold_ = config.policy.memory == MemoryPolicy::no_evict ? Hold::firm : Hold::revocable;

  Result<void> done = account(
      ledger.root(space),
      {.name = instance.name, .guarantee = model.weights + instance.workspace + state_guarantee},
      memory.instance_);
  if (done) {
    done = account(memory.instance_, {.name = "weights", .guarantee = model.weights},
                   memory.weights_account_);
  }
  if (done) done = hold(memory.weights_account_, model.weights, Hold::firm, memory.weights_held_);
  if (done) {
    done =
        account(memory.instance_,
                {.name = "workspace", .guarantee = instance.workspace, .limit = instance.workspace},
                memory.workspace_account_);
  }
  if (done) done = hold(memory.workspace_account_, Bytes(0), Hold::firm, memory.workspace_held_);
  if (done) {
    done = account(memory.instance_,
                   {.name = "state", .guarantee = state_guarantee, .limit = instance.state},
                   memory.state_);
  }
  for (const Tenant& tenant : config.tenants) {
    if (!done) break;
    Own own;
    if (model.batching == Batching::iteration) own.guarantee = tenant.guarantee;
    done = account(memory.state_,
                   {.name = tenant.name,
                    .guarantee = own.guarantee,
                    .limit = tenant.limit,
                    .weight = tenant.weight},
                   own.account);
    if (done) done = hold(own.account, Bytes(0), memory.hold_, own.reservation);
    memory.tenants_.push_back(own);
  }
  if (done) done = account(memory.state_, {.name = "prefix"}, memory.prefix_);
  if (!done) return tl::unexpected<Error>(std::move(done.error()));
  return memory;
}

std::int64_t StateMemory::bytes_at(std::int64_t pages) const noexcept {
  if (pages <= 0) return 0;
  std::int64_t bytes = fixed_bytes_ + detail::saturating_multiply(pages, page_bytes_);
  for (const Window& window : windows_) {
    bytes += std::min(pages, window.most_pages) * window.page_bytes;
  }
  return bytes;
}

std::int64_t StateMemory::widest_pages() const noexcept {
  std::int64_t widest = 1;
  for (const Window& window : windows_) widest = std::max(widest, window.most_pages);
  return widest;
}

Bytes StateMemory::most_of(Bytes bound, TenantId tenant) const noexcept {
  if (hold_ != Hold::firm) return bound;
  bound = std::min(bound, configured_guarantee_ + unpromised_);
  for (std::uint32_t i = 0; i < tenants_.size(); ++i) {
    if (TenantId(i) != tenant) bound -= tenants_[i].guarantee;
  }
  return std::max(Bytes(0), bound);
}

std::int64_t StateMemory::most_tokens(const Ledger& ledger) const noexcept {
  const std::int64_t bytes = limit(ledger).count();
  if (bytes_at(1) > bytes) return 0;
  if (page_bytes_ == 0) {
    // Nothing grows for ever: when the windows are full, any length fits.
    std::int64_t widest = widest_pages();
    if (bytes_at(widest) <= bytes) return kMostPages * page_tokens_;
    while (bytes_at(widest) > bytes) --widest;
    return widest * page_tokens_;
  }
  std::int64_t low = 1, high = std::max<std::int64_t>(2, bytes / page_bytes_ + 1);
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (bytes_at(middle) <= bytes ? low : high) = middle;
  }
  return std::min<std::int64_t>(low, pool_.size()) * page_tokens_;
}

std::int64_t StateMemory::available_pages(const Ledger& ledger) const noexcept {
  const std::int64_t ids = std::int64_t{pool_.free()} + cache_.unused_pages();
  if (page_bytes_ == 0) return detail::kCountMax / 2;
  const std::int64_t bytes =
      ledger.headroom(state_, hold_).count() / page_bytes_ + cache_.unused_pages();
  return std::min(ids, bytes);
}

Bytes StateMemory::overdrawn(const Ledger& ledger) const {
  Bytes worst;
  for (std::optional<AccountId> at = state_; at; at = ledger.parent(*at)) {
    if (!ledger.settling(*at)) continue;
    if (const auto bound = ledger.limit(*at)) worst = std::max(worst, ledger.used(*at) - *bound);
  }
  return worst;
}

bool StateMemory::take(Context& context, Sequence& sequence, std::uint32_t count) {
  if (count == 0) return true;
  const Own& own = tenants_[sequence.tenant.value()];
  const std::int64_t before = own_pages(sequence);
  const Bytes more(bytes_at(before + count) - bytes_at(before));
  const std::uint32_t ids = page_bytes_ > 0 ? count : 0;
  while (pool_.free() < ids) {
    if (!evict_prefix(context)) return false;
  }
  while (!context.ledger.try_grow(own.reservation, more)) {
    if (!evict_prefix(context)) return false;
  }
  sequence.charged += more.count();
  for (std::uint32_t i = 0; i < count; ++i) {
    sequence.pages.push_back(page_bytes_ > 0 ? pool_.take() : kNoIndex);
  }
  return true;
}

bool StateMemory::bound_by_tenant(const Ledger& ledger, const Sequence& sequence,
                                  std::uint32_t count) const {
  const Own& own = tenants_[sequence.tenant.value()];
  const auto bound = ledger.limit(own.account);
  const std::int64_t before = own_pages(sequence);
  return bound &&
         ledger.used(own.account) + Bytes(bytes_at(before + count) - bytes_at(before)) > *bound;
}

void StateMemory::shed(Context& context, Sequence& sequence, std::uint32_t count) {
  const std::int64_t before = own_pages(sequence);
  MAIS_EXPECTS(count <= before, "more pages shed than the sequence has of its own");
  const Bytes less(bytes_at(before) - bytes_at(before - count));
  for (std::uint32_t i = 0; i < count; ++i) {
    if (page_bytes_ > 0) pool_.give_back(sequence.pages.back());
    sequence.pages.pop_back();
  }
  sequence.charged -= less.count();
  context.ledger.shrink(tenants_[sequence.tenant.value()].reservation, less);
}

void StateMemory::give_back(Context& context, Sequence& sequence) {
  shed(context, sequence, own_pages(sequence));
  // Deepest first: a block is left before the one that it hangs on.
  while (!sequence.nodes.empty()) {
    const bool wanted =
        sequence.nodes.size() <= sequence.shared_blocks || sequence.swapped != kNoIndex;
    const auto how = wanted ? PrefixCache::Wanted::yes : PrefixCache::Wanted::no;
    tier_.touch(cache_, sequence.nodes.back(), how);
    cache_.leave(sequence.nodes.back(), how);
    sequence.nodes.pop_back();
  }
  sequence.pages.clear();
  sequence.ready = Time{};
}

namespace {

// Guarantees go down before limits and up after them, so that each step is valid.
void must(const Result<Adjustment>& done) {
  MAIS_EXPECTS(done.has_value(), "a bound of an instance's state could not be set");
}

}  // namespace

// Of one tenant: tenants' guarantees shrink together when they do not all fit any more.
Bytes StateMemory::fair_guarantee(const Ledger& ledger, const Own& own) const {
  const Bytes guarantee = ledger.guarantee(state_);
  Bytes promised;
  for (const Own& each : tenants_) promised += each.guarantee;
  const Bytes fair = promised <= guarantee
                         ? own.guarantee
                         : own.guarantee * (static_cast<double>(guarantee.count()) /
                                            static_cast<double>(promised.count()));
  return std::min(fair, ledger.limit(own.account).value_or(fair));
}

void StateMemory::set_limit(Ledger& ledger, Bytes limit) const {
  limit = std::clamp(limit, Bytes(0), state_bytes_);
  const Bytes guarantee = std::min(limit, state_guarantee_);
  if (guarantee < ledger.guarantee(state_)) {
    must(ledger.set_guarantee(state_, guarantee));
    for (const Own& own : tenants_) {
      must(ledger.set_guarantee(own.account, fair_guarantee(ledger, own)));
    }
    must(ledger.set_guarantee(instance_, weights_ + workspace_ + guarantee));
    must(ledger.set_limit(state_, limit));
  } else {
    must(ledger.set_limit(state_, limit));
    must(ledger.set_guarantee(instance_, weights_ + workspace_ + guarantee));
    must(ledger.set_guarantee(state_, guarantee));
    for (const Own& own : tenants_) {
      must(ledger.set_guarantee(own.account, fair_guarantee(ledger, own)));
    }
  }
}

void StateMemory::set_bounds(Ledger& ledger, Bytes limit, Bytes guarantee) {
  state_guarantee_ = guarantee;
  set_limit(ledger, limit);
}

void StateMemory::set_tenant_limit(Ledger& ledger, TenantId tenant,
                                   std::optional<Bytes> limit) const {
  const Own& own = tenants_[tenant.value()];
  const Bytes before = ledger.guarantee(own.account);
  must(ledger.set_guarantee(own.account, std::min(before, limit.value_or(before))));
  must(ledger.set_limit(own.account, limit));
  must(ledger.set_guarantee(own.account, fair_guarantee(ledger, own)));
}

Bytes StateMemory::borrowed(const Ledger& ledger) const {
  return std::max(Bytes(0), ledger.used(state_) - ledger.guarantee(state_));
}

Bytes StateMemory::weights_lacking(const Ledger& ledger) const {
  return std::max(Bytes(0),
                  weights_ - ledger.size(weights_held_) - ledger.headroom(weights_account_));
}

Bytes StateMemory::workspace_lacking(const Ledger& ledger) const {
  return std::max(Bytes(0),
                  workspace_ - ledger.size(workspace_held_) - ledger.headroom(workspace_account_));
}

Bytes StateMemory::state_lacking(const Ledger& ledger, Bytes bytes) const {
  const Bytes promised = ledger.guarantee(state_) - ledger.used(state_);
  const Bytes scratch = workspace_ - ledger.size(workspace_held_);  // is taken first
  const Bytes room = ledger.headroom(instance_, Hold::revocable) - scratch;
  return std::clamp(std::min(bytes, promised) - room, Bytes(0), std::max(Bytes(0), promised));
}

bool StateMemory::take_workspace(Ledger& ledger, Bytes bytes) {
  return ledger.try_grow(workspace_held_, bytes);
}

void StateMemory::keep_workspace(Ledger& ledger, Bytes bytes) {
  ledger.shrink(workspace_held_, ledger.size(workspace_held_) - bytes);
}

void StateMemory::close(Context& context) {
  fresh_.clear();
  tier_.close(context.ledger, cache_);
  while (evict_prefix(context)) {
  }
  context.ledger.shrink(weights_held_, weights_);
}

bool StateMemory::reopen(Ledger& ledger) {
  return ledger.try_grow(weights_held_, weights_);
}

}  // namespace mais::core
