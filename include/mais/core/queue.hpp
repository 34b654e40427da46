// The admission queue of one model: who is next, and who may not queue at all.
//
// Order of service:
//   1. *Lanes*, most urgent first: realtime, streaming, batch, then the same three again for
//      requests marked late (they can no longer be good and give way to all that can). With
//      ClassOrder::weighted the three classes of a tier share by weight instead.
//   2. In a lane, tenants by weighted fair share of the service they received (fair_share.hpp).
//   3. Within a tenant, by rank (the deadline, if no rank is given), arrival, id: a total order.
//
// *Ageing.* A request that has waited for the patience of its class is overdue. Overdue requests
// keep their place in the order above, and besides, at least one take in `overdue_every` goes to
// them: tenant by tenant in weighted turns, the longest overdue of each first. So nobody starves:
// with k requests of its tenant overdue for longer (later arrivals never get ahead of it), W the
// sum of the weights of the overdue tenants, T their number and w the weight of its own, an overdue
// request that is never blocked is taken after at most
//     overdue_every * ((k + 1) * W / w + T)   takes.
// (Each of its tenant's k + 1 turns raises the tenant's turn counter by 1 / w; meanwhile another
// tenant u gets at most w_u / w turns for each, and one more.) wait_bound() computes it.
//
// *Blocking.* A head that does not fit now is parked with block(): it costs nothing until memory is
// given back, and others go ahead of it. Once max_bypass requests that are not more urgent were
// taken while it was parked, nobody who is not more urgent is offered until it is taken. When it is
// the longest overdue of its tenant, nobody counts as more urgent. Exhausted requests go in the
// order in which their allowance ended.
//
// Nobody is more urgent by being a shorter request or another tenant's: the bound holds against
// them. In ClassOrder::weighted everybody of the same tier counts.
//
// Time enters through advance() only. A plain value: copyable, no clock, thread, random number or
// log; one user at a time. Everything is deterministic. n is the number queued, T the number of
// tenants; log n stands for log n + log T. After reserve() nothing allocates, except that a
// tenant's own heaps grow to the largest backlog it has had (see reserve_tenant).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "mais/config.hpp"
#include "mais/core/chunked_array.hpp"
#include "mais/core/fair_share.hpp"
#include "mais/core/indexed_heap.hpp"
#include "mais/units.hpp"

namespace mais::core {

struct TenantPolicy {
  double weight = 1;                        // share among the tenants of a class
  std::optional<std::size_t> max_queued{};  // requests of this tenant; none: no bound
};

struct QueuedRequest {
  RequestId id{};  // unique among those queued
  TenantId tenant{};
  ServiceClass service_class = ServiceClass::streaming;
  bool late = false;  // gives way to all that are not
  Time arrival{};
  std::optional<Time> deadline{};  // the order within a tenant where there is no rank
  std::optional<Time> expires{};   // dropped at this time if still queued
  std::optional<std::int64_t>
      rank{};     // smaller first; none: the deadline, none of that either: last
  Tokens work{};  // service charged when it is taken, and the measure of waits; the rest by serve()
};

// Names a queued request until it leaves the queue; a stale handle is recognised as such.
struct QueueHandle {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  bool operator==(const QueueHandle&) const noexcept = default;
};

struct TokensPerSecond {
  double value = 0;
};

// Why a request may not queue.
struct QueueRefusal {
  enum class Reason : std::uint8_t { queue_full, class_full, tenant_full, unknown_tenant };
  Reason reason = Reason::queue_full;
  std::size_t limit = 0;   // the bound that was met, in requests
  std::size_t queued = 0;  // how many it counts now
  // How long a request like this one would wait if there were room. None without a service rate.
  std::optional<Duration> estimated_wait{};
};

// A sentence for a person: which bound, its numbers, the wait.
std::string to_string(const QueueRefusal& refusal);

class AdmissionQueue {
 public:
  // Bounds, weights and patience are taken as they are; overdue_every 0 counts as 1.
  explicit AdmissionQueue(const QueueConfig& config = {});

