#include "mais/core/queue.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "mais/result.hpp"

namespace mais::core {

namespace {

std::size_t index(ServiceClass service_class) noexcept {
  return static_cast<std::size_t>(service_class);
}

std::int64_t ticks(Time time) noexcept {
  return time.time_since_epoch().count();
}

}  // namespace

std::string to_string(const QueueRefusal& refusal) {
  std::string text;
  switch (refusal.reason) {
    case QueueRefusal::Reason::queue_full:
      text = "The queue is full";
      break;
    case QueueRefusal::Reason::class_full:
      text = "The queue of this service class is full";
      break;
    case QueueRefusal::Reason::tenant_full:
      text = "The tenant has as many requests queued as it may";
      break;
    case QueueRefusal::Reason::unknown_tenant:
      return "The tenant was never declared; declare it with set_tenant().";
  }
  text += ": " + std::to_string(refusal.queued) + " queued, at most " +
          std::to_string(refusal.limit) + ".";
  if (refusal.estimated_wait) {
    const auto tenths = refusal.estimated_wait->count() / 100'000'000;
    text += " With room it would wait about " + std::to_string(tenths / 10) + "." +
            std::to_string(tenths % 10) + " s.";
  }
  return text;
}

AdmissionQueue::AdmissionQueue(const QueueConfig& config) : config_(config) {
  config_.overdue_every = std::max(config_.overdue_every, std::uint32_t{1});
  for (FairShare& share : class_shares_) {
    for (const ClassPolicy& policy : config_.classes) share.add(policy.weight);
  }
}

// --- Tenants, sizes and estimates ---

void AdmissionQueue::set_tenant(TenantId tenant, const TenantPolicy& policy) {
  const std::size_t id = tenant.value();
  while (tenants_.size() <= id) {
    tenants_.emplace_back();
    for (FairShare& share : shares_) share.add(TenantPolicy{}.weight);
    turns_.add(TenantPolicy{}.weight);
  }
  awaiting_overdue_.reserve(tenants_.capacity());
  tenants_[id].policy = policy;
  for (FairShare& share : shares_) share.set_weight(tenant.value(), policy.weight);
  turns_.set_weight(tenant.value(), policy.weight);
}

void AdmissionQueue::reserve(std::size_t requests) {
  slots_.reserve(requests);
  rank_positions_.reserve(requests);
  expiries_.reserve(requests);
}

void AdmissionQueue::reserve_tenant(TenantId tenant, ServiceClass service_class,
                                    std::size_t requests) {
  MAIS_EXPECTS(tenant.value() < tenants_.size(), "reserve_tenant() of a tenant never declared");
  Tenant& state = tenants_[tenant.value()];
  state.lanes[index(service_class)].ranks.reserve(requests);
  if (config_.classes[index(service_class)].patience) {
    std::size_t ageing = 0;
    for (const TenantLane& lane : state.lanes) ageing += lane.ranks.capacity();
    state.ages.reserve(ageing);
  }
}

std::size_t AdmissionQueue::size(ServiceClass service_class) const noexcept {
  return lane_queued_[index(service_class)] + lane_queued_[index(service_class) + kServiceClasses];
}

std::size_t AdmissionQueue::size(TenantId tenant, ServiceClass service_class) const noexcept {
  if (tenant.value() >= tenants_.size()) return 0;
  const auto& lanes = tenants_[tenant.value()].lanes;
  return lanes[index(service_class)].queued + lanes[index(service_class) + kServiceClasses].queued;
}

std::size_t AdmissionQueue::size(TenantId tenant) const noexcept {
  return tenant.value() < tenants_.size() ? tenants_[tenant.value()].queued : 0;
}

Tokens AdmissionQueue::work(ServiceClass service_class) const noexcept {
  return class_work_[index(service_class)];
}

Tokens AdmissionQueue::work(TenantId tenant, ServiceClass service_class) const noexcept {
  if (tenant.value() >= tenants_.size()) return Tokens(0);
  const auto& lanes = tenants_[tenant.value()].lanes;
  return lanes[index(service_class)].work + lanes[index(service_class) + kServiceClasses].work;
}

std::optional<Duration> AdmissionQueue::estimated_wait(TenantId tenant,
                                                       ServiceClass service_class) const noexcept {
  if (!rate_ || !(rate_->value > 0) || tenant.value() >= tenants_.size()) return std::nullopt;
  const std::size_t own = index(service_class);
  double weights = tenants_[tenant.value()].policy.weight;
  for (std::uint32_t other = 0; other < tenants_.size(); ++other) {
    if (other != tenant.value() && size(TenantId(other), service_class) > 0) {
      weights += tenants_[other].policy.weight;
    }
  }
  const double share = tenants_[tenant.value()].policy.weight / weights;
  const double mine = static_cast<double>(work(tenant, service_class).count());
  const double all = static_cast<double>(class_work_[own].count());
  double ahead = share > 0 ? std::min(all, mine / share) : all;
  if (config_.order == ClassOrder::strict) {
    for (std::size_t i = 0; i < own; ++i) ahead += static_cast<double>(class_work_[i].count());
  } else {
    // Of the service, the class gets what its weight makes among those that wait.
    double class_weights = config_.classes[own].weight;
    double everything = all;
    for (const ServiceClass other : kAllServiceClasses) {
      if (other == service_class || size(other) == 0) continue;
      class_weights += config_.classes[index(other)].weight;
      everything += static_cast<double>(class_work_[index(other)].count());
    }
    ahead = std::min(everything, ahead * class_weights / config_.classes[own].weight);
  }
  return from_seconds(ahead / rate_->value);
}

std::optional<std::uint64_t> AdmissionQueue::wait_bound(QueueHandle handle) const {
  const Slot* found = slot(handle);
  if (found == nullptr) return std::nullopt;
  const auto own_time = overdue_at(found->request);
  if (!own_time) return std::nullopt;
  std::uint64_t turns = 1;  // its own, and those of its tenant's requests that are older
  for (std::size_t item = 0; item < slots_.size(); ++item) {
    const Slot& other = slots_[item];
    if (other.state == State::free || other.request.tenant != found->request.tenant) continue;
    const auto time = overdue_at(other.request);
    if (time && std::pair(*time, other.request.id) < std::pair(*own_time, found->request.id)) {
      ++turns;
    }
  }
  const std::uint32_t tenant = found->request.tenant.value();
  const auto price = static_cast<std::uint64_t>(turns_.price(tenant));
  std::uint64_t takes = turns;
  for (std::uint32_t other = 0; other < tenants_.size(); ++other) {
    if (other != tenant)
      takes += turns * price / static_cast<std::uint64_t>(turns_.price(other)) + 1;
  }
  return takes * config_.overdue_every;
}

// --- Slots, lanes and keys ---

const AdmissionQueue::Slot* AdmissionQueue::slot(QueueHandle handle) const noexcept {
  if (handle.slot >= slots_.size()) return nullptr;
  const Slot& found = slots_[handle.slot];
  return found.state != State::free && found.generation == handle.generation ? &found : nullptr;
}

std::uint32_t AdmissionQueue::checked(QueueHandle handle) const {
  MAIS_EXPECTS(slot(handle) != nullptr, "the handle names no queued request");
  return handle.slot;
}

const QueuedRequest* AdmissionQueue::find(QueueHandle handle) const noexcept {
  const Slot* found = slot(handle);
  return found == nullptr ? nullptr : &found->request;
}

bool AdmissionQueue::is_blocked(QueueHandle handle) const noexcept {
  const Slot* found = slot(handle);
  return found != nullptr && found->state == State::parked;
}

std::size_t AdmissionQueue::lane_of(const QueuedRequest& request) noexcept {
  return index(request.service_class) + (request.late ? kServiceClasses : 0);
}

std::size_t AdmissionQueue::scope_of(std::size_t lane) const noexcept {
  return 1 + (config_.order == ClassOrder::strict ? lane : lane / kServiceClasses);
}

std::int64_t AdmissionQueue::rank_of(const QueuedRequest& request) const noexcept {
  if (request.rank) return *request.rank;
  return request.deadline ? ticks(*request.deadline) : std::numeric_limits<std::int64_t>::max();
}

std::optional<Time> AdmissionQueue::overdue_at(const QueuedRequest& request) const noexcept {
  const auto& patience = config_.classes[index(request.service_class)].patience;
  if (!patience) return std::nullopt;
  return saturating_add(request.arrival, *patience);
}

bool AdmissionQueue::RankIndex::before(std::uint32_t a, std::uint32_t b) const noexcept {
  const QueuedRequest& first = (*slots)[a].request;
  const QueuedRequest& second = (*slots)[b].request;
  return first.arrival != second.arrival ? first.arrival < second.arrival : first.id < second.id;
}

bool AdmissionQueue::AllowanceIndex::before(std::uint32_t a, std::uint32_t b) const noexcept {
  return (*slots)[a].parked_order < (*slots)[b].parked_order;
}

struct AdmissionQueue::TenantIndex {
  std::vector<Tenant>* tenants;
  std::uint32_t& position(std::uint32_t tenant) const noexcept {
    return (*tenants)[tenant].awaiting_position;
  }
  bool before(std::uint32_t a, std::uint32_t b) const noexcept { return a < b; }
};

AdmissionQueue::TenantIndex AdmissionQueue::tenants_index() noexcept {
  return {&tenants_};
}

// --- In and out of the structures ---

QueueHandle AdmissionQueue::add(const QueuedRequest& request) {
  std::uint32_t item = free_slots_;
  if (item == kNone) {
    item = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
    rank_positions_.push_back(0);
  } else {
    free_slots_ = slots_[item].next_free;
  }
  const Tenant& tenant = tenants_[request.tenant.value()];
  tenant.lanes[lane_of(request)].ranks.fetch_end();
  tenant.ages.fetch_end();
  Slot& fresh = slots_[item];
  fresh.request = request;
  fresh.bypass_left = config_.max_bypass;
  fresh.parked_order = 0;
  fresh.state = State::waiting;
  ++queued_;
  join_lane(item);
  enter_order(item);
  start_ageing(item);
  if (request.expires) {
    expiries_.push(ticks(*request.expires), item, expiries_index());
  }
  return handle_of(item);
}

void AdmissionQueue::take_out(std::uint32_t item) noexcept {
  Slot& gone = slots_[item];
  const Tenant& tenant = tenants_[gone.request.tenant.value()];
  __builtin_prefetch(&tenant.ages);
  if (gone.request.expires) {
    expiries_.fetch(gone.expiry_position);
    expiries_.fetch_end();
  }
  tenant.lanes[lane_of(gone.request)].ranks.fetch_end();
  if (gone.ageing) {
    tenant.ages.fetch(gone.age_position);
    tenant.ages.fetch_end();
  }
  switch (gone.state) {
    case State::waiting:
      leave_order(item);
      break;
    case State::parked:
      parked_[gone.scope].remove(item, allowance_index());
      needs_.remove(item, needs_index());
      break;
    case State::exhausted:
      exhausted_[gone.scope].remove(item, allowance_index());
      break;
    case State::free:
      break;
  }
  stop_ageing(item);
  if (gone.request.expires) expiries_.remove(item, expiries_index());
  leave_lane(item);
  gone.state = State::free;
  ++gone.generation;
  gone.next_free = free_slots_;
  free_slots_ = item;
  --queued_;
}

// Counts it in its lane; a tenant or class that had nothing there starts even with the others.
void AdmissionQueue::join_lane(std::uint32_t item) {
  const QueuedRequest& request = slots_[item].request;
  const std::size_t lane = lane_of(request);
  Tenant& tenant = tenants_[request.tenant.value()];
  ++tenant.queued;
  if (tenant.lanes[lane].queued++ == 0) shares_[lane].lift(request.tenant.value());
  if (lane_queued_[lane]++ == 0) {
    class_shares_[lane / kServiceClasses].lift(
        static_cast<FairShare::Member>(lane % kServiceClasses));
  }
  tenant.lanes[lane].work += request.work;
  class_work_[index(request.service_class)] += request.work;
}

void AdmissionQueue::leave_lane(std::uint32_t item) noexcept {
  const QueuedRequest& request = slots_[item].request;
  const std::size_t lane = lane_of(request);
  Tenant& tenant = tenants_[request.tenant.value()];
  --tenant.queued;
  --tenant.lanes[lane].queued;
  --lane_queued_[lane];
  tenant.lanes[lane].work -= request.work;
  class_work_[index(request.service_class)] -= request.work;
}

void AdmissionQueue::enter_order(std::uint32_t item) {
  const QueuedRequest& request = slots_[item].request;
  const std::size_t lane = lane_of(request);
  auto& ranks = tenants_[request.tenant.value()].lanes[lane].ranks;
  ranks.push(rank_of(request), item, ranks_index());
  if (ranks.size() > 1) return;
  shares_[lane].insert(request.tenant.value());
  class_shares_[lane / kServiceClasses].insert(
      static_cast<FairShare::Member>(lane % kServiceClasses));
}

void AdmissionQueue::leave_order(std::uint32_t item) noexcept {
  const QueuedRequest& request = slots_[item].request;
  const std::size_t lane = lane_of(request);
  auto& ranks = tenants_[request.tenant.value()].lanes[lane].ranks;
  ranks.remove(item, ranks_index());
  if (!ranks.empty()) return;
  shares_[lane].remove(request.tenant.value());
  if (shares_[lane].empty()) {
    class_shares_[lane / kServiceClasses].remove(
        static_cast<FairShare::Member>(lane % kServiceClasses));
  }
}

// --- Ageing ---

void AdmissionQueue::start_ageing(std::uint32_t item) {
  Slot& ageing = slots_[item];
  const auto time = overdue_at(ageing.request);
  if (!time) return;
  const std::uint32_t tenant = ageing.request.tenant.value();
  ageing.ageing = true;
  tenants_[tenant].ages.push(ticks(*time), item, ages_index());
  if (tenants_[tenant].ages.top() == item) refresh_overdue(tenant);
}

void AdmissionQueue::stop_ageing(std::uint32_t item) noexcept {
  Slot& ageing = slots_[item];
  if (!ageing.ageing) return;
  const std::uint32_t tenant = ageing.request.tenant.value();
  ageing.ageing = false;
  const bool first = tenants_[tenant].ages.top() == item;
  tenants_[tenant].ages.remove(item, ages_index());
  if (first) refresh_overdue(tenant);
}

// Files a tenant under what the oldest of its requests calls for: nothing, a date, or a turn.
void AdmissionQueue::refresh_overdue(std::uint32_t id) {
  Tenant& tenant = tenants_[id];
  while (!tenant.ages.empty() && tenant.ages.top_value() <= ticks(now_) &&
         slots_[tenant.ages.top()].state == State::parked) {
    // Blocked and overdue: from now on nobody is more urgent.
    const std::uint32_t item = tenant.ages.top();
    Slot& blocked = slots_[item];
    const std::int64_t left =
        parked_[blocked.scope].value(rank_positions_[item]) - passes_[blocked.scope];
    tenant.ages.remove(item, ages_index());
    blocked.ageing = false;
    parked_[blocked.scope].remove(item, allowance_index());
    blocked.bypass_left = static_cast<std::uint32_t>(std::max(left, std::int64_t{0}));
    park(item, 0);
  }
  const bool overdue = !tenant.ages.empty() && tenant.ages.top_value() <= ticks(now_);
  const bool awaits = !tenant.ages.empty() && !overdue;
  if (overdue != turns_.waits(id)) {
    if (overdue) {
      turns_.lift(id);
      turns_.insert(id);
    } else {
      turns_.remove(id);
    }
  }
  if (tenant.awaits_overdue && !awaits) {
    awaiting_overdue_.remove(id, tenants_index());
  } else if (awaits) {
    const std::int64_t time = tenant.ages.top_value();
    if (tenant.awaits_overdue) {
      awaiting_overdue_.update(id, time, tenants_index());
    } else {
      awaiting_overdue_.push(time, id, tenants_index());
    }
  }
  tenant.awaits_overdue = awaits;
}

void AdmissionQueue::advance(Time now, std::vector<QueuedRequest>& expired) {
  now_ = std::max(now_, now);
  while (!expiries_.empty() && expiries_.top_value() <= ticks(now_)) {
    const std::uint32_t item = expiries_.top();
    expired.push_back(slots_[item].request);
    take_out(item);
  }
  while (!awaiting_overdue_.empty() && awaiting_overdue_.top_value() <= ticks(now_)) {
    refresh_overdue(awaiting_overdue_.top());
  }
}

// --- Coming and going ---

tl::expected<QueueHandle, QueueRefusal> AdmissionQueue::push(const QueuedRequest& request) {
  using Reason = QueueRefusal::Reason;
  const auto refuse = [&](Reason reason, std::size_t limit, std::size_t queued) {
    return tl::unexpected<QueueRefusal>(
        QueueRefusal{reason, limit, queued, estimated_wait(request.tenant, request.service_class)});
  };
  if (request.tenant.value() >= tenants_.size()) {
    return refuse(Reason::unknown_tenant, tenants_.size(), 0);
  }
  const Tenant& tenant = tenants_[request.tenant.value()];
  __builtin_prefetch(&tenant.lanes[lane_of(request)], 1);
  __builtin_prefetch(&tenant.ages, 1);
  const auto& tenant_limit = tenant.policy.max_queued;
  if (tenant_limit && size(request.tenant) >= *tenant_limit) {
    return refuse(Reason::tenant_full, *tenant_limit, size(request.tenant));
  }
  const auto& class_limit = config_.classes[index(request.service_class)].max_queued;
  if (class_limit && size(request.service_class) >= *class_limit) {
    return refuse(Reason::class_full, *class_limit, size(request.service_class));
  }
  if (queued_ >= config_.max_queued) {
    return refuse(Reason::queue_full, config_.max_queued, queued_);
  }
  return add(request);
}

QueueHandle AdmissionQueue::readmit(const QueuedRequest& request) {
  MAIS_EXPECTS(request.tenant.value() < tenants_.size(), "readmit() for a tenant never declared");
  return add(request);
}

bool AdmissionQueue::cancel(QueueHandle handle) {
  if (slot(handle) == nullptr) return false;
  take_out(handle.slot);
  return true;
}

bool AdmissionQueue::rerank(QueueHandle handle, std::int64_t rank) {
  if (slot(handle) == nullptr) return false;
  Slot& changed = slots_[handle.slot];
  changed.request.rank = rank;
  if (changed.state == State::waiting) {
    tenants_[changed.request.tenant.value()].lanes[lane_of(changed.request)].ranks.update(
        handle.slot, rank_of(changed.request), ranks_index());
  }
  return true;
}

bool AdmissionQueue::set_late(QueueHandle handle, bool late) {
  if (slot(handle) == nullptr) return false;
  const std::uint32_t item = handle.slot;
  Slot& changed = slots_[item];
  if (changed.request.late == late) return true;
  if (changed.state == State::waiting) leave_order(item);
  leave_lane(item);
  changed.request.late = late;
  join_lane(item);
  const std::size_t scope = scope_of(lane_of(changed.request));
  if (changed.state == State::waiting) {
    enter_order(item);
  } else if (changed.scope != 0 && changed.state == State::parked) {
    const std::int64_t left =
        parked_[changed.scope].value(rank_positions_[item]) - passes_[changed.scope];
    parked_[changed.scope].remove(item, allowance_index());
    changed.bypass_left = static_cast<std::uint32_t>(std::max(left, std::int64_t{0}));
    park(item, scope);
  } else if (changed.scope != 0) {
    exhausted_[changed.scope].remove(item, allowance_index());
    changed.scope = static_cast<std::uint8_t>(scope);
    exhausted_[scope].push(passes_[scope], item, allowance_index());
  }
  return true;
}

QueuedRequest AdmissionQueue::pop(QueueHandle handle) {
  const std::uint32_t item = checked(handle);
  const QueuedRequest request = slots_[item].request;
  const bool overdue_turn = overdue_candidate() == item;
  take_out(item);
  if (overdue_turn) {
    since_overdue_ = 0;
    turns_.charge(request.tenant.value(), 1);
  } else if (since_overdue_ < config_.overdue_every) {
    ++since_overdue_;
  }
  count_pass(lane_of(request));
  serve(request.tenant, request.service_class, request.work);
  return request;
}

void AdmissionQueue::serve(TenantId tenant, ServiceClass service_class, Tokens service) {
  MAIS_EXPECTS(tenant.value() < tenants_.size(), "serve() for a tenant never declared");
  const std::size_t lane = index(service_class);
  for (std::size_t tier = 0; tier < kTiers; ++tier) {
    shares_[lane + tier * kServiceClasses].charge(tenant.value(), service.count());
    if (config_.order == ClassOrder::weighted) {
      class_shares_[tier].charge(static_cast<FairShare::Member>(lane), service.count());
    }
  }
}

// --- Blocking ---

void AdmissionQueue::park(std::uint32_t item, std::size_t scope) {
  Slot& blocked = slots_[item];
  blocked.state = State::parked;
  blocked.scope = static_cast<std::uint8_t>(scope);
  parked_[scope].push(passes_[scope] + blocked.bypass_left, item, allowance_index());
}

void AdmissionQueue::block(QueueHandle handle, Bytes need) {
  const std::uint32_t item = checked(handle);
  Slot& blocked = slots_[item];
  if (blocked.state == State::parked) {
    needs_.update(item, need.count(), needs_index());
    return;
  }
  if (blocked.parked_order == 0) blocked.parked_order = ++parkings_;
  if (blocked.state == State::waiting) {
    leave_order(item);
    park(item, scope_of(lane_of(blocked.request)));
  } else {
    // Keeps its place among the exhausted.
    const std::int64_t allowance = exhausted_[blocked.scope].value(rank_positions_[item]);
    exhausted_[blocked.scope].remove(item, allowance_index());
    parked_[blocked.scope].push(allowance, item, allowance_index());
    blocked.state = State::parked;
  }
  needs_.push(need.count(), item, needs_index());
  refresh_overdue(blocked.request.tenant.value());
}

void AdmissionQueue::unpark(std::uint32_t item) {
  Slot& blocked = slots_[item];
  const std::size_t scope = blocked.scope;
  const std::int64_t allowance = parked_[scope].value(rank_positions_[item]);
  parked_[scope].remove(item, allowance_index());
  needs_.remove(item, needs_index());
  if (allowance <= passes_[scope]) {
    blocked.bypass_left = 0;
    blocked.state = State::exhausted;
    exhausted_[scope].push(allowance, item, allowance_index());
    return;
  }
  blocked.bypass_left = static_cast<std::uint32_t>(allowance - passes_[scope]);
  blocked.state = State::waiting;
  enter_order(item);
  if (scope == 0) start_ageing(item);
}

std::size_t AdmissionQueue::unblock() {
  return unblock(Bytes::max());
}

std::size_t AdmissionQueue::unblock(Bytes available) {
  std::size_t count = 0;
  for (; !needs_.empty() && needs_.top_value() <= available.count(); ++count) {
    unpark(needs_.top());
  }
  return count;
}

// A take from this lane passes all that are parked in it or in a more urgent one.
void AdmissionQueue::count_pass(std::size_t lane) noexcept {
  for (std::size_t scope = 0; scope <= scope_of(lane); ++scope) ++passes_[scope];
}

// --- Who is next ---

AdmissionQueue::Gate AdmissionQueue::gate(std::size_t scope) const noexcept {
  const auto& parked = parked_[scope];
  const auto& exhausted = exhausted_[scope];
  const bool held = !parked.empty() && parked.top_value() <= passes_[scope];
  if (!held && exhausted.empty()) return {};
  if (held && !exhausted.empty()) {
    const std::pair first{parked.top_value(), slots_[parked.top()].parked_order};
    const std::pair second{exhausted.top_value(), slots_[exhausted.top()].parked_order};
    if (second < first) return {true, exhausted.top()};
  }
  if (held) return {true, kNone};
  return {true, exhausted.top()};
}

std::uint32_t AdmissionQueue::overdue_candidate() const noexcept {
  const auto tenant = turns_.front();
  return tenant ? tenants_[*tenant].ages.top() : kNone;
}

// The first of those that wait in the lanes of a scope.
std::uint32_t AdmissionQueue::front_of_scope(std::size_t scope) const noexcept {
  std::size_t lane = scope - 1;
  if (config_.order == ClassOrder::weighted) {
    const auto service_class = class_shares_[lane].front();
    if (!service_class) return kNone;
    lane = lane * kServiceClasses + *service_class;
  }
  const auto tenant = shares_[lane].front();
  return tenant ? tenants_[*tenant].lanes[lane].ranks.top() : kNone;
}

std::uint32_t AdmissionQueue::head_item() const noexcept {
  if (const Gate everybody = gate(0); everybody.closed) return everybody.first;
  const std::size_t scopes = scope_of(kLanes - 1) + 1;
  if (since_overdue_ + 1 >= config_.overdue_every) {
    // Its turn, unless it would pass an exhausted one.
    const std::uint32_t overdue = overdue_candidate();
    if (overdue != kNone) {
      bool free = true;
      const std::size_t own = scope_of(lane_of(slots_[overdue].request));
      for (std::size_t scope = 1; scope <= own && free; ++scope) free = !gate(scope).closed;
      if (free) return overdue;
    }
  }
  for (std::size_t scope = 1; scope < scopes; ++scope) {
    if (const Gate own = gate(scope); own.closed) return own.first;
    const std::uint32_t first = front_of_scope(scope);
    if (first != kNone) return first;
  }
  return kNone;
}

std::optional<QueueHandle> AdmissionQueue::head() const noexcept {
  const std::uint32_t item = head_item();
  if (item == kNone) return std::nullopt;
  // The head is usually taken next; in a long queue all of it is far away in memory.
  __builtin_prefetch(&slots_[item].request);
  __builtin_prefetch(&rank_positions_[item]);
  return handle_of(item);
}

std::size_t AdmissionQueue::look_ahead(std::span<QueueHandle> out) const noexcept {
  const std::size_t places = std::min(out.size(), kMostAhead);
  const std::uint32_t next = head_item();
  if (places == 0 || next == kNone) return 0;
  std::size_t count = 0;
  const auto take = [&](std::uint32_t item) {
    if (count == 0 || item != next) out[count++] = handle_of(item);
    return count < places;
  };
  const auto take_lane = [&](std::size_t lane) {
    shares_[lane].visit_in_order<kMostAhead>([&](std::uint32_t tenant) {
      tenants_[tenant].lanes[lane].ranks.visit_smallest<kMostAhead + 1>(RankIndex{&slots_, nullptr},
                                                                        take);
      return count < places;
    });
    return count < places;
  };
  if (!take(next) || gate(0).closed) return count;
  const std::size_t scopes = scope_of(kLanes - 1) + 1;
  for (std::size_t scope = 1; scope < scopes; ++scope) {
    if (const Gate own = gate(scope); own.closed) {
      if (own.first != kNone) take(own.first);
      return count;
    }
    bool room = true;
    if (config_.order == ClassOrder::strict) {
      room = take_lane(scope - 1);
    } else {
      class_shares_[scope - 1].visit_in_order<kServiceClasses>([&](std::uint32_t service_class) {
        room = take_lane((scope - 1) * kServiceClasses + service_class);
        return room;
      });
    }
    if (!room) return count;
  }
  return count;
}

}  // namespace mais::core
