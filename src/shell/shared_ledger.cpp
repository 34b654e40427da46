#include "mais/shared_ledger.hpp"

#include <algorithm>
#include <bit>
#include <thread>

namespace mais {

namespace {

// A shard is open while its value is the bytes it holds, and closed while kClosed is added to that.
// Only a holder of the mutex closes, opens or takes from a closed shard; charges see too little in
// it and ask the ledger; what is given back is added either way.
constexpr std::int64_t kClosed = -(std::int64_t{1} << 62);

std::size_t shards_for(const SharedLedgerOptions& options) {
  const std::size_t wanted = options.shards.value_or(std::thread::hardware_concurrency());
  return std::bit_ceil(std::clamp<std::size_t>(wanted, 1, 1024));
}

// Threads are numbered as they come, so that few share a shard.
std::size_t thread_number() noexcept {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t number = next.fetch_add(1, std::memory_order_relaxed);
  return number;
}

}  // namespace

struct SharedLedger::Pool {
  struct alignas(64) Shard {
    std::atomic<std::int64_t> bytes{0};
  };

  Pool(std::size_t count, core::AccountId of, SpaceId in, core::ReservationId holds)
      : shards(count), account(of), space(in), reservation(holds) {}

  std::atomic<std::int64_t>& shard_of_thread() noexcept {
    return shards[thread_number() & (shards.size() - 1)].bytes;
  }
  bool closed() const noexcept { return shards.front().bytes.load() < 0; }

