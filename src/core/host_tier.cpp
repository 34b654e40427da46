#include "core/host_tier.hpp"

#include <algorithm>

namespace mais::core {

namespace {

// A measurement counts as much as so many pages of what was believed before it, and as at most so
// many times as long or as short as that.
constexpr double kBelieved = 64;
constexpr double kFarthest = 4;

// None where both spaces are one memory: nothing has to move.
Duration page_time(const Link* link, Bytes page) {
  return link == nullptr ? Duration::zero() : page / link->bandwidth + link->latency;
}

}  // namespace

Result<HostTier> HostTier::open(Ledger& ledger, const Config& config, InstanceId id,
                                std::uint32_t pages_per_block) {
  const Instance& instance = config.instances[id.value()];
  HostTier tier;
  const Bytes page = config.models[instance.model.value()].page_bytes(instance.block);
  if (!instance.host_tier || page <= Bytes(0)) return tier;
  const std::int64_t pages = std::min<std::int64_t>(instance.host_state / page, 1 << 28);
  if (pages < pages_per_block) return tier;

  auto account =
      ledger.add_account(ledger.root(*instance.host_tier),
                         {.name = instance.name + " tier", .limit = instance.host_state});
  if (!account) return tl::unexpected<Error>(std::move(account.error()));
  auto held = ledger.reserve(*account, Bytes(0), Hold::revocable);
  if (!held) return tl::unexpected<Error>(std::move(held.error()));
  tier.account_ = *account;
  tier.held_ = *held;
  tier.page_bytes_ = page;
  tier.pages_ = PagePool(static_cast<std::uint32_t>(pages));
  tier.cache_ = PrefixCache(pages_per_block);
  const SpaceId device = config.machine.devices[instance.device.value()].space;
  tier.out_.page_time = page_time(config.machine.link(device, *instance.host_tier), page);
  tier.in_.page_time = page_time(config.machine.link(*instance.host_tier, device), page);
  return tier;
}

double HostTier::seconds_in(std::int64_t blocks) const noexcept {
  return to_seconds(in_.page_time) * static_cast<double>(blocks) * cache_.pages_per_block();
}

double HostTier::seconds_in(Time now, std::int64_t blocks) const noexcept {
  return std::max(0.0, to_seconds(in_.free - now)) + seconds_in(blocks);
}

double HostTier::seconds_through(Time now, std::int64_t blocks) const noexcept {
  const double copying =
      to_seconds(out_.page_time) * static_cast<double>(blocks) * cache_.pages_per_block();
  return std::max(0.0, to_seconds(out_.free - now)) + copying + seconds_in(blocks);
}

void HostTier::moves_measured(StateMove::Kind kind, std::int64_t pages, Duration took) noexcept {
  if (pages <= 0 || took <= Duration::zero()) return;
  Duration& believed = (kind == StateMove::Kind::out ? out_ : in_).page_time;
  const auto before = static_cast<double>(believed.count());
  const auto count = static_cast<double>(pages);
  const double measured = static_cast<double>(took.count()) / count;
  if (before <= 0) {
    believed = Duration(static_cast<std::int64_t>(measured));
    return;
  }
  const double taken = std::clamp(measured, before / kFarthest, before * kFarthest);
  const double after = before + (taken - before) * count / (count + kBelieved);
  believed = std::max(Duration(static_cast<std::int64_t>(after)), Duration(1));
}

// --- Copies -------------------------------------------------------------------------------------

bool HostTier::take_pages(Ledger& ledger) {
  while (pages_.free() < cache_.pages_per_block()) {
    if (!evict(ledger)) return false;
  }
  while (!ledger.try_grow(held_, block_bytes())) {
    if (!evict(ledger)) return false;
  }
  taken_.clear();
  for (std::uint32_t i = 0; i < cache_.pages_per_block(); ++i) taken_.push_back(pages_.take());
  return true;
}

bool HostTier::evict(Ledger& ledger) {
  freed_.clear();
  if (!exists() || cache_.evict(freed_) == PrefixCache::kNoNode) return false;
  for (const std::uint32_t page : freed_) pages_.give_back(page);
  ledger.shrink(held_, block_bytes());
  return true;
}

void HostTier::start(Direction& way, Time now, StateMove::Kind kind, PrefixCache& pool, Node block,
                     Node host) {
  const auto from = pool.pages(block);
  const auto to = cache_.pages(host);
  way.free = std::max(way.free, now);
  for (std::size_t i = 0; i < from.size(); ++i) {
    moves_.push_back({.kind = kind, .block = from[i], .host_block = to[i]});
    way.free = saturating_add(way.free, way.page_time);
  }
  pool.set_busy(block, true);
  cache_.set_busy(host, true);
  way.landings.push_back({.done = way.free, .pool = block, .host = host});
}

void HostTier::copy_out(Context& context, PrefixCache& pool, Node block) {
  if (!exists()) return;
  chain_.clear();
  Node above = PrefixCache::kNoNode;  // the last that is here
  for (Node at = block; at != PrefixCache::kNoNode; at = pool.parent(at)) {
    above = cache_.find(pool.hash(at));
    if (above != PrefixCache::kNoNode) break;
    chain_.push_back(at);
  }
  for (; !chain_.empty(); chain_.pop_back()) {
    const Node next = chain_.back();
    // Its parent must not be dropped to make room for it.
    if (above != PrefixCache::kNoNode) cache_.use(above);
    const bool fits = take_pages(context.ledger);
    const Node host = fits ? cache_.insert(above, pool.hash(next), taken_, pool.cost(next))
                           : PrefixCache::kNoNode;
    if (above != PrefixCache::kNoNode) cache_.leave(above);
    if (!fits) return;
    start(out_, context.now, StateMove::Kind::out, pool, next, host);
    cache_.leave(host);
    above = host;
  }
}

void HostTier::copy_in(Time now, PrefixCache& pool, Node block) {
  const Node host = cache_.find(pool.hash(block));
  MAIS_EXPECTS(host != PrefixCache::kNoNode, "a block was fetched that is not in the host tier");
  start(in_, now, StateMove::Kind::in, pool, block, host);
  if (arrivals_.size() <= block) arrivals_.resize(block + 1);
  arrivals_[block] = in_.free;
}

HostTier::Node HostTier::keep(BlockHash hash) {
  if (!exists()) return PrefixCache::kNoNode;
  const Node node = cache_.find(hash);
  if (node != PrefixCache::kNoNode) cache_.use(node);
  return node;
}

void HostTier::touch(const PrefixCache& pool, Node block, PrefixCache::Wanted wanted) {
  if (!exists()) return;
  const Node node = cache_.find(pool.hash(block));
  if (node == PrefixCache::kNoNode) return;
  cache_.use(node);
  if (pool.reused(block)) cache_.mark_reused(node);
  cache_.leave(node, wanted);
}

void HostTier::land(Direction& way, Time now, PrefixCache& pool) {
  while (way.first < way.landings.size() && way.landings[way.first].done <= now) {
    const Landing& landing = way.landings[way.first++];
    pool.set_busy(landing.pool, false);
    cache_.set_busy(landing.host, false);
    if (&way == &in_) arrivals_[landing.pool] = Time{};
  }
  // Those that landed are forgotten when they are the larger part.
  if (2 * way.first >= way.landings.size()) {
    way.landings.erase(way.landings.begin(),
                       way.landings.begin() + static_cast<std::ptrdiff_t>(way.first));
    way.first = 0;
  }
}

void HostTier::land(Time now, PrefixCache& pool) {
  land(out_, now, pool);
  land(in_, now, pool);
}

std::optional<Time> HostTier::next_landing() const noexcept {
  std::optional<Time> next;
  for (const Direction* way : {&out_, &in_}) {
    if (way->first == way->landings.size()) continue;
    const Time done = way->landings[way->first].done;
    next = next ? std::min(*next, done) : done;
  }
  return next;
}

void HostTier::take_moves(std::vector<StateMove>& moves) {
  moves.insert(moves.end(), moves_.begin(), moves_.end());
  moves_.clear();
}

// --- Bounds -------------------------------------------------------------------------------------

Bytes HostTier::give_way(Ledger& ledger, Bytes bytes) {
  const Bytes before = used(ledger);
  while (before - used(ledger) < bytes && evict(ledger)) {
  }
  return before - used(ledger);
}

void HostTier::settle(Ledger& ledger) {
  if (!exists()) return;
  for (std::optional<AccountId> at = account_; at; at = ledger.parent(*at)) {
    while (ledger.settling(*at) && ledger.used(*at) > *ledger.limit(*at) && evict(ledger)) {
    }
  }
}

void HostTier::close(Ledger& ledger, PrefixCache& pool) {
  moves_.clear();
  if (!exists()) return;
  land(Time::max(), pool);
  out_.free = in_.free = Time{};
  while (evict(ledger)) {
  }
}

}  // namespace mais::core
