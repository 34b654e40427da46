// What one step computes: how long it may take, and who gets how much of it.
#include <algorithm>

#include "core/iteration_batcher.hpp"

namespace mais::core {

namespace {

constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kNoDue = kForever;

// Decodes that fell behind are given this part of their pace: they catch up, and prompts go on.
constexpr double kCatchUpPace = 0.8;
// A recomputed sequence that is behind by more than this is not saved any more.
constexpr double kGiveUpSeconds = 5;
// Triage plans with a little less than what steps are seen to have room for.
constexpr double kTriageMargin = 0.97;
constexpr double kEasyShare = 0.8;
// An easy step leaves prompts at least this part of what reading the weights hides: where decodes
// alone fill it, to be easy would be to stand still.
constexpr double kEasyRoom = 0.25;
// Late requests keep clear of the memory that good ones were seen to want within this time.
constexpr double kDemandMemorySeconds = 60;
constexpr double kDemandMargin = 1.1;
// The first so many of those that wait count as their demand.
constexpr int kDemandWaiting = 16;
// With nothing but late prompts to compute, a step takes this part of the pace, so that decodes
// bank time for the next good prompt; twice the pace when no good decode runs either.
constexpr double kQuietPace = 0.5;
constexpr double kEmptyPace = 2;
// Late requests are admitted with a little to grow into.
constexpr double kLateMargin = 1.1;
// Late requests that one plan tries to find room for.
constexpr int kLateTries = 4;
// Without deadlines a step is long enough for its overhead to be this part of it.
constexpr double kOverheadPart = 0.01;
constexpr double kEasyOverheadPart = 0.015;
constexpr double kNoPace = 1e12;
// Waiting requests that one plan looks at.
constexpr std::size_t kLookAhead = AdmissionQueue::kMostAhead;

double seconds_until(std::int64_t due, std::int64_t now) {
  return due == kNoDue ? 1e12 : static_cast<double>(due - now) * 1e-9;
}

}  // namespace

// --- What a sequence is due ---------------------------------------------------------------------

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

// When it has waited so long that it does not give way any more.
std::int64_t IterationBatcher::overdue_at(const Sequence& sequence) const {
  const std::int64_t due = due_of(sequence);
  const std::int64_t arrival = sequence.arrival.time_since_epoch().count();
  if (sequence.first_due == kNever) {
    const auto patience = patience_[static_cast<std::size_t>(sequence.service_class)];
    if (!patience) return kForever;
    return detail::saturating_add(due == kNoDue ? arrival : due, patience->count());
  }
  const double allowance = to_seconds(sequence.first_due - sequence.arrival);
  const std::int64_t from = sequence.generated == 0 || due == kNoDue ? arrival : due;
  return detail::saturating_add(from, from_seconds(policy_.overdue_after * allowance).count());
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

// --- The plan -----------------------------------------------------------------------------------

bool IterationBatcher::plan(Context& context, Step& step) {
  MAIS_EXPECTS(!flight_, "the instance has a step under way: report it before asking for the next");
  step.entries.clear();
  step.blocks.clear();
  step.moves.clear();
  chunks_.clear();
  projected_ = false;
  moved_ = false;
  work_ = {};
  wake_.reset();
  memory_.land(context);
  settle(context);
  // First of all, so that no sequence takes it; cut to what the step needs when that is known.
  if (!memory_.take_workspace(context.ledger, workspace_bound_)) return false;
  grow_decodes(context, Force::no);
  form(context, step);
  if (chunks_.empty() && !running_.empty() && !wake_) {
    // Everybody stands still for want of a page: the least expendable takes from the others.
    grow_decodes(context, Force::yes);
    form(context, step);
    // One by one they queue again, and nobody else begins until somebody goes on.
    closed_ = true;
    while (chunks_.empty() && (leave_one(context) || try_again_or_end(context))) {
      grow_decodes(context, Force::no);
      form(context, step);
    }
    closed_ = false;
  }
  if (chunks_.empty() && !memory_.has_moves()) {
    memory_.give_back_workspace(context.ledger);
    if (!wake_) wake_ = memory_.tier().next_landing();  // which may free what somebody waits for
    if (has_work() && wake_) context.out.wake_at = wake_;
    return false;
  }
  if (!chunks_.empty()) memory_.write_through(context);
  memory_.take_moves(step.moves);
  flight_moves_.assign(step.moves.begin(), step.moves.end());
  if (moved_) {  // places changed while sequences gave way
    for (Chunk& chunk : chunks_) chunk.place = context.sequences.at(chunk.slot).running;
  }

  step.instance = id_;
  step.padded = Tokens(0);
  step.workspace = Bytes(0);
  step.predicted = Duration::zero();
  if (!chunks_.empty()) {
    step.workspace =
        workspace_with(work_.tokens, work_.context, static_cast<std::int64_t>(chunks_.size()));
    step.predicted = from_seconds(cost_.seconds(work_));
  }
  MAIS_EXPECTS(step.workspace <= workspace_bound_,
               "a step was formed that needs more workspace than the instance has");
  memory_.keep_workspace(context.ledger, step.workspace);
  flight_ = Flight{.began = context.now, .work = work_, .workspace = step.workspace};
  return true;
}

void IterationBatcher::form(Context& context, Step& step) {
  late_decodes_.clear();
  place_decodes(context, step);
  place_prompts(context, step);
  place_late_decodes(context, step);
  drop_withdrawn(step);
}

void IterationBatcher::drop_withdrawn(Step& step) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    if (chunks_[i].tokens == 0) continue;
    chunks_[kept] = chunks_[i];
    step.entries[kept++] = step.entries[i];
  }
  chunks_.resize(kept);
  step.entries.resize(kept);
}