  std::vector<Shard> shards;
  const core::AccountId account;
  const SpaceId space;
  const core::ReservationId reservation;
};

SharedLedger::SharedLedger(core::Ledger& ledger, SharedLedgerOptions options)
    : ledger_(ledger), quantum_(options.quantum.count()), shard_count_(shards_for(options)) {
  MAIS_EXPECTS(options.quantum >= Bytes(0), "a quantum cannot be negative");
}

SharedLedger::~SharedLedger() {
  MAIS_EXPECTS(pools_.empty(), "a shared ledger is destroyed before its gates");
}

// --- Gates --------------------------------------------------------------------------------------

SharedLedger::Gate SharedLedger::open(core::AccountId account, core::Hold hold,
                                      double reclaim_cost) {
  const std::scoped_lock lock(mutex_);
  pools_.reserve(pools_.size() + 1);
  // Zero bytes are always granted.
  const core::ReservationId holds = *ledger_.try_reserve(account, Bytes(0), hold, reclaim_cost);
  pools_.push_back(std::make_unique<Pool>(shard_count_, account, ledger_.space(account), holds));
  Pool& pool = *pools_.back();
  for (Pool::Shard& shard : pool.shards) shard.bytes = kClosed;
  reopen_if_settled(pool);
  return Gate(*this, pool);
}

void SharedLedger::close_gate(Pool& pool) noexcept {
  const std::scoped_lock lock(mutex_);
  close(pool);
  collect(pool);
  MAIS_EXPECTS(ledger_.size(pool.reservation) == Bytes(0),
               "a gate is closed while bytes are still charged through it");
  ledger_.release(pool.reservation);
  std::erase_if(pools_, [&](const auto& other) { return other.get() == &pool; });
}

bool SharedLedger::Gate::try_charge(Bytes bytes) {
  return ledger_->charge(*pool_, bytes.count(), nullptr);
}

Result<SharedLedger::Charge> SharedLedger::Gate::charge(Bytes bytes) {
  Error why;
  if (ledger_->charge(*pool_, bytes.count(), &why)) return Charge(*ledger_, *pool_, bytes);
  return tl::unexpected(std::move(why));
}

void SharedLedger::Gate::give_back(Bytes bytes) noexcept {
  ledger_->give_back(*pool_, bytes.count());
}

core::ReservationId SharedLedger::Gate::reservation() const noexcept {
  return pool_->reservation;
}

// --- The hot path -------------------------------------------------------------------------------

bool SharedLedger::charge(Pool& pool, std::int64_t bytes, Error* why) {
  MAIS_EXPECTS(bytes >= 0, "a charge cannot be negative");
  if (bytes == 0) return true;
  std::atomic<std::int64_t>& shard = pool.shard_of_thread();
  std::int64_t held = shard.load();
  while (held >= bytes) {
    if (shard.compare_exchange_weak(held, held - bytes)) return true;
  }
  return charge_slowly(pool, bytes, why);
}

void SharedLedger::give_back(Pool& pool, std::int64_t bytes) noexcept {
  MAIS_EXPECTS(bytes >= 0, "bytes given back cannot be negative");
  std::atomic<std::int64_t>& shard = pool.shard_of_thread();
  const std::int64_t held = shard.fetch_add(bytes) + bytes;
  if (held < 0 || held > 2 * quantum_) trim(pool, shard);
}

// --- Under the mutex ----------------------------------------------------------------------------

bool SharedLedger::charge_slowly(Pool& pool, std::int64_t bytes, Error* why) {
  const std::scoped_lock lock(mutex_);
  if (pool.closed()) {
    collect(pool);
    reopen_if_settled(pool);
  }
  if (bytes < quantum_ && !pool.closed() &&
      ledger_.try_grow(pool.reservation, Bytes(bytes + quantum_))) {
    pool.shard_of_thread().fetch_add(quantum_);
    return true;
  }
  if (ledger_.try_grow(pool.reservation, Bytes(bytes))) return true;

  const Standstill standstill(*this, pool.space);
  if (ledger_.try_grow(pool.reservation, Bytes(bytes))) return true;
  if (why != nullptr) *why = ledger_.grow(pool.reservation, Bytes(bytes)).error();
  return false;
}

// Hands what is too much in a shard to the ledger, unless somebody holds the mutex: then he, or the
// next who lacks bytes, takes it.
void SharedLedger::trim(Pool& pool, std::atomic<std::int64_t>& shard) noexcept {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return;
  if (pool.closed()) {
    collect(pool);
    reopen_if_settled(pool);
    return;
  }
  std::int64_t held = shard.load();
  while (held > quantum_) {
    if (!shard.compare_exchange_weak(held, quantum_)) continue;
    ledger_.shrink(pool.reservation, Bytes(held - quantum_));
    return;
  }
}

void SharedLedger::close(Pool& pool) noexcept {
  if (pool.closed()) return;
  for (Pool::Shard& shard : pool.shards) shard.bytes.fetch_add(kClosed);
}

// From closed shards to the ledger.
void SharedLedger::collect(Pool& pool) noexcept {
  std::int64_t unused = 0;
  for (Pool::Shard& shard : pool.shards) {
    const std::int64_t held = shard.bytes.load() - kClosed;
    shard.bytes.fetch_sub(held);
    unused += held;
  }
  ledger_.shrink(pool.reservation, Bytes(unused));
}

void SharedLedger::reopen_if_settled(Pool& pool) noexcept {
  for (std::optional<core::AccountId> up = pool.account; up; up = ledger_.parent(*up)) {
    if (ledger_.settling(*up)) return;
  }
  for (Pool::Shard& shard : pool.shards) shard.bytes.fetch_sub(kClosed);
}

// First all are closed, then all are emptied: from the last closing on nothing is charged, so what
// the ledger counts afterwards was charged at one moment.
SharedLedger::Standstill::Standstill(SharedLedger& shared, std::optional<SpaceId> space)
    : shared_(shared), space_(space) {
  for (const auto& pool : shared_.pools_) {
    if (concerns(*pool)) shared_.close(*pool);
  }
  for (const auto& pool : shared_.pools_) {
    if (concerns(*pool)) shared_.collect(*pool);
  }
}

SharedLedger::Standstill::~Standstill() {
  for (const auto& pool : shared_.pools_) {
    if (concerns(*pool)) shared_.reopen_if_settled(*pool);
  }
}

bool SharedLedger::Standstill::concerns(const Pool& pool) const {
  return !space_ || pool.space == *space_;
}

}  // namespace mais
