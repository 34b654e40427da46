// The admission queue once more, as plainly as it can be said: one list, sorted and searched again
// for every question. Shares no structure with the real one.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "mais/core/queue.hpp"

namespace mais::core {

// Virtual counters in a map.
class NaiveShares {
 public:
  explicit NaiveShares(std::map<std::uint32_t, double> weights = {})
      : weights_(std::move(weights)) {}

  std::int64_t counter(std::uint32_t member) const {
    const auto found = counters_.find(member);
    return found == counters_.end() ? 0 : found->second;
  }
  std::int64_t price(std::uint32_t member) const {
    return static_cast<std::int64_t>((1 << 20) / weights_.at(member) + 0.5);
  }

  void lift(std::uint32_t member) {
    if (const auto least = front()) floor_ = std::max(floor_, counter(*least));
    counters_[member] = std::max(counter(member), floor_);
  }
  void charge(std::uint32_t member, std::int64_t service) {
    counters_[member] += service * price(member);
    if (waiting_.empty()) floor_ = std::max(floor_, counter(member));
  }
  void set_waiting(std::uint32_t member, bool waits) {
    if (waits) {
      waiting_.insert(member);
    } else if (waiting_.erase(member) == 1 && waiting_.empty()) {
      floor_ = std::max(floor_, counter(member));
    }
  }
  bool waits(std::uint32_t member) const { return waiting_.contains(member); }

  std::vector<std::uint32_t> in_order() const {
    std::vector<std::uint32_t> members(waiting_.begin(), waiting_.end());
    std::stable_sort(members.begin(), members.end(),
                     [this](auto a, auto b) { return counter(a) < counter(b); });
    return members;
  }
  std::optional<std::uint32_t> front() const {
    const auto members = in_order();
    return members.empty() ? std::nullopt : std::optional(members.front());
  }

 private:
  std::map<std::uint32_t, double> weights_;
  std::map<std::uint32_t, std::int64_t> counters_;
  std::set<std::uint32_t> waiting_;
  std::int64_t floor_ = 0;
};

struct NaiveRequest {
  enum class State { waiting, parked, exhausted };
  QueuedRequest request;
  State state = State::waiting;
  bool ageing = false;
  std::size_t scope = 0;
  std::int64_t bypass_left = 0;
  std::int64_t allowance_ended = 0;  // passes of its scope then
  std::int64_t parked_order = 0;
  std::int64_t need = 0;
};

class NaiveQueue {
 public:
  using Key = std::uint64_t;  // the id of the request
  using Item = NaiveRequest;
  using State = NaiveRequest::State;

  NaiveQueue(const QueueConfig& config, const std::vector<TenantPolicy>& tenants)
      : config_(config), tenants_(tenants) {
    std::map<std::uint32_t, double> weights;
    for (std::uint32_t i = 0; i < tenants.size(); ++i) weights[i] = tenants[i].weight;
    std::map<std::uint32_t, double> class_weights;
    for (std::uint32_t i = 0; i < 3; ++i) class_weights[i] = config.classes[i].weight;
    for (auto& shares : shares_) shares = NaiveShares(weights);
    for (auto& shares : class_shares_) shares = NaiveShares(class_weights);
    turns_ = NaiveShares(weights);
  }

  const std::map<Key, Item>& items() const { return items_; }

  std::optional<QueueRefusal::Reason> refusal(const QueuedRequest& r) const {
    if (r.tenant.value() >= tenants_.size()) return QueueRefusal::Reason::unknown_tenant;
    const auto of_tenant = count([&](const Item& i) { return i.request.tenant == r.tenant; });
    const auto& tenant_limit = tenants_[r.tenant.value()].max_queued;
    if (tenant_limit && of_tenant >= *tenant_limit) return QueueRefusal::Reason::tenant_full;
    const auto of_class =
        count([&](const Item& i) { return i.request.service_class == r.service_class; });
    const auto& class_limit = config_.classes[index(r)].max_queued;
    if (class_limit && of_class >= *class_limit) return QueueRefusal::Reason::class_full;
    if (items_.size() >= config_.max_queued) return QueueRefusal::Reason::queue_full;
    return std::nullopt;
  }