Bytes IterationBatcher::workspace_with(double tokens, double context,
                                       std::int64_t sequences) const {
  return workspace_.bytes(Tokens(static_cast<std::int64_t>(tokens)), sequences,
                          Tokens(static_cast<std::int64_t>(context)));
}

void IterationBatcher::put(Context& context, std::uint32_t index, std::int64_t tokens, Step& step) {
  const Running& place = running_[index];
  Sequence& sequence = context.sequences.at(place.slot);
  const bool emits = place.context + tokens == place.target;
  sequence.in_step = true;
  work_.add(static_cast<double>(place.context), static_cast<double>(tokens));
  chunks_.push_back({.place = index, .slot = place.slot, .tokens = tokens, .emits = emits});

  StepEntry entry{.request = place.id,
                  .tag = place.tag,
                  .context = Tokens(place.context),
                  .tokens = Tokens(tokens),
                  .emits = emits,
                  .restarts = sequence.told == 0,
                  .first_block = static_cast<std::uint32_t>(step.blocks.size())};
  if (sequence.told < sequence.pages.size() && memory_.pages().size() > 0) {
    step.blocks.insert(step.blocks.end(), sequence.pages.begin() + sequence.told,
                       sequence.pages.end());
    entry.block_count = static_cast<std::uint32_t>(sequence.pages.size()) - sequence.told;
  }
  sequence.told = static_cast<std::uint32_t>(sequence.pages.size());
  step.entries.push_back(entry);
}

// All decodes that have a page. When the engine's bounds do not take all of them, those that are
// due first.
void IterationBatcher::place_decodes(Context& context, Step& step) {
  needy_.clear();
  double attended = 0;
  for (std::uint32_t i = 0; i < running_.size(); ++i) {
    if (running_[i].prompting || running_[i].stalled) continue;
    needy_.push_back(i);
    attended += static_cast<double>(running_[i].context + 1);
  }
  const auto count = static_cast<std::int64_t>(needy_.size());
  const bool all = count <= max_step_tokens_ &&
                   workspace_with(static_cast<double>(count), attended, count) <= workspace_bound_;
  if (!all) {
    std::sort(needy_.begin(), needy_.end(), [&](std::uint32_t a, std::uint32_t b) {
      return running_[a].due != running_[b].due ? running_[a].due < running_[b].due
                                                : running_[a].admitted < running_[b].admitted;
    });
  }
  for (const std::uint32_t index : needy_) {
    if (!all) {
      const auto sequences = static_cast<std::int64_t>(chunks_.size() + late_decodes_.size()) + 1;
      const double reads = work_.context + static_cast<double>(running_[index].context + 1);
      if (sequences > max_step_tokens_ ||
          workspace_with(work_.tokens + 1, reads, sequences) > workspace_bound_) {
        break;
      }
    }
    const bool gives_way = running_[index].late && !running_[index].overdue;
    // It goes on when there is time for it again, or when it waited too long.
    if (gives_way && pressed_ && running_[index].due > context.now.time_since_epoch().count()) {
      continue;
    }
    if (gives_way) {
      // Counted, but placed last: it may have to give way to a prompt that can be in time.
      work_.add(static_cast<double>(running_[index].context), 1);
      late_decodes_.push_back(running_[index].slot);
    } else {
      put(context, index, 1, step);
    }
  }
}

