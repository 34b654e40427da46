// Requests that can no longer be good: what they leave to the others, what they get all the same,
// and how long they may wait.
#include <algorithm>

#include "core/iteration_batcher.hpp"

namespace mais::core {

namespace {

// The first so many of those that wait count as their demand.
constexpr int kDemandWaiting = 16;
// With nothing but late prompts to compute, a step takes this part of the pace; so many times the
// pace when no good decode runs either.
constexpr double kQuietPace = 0.5;
constexpr double kEmptyPace = 2;
// They are admitted with a little to grow into.
constexpr double kLateMargin = 1.1;
// So many of them one plan tries to find room for.
constexpr int kLateTries = 4;

}  // namespace

// When it has waited so long that it does not give way any more.
std::int64_t IterationBatcher::overdue_at(const Sequence& sequence) const {
  const std::int64_t due = due_of(sequence);
  const std::int64_t arrival = sequence.arrival.time_since_epoch().count();
  if (sequence.overdue) return arrival;
  if (sequence.first_due == kNever) {
    const auto patience = patience_[static_cast<std::size_t>(sequence.service_class)];
    if (!patience) return kForever;
    return detail::saturating_add(due == kNoDue ? arrival : due, patience->count());
  }
  const double allowance = to_seconds(sequence.first_due - sequence.arrival);
  const std::int64_t from = sequence.generated == 0 || due == kNoDue ? arrival : due;
  return detail::saturating_add(from, from_seconds(policy_.overdue_after * allowance).count());
}

// When a late decode goes on although others need all of a step, counted from now: so that it ends,
// however long they press.
std::int64_t IterationBatcher::pause_end(const Sequence& sequence, std::int64_t now) const {
  const auto times_allowed = [&](Duration allowed) {
    return detail::saturating_add(
        now, from_seconds(policy_.overdue_after * to_seconds(allowed)).count());
  };
  if (sequence.tpot) return times_allowed(*sequence.tpot);
  if (const auto patience = patience_[static_cast<std::size_t>(sequence.service_class)]) {
    return detail::saturating_add(now, patience->count());
  }
  return times_allowed(std::min(sequence.first_due, sequence.completion_due) - sequence.arrival);
}

// What of a step those that waited too long leave to the others.
double IterationBatcher::without_overdue(double seconds) const {
  if (overdue_.empty()) return seconds;
  const double least = cost_.seconds(work_);
  return seconds <= least ? seconds : seconds - policy_.overdue_share * (seconds - least);
}

// Those that waited too long go before all others, on their part of the step.
void IterationBatcher::place_overdue(Context& context, const Limits& limits, Step& step) {
  if (overdue_.empty()) {
    passed_ = {};
    return;
  }
  const double least = cost_.seconds(work_);
  const double seconds = limits.seconds <= least
                             ? limits.seconds
                             : least + policy_.overdue_share * (limits.seconds - least);
  bool waits = false;
  for (const Candidate& c : overdue_) {
    if (c.over_share) continue;  // its tenant has the others wait
    Sequence& sequence = context.sequences.at(c.slot);
    const RequestId id = sequence.id;
    const Served served = serve(context, c, seconds, limits.tokens, step);
    if (served == Served::no_memory && c.waiting && sequence.id == id) {
      waits = true;
      if (passed_ != id) bypasses_ = 0;
      passed_ = id;
    }
    if (sequence.id == id && sequence.running != kNoIndex)
      running_[sequence.running].overdue = true;
  }
  if (!waits) passed_ = {};
}

// Late ones, from `next` on, get what time and memory the others leave. With nothing else to
// compute a step takes a part of the pace, so that decodes bank time for the next good prompt.
void IterationBatcher::fill_late(Context& context, const Limits& limits, std::size_t next,
                                 bool blocked, bool good_prompts, Step& step) {
  double seconds = limits.seconds;
  std::int64_t tokens = std::min(limits.tokens, std::max<std::int64_t>(1, knee_tokens()));
  if (!good_prompts) {
    tokens = limits.tokens;
    seconds =
        chunks_.empty() ? kEmptyPace * limits.pace : std::min(seconds, kQuietPace * limits.pace);
  }
  if (work_.tokens > 0 && cost_.seconds(work_) > seconds) seconds = limits.seconds;
  int tries = 0;
  for (; next < candidates_.size() && tries <= kLateTries; ++next) {
    const Candidate& c = candidates_[next];
    if (c.waiting && (blocked || !leaves_others_room(context, c) ||
                      !late_has_room(context, context.sequences.at(c.slot)))) {
      ++tries;
      continue;
    }
    const Served served = serve(context, c, seconds, tokens, step);
    if (served == Served::no_time) return;
    if (served == Served::no_memory) ++tries;
    if (c.waiting && (served == Served::yes || served == Served::not_yet)) {
      late_pages_ += static_cast<std::int64_t>(context.sequences.at(c.slot).pages.size());
    }
  }
}

// How many pages good requests were seen to want: a maximum that fades.
void IterationBatcher::note_demand(const Context& context) {
  std::int64_t pages = 0;
  late_pages_ = 0;
  for (const Running& place : running_) {
    const auto held = static_cast<std::int64_t>(context.sequences.at(place.slot).pages.size());
    (place.late ? late_pages_ : pages) += held;
  }
  int counted = 0;
  for (const Candidate& c : candidates_) {
    if (c.late || counted == kDemandWaiting) break;
    const Sequence& sequence = context.sequences.at(c.slot);
    if (!c.waiting || sequence.phase != RequestPhase::waiting) continue;
    pages += pages_to_start(sequence);
    ++counted;
  }
  demand_.see(context.now.time_since_epoch().count(), static_cast<double>(pages));
}

bool IterationBatcher::late_has_room(const Context& context, const Sequence& sequence) const {
  if (running_.empty()) return true;
  const double wanted = static_cast<double>(late_pages_) +
                        kLateMargin * static_cast<double>(pages_to_start(sequence));
  return wanted + demand_margin_ * demand_.value() <=
         static_cast<double>(total_pages(context.ledger));
}

// Takes the memory of a late sequence for one that can still be good. The cheapest to lose for what
// it frees; false if there is none, or if too much was lost like this lately.
bool IterationBatcher::evict_late(Context& context, const Sequence& needy) {
  if (eviction_credit_ <= 0) return false;
  const bool poor = contenders_.size() > 1 && !over_share(needy.tenant);
  std::optional<std::uint32_t> best;
  double most = 0;
  for (std::uint32_t i = 0; i < running_.size(); ++i) {
    const Running& place = running_[i];
    const Sequence& sequence = context.sequences.at(place.slot);
    if (sequence.in_step || sequence.without_progress > 0) continue;
    if (!place.gives_way() && (!poor || !over_share(sequence.tenant))) continue;
    if (sequence.service_class < needy.service_class || memory_.own_pages(sequence) == 0) continue;
    const double value = expendable(context, place);
    if (!best || value > most) {
      best = i;
      most = value;
    }
  }
  if (!best) return false;
  withdraw(context, *best);
  const std::int64_t computed = running_[*best].context;
  const std::int64_t kept = preempt(context, *best, Copy::yes);
  eviction_credit_ -= static_cast<double>(std::max<std::int64_t>(0, computed - kept));
  return true;
}

// True when copies under way will free what a request needs: it waits for them.
bool IterationBatcher::enough_leaves(const Context& context, const Sequence& sequence) const {
  const std::int64_t leaving = memory_.pages_leaving();
  return leaving > 0 && memory_.available_pages(context.ledger) + leaving >=
                            std::int64_t{pages_to_start(sequence)};
}

}  // namespace mais::core
