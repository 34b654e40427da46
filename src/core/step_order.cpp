// Who goes first: what each sequence is due, who can still be good, and in which order to serve.
#include <algorithm>

#include "core/iteration_batcher.hpp"

namespace mais::core {

namespace {

// A recomputed sequence that is behind by more than this is not saved any more.
constexpr double kGiveUpSeconds = 5;
// Triage plans with a little less than what steps are seen to have room for.
constexpr double kTriageMargin = 0.97;
// Waiting requests that one plan looks at.
constexpr std::size_t kLookAhead = AdmissionQueue::kMostAhead;

}  // namespace

// Of its next token: the first by TTFT, token j by TPOT, which is a mean: first + j x TPOT.
std::int64_t IterationBatcher::due_of(const Sequence& sequence) const {
  if (sequence.generated == 0) {
    return sequence.first_due == kNever ? kNoDue : sequence.first_due.time_since_epoch().count();
  }
  if (!sequence.tpot) return kNoDue;
  return detail::saturating_add(
      sequence.first_token.time_since_epoch().count(),
      detail::saturating_multiply(sequence.tpot->count(), sequence.generated));
}

// Its prompt (and what it had generated), alone on the device, from scratch.
double IterationBatcher::own_seconds(const Sequence& sequence) const {
  return cost_.alone(static_cast<double>(sequence.prompt + sequence.generated));
}

// The order of those that wait, within a class and tenant. Late ones queue by arrival.
std::int64_t IterationBatcher::rank_of(const Sequence& sequence) const {
  const std::int64_t arrival = sequence.arrival.time_since_epoch().count();
  if (policy_.order == OrderPolicy::arrival || sequence.late) return arrival;
  if (policy_.order == OrderPolicy::shortest) {
    return from_seconds(own_seconds(sequence)).count();
  }
  const std::int64_t due = due_of(sequence);
  return due == kNoDue ? detail::saturating_add(arrival, std::int64_t{1} << 61) : due;
}

bool IterationBatcher::before(const Candidate& a, const Candidate& b) const {
  if (a.late != b.late) return b.late;
  if (a.service_class != b.service_class) return a.service_class < b.service_class;
  if (policy_.order == OrderPolicy::shortest && a.work_s != b.work_s) return a.work_s < b.work_s;
  if (policy_.order != OrderPolicy::arrival && a.due != b.due) return a.due < b.due;
  return a.order < b.order;
}

// Everybody who has a prompt to compute: those that run by their own order, merged with those that
// wait in the queue's, which knows of classes and of tenants' shares.
void IterationBatcher::gather(const Context& context) {
  const std::int64_t now = context.now.time_since_epoch().count();
  candidates_.clear();
  merged_.clear();
  overdue_.clear();
  const auto candidate = [&](const Sequence& sequence, std::int64_t done) {
    Candidate made{.slot = SequenceTable::slot_of(sequence.id),
                   .late = sequence.late,
                   .tenant = sequence.tenant,
                   .service_class = sequence.service_class,
                   .due = due_of(sequence),
                   .order = sequence.arrival.time_since_epoch().count()};
    made.tokens = static_cast<double>(sequence.prompt + sequence.generated);
    made.cached = static_cast<double>(done);
    made.work_s = cost_.marginal(static_cast<double>(sequence.prompt + sequence.generated - done),
                                 static_cast<double>(done));
    return made;
  };
  for (const Running& place : running_) {
    if (!place.prompting) continue;
    const Sequence& sequence = context.sequences.at(place.slot);
    Candidate made = candidate(sequence, place.context);
    made.late = place.late;
    made.due = place.due;
    const std::int64_t overdue = place.late || place.overdue ? overdue_at(sequence) : kForever;
    if (place.overdue || overdue <= now) {
      made.late = false;
      made.due = overdue;
      overdue_.push_back(made);
    } else {
      merged_.push_back(made);
    }
  }
  // Of those that wait, one at a time: the others are not passed by it.
  std::uint32_t waiting_overdue = kNoIndex;
  if (!ages_.empty() && ages_.top_value() <= now) {
    waiting_overdue = ages_.top();
    const Sequence& sequence = context.sequences.at(waiting_overdue);
    Candidate made = candidate(sequence, memory_.matched_tokens(sequence));
    made.late = false;
    made.waiting = true;
    made.due = ages_.top_value();
    overdue_.push_back(made);
  }
  std::sort(overdue_.begin(), overdue_.end(), [](const Candidate& a, const Candidate& b) {
    if (a.service_class != b.service_class) return a.service_class < b.service_class;
    return a.due != b.due ? a.due < b.due : a.slot < b.slot;
  });
  std::sort(merged_.begin(), merged_.end(),
            [&](const Candidate& a, const Candidate& b) { return before(a, b); });

  std::array<QueueHandle, kLookAhead> ahead;
  const bool full = static_cast<std::int64_t>(running_.size()) >= max_sequences_;
  const std::size_t most = full ? 0 : kLookAhead;  // with no place to give, nobody is looked at
  const std::size_t waiting = queue_.look_ahead({ahead.data(), most});
  std::size_t next = 0;
  for (std::size_t i = 0; i < waiting; ++i) {
    const Sequence& sequence = context.sequences[queue_.find(ahead[i])->id];
    if (SequenceTable::slot_of(sequence.id) == waiting_overdue) continue;
    Candidate made = candidate(sequence, memory_.matched_tokens(sequence));
    made.waiting = true;
    while (next < merged_.size() && !before(made, merged_[next])) {
      candidates_.push_back(merged_[next++]);
    }
    candidates_.push_back(made);
  }
  while (next < merged_.size()) candidates_.push_back(merged_[next++]);
}

// Sorts out who can still be good in steps of this length, and in which order to serve.
// Moore and Hodgson (Management Science 15, 1968): by deadline; when one would be late, put off the
// longest so far. That leaves the fewest late on one machine. Those put off come after, shortest
// first, and are judged anew at every step; the hopeless come last. Returns how many are to be in
// time, which stand first. Tenants that have more than their share are the first to be put off.
std::size_t IterationBatcher::triage(const Context& context, double step) {
  const std::int64_t now = context.now.time_since_epoch().count();
  const double least = cost_.weights_s + cost_.overhead_s;
  for (Candidate& c : candidates_) {
    if (c.late || c.due == kNoDue) continue;
    const Sequence& sequence = context.sequences.at(c.slot);
    const double left =
        seconds_until(c.due, std::max(now, sequence.ready.time_since_epoch().count()));
    const double alone = std::max(c.work_s, least);
    const double patience = sequence.generated > 0 ? kGiveUpSeconds : 0;
    if (alone > left + patience) {
      c.late = true;
      if (!c.waiting) running_[sequence.running].late = true;
    }
    // How long it takes in steps of this length beside the present decodes, by the chunk that such
    // a step has room for in the middle of its prompt: reads of decodes may hide behind a long
    // prompt's attention, so their costs do not simply add up.
    const double need = c.tokens - c.cached;
    const double chunk = cost_.room(work_, c.cached + 0.5 * need, step);
    c.takes_s = need * step / std::max(chunk, 1.0) / kTriageMargin;
    c.put_off = std::max(c.takes_s, least) > left;
  }
  merged_.clear();   // to be in time, by deadline
  put_off_.clear();  // not
  late_.clear();
  double busy = 0;
  for (const Candidate& c : candidates_) {
    if (c.late) {
      late_.push_back(c);
      continue;
    }
    if (c.put_off && policy_.order == OrderPolicy::triage) {
      // Not now; perhaps when more of the step is free.
      late_.push_back(c);
      late_.back().late = true;
      continue;
    }
    merged_.push_back(c);
    busy += c.takes_s;
    if (policy_.order != OrderPolicy::triage) continue;
    if (c.due == kNoDue || busy <= seconds_until(c.due, now)) continue;
    auto longest = merged_.begin();
    for (auto at = merged_.begin(); at != merged_.end(); ++at) {
      if (at->service_class != longest->service_class) {
        if (at->service_class > longest->service_class) longest = at;
      } else if (at->over_share != longest->over_share) {
        if (at->over_share) longest = at;
      } else if (at->takes_s > longest->takes_s) {
        longest = at;
      }
    }
    busy -= longest->takes_s;
    put_off_.push_back(*longest);
    merged_.erase(longest);
  }
  const auto shorter = [](const Candidate& a, const Candidate& b) {
    if (a.service_class != b.service_class) return a.service_class < b.service_class;
    if (a.over_share != b.over_share) return b.over_share;
    return a.work_s != b.work_s ? a.work_s < b.work_s : a.slot < b.slot;
  };
  std::sort(put_off_.begin(), put_off_.end(), shorter);
  // Late ones: those that run first, then by arrival.
  std::sort(late_.begin(), late_.end(), [](const Candidate& a, const Candidate& b) {
    if (a.waiting != b.waiting) return b.waiting;
    if (a.service_class != b.service_class) return a.service_class < b.service_class;
    if (a.over_share != b.over_share) return b.over_share;
    return a.order != b.order ? a.order < b.order : a.slot < b.slot;
  });
  candidates_.clear();
  candidates_.insert(candidates_.end(), merged_.begin(), merged_.end());
  const std::size_t in_time = candidates_.size();
  candidates_.insert(candidates_.end(), put_off_.begin(), put_off_.end());
  candidates_.insert(candidates_.end(), late_.begin(), late_.end());
  return in_time;
}

}  // namespace mais::core