void IterationBatcher::place_late_decodes(Context& context, Step& step) {
  for (const std::uint32_t slot : late_decodes_) {
    const std::uint32_t index = context.sequences.at(slot).running;
    work_.remove(static_cast<double>(running_[index].context), 1);
    put(context, index, 1, step);
  }
  late_decodes_.clear();
}

// How long the step may take, in seconds.
double IterationBatcher::longest_step(const Context& context, double& pace) const {
  const double decodes = work_.tokens > 0 ? cost_.seconds(work_) : 0;
  const std::int64_t now = context.now.time_since_epoch().count();
  double longest = 1e12;
  for (const Chunk& chunk : chunks_) {
    const Running& place = running_[chunk.place];
    const Sequence& sequence = context.sequences.at(place.slot);
    if (!sequence.tpot) continue;
    const double tpot = to_seconds(*sequence.tpot);
    pace = std::min(pace, tpot);
    if (place.late) continue;
    double slack = seconds_until(place.due, now);
    if (slack < decodes) slack = std::max(decodes, kCatchUpPace * tpot);
    longest = std::min(longest, slack);
  }
  for (const Candidate& candidate : candidates_) {
    const Sequence& sequence = context.sequences.at(candidate.slot);
    if (sequence.tpot) pace = std::min(pace, to_seconds(*sequence.tpot));
  }
  const double knee = cost_.weights_s + cost_.overhead_s;
  if (pace == kNoPace) return std::max({decodes, knee, cost_.overhead_s / kOverheadPart});
  return std::min(longest, std::max(pace, decodes));
}

bool IterationBatcher::before(const Candidate& a, const Candidate& b) const {
  if (a.late != b.late) return b.late;
  if (a.service_class != b.service_class) return a.service_class < b.service_class;
  if (policy_.order == OrderPolicy::shortest && a.work_s != b.work_s) return a.work_s < b.work_s;
  if (policy_.order != OrderPolicy::arrival && a.due != b.due) return a.due < b.due;
  return a.order < b.order;
}

// What an easy step computes: as much as reading the weights hides. Where nobody sets a pace, it also
// outweighs its overhead.
std::int64_t IterationBatcher::easy_tokens(bool paced) const {
  const std::int64_t knee = knee_tokens();
  if (paced || cost_.token_s <= 0) return knee;
  return std::max(knee, static_cast<std::int64_t>(cost_.overhead_s / (kEasyOverheadPart * cost_.token_s)));
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
    made.handle = sequence.handle;
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
    made.handle = ahead[i];
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
// time, which stand first.
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
      if (at->service_class > longest->service_class ||
          (at->service_class == longest->service_class && at->takes_s > longest->takes_s)) {
        longest = at;
      }
    }
    busy -= longest->takes_s;
    put_off_.push_back(*longest);
    merged_.erase(longest);
  }
  const auto shorter = [](const Candidate& a, const Candidate& b) {
    if (a.service_class != b.service_class) return a.service_class < b.service_class;
    return a.work_s != b.work_s ? a.work_s < b.work_s : a.slot < b.slot;
  };
  std::sort(put_off_.begin(), put_off_.end(), shorter);
  // Late ones: those that run first, then by arrival.
  std::sort(late_.begin(), late_.end(), [](const Candidate& a, const Candidate& b) {
    if (a.waiting != b.waiting) return b.waiting;
    if (a.service_class != b.service_class) return a.service_class < b.service_class;
    return a.order != b.order ? a.order < b.order : a.slot < b.slot;
  });
  candidates_.clear();
  candidates_.insert(candidates_.end(), merged_.begin(), merged_.end());
  const std::size_t in_time = candidates_.size();
  candidates_.insert(candidates_.end(), put_off_.begin(), put_off_.end());
  candidates_.insert(candidates_.end(), late_.begin(), late_.end());
  return in_time;
}