  void add(const QueuedRequest& r) {
    Item item;
    item.request = r;
    item.bypass_left = config_.max_bypass;
    join(item);
    items_[key(r)] = item;
    settle_waiting();
    start_ageing(key(r));
  }

  void remove(Key k) {
    const QueuedRequest r = items_.at(k).request;
    const bool oldest = oldest_of(r.tenant) == k;
    items_.erase(k);
    settle_waiting();
    if (oldest) refresh(r.tenant);
  }

  QueuedRequest pop(Key k) {
    const QueuedRequest r = items_.at(k).request;
    const bool turn = overdue_candidate() == k;
    remove(k);
    if (turn) {
      since_overdue_ = 0;
      turns_.charge(r.tenant.value(), 1);
    } else {
      ++since_overdue_;
    }
    for (std::size_t scope = 0; scope <= scope_of(lane(r)); ++scope) {
      ++passes_[scope];
      for (auto& [id, item] : items_) {
        if (item.state != State::parked || item.scope != scope || item.bypass_left == 0) continue;
        if (--item.bypass_left == 0) item.allowance_ended = passes_[scope];
      }
    }
    serve(r.tenant, r.service_class, r.work.count());
    return r;
  }

  void serve(TenantId tenant, ServiceClass service_class, std::int64_t service) {
    const auto c = static_cast<std::uint32_t>(service_class);
    for (std::uint32_t tier = 0; tier < 2; ++tier) {
      shares_[tier * 3 + c].charge(tenant.value(), service);
      if (config_.order == ClassOrder::weighted) class_shares_[tier].charge(c, service);
    }
  }

  std::vector<Key> advance(std::int64_t now) {
    now_ = std::max(now_, now);
    std::vector<std::pair<std::int64_t, Key>> gone;
    for (const auto& [k, item] : items_) {
      if (item.request.expires && ticks(*item.request.expires) <= now_) {
        gone.emplace_back(ticks(*item.request.expires), k);
      }
    }
    std::sort(gone.begin(), gone.end());
    std::vector<Key> expired;
    for (const auto& [time, k] : gone) {
      remove(k);
      expired.push_back(k);
    }
    std::vector<std::pair<std::int64_t, std::uint32_t>> aged;
    for (std::uint32_t t = 0; t < tenants_.size(); ++t) {
      const auto oldest = oldest_of(TenantId(t));
      if (oldest && !turns_.waits(t) && due(items_.at(*oldest).request) <= now_) {
        aged.emplace_back(due(items_.at(*oldest).request), t);
      }
    }
    // One whose oldest was blocked may have another that is due, which then is in its order.
    std::set<std::pair<std::int64_t, std::uint32_t>> order(aged.begin(), aged.end());
    for (const auto& [time, t] : order) refresh(TenantId(t));
    return expired;
  }

  void rerank(Key k, std::int64_t rank) { items_.at(k).request.rank = rank; }

  void set_late(Key k, bool late) {
    Item& item = items_.at(k);
    if (item.request.late == late) return;
    Item moved = item;
    items_.erase(k);
    settle_waiting();
    moved.request.late = late;
    join(moved);
    if (moved.state != State::waiting && moved.scope != 0) {
      moved.scope = scope_of(lane(moved.request));
      if (moved.bypass_left == 0) moved.allowance_ended = passes_[moved.scope];
    }
    items_[k] = moved;
    settle_waiting();
  }

  void block(Key k, std::int64_t need) {
    Item& item = items_.at(k);
    item.need = need;
    if (item.state == State::parked) return;
    if (item.parked_order == 0) item.parked_order = ++parkings_;
    if (item.state == State::waiting) {
      item.scope = scope_of(lane(item.request));
      if (item.bypass_left == 0) item.allowance_ended = passes_[item.scope];
    }
    item.state = State::parked;
    settle_waiting();
    refresh(item.request.tenant);
  }

