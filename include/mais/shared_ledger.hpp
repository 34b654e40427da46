// A ledger that allocators on any thread charge at once.
//
//   SharedLedger shared(ledger);
//   SharedLedger::Gate gate = shared.open(kv_account);
//   if (gate.try_charge(64_KiB)) { ... gate.give_back(64_KiB); }
//
// A gate is the right to charge one account. It holds one reservation of the ledger and hands it
// out in small pieces from per-thread shards, so the common charge is one compare-and-swap on a
// cache line of its own; the ledger is asked, under a mutex, for a quantum at a time.
//
// Contract
//   Check, then charge: a request is compared with what is there before anything is taken, so a
//   request that is refused has never stood in the way of another.
//   Exact: what shards hold unused never refuses anybody. Before a refusal every shard of the space
//   is closed and its bytes are back in the ledger; a charge is refused only if at one moment
//   during the call the ledger, with every byte counted that is charged and no other, would refuse
//   it. Bounds hold at every moment: unused quanta are reserved, so the ledger counts them as used.
//   Giving back never allocates, waits, throws or fails.
//   While an account on the way up is settling (see core/ledger.hpp), its gates hold nothing back:
//   what is given back goes to the ledger and every charge asks it.
//
// An account's peak counts unused quanta too.
//
// Threads: every member of SharedLedger and Gate may be called from any thread; opening and closing
// a gate, exclusively() and a charge that finds its shard empty wait for one mutex, held for
// O(gates x shards) at most, and for as long as the callable of exclusively() runs. From
// construction to destruction the ledger is touched through this object only. Gates are closed
// before it is destroyed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "mais/core/ledger.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais {

struct SharedLedgerOptions {
  // What a shard asks for beyond the request that found it empty, and what it keeps. Larger charges
  // always ask the ledger.
  Bytes quantum = Bytes(1 << 20);
  // Shards of a gate, rounded up to a power of two; none: the number of hardware threads. Threads
  // beyond it share shards.
  std::optional<std::size_t> shards{};
};

class SharedLedger {
  struct Pool;

 public:
  // Bytes charged through a gate; gives them back when it goes. Goes before its gate does.
  class Charge;

  // The right to charge one account. Closing (destroying) it with bytes still charged aborts.
  class Gate {
   public:
    Gate() noexcept = default;  // charges nothing; only assign to it
    Gate(Gate&& other) noexcept { swap(other); }
    Gate& operator=(Gate&& other) noexcept {
      Gate(std::move(other)).swap(*this);
      return *this;
    }
    ~Gate() {
      if (pool_ != nullptr) ledger_->close_gate(*pool_);
    }

    // Charges `bytes` (>= 0), or nothing. For allocators, which know the size again when they free.
    bool try_charge(Bytes bytes);
    // The same as a value that gives itself back; the error is that of Ledger::grow.
    Result<Charge> charge(Bytes bytes);
    // Exactly what was charged, in the same or other pieces, from any thread. More than that
    // aborts, at the latest when the gate is closed.
    void give_back(Bytes bytes) noexcept;

    // What the ledger knows this gate by, for instance in a reclaim plan.
    core::ReservationId reservation() const noexcept;

   private:
    friend class SharedLedger;
    Gate(SharedLedger& ledger, Pool& pool) noexcept : ledger_(&ledger), pool_(&pool) {}
    void swap(Gate& other) noexcept {
      std::swap(ledger_, other.ledger_);
      std::swap(pool_, other.pool_);
    }
    SharedLedger* ledger_ = nullptr;
    Pool* pool_ = nullptr;
  };

  explicit SharedLedger(core::Ledger& ledger, SharedLedgerOptions options = {});
  SharedLedger(const SharedLedger&) = delete;
  SharedLedger& operator=(const SharedLedger&) = delete;
  ~SharedLedger();

  // A revocable gate may borrow; a reclaim plan that names its reservation asks the host to give
  // back through it.
  Gate open(core::AccountId account, core::Hold hold = core::Hold::firm, double reclaim_cost = 0);

  // Runs `use(Ledger&)` while nobody charges and no shard holds anything: the books are exact, and
  // bounds, accounts and other reservations may be changed. `use` must not call back into this
  // object or a gate. What it throws passes through.
  template <class Use>
  decltype(auto) exclusively(Use&& use) {
    const std::scoped_lock lock(mutex_);
    const Standstill standstill(*this, std::nullopt);
    return std::forward<Use>(use)(ledger_);
  }

 private:
  // Every shard (of one space, or of all) closed and empty, for as long as this lives.
  class Standstill {
   public:
    Standstill(SharedLedger& shared, std::optional<SpaceId> space);
    Standstill(const Standstill&) = delete;
    Standstill& operator=(const Standstill&) = delete;
    ~Standstill();

   private:
    bool concerns(const Pool& pool) const;
    SharedLedger& shared_;
    std::optional<SpaceId> space_;
  };

  bool charge(Pool& pool, std::int64_t bytes, Error* why);
  bool charge_slowly(Pool& pool, std::int64_t bytes, Error* why);
  void give_back(Pool& pool, std::int64_t bytes) noexcept;
  void trim(Pool& pool, std::atomic<std::int64_t>& shard) noexcept;
  void close_gate(Pool& pool) noexcept;
  void close(Pool& pool) noexcept;
  void reopen_if_settled(Pool& pool) noexcept;
  void collect(Pool& pool) noexcept;

  core::Ledger& ledger_;
  const std::int64_t quantum_;
  const std::size_t shard_count_;
  std::mutex mutex_;  // guards ledger_ and pools_; shards are atomic
  std::vector<std::unique_ptr<Pool>> pools_;
};

class SharedLedger::Charge {
 public:
  Charge() noexcept = default;  // nothing
  Charge(Charge&& other) noexcept { swap(other); }
  Charge& operator=(Charge&& other) noexcept {
    Charge(std::move(other)).swap(*this);
    return *this;
  }
  ~Charge() {
    if (pool_ != nullptr) ledger_->give_back(*pool_, bytes_.count());
  }

  Bytes bytes() const noexcept { return bytes_; }

 private:
  friend class Gate;
  Charge(SharedLedger& ledger, Pool& pool, Bytes bytes) noexcept
      : ledger_(&ledger), pool_(&pool), bytes_(bytes) {}
  void swap(Charge& other) noexcept {
    std::swap(ledger_, other.ledger_);
    std::swap(pool_, other.pool_);
    std::swap(bytes_, other.bytes_);
  }
  SharedLedger* ledger_ = nullptr;
  Pool* pool_ = nullptr;
  Bytes bytes_{};
};

}  // namespace mais