// The largest chunk of a prompt that the step still takes.
std::int64_t IterationBatcher::chunk_size(const Running& place, double seconds,
                                          std::int64_t tokens) const {
  const std::int64_t room = tokens - static_cast<std::int64_t>(work_.tokens);
  std::int64_t most = std::min({place.need(), room, place.capacity - place.context});
  if (most <= 0) return 0;
  if (workspace_bound_ > Bytes(0)) {
    const auto fits = [&](std::int64_t q) {
      return workspace_with(work_.tokens + static_cast<double>(q),
                            work_.context + static_cast<double>(place.context + q),
                            static_cast<std::int64_t>(chunks_.size() + late_decodes_.size()) + 1) <=
             workspace_bound_;
    };
    if (!fits(1)) return 0;
    std::int64_t low = 1;
    if (!fits(most)) {
      while (most - low > 1) {
        const std::int64_t middle = low + (most - low) / 2;
        (fits(middle) ? low : most) = middle;
      }
      most = low;
    }
  }
  if (policy_.step == StepPolicy::budget) return most;
  return cost_.largest_chunk(work_, static_cast<double>(place.context), most, seconds);
}

void IterationBatcher::place_prompts(Context& context, Step& step) {
  if (policy_.order == OrderPolicy::arrival) {
    place_in_order(context, step);
    return;
  }
  gather(context);
  pressed_ = false;
  if (candidates_.empty() && overdue_.empty()) return;
  const bool paced = policy_.step == StepPolicy::paced;
  const std::int64_t budget =
      paced ? max_step_tokens_ : std::min(max_step_tokens_, policy_.token_budget.count());
  double pace = kNoPace;
  const double longest = paced ? longest_step(context, pace) : 1e12;

  const std::size_t in_time = triage(context, std::min(without_overdue(longest), 1.0));

  // When all that are to be in time are so at an easy pace, a step computes no more than reading
  // the weights hides: it is shorter, and memory returns sooner.
  std::int64_t easy = budget;
  const std::int64_t knee = easy_tokens(pace < kNoPace);
  bool enough = false;
  if (paced && knee > 0) {
    StepWork at_knee = work_;
    at_knee.tokens = std::max(work_.tokens + 1, static_cast<double>(knee));
    const double seconds = cost_.seconds(at_knee);
    const double part = static_cast<double>(knee) - work_.tokens;
    if (seconds < longest && part >= kEasyRoom * static_cast<double>(knee)) {
      const double rate = cost_.token_s * part / seconds * kEasyShare;
      const std::int64_t now = context.now.time_since_epoch().count();
      enough = true;
      double busy = 0;
      for (std::size_t i = 0; i < in_time && enough; ++i) {
        busy += candidates_[i].work_s / rate;
        enough = candidates_[i].due == kNoDue || busy <= seconds_until(candidates_[i].due, now);
      }
      if (enough) easy = std::min(budget, std::max<std::int64_t>(knee, 1));
    }
  }
  pressed_ = in_time > 0 && !enough;
  fill(context, {.seconds = longest, .pace = pace, .tokens = budget, .easy_tokens = easy}, step);
  if (chunks_.empty() && late_decodes_.empty() && !wake_) {
    force_something(context, {.seconds = longest, .pace = pace, .tokens = budget}, step);
  }
}

// In order of arrival; the first that does not fit ends admission, as in the field.
void IterationBatcher::place_in_order(Context& context, Step& step) {
  const std::int64_t budget = std::min(max_step_tokens_, policy_.token_budget.count());
  for (Running& place : running_) {
    if (place.prompting) place.stalled = false;
  }
  bool stalled = false;
  for (;;) {
    bool moved = false;
    std::optional<std::uint32_t> first;
    for (std::uint32_t i = 0; i < running_.size(); ++i) {
      const Running& place = running_[i];
      if (!place.prompting || place.stalled) continue;
      if (context.sequences.at(place.slot).in_step) continue;
      if (!first || place.admitted < running_[*first].admitted) first = i;
    }
    if (first) {
      Sequence& sequence = context.sequences.at(running_[*first].slot);
      if (running_[*first].shed && !restore(context, sequence)) {
        running_[*first].stalled = stalled = true;  // the others have their pages
        continue;
      }
      if (!arrived(context, sequence)) return;
      const std::int64_t tokens = chunk_size(running_[*first], 1e12, budget);
      if (tokens == 0) return;
      put(context, *first, tokens, step);
      moved = true;
    } else if (const auto head = queue_.head();
               head && !stalled && work_.tokens < static_cast<double>(budget)) {
      Sequence& sequence = context.sequences[queue_.find(*head)->id];
      if (!admit(context, sequence)) {
        if (!running_.empty()) return;
        moved = refuse_if_never(context, sequence) || admit(context, sequence);
      } else {
        moved = true;
      }
    }
    if (!moved) return;
  }
}

