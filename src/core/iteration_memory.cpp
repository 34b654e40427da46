// Who gets memory, who gives it up: the part of the iteration batcher that decides about pages.
#include <algorithm>

#include "core/iteration_batcher.hpp"
#include "core/queueing.hpp"

namespace mais::core {

namespace {

constexpr double kTargetPreemptions = 0.01;  // for each request that ends; see preempt()
constexpr double kSpreadMost = 4;
constexpr double kSpreadStep = 0.002;
// The same for late ones, and the memory that is kept clear of them.
constexpr double kTargetLateLosses = 0.15;  // for each late one that ends
constexpr double kDemandMarginStep = 0.005;
constexpr double kDemandMarginLeast = 1.0;
constexpr double kDemandMarginMost = 4;

}  // namespace

// Brings the pool back under a limit that fell, and gives back what somebody with a guarantee
// wants.
void IterationBatcher::settle(Context& context) {
  if (tenants_settle_) settle_tenants(context);
  const Bytes over = std::max(memory_.overdrawn(context.ledger), wanted_);
  wanted_ = Bytes(0);
  if (over <= Bytes(0)) return;
  const Bytes target = memory_.used(context.ledger) - over;
  while (memory_.used(context.ledger) > target) {
    if (memory_.evict_prefix(context)) continue;
    const auto place = victim(context, kNoIndex, false, Force::yes);
    if (!place) return;
    const Bytes excess = memory_.used(context.ledger) - target;
    const std::int64_t page = std::max<std::int64_t>(1, memory_.page_bytes().count());
    shed(context, *place,
         static_cast<std::uint32_t>(
             std::min<std::int64_t>((excess.count() - 1) / page + 1, std::int64_t{kNoIndex})));
  }
}

// Brings tenants back under limits of their own that fell.
void IterationBatcher::settle_tenants(Context& context) {
  tenants_settle_ = false;
  for (std::uint32_t i = 0; i < running_.size();) {
    const Sequence& sequence = context.sequences.at(running_[i].slot);
    const AccountId account = memory_.tenant_account(sequence.tenant);
    const std::size_t before = running_.size();
    if (const auto limit = context.ledger.limit(account);
        limit && context.ledger.used(account) > *limit && memory_.own_pages(sequence) > 0) {
      preempt(context, i);
    }
    if (running_.size() == before) ++i;
  }
}

// Gives every decode the page that its next token falls into. Those that find none stand still.
void IterationBatcher::grow_decodes(Context& context, Force force) {
  needy_.clear();
  for (Running& place : running_) {
    place.stalled = false;
    if (!place.prompting && place.target > place.capacity) needy_.push_back(place.slot);
  }
  if (needy_.empty()) return;
  // The least expendable first: it may take from all others.
  const auto worth = [&](std::uint32_t slot) {
    return expendable(context, running_[context.sequences.at(slot).running]);
  };
  if (std::int64_t{static_cast<std::int64_t>(needy_.size())} >
      memory_.available_pages(context.ledger)) {
    std::sort(needy_.begin(), needy_.end(), [&](std::uint32_t a, std::uint32_t b) {
      const double wa = worth(a), wb = worth(b);
      return wa != wb ? wa < wb : a < b;
    });
  }
  for (const std::uint32_t slot : needy_) {
    const Sequence& sequence = context.sequences.at(slot);
    if (sequence.running == kNoIndex || running_[sequence.running].prompting) continue;  // a victim
    if (obtain(context, slot, 1, force)) {
      running_[sequence.running].capacity += memory_.page_tokens();
      force = Force::no;  // one that goes on is enough
    } else {
      running_[sequence.running].stalled = true;
    }
  }
}

bool IterationBatcher::obtain(Context& context, std::uint32_t slot, std::uint32_t pages,
                              Force force) {
  while (!memory_.take(context, context.sequences.at(slot), pages)) {
    if (!make_way(context, slot, pages, force)) return false;
  }
  return true;
}

// Takes pages from whoever is most expendable, if that is not the needy one itself.
bool IterationBatcher::make_way(Context& context, std::uint32_t needy, std::uint32_t pages,
                                Force force) {
  const bool own_tenant =
      memory_.bound_by_tenant(context.ledger, context.sequences.at(needy), pages);
  const auto place = victim(context, needy, own_tenant, force);
  if (!place) return false;
  if (queue_.empty()) {
    shed(context, *place, pages);
  } else {
    preempt(context, *place);  // what it would keep, others wait for
  }
  return true;
}

// How readily a running sequence gives way: higher goes first.
double IterationBatcher::expendable(const Context& context, const Running& place) const {
  if (policy_.order == OrderPolicy::arrival) return static_cast<double>(place.admitted);
  const Sequence& sequence = context.sequences.at(place.slot);
  const double again = comes_back_seconds(place) + 0.1;
  const double freed = static_cast<double>(memory_.own_pages(sequence));
  const double by_class = 1e3 * static_cast<double>(sequence.service_class);
  if (place.shed) return 1e9 + freed;
  if (place.overdue) return by_class - 1e3;
  if (place.late) return 1e6 + by_class + freed / again;
  if (place.due == kNever.time_since_epoch().count()) return 1e5 + by_class + freed / again;
  const double slack = to_seconds(Duration(place.due - context.now.time_since_epoch().count()));
  return by_class + slack - again;
}

// What it costs to bring a sequence back that lost its memory: computed again (with others beside
// it), or copied from the host tier.
double IterationBatcher::comes_back_seconds(const Running& place) const {
  const double again = 1.5 * cost_.marginal(static_cast<double>(place.target));
  const auto copied = memory_.seconds_in(place.target);
  return copied ? std::min(again, *copied) : again;
}

std::optional<std::uint32_t> IterationBatcher::victim(const Context& context, std::uint32_t needy,
                                                      bool same_tenant, Force force) const {
  const Sequence* asks = needy == kNoIndex ? nullptr : &context.sequences.at(needy);
  std::optional<std::uint32_t> best;
  double most = 0;
  for (std::uint32_t i = 0; i < running_.size(); ++i) {
    const Running& place = running_[i];
    const Sequence& sequence = context.sequences.at(place.slot);
    if (place.slot == needy || memory_.own_pages(sequence) == 0) continue;
    if (same_tenant && sequence.tenant != asks->tenant) continue;
    // Not again before it has got on since the last time; what is shed already loses nothing more.
    if (force == Force::no && sequence.without_progress > 0 && !place.shed) continue;
    const double value = expendable(context, place);
    if (!best || value > most) {
      best = i;
      most = value;
    }
  }
  if (best && force == Force::no && asks != nullptr && asks->running != kNoIndex &&
      expendable(context, running_[asks->running]) >= most) {
    return std::nullopt;
  }
  return best;
}

// Takes the last pages of a running sequence. It keeps the rest, and its place, until it can have
// them back; with nothing left it queues again.
void IterationBatcher::shed(Context& context, std::uint32_t index, std::uint32_t pages) {
  Running& place = running_[index];
  Sequence& sequence = context.sequences.at(place.slot);
  const std::uint32_t own = memory_.own_pages(sequence);
  if (pages >= own) {
    preempt(context, index);
    return;
  }
  const Bytes before(sequence.charged);
  memory_.shed(context, sequence, pages);
  place.capacity = static_cast<std::int64_t>(sequence.pages.size()) * memory_.page_tokens();
  place.context = std::min(place.context, place.capacity);
  sequence.told = 0;
  if (place.shed) return;
  place.shed = true;
  place.prompting = true;
  projected_ = false;
  ++sequence.preemptions;
  ++sequence.without_progress;
  ++totals_.preemptions;
  place.gives_way() ? late_lost() : widen();
  Action action = action_of(sequence, ActionKind::preempted, id_);
  action.bytes = before - Bytes(sequence.charged);
  context.out.list.push_back(action);
}

// Closed loop: a sequence that could have been good lost its memory, so the projection had left too
// little free. Every end narrows the spread again (see report()); at the target rate of preemptions
// it stays where it is. Likewise for late ones and the memory that is kept clear of them.
void IterationBatcher::late_lost() {
  demand_margin_ =
      std::min(kDemandMarginMost, demand_margin_ + kDemandMarginStep / kTargetLateLosses);
}
void IterationBatcher::late_ended() {
  demand_margin_ = std::max(kDemandMarginLeast, demand_margin_ - kDemandMarginStep);
}
void IterationBatcher::widen() {
  spread_ = std::min(kSpreadMost, spread_ + kSpreadStep / kTargetPreemptions);
}
void IterationBatcher::narrow() {
  spread_ = std::max(0.0, spread_ - kSpreadStep);
}

// Takes all pages of a running sequence; it queues again. What of its state can come back from the
// host tier is kept there; returns how many tokens that are, or that others share.
std::int64_t IterationBatcher::preempt(Context& context, std::uint32_t index, Copy copy) {
  const bool again = running_[index].shed;
  Sequence& sequence = context.sequences.at(running_[index].slot);
  stop(index, context.sequences);
  const Bytes bytes(sequence.charged);
  const std::int64_t kept = memory_.swap_out(context, sequence, cost_, copy == Copy::yes);
  if (sequence.swapped != kNoIndex) totals_.swapped_tokens += static_cast<std::uint64_t>(kept);
  free_memory(context, sequence);
  projected_ = false;
  if (!again) {
    ++sequence.preemptions;
    ++sequence.without_progress;
    ++totals_.preemptions;
    sequence.gives_way() ? late_lost() : widen();
  }
  Action action = action_of(sequence, ActionKind::preempted, id_);
  action.bytes = bytes;
  context.out.list.push_back(action);
  requeue(sequence);
  return kept;
}

// --- Admission ----------------------------------------------------------------------------------

std::uint32_t IterationBatcher::pages_to_start(const Sequence& sequence) const {
  const std::uint32_t now = memory_.pages_for(sequence.prompt + sequence.generated + 1);
  if (policy_.memory != MemoryPolicy::no_evict) return now;
  const std::uint32_t whole = memory_.pages_for(sequence.prompt + sequence.max_new);
  return memory_.grows()
             ? whole
             : std::max(now, std::min(whole, static_cast<std::uint32_t>(memory_.widest_pages())));
}

// What the running set will hold; one that stands still holds what it has.
void IterationBatcher::project(const Context& context) {
  if (projected_) return;
  projection_.clear();
  for (const Running& place : running_) {
    const Sequence& sequence = context.sequences.at(place.slot);
    if (place.shed) {
      projection_.hold(held_tokens(sequence));
    } else {
      projection_.add(forecast_, static_cast<double>(place.target) - shared_tokens(sequence),
                      static_cast<double>(place.target - sequence.prompt),
                      static_cast<double>(sequence.max_new));
    }
  }
  projected_ = true;
}

double IterationBatcher::held_tokens(const Sequence& sequence) const {
  return static_cast<double>(std::int64_t{memory_.own_pages(sequence)} * memory_.page_tokens());
}

double IterationBatcher::shared_tokens(const Sequence& sequence) const {
  return static_cast<double>(static_cast<std::int64_t>(sequence.pages.size()) *
                             memory_.page_tokens()) -
         held_tokens(sequence);
}

bool IterationBatcher::projection_allows(Context& context, const Sequence& sequence) {
  const bool alone = running_.empty() || (running_.size() == 1 && sequence.running == 0);
  if (policy_.memory != MemoryPolicy::projected || alone) return true;
  project(context);
  const std::int64_t pages =
      total_pages(context.ledger) - std::int64_t{memory_.cache().used_pages()};
  const double limit = static_cast<double>(pages) * static_cast<double>(memory_.page_tokens());
  const bool returns = sequence.running != kNoIndex;  // to the pages it lost
  const std::int64_t target =
      returns ? running_[sequence.running].target : sequence.prompt + sequence.generated;
  const double shared =
      returns ? shared_tokens(sequence) : static_cast<double>(memory_.used_tokens(sequence));
  if (returns) projection_.hold(-held_tokens(sequence));
  const bool fits = projection_.fits(forecast_, static_cast<double>(target) - shared,
                                     static_cast<double>(target - sequence.prompt),
                                     static_cast<double>(sequence.max_new), limit, spread_);
  if (returns) projection_.hold(held_tokens(sequence));
  return fits;
}

// Gives a waiting request a place and all the pages it needs to reach its next token.
bool IterationBatcher::admit(Context& context, Sequence& sequence) {
  if (static_cast<std::int64_t>(running_.size()) >= max_sequences_) return false;
  if (closed_ && !running_.empty()) return false;
  if (passed_ != RequestId{} && passed_ != sequence.id && bypasses_ >= max_bypass_) return false;
  if (!projection_allows(context, sequence)) return false;
  // Room for the whole table now, so that no later step allocates.
  sequence.pages.reserve(
      std::min<std::size_t>(memory_.pages_for(std::min(sequence.prompt + sequence.max_new,
                                                       memory_.most_tokens(context.ledger))),
                            memory_.pages().size()));
  memory_.attach(sequence);
  if (memory_.available_pages(context.ledger) >=
      std::int64_t{pages_to_start(sequence)} - static_cast<std::int64_t>(sequence.pages.size())) {
    memory_.fetch(context, sequence);
  }
  const auto had = static_cast<std::uint32_t>(sequence.pages.size());
  if (!memory_.take(context, sequence, pages_to_start(sequence) - had)) {
    const std::uint32_t missing = pages_to_start(sequence) - had;
    // What a tenant is guaranteed it gets back from those who borrowed it.
    if (!reclaim(context, sequence, missing)) {
      memory_.give_back(context, sequence);
      return false;
    }
  }
  const std::int64_t hit = std::int64_t{had} * memory_.page_tokens();
  sequence.computed = hit;
  sequence.told = 0;
  if (sequence.preemptions == 0) {
    totals_.prompt_tokens += static_cast<std::uint64_t>(sequence.prompt);
    totals_.prefix_hits += static_cast<std::uint64_t>(hit);
  }
  sequence.reached = std::max(sequence.reached, hit);
  queue_.pop(sequence.handle);
  forget(sequence);
  if (passed_ == sequence.id) passed_ = {};
  if (passed_ != RequestId{}) ++bypasses_;
  run(context, sequence);
  projected_ = false;
  return true;
}

// Takes memory for a request within its tenant's guarantee from tenants that hold more than theirs.
bool IterationBatcher::reclaim(Context& context, Sequence& sequence, std::uint32_t pages) {
  Ledger& ledger = context.ledger;
  const AccountId account = memory_.tenant_account(sequence.tenant);
  const Bytes need(memory_.bytes_at(pages));
  if (ledger.used(account) + need > ledger.guarantee(account)) return false;
  while (!memory_.take(context, sequence, pages)) {
    std::optional<std::uint32_t> most;
    Bytes overage;
    for (std::uint32_t i = 0; i < running_.size(); ++i) {
      const Sequence& other = context.sequences.at(running_[i].slot);
      const AccountId from = memory_.tenant_account(other.tenant);
      const Bytes over = ledger.used(from) - ledger.guarantee(from);
      if (other.tenant == sequence.tenant || over <= Bytes(0) || memory_.own_pages(other) == 0) {
        continue;
      }
      if (!most || over > overage ||
          (over == overage &&
           expendable(context, running_[i]) > expendable(context, running_[*most]))) {
        most = i;
        overage = over;
      }
    }
    if (!most) return false;
    withdraw(context, *most);
    shed(context, *most, pages);
  }
  return true;
}

// A sequence that gives way while a step is formed has no part in it any more.
void IterationBatcher::withdraw(Context& context, std::uint32_t index) {
  const Running& place = running_[index];
  if (const auto decode = std::find(late_decodes_.begin(), late_decodes_.end(), place.slot);
      decode != late_decodes_.end()) {
    late_decodes_.erase(decode);
    work_.remove(static_cast<double>(place.context), 1);
  }
  Sequence& sequence = context.sequences.at(place.slot);
  if (!sequence.in_step) return;
  sequence.in_step = false;
  for (Chunk& chunk : chunks_) {
    if (chunk.slot != place.slot || chunk.tokens == 0) continue;
    work_.remove(static_cast<double>(place.context), static_cast<double>(chunk.tokens));
    chunk.tokens = 0;
  }
}

// Gives a sequence that lost its tail its pages back.
bool IterationBatcher::restore(Context& context, Sequence& sequence) {
  if (!projection_allows(context, sequence)) return false;
  const std::uint32_t whole = pages_to_start(sequence);
  const auto has = static_cast<std::uint32_t>(sequence.pages.size());
  if (whole > has && !memory_.take(context, sequence, whole - has)) return false;
  Running& place = running_[sequence.running];
  place.capacity = static_cast<std::int64_t>(sequence.pages.size()) * memory_.page_tokens();
  place.shed = false;
  sequence.told = 0;
  projected_ = false;
  return true;
}

// With nothing running, what does not fit now may never fit: refuse it, unless it waits for memory
// that others have. True when it was refused.
bool IterationBatcher::refuse_if_never(Context& context, Sequence& sequence) {
  const Bytes need(memory_.bytes_at(pages_to_start(sequence)));
  const auto tenant_limit = context.ledger.limit(memory_.tenant_account(sequence.tenant));
  const Bytes bound = memory_.most_of(bound_, sequence.tenant);
  const Bytes limit = memory_.limit(context.ledger);
  if (const Bytes more = need - memory_.most_of(limit, sequence.tenant);
      need <= bound && more > Bytes(0)) {
    memory_.set_limit(context.ledger, limit + more);  // failures had lowered it: try once more
    return false;
  }
  const bool over_tenant = tenant_limit && need > *tenant_limit;
  if (need <= bound && !over_tenant) return false;
  const Refusal refusal{
      .reason = over_tenant ? RefusalReason::tenant_over_limit : RefusalReason::can_never_fit,
      .asked = need.count(),
      .available = over_tenant ? tenant_limit->count() : bound.count()};
  queue_.cancel(sequence.handle);
  forget(sequence);
  refuse(context, sequence, refusal);
  return true;
}

// --- Standstill ---------------------------------------------------------------------------------

// Several that lost pages can hold what each other needs: all but one queue again, one by one.
bool IterationBatcher::leave_one(Context& context) {
  if (running_.size() < 2) return false;
  const auto place = victim(context, kNoIndex, false, Force::yes);
  if (!place) return false;
  preempt(context, *place);
  return true;
}

// Alone, with every page it could have, and still without room for its next token: it ends here.
// Where it is failures that lowered the limit, it is tried once more; true then.
bool IterationBatcher::try_again_or_end(Context& context) {
  if (running_.size() != 1) return false;
  Sequence& sequence = context.sequences.at(running_[0].slot);
  const auto held = static_cast<std::uint32_t>(sequence.pages.size());
  const std::uint32_t own = memory_.own_pages(sequence);
  const std::uint32_t whole = std::max(held + 1, pages_to_start(sequence));
  // Pages that it shares are not its tenant's, but they are there as long as it is.
  const Bytes asked(memory_.bytes_at(whole));
  const Bytes of_tenant(memory_.bytes_at(own + (whole - held)));
  const auto tenant_limit = context.ledger.limit(memory_.tenant_account(sequence.tenant));
  const Bytes bound = memory_.most_of(bound_, sequence.tenant);
  if (asked <= bound && of_tenant <= tenant_limit.value_or(of_tenant)) {
    const Bytes more = asked - memory_.most_of(memory_.limit(context.ledger), sequence.tenant);
    if (more <= Bytes(0)) return false;
    memory_.set_limit(context.ledger, memory_.limit(context.ledger) + more);
    return true;
  }
  stop(0, context.sequences);
  serve(sequence, 0, true);
  free_memory(context, sequence);
  refuse(context, sequence,
         {.reason = RefusalReason::can_never_fit,
          .asked = asked.count(),
          .available = std::min(bound, tenant_limit.value_or(bound)).count()});
  return false;
}

std::int64_t IterationBatcher::total_pages(const Ledger& ledger) const {
  const Bytes page = memory_.page_bytes();
  return page > Bytes(0) ? memory_.limit(ledger) / page : kForever;
}

}  // namespace mais::core