  const QueueConfig& config() const noexcept { return config_; }

  // Declares a tenant, or changes its weight and bound; what it has queued stays. Ids are small
  // (indices): all below it exist afterwards, those not declared with the default policy.
  void set_tenant(TenantId tenant, const TenantPolicy& policy = {});
  std::size_t tenants() const noexcept { return tenants_.size(); }

  // Room for so many requests in all, and for so many of one tenant and class: nothing allocates
  // until there are more.
  void reserve(std::size_t requests);
  void reserve_tenant(TenantId tenant, ServiceClass service_class, std::size_t requests);

  // How fast the model serves, for estimates of waits; none (as at first): no estimates.
  void set_service_rate(std::optional<TokensPerSecond> rate) noexcept { rate_ = rate; }

  // --- What comes and goes ---

  // Queues a request, or says which bound it meets; a refusal changes nothing. O(log n); a refusal
  // O(T) for its estimate.
  tl::expected<QueueHandle, QueueRefusal> push(const QueuedRequest& request);

  // Queues a request that was admitted before (preempted, its device lost), whatever the bounds: it
  // has been accepted. Its arrival, and with it its age, is the first one. The tenant must be
  // declared. O(log n).
  QueueHandle readmit(const QueuedRequest& request);

  // Takes a request out, served nothing. False if the handle is stale. O(log n).
  bool cancel(QueueHandle handle);

  // Tells the time: marks the overdue, and appends to `expired` (in order of expiry) what has
  // expired and so left the queue. Time does not run backwards: an earlier `now` counts as the
  // latest told. O((expired + tenants that become overdue) log n).
  void advance(Time now, std::vector<QueuedRequest>& expired);

  // When the next queued request expires, if one does. O(1).
  std::optional<Time> next_expiry() const noexcept {
    if (expiries_.empty()) return std::nullopt;
    return Time(Duration(expiries_.top_value()));
  }

  // Changes the order of a queued request within its tenant. False if the handle is stale. Neither
  // changes its age. O(log n).
  bool rerank(QueueHandle handle, std::int64_t rank);
  bool set_late(QueueHandle handle, bool late);

  // --- Who is next ---

  // The next to be taken; none if nobody waits or all who do must let a blocked one go first. O(1).
  std::optional<QueueHandle> head() const noexcept;

  // Looks ahead: fills `out` with the head, then with the others in the order of lanes, tenants by
  // their counters as they are now, and ranks; stops before those that must let a blocked one go
  // first. Returns how many. Allocates nothing. O(k log k + T') for k places, T' the tenants looked
  // at. k is at most kMostAhead; more places are left untouched.
  static constexpr std::size_t kMostAhead = 64;
  std::size_t look_ahead(std::span<QueueHandle> out) const noexcept;

  // Takes a request out to be served, be it the head, another or a blocked one, charges its `work`
  // to its tenant and class, and counts as passing those that are parked. The handle must be good.
  // O(log n).
  QueuedRequest pop(QueueHandle handle);

  // The request does not fit now: parks it until unblock(). `need` is what would have to be free.
  // Parking one that is parked already changes its need only. The handle must be good. O(log n).
  void block(QueueHandle handle, Bytes need);

  // Memory was given back: all parked requests, or those whose need is at most `available`, are in
  // order again. Returns how many. O(1) when none is; O(log n) for each.
  std::size_t unblock();
  std::size_t unblock(Bytes available);

  // Adds service really received (also by requests that have left the queue) to the counters of a
  // tenant and class; negative takes back what pop() charged too much. O(log T).
  void serve(TenantId tenant, ServiceClass service_class, Tokens service);

  // --- What is there ---

  // The request, or null if the handle is stale. Valid until the next change. O(1).
  const QueuedRequest* find(QueueHandle handle) const noexcept;
  bool is_blocked(QueueHandle handle) const noexcept;