// Fills the step: those that are to be in time and those put off, then the late ones with what time
// and memory the others leave.
void IterationBatcher::fill(Context& context, const Limits& limits, Step& step) {
  place_overdue(context, limits, step);
  bool blocked = false;
  std::size_t next = 0;
  for (; next < candidates_.size() && !candidates_[next].late; ++next) {
    const Candidate& c = candidates_[next];
    const Served served = serve(context, c, limits.seconds, limits.easy_tokens, step);
    if (served == Served::no_time) break;
    blocked = blocked || served == Served::no_memory;
  }
  const bool good_prompts = !candidates_.empty() && !candidates_.front().late;
  while (next < candidates_.size() && !candidates_[next].late) ++next;
  note_demand(context);
  if (next == candidates_.size()) return;

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
    if (c.waiting && (blocked || !late_has_room(context, context.sequences.at(c.slot)))) {
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
    Sequence& sequence = context.sequences.at(c.slot);
    const RequestId id = sequence.id;
    const Served served = serve(context, c, seconds, limits.tokens, step);
    if (served == Served::no_memory && c.waiting && sequence.id == id) {
      waits = true;
      if (passed_ != id) bypasses_ = 0;
      passed_ = id;
    }
    if (sequence.id == id && sequence.running != kNoIndex) running_[sequence.running].overdue = true;
  }
  if (!waits) passed_ = {};
}

// Gives a candidate its chunk, and before that a place and memory if it waits.
IterationBatcher::Served IterationBatcher::serve(Context& context, const Candidate& c,
                                                 double seconds, std::int64_t tokens, Step& step) {
  Sequence& sequence = context.sequences.at(c.slot);
  if (sequence.in_step) return Served::yes;
  if (follows(context, sequence)) return Served::not_yet;
  if (c.waiting && sequence.running == kNoIndex) {
    Running imagined;  // as it would run: is there time for it at all?
    imagined.context = memory_.matched_tokens(sequence);
    imagined.target = sequence.prompt + sequence.generated;
    imagined.capacity = imagined.target;
    if (chunk_size(imagined, seconds, tokens) == 0) return Served::no_time;
    bool admitted = admit(context, sequence);
    while (!admitted && !c.late && !enough_leaves(context, sequence) &&
           evict_late(context, sequence)) {
      admitted = admit(context, sequence);
    }
    if (!admitted && running_.empty()) {
      if (refuse_if_never(context, sequence)) return Served::no_memory;
      admitted = admit(context, sequence);
    }
    if (!admitted) return Served::no_memory;
  }
  const std::uint32_t index = sequence.running;
  if (index == kNoIndex) return Served::no_memory;  // gave way meanwhile
  if (!arrived(context, sequence)) return Served::not_yet;
  if (running_[index].shed && !restore(context, sequence)) return Served::no_memory;
  adopt_blocks(context, index, seconds, tokens);
  const std::int64_t q = chunk_size(running_[index], seconds, tokens);
  if (q == 0) return Served::no_time;
  put(context, index, q, step);
  return Served::yes;
}

// True when the next block of its prompt is computed by another one in this very step: it goes on
// from there instead of computing the same.
bool IterationBatcher::follows(const Context& context, const Sequence& sequence) const {
  if (sequence.prefix.empty() || !memory_.shares_prefixes()) return false;
  const std::int64_t computed = sequence.running == kNoIndex
                                    ? memory_.matched_tokens(sequence)
                                    : running_[sequence.running].context;
  const BlockHash* wanted = memory_.block_at(sequence, computed);
  if (wanted == nullptr) return false;
  for (const Chunk& chunk : chunks_) {
    const Sequence& other = context.sequences.at(chunk.slot);
    if (chunk.tokens == 0 || chunk.slot == SequenceTable::slot_of(sequence.id)) continue;
    const Running& place = running_[other.running];
    if (!place.prompting) continue;
    const BlockHash* made = memory_.block_at(other, place.context);
    if (made != nullptr && *made == *wanted) return true;
  }
  return false;
}