  std::size_t unblock(std::int64_t available) {
    std::vector<std::pair<std::int64_t, Key>> fit;
    for (const auto& [k, item] : items_) {
      if (item.state == State::parked && item.need <= available) fit.emplace_back(item.need, k);
    }
    std::sort(fit.begin(), fit.end());
    for (const auto& [need, k] : fit) {
      Item& item = items_.at(k);
      if (item.bypass_left == 0) {
        item.state = State::exhausted;
        continue;
      }
      item.state = State::waiting;
      settle_waiting();
      if (item.scope == 0) start_ageing(k);
    }
    return fit.size();
  }

  std::optional<Key> head() const {
    for (std::size_t scope = 0; scope < kScopes; ++scope) {
      if (scope == 1) {
        const auto overdue = overdue_candidate();
        if (overdue && since_overdue_ + 1 >= config_.overdue_every) {
          const std::size_t own = scope_of(lane(items_.at(*overdue).request));
          bool free = true;
          for (std::size_t other = 1; other <= own; ++other) free = free && !first_exhausted(other);
          if (free) return overdue;
        }
      }
      if (const auto first = first_exhausted(scope)) {
        if (items_.at(*first).state == State::parked) return std::nullopt;
        return first;
      }
      const auto waiting = waiting_in_order(scope);
      if (!waiting.empty()) return waiting.front();
    }
    return std::nullopt;
  }

  // The head, then all others in plain order as far as exhausted ones let them.
  std::vector<Key> look_ahead() const {
    const auto next = head();
    if (!next) return {};
    std::vector<Key> order = {*next};
    for (std::size_t scope = 0; scope < kScopes; ++scope) {
      if (const auto first = first_exhausted(scope)) {
        if (items_.at(*first).state != State::parked && first != next) order.push_back(*first);
        return order;
      }
      for (const Key k : waiting_in_order(scope)) {
        if (k != *next) order.push_back(k);
      }
    }
    return order;
  }

  static Key key(const QueuedRequest& r) { return static_cast<Key>(r.id); }

 private:
  static constexpr std::size_t kScopes = 7;

  static std::int64_t ticks(Time time) { return time.time_since_epoch().count(); }
  static std::size_t index(const QueuedRequest& r) {
    return static_cast<std::size_t>(r.service_class);
  }
  static std::uint32_t lane(const QueuedRequest& r) {
    return static_cast<std::uint32_t>(r.service_class) + (r.late ? 3 : 0);
  }
  std::size_t scope_of(std::uint32_t lane) const {
    return std::size_t{config_.order == ClassOrder::strict ? lane : lane / 3} + 1;
  }
  std::int64_t due(const QueuedRequest& r) const {
    return ticks(r.arrival) + config_.classes[index(r)].patience->count();
  }
  template <class Predicate>
  std::size_t count(Predicate predicate) const {
    std::size_t n = 0;
    for (const auto& [k, item] : items_) n += predicate(item) ? 1 : 0;
    return n;
  }

  // Before it is counted: whoever has nothing there yet starts even.
  void join(const Item& item) {
    const std::uint32_t l = lane(item.request);
    const auto same_lane = [&](const Item& other) { return lane(other.request) == l; };
    if (count([&](const Item& other) {
          return same_lane(other) && other.request.tenant == item.request.tenant;
        }) == 0) {
      shares_[l].lift(item.request.tenant.value());
    }
    if (count(same_lane) == 0) class_shares_[l / 3].lift(l % 3);
  }