  bool empty() const noexcept { return queued_ == 0; }
  std::size_t size() const noexcept { return queued_; }  // blocked ones included, here and below
  std::size_t size(ServiceClass service_class) const noexcept;
  std::size_t size(TenantId tenant) const noexcept;
  std::size_t size(TenantId tenant, ServiceClass service_class) const noexcept;
  std::size_t blocked() const noexcept { return needs_.size(); }

  // Service queued, as declared by `work`.
  Tokens work(ServiceClass service_class) const noexcept;
  Tokens work(TenantId tenant, ServiceClass service_class) const noexcept;

  // How long a new request of this kind would wait: the work of more urgent classes, and of its own
  // class either all of it or what the tenant's share makes of the tenant's own, whichever is less.
  // What runs already is not in it. None without a service rate. O(T).
  std::optional<Duration> estimated_wait(TenantId tenant,
                                         ServiceClass service_class) const noexcept;

  // The most takes of the head, counted from when it is overdue, until this request is taken, if
  // nobody is blocked (see above; every declared tenant counts as overdue). None if the handle is
  // stale or its class has no patience. O(n).
  std::optional<std::uint64_t> wait_bound(QueueHandle handle) const;

  // Calls visit(handle, request) for all, in no meaningful but a deterministic order. O(n).
  template <class Visit>
  void for_each(Visit visit) const {
    for (std::uint32_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].state != State::free)
        visit(QueueHandle{i, slots_[i].generation}, slots_[i].request);
    }
  }

 private:
  static constexpr std::size_t kTiers = 2;  // in time, late
  static constexpr std::size_t kLanes = kTiers * kServiceClasses;
  // Who has to let an exhausted blocked request go first: 0 everybody, else who is in this lane
  // (plus one; tier plus one if weighted) or in one after it.
  static constexpr std::size_t kScopes = 1 + kLanes;
  static constexpr std::uint32_t kNone = 0xffffffff;

  enum class State : std::uint8_t {
    free,
    waiting,    // in the heap of its tenant and lane
    parked,     // blocked
    exhausted,  // may not be passed any more, and not blocked
  };

  // Two cache lines.
  struct alignas(64) Slot {
    QueuedRequest request;
    std::uint32_t generation = 0;
    std::uint32_t next_free = kNone;
    std::uint32_t age_position = 0;     // in the ages of its tenant
    std::uint32_t expiry_position = 0;  // in expiries_
    std::uint32_t need_position = 0;    // in needs_
    std::uint32_t bypass_left = 0;      // how often it may still be passed
    std::int64_t parked_order = 0;      // when it was parked first; 0: never
    State state = State::free;
    std::uint8_t scope = 0;  // of a parked or exhausted one
    bool ageing = false;     // in the ages of its tenant
  };
  static_assert(sizeof(Slot) == 128);
  using Slots = ChunkedArray<Slot>;

  // Where the heaps find the positions of requests, and the order of those of equal value.
  struct RankIndex {  // in a heap of ranks: by arrival, then id
    const Slots* slots;
    std::vector<std::uint32_t>* positions;
    std::uint32_t& position(std::uint32_t item) const noexcept { return (*positions)[item]; }
    bool before(std::uint32_t a, std::uint32_t b) const noexcept;
  };
  struct AllowanceIndex {  // in parked_ or exhausted_: by parking
    const Slots* slots;
    std::vector<std::uint32_t>* positions;
    std::uint32_t& position(std::uint32_t item) const noexcept { return (*positions)[item]; }
    bool before(std::uint32_t a, std::uint32_t b) const noexcept;
  };
  template <std::uint32_t Slot::*Position>
  struct IdIndex {  // all others: by id
    Slots* slots;
    std::uint32_t& position(std::uint32_t item) const noexcept { return (*slots)[item].*Position; }
    bool before(std::uint32_t a, std::uint32_t b) const noexcept {
      return (*slots)[a].request.id < (*slots)[b].request.id;
    }
  };
  struct TenantIndex;  // tenants, by their ids

  // What a tenant has in a lane; one cache line.
  struct alignas(64) TenantLane {
    IndexedHeap ranks;  // of those that wait
    Tokens work;        // blocked ones included, as below
    std::size_t queued = 0;
  };

  struct Tenant {
    std::array<TenantLane, kLanes> lanes;
    IndexedHeap ages;  // by the time they become overdue
    std::size_t queued = 0;
    TenantPolicy policy;
    bool awaits_overdue = false;          // in awaiting_overdue_
    std::uint32_t awaiting_position = 0;  // there
  };

  static_assert(sizeof(TenantLane) == 64);

  // What the exhausted ones of a scope leave to the others.
  struct Gate {
    bool closed = false;
    std::uint32_t first = kNone;  // who goes before everybody in the scope
  };

  const Slot* slot(QueueHandle handle) const noexcept;
  std::uint32_t checked(QueueHandle handle) const;
  QueueHandle handle_of(std::uint32_t item) const noexcept {
    return {item, slots_[item].generation};
  }
  static std::size_t lane_of(const QueuedRequest& request) noexcept;
  std::size_t scope_of(std::size_t lane) const noexcept;
  std::int64_t rank_of(const QueuedRequest& request) const noexcept;
  std::optional<Time> overdue_at(const QueuedRequest& request) const noexcept;

  RankIndex ranks_index() noexcept { return {&slots_, &rank_positions_}; }
  AllowanceIndex allowance_index() noexcept { return {&slots_, &rank_positions_}; }
  IdIndex<&Slot::age_position> ages_index() noexcept { return {&slots_}; }
  IdIndex<&Slot::expiry_position> expiries_index() noexcept { return {&slots_}; }
  IdIndex<&Slot::need_position> needs_index() noexcept { return {&slots_}; }
  TenantIndex tenants_index() noexcept;

  QueueHandle add(const QueuedRequest& request);
  void take_out(std::uint32_t item) noexcept;
  void join_lane(std::uint32_t item);
  void leave_lane(std::uint32_t item) noexcept;
  void enter_order(std::uint32_t item);
  void leave_order(std::uint32_t item) noexcept;
  void park(std::uint32_t item, std::size_t scope);
  void unpark(std::uint32_t item);
  void start_ageing(std::uint32_t item);
  void stop_ageing(std::uint32_t item) noexcept;
  void refresh_overdue(std::uint32_t tenant);
  void count_pass(std::size_t lane) noexcept;

  Gate gate(std::size_t scope) const noexcept;
  std::uint32_t overdue_candidate() const noexcept;
  std::uint32_t front_of_scope(std::size_t scope) const noexcept;
  std::uint32_t head_item() const noexcept;

  QueueConfig config_;
  Time now_ = Time(Duration::min());
  std::optional<TokensPerSecond> rate_;

  Slots slots_;
  std::uint32_t free_slots_ = kNone;
  std::size_t queued_ = 0;
  // In ranks, parked_ or exhausted_: a request is in one of them. Apart from the slots, because a
  // path down a large heap moves many.
  std::vector<std::uint32_t> rank_positions_;

  std::vector<Tenant> tenants_;
  std::array<FairShare, kLanes> shares_;        // of tenants in a lane
  std::array<FairShare, kTiers> class_shares_;  // of classes in a tier
  FairShare turns_;                             // of tenants among the overdue; one take is one
  IndexedHeap awaiting_overdue_;                // tenants, by when their next becomes overdue
  std::uint32_t since_overdue_ = 0;             // takes since the last that went to the overdue
  std::array<std::size_t, kLanes> lane_queued_{};
  std::array<Tokens, kServiceClasses> class_work_{};

  IndexedHeap expiries_;
  IndexedHeap needs_;                           // parked, by need
  std::array<IndexedHeap, kScopes> parked_;     // by when the allowance ends
  std::array<IndexedHeap, kScopes> exhausted_;  // likewise
  std::array<std::int64_t, kScopes> passes_{};  // takes that count against a scope
  std::int64_t parkings_ = 0;
};

}  // namespace mais::core