// True when the state that was fetched for a sequence is there.
bool IterationBatcher::arrived(const Context& context, const Sequence& sequence) {
  Running& place = running_[sequence.running];
  if (!place.arriving) return true;
  place.arriving = sequence.ready > context.now;
  if (place.arriving) wake_ = wake_ ? std::min(*wake_, sequence.ready) : sequence.ready;
  return !place.arriving;
}

// A sequence goes on with what others computed of its prompt meanwhile, if it gets on in this step.
void IterationBatcher::adopt_blocks(Context& context, std::uint32_t index, double seconds,
                                    std::int64_t tokens) {
  Running& place = running_[index];
  Sequence& sequence = context.sequences.at(place.slot);
  if (sequence.nodes.size() == sequence.prefix.size() || !memory_.shares_prefixes()) return;
  Running ahead = place;
  ahead.context = memory_.computed_with_adopted(sequence, context.now, place.context);
  if (chunk_size(ahead, seconds, tokens) == 0) return;
  memory_.adopt(context, sequence, place.context);
  totals_.prefix_hits += static_cast<std::uint64_t>(ahead.context - place.context);
  if (ahead.context > place.context) projected_ = false;
  place.context = ahead.context;
  sequence.reached = std::max(sequence.reached, place.context);
}

// A plan that would leave the device idle although somebody waits takes the first that fits.
void IterationBatcher::force_something(Context& context, const Limits& limits, Step& step) {
  for (const Candidate& c : candidates_) {
    if (context.sequences.at(c.slot).id == RequestId{}) continue;  // was refused
    if (serve(context, c, 1e12, std::min(limits.tokens, 2 * knee_tokens() + 1), step) ==
        Served::yes) {
      return;
    }
  }
}

// --- Late ones and memory -----------------------------------------------------------------------

// How many pages good requests were seen to want: a maximum that fades.
void IterationBatcher::note_demand(const Context& context) {
  const std::int64_t now = context.now.time_since_epoch().count();
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
  const double elapsed = static_cast<double>(std::max<std::int64_t>(0, now - demand_at_)) * 1e-9;
  demand_at_ = now;
  const double part = elapsed / (elapsed + kDemandMemorySeconds);
  const auto present = static_cast<double>(pages);
  demand_ = std::max(present, demand_ + (present - demand_) * part);
}

bool IterationBatcher::late_has_room(const Context& context, const Sequence& sequence) const {
  if (running_.empty()) return true;
  const double wanted = static_cast<double>(late_pages_) +
                        kLateMargin * static_cast<double>(pages_to_start(sequence));
  return wanted + kDemandMargin * demand_ <= static_cast<double>(total_pages(context.ledger));
}

std::int64_t IterationBatcher::total_pages(const Ledger& ledger) const {
  const Bytes page = memory_.page_bytes();
  return page > Bytes(0) ? memory_.limit(ledger) / page : kForever;
}

// Takes the memory of a late sequence for one that can still be good. The cheapest to lose for what
// it frees; false if there is none, or if too much was lost like this lately.
bool IterationBatcher::evict_late(Context& context, const Sequence& needy) {
  if (eviction_credit_ <= 0) return false;
  std::optional<std::uint32_t> best;
  double most = 0;
  for (std::uint32_t i = 0; i < running_.size(); ++i) {
    const Running& place = running_[i];
    const Sequence& sequence = context.sequences.at(place.slot);
    if (!place.late || place.overdue || sequence.in_step || sequence.without_progress > 0) continue;
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
  const std::int64_t asked = memory_.bytes_at(own + (whole - held));
  const auto tenant_limit = context.ledger.limit(memory_.tenant_account(sequence.tenant));
  const Bytes bound = memory_.most_of(bound_, sequence.tenant);
  const Bytes limit = std::min(bound, tenant_limit.value_or(bound));
  if (Bytes(asked) <= limit) {
    const Bytes more =
        Bytes(asked) - memory_.most_of(memory_.limit(context.ledger), sequence.tenant);
    if (more <= Bytes(0)) return false;
    memory_.set_limit(context.ledger, memory_.limit(context.ledger) + more);
    return true;
  }
  stop(0, context.sequences);
  serve(sequence, 0, true);
  free_memory(context, sequence);
  refuse(context, sequence,
         {.reason = RefusalReason::can_never_fit, .asked = asked, .available = limit.count()});
  return false;
}

}  // namespace mais::core