  // Who can be taken is who has a waiting request.
  void settle_waiting() {
    for (std::uint32_t l = 0; l < 6; ++l) {
      bool any = false;
      for (std::uint32_t t = 0; t < tenants_.size(); ++t) {
        const bool waits = count([&](const Item& item) {
                             return item.state == State::waiting && lane(item.request) == l &&
                                    item.request.tenant.value() == t;
                           }) > 0;
        shares_[l].set_waiting(t, waits);
        any = any || waits;
      }
      class_shares_[l / 3].set_waiting(l % 3, any);
    }
  }

  std::optional<Key> oldest_of(TenantId tenant) const {
    std::optional<Key> oldest;
    for (const auto& [k, item] : items_) {
      if (item.request.tenant != tenant || !item.ageing) continue;
      if (!oldest ||
          std::pair(due(item.request), k) < std::pair(due(items_.at(*oldest).request), *oldest)) {
        oldest = k;
      }
    }
    return oldest;
  }

  void start_ageing(Key k) {
    Item& item = items_.at(k);
    if (!config_.classes[index(item.request)].patience) return;
    item.ageing = true;
    if (oldest_of(item.request.tenant) == k) refresh(item.request.tenant);
  }

  void refresh(TenantId tenant) {
    auto oldest = oldest_of(tenant);
    while (oldest && due(items_.at(*oldest).request) <= now_ &&
           items_.at(*oldest).state == State::parked) {
      Item& item = items_.at(*oldest);
      item.ageing = false;
      item.scope = 0;
      if (item.bypass_left == 0) item.allowance_ended = passes_[0];
      oldest = oldest_of(tenant);
    }
    const bool overdue = oldest && due(items_.at(*oldest).request) <= now_;
    if (overdue && !turns_.waits(tenant.value())) turns_.lift(tenant.value());
    turns_.set_waiting(tenant.value(), overdue);
  }

  std::optional<Key> overdue_candidate() const {
    const auto tenant = turns_.front();
    return tenant ? oldest_of(TenantId(*tenant)) : std::nullopt;
  }

  std::optional<Key> first_exhausted(std::size_t scope) const {
    std::optional<Key> first;
    const auto order = [&](Key k) {
      return std::pair(items_.at(k).allowance_ended, items_.at(k).parked_order);
    };
    for (const auto& [k, item] : items_) {
      if (item.state == State::waiting || item.scope != scope || item.bypass_left > 0) continue;
      if (!first || order(k) < order(*first)) first = k;
    }
    return first;
  }

  std::vector<Key> waiting_in_order(std::size_t scope) const {
    std::vector<std::tuple<std::int64_t, std::uint32_t, std::int64_t, std::uint32_t, std::int64_t,
                           std::int64_t, Key>>
        all;
    for (const auto& [k, item] : items_) {
      const QueuedRequest& r = item.request;
      const std::uint32_t l = lane(r);
      if (item.state != State::waiting || scope_of(l) != scope) continue;
      const std::int64_t class_counter =
          config_.order == ClassOrder::weighted ? class_shares_[l / 3].counter(l % 3) : 0;
      const std::int64_t rank = r.rank       ? *r.rank
                                : r.deadline ? ticks(*r.deadline)
                                             : std::numeric_limits<std::int64_t>::max();
      all.emplace_back(class_counter, l, shares_[l].counter(r.tenant.value()), r.tenant.value(),
                       rank, ticks(r.arrival), k);
    }
    std::sort(all.begin(), all.end());
    std::vector<Key> order;
    for (const auto& entry : all) order.push_back(std::get<Key>(entry));
    return order;
  }

  QueueConfig config_;
  std::vector<TenantPolicy> tenants_;
  std::map<Key, Item> items_;
  std::array<NaiveShares, 6> shares_;
  std::array<NaiveShares, 2> class_shares_;
  NaiveShares turns_;
  std::array<std::int64_t, kScopes> passes_{};
  std::uint32_t since_overdue_ = 0;
  std::int64_t now_ = std::numeric_limits<std::int64_t>::min();
  std::int64_t parkings_ = 0;
};

}  // namespace mais::core
