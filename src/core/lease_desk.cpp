#include "core/lease_desk.hpp"

#include "core/queueing.hpp"

namespace mais::core {

namespace {

std::int64_t rank_of(const Sequence& lease) {
  if (lease.completion_due != kNever) return lease.completion_due.time_since_epoch().count();
  return detail::saturating_add(lease.arrival.time_since_epoch().count(), std::int64_t{1} << 61);
}

}  // namespace

Result<LeaseDesk> LeaseDesk::open(Ledger& ledger, const Config& config, SpaceId space) {
  LeaseDesk desk;
  desk.space_ = space;
  const AccountId root = ledger.root(space);
  desk.most_ = config.machine.spaces[space.value()].capacity - ledger.committed(root);
  desk.queue_ = AdmissionQueue(config.queue);
  declare_tenants(desk.queue_, config.tenants);
  auto leases = ledger.add_account(root, {.name = "leases"});
  if (!leases) return tl::unexpected<Error>(std::move(leases.error()));
  for (const Tenant& tenant : config.tenants) {
    auto account = ledger.add_account(
        *leases, {.name = tenant.name, .limit = tenant.limit, .weight = tenant.weight});
    if (!account) return tl::unexpected<Error>(std::move(account.error()));
    desk.tenants_.push_back(*account);
  }
  return desk;
}

std::optional<Refusal> LeaseDesk::check(const Ledger& ledger, const Sequence& lease) const {
  const auto limit = ledger.limit(tenant_account(lease.tenant));
  if (limit && lease.leased > *limit) {
    return Refusal{.reason = RefusalReason::tenant_over_limit,
                   .asked = lease.leased.count(),
                   .available = limit->count()};
  }
  // What is promised to instances is never a lease's, whatever is given back; also when just now
  // less is promised, since a bound has fallen: it may rise again.
  if (lease.leased > most_) {
    return Refusal{.reason = RefusalReason::can_never_fit,
                   .asked = lease.leased.count(),
                   .available = most_.count()};
  }
  return std::nullopt;
}

std::optional<Refusal> LeaseDesk::enqueue(Sequence& lease) {
  return push(queue_, lease, rank_of(lease), lease.leased.count() >> 20);
}

Bytes LeaseDesk::serve(Context& context) {
  while (const auto head = queue_.head()) {
    Sequence& lease = context.sequences[queue_.find(*head)->id];
    const AccountId account = tenant_account(lease.tenant);
    const auto granted = context.ledger.try_reserve(account, lease.leased, Hold::firm);
    if (!granted) {
      // Its tenant's limit may have fallen below it.
      if (const auto why = check(context.ledger, lease)) {
        queue_.cancel(*head);
        refuse(context, lease, *why);
        continue;
      }
      const Bytes room = context.ledger.headroom(account);
      queue_.block(*head, lease.leased);
      if (lease.leased <= context.ledger.headroom_after_reclaim(account))
        return lease.leased - room;
      continue;
    }
    queue_.pop(*head);
    lease.reservation = *granted;
    lease.phase = RequestPhase::leased;
    Action action = action_of(lease, ActionKind::granted);
    action.space = space_;
    action.bytes = lease.leased;
    context.out.list.push_back(action);
  }
  return Bytes(0);
}

void LeaseDesk::advance(Context& context) {
  expired_.clear();
  queue_.advance(context.now, expired_);
  for (const QueuedRequest& gone : expired_) {
    Sequence& lease = context.sequences[gone.id];
    context.out.list.push_back(action_of(lease, ActionKind::expired));
    context.sequences.remove(lease);
  }
}

void LeaseDesk::cancel(Context& context, Sequence& lease) {
  context.out.list.push_back(action_of(lease, ActionKind::cancelled));
  if (lease.phase == RequestPhase::leased) {
    context.ledger.release(lease.reservation);
  } else {
    queue_.cancel(lease.handle);
  }
  context.sequences.remove(lease);
}

void LeaseDesk::give_back(Context& context, Sequence& lease) {
  if (lease.phase != RequestPhase::leased) {  // changed its mind before it got it
    cancel(context, lease);
    return;
  }
  context.ledger.release(lease.reservation);
  context.out.list.push_back(action_of(lease, ActionKind::finished));
  context.sequences.remove(lease);
}

void LeaseDesk::unblock() {
  queue_.unblock();
}

}  // namespace mais::core
