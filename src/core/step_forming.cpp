// What one step computes: how long it may take, and who gets how much of it.
#include <algorithm>

#include "core/iteration_batcher.hpp"

namespace mais::core {

namespace {

// Decodes that fell behind are given this part of their pace: they catch up, and prompts go on.
constexpr double kCatchUpPace = 0.8;
// Easy steps plan with this part of what they could compute.
constexpr double kEasyShare = 0.8;
// An easy step leaves prompts at least this part of what reading the weights hides: where decodes
// alone fill it, to be easy would be to stand still.
constexpr double kEasyRoom = 0.25;
// Where nobody sets a pace, a step is long enough for its overhead to be this part of it; an easy
// one likewise.
constexpr double kOverheadPart = 0.01;
constexpr double kEasyOverheadPart = 0.015;
constexpr double kNoPace = 1e12;

}  // namespace

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
  if (chunks_.empty() && paused_ && !wake_) {
    // Those that were to have all of the step have no memory for any of it.
    pressed_ = false;
    form(context, step);
  }
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
  paused_ = false;
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
    const bool gives_way = running_[index].gives_way();
    // It goes on when there is time for it again, or when it waited too long.
    if (gives_way && pressed_ && running_[index].due > context.now.time_since_epoch().count()) {
      paused_ = true;
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
  if (weights_.size() > 1) mark_over_share(context);
  double pace = kNoPace;
  const double longest = paced ? longest_step(context, pace) : 1e12;

  const std::size_t in_time = triage(context, std::min(without_overdue(longest), 1.0));

  const bool enough = paced && easy_is_enough(context, in_time, longest, pace < kNoPace);
  const std::int64_t easy =
      enough ? std::min(budget, std::max<std::int64_t>(easy_tokens(pace < kNoPace), 1)) : budget;
  pressed_ = policy_.pause_late && in_time > 0 && !enough;
  const std::size_t decodes = chunks_.size();
  fill(context, {.seconds = longest, .pace = pace, .tokens = budget, .easy_tokens = easy}, step);
  pressed_ = pressed_ && chunks_.size() > decodes;  // else they have no memory to press with
  if (chunks_.empty() && late_decodes_.empty() && !wake_) {
    force_something(context, {.seconds = longest, .pace = pace, .tokens = budget}, step);
  }
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

// What an easy step computes: as much as reading the weights hides. Where nobody sets a pace, it
// also outweighs its overhead.
std::int64_t IterationBatcher::easy_tokens(bool paced) const {
  const std::int64_t knee = knee_tokens();
  if (paced || cost_.token_s <= 0) return knee;
  return std::max(
      knee, static_cast<std::int64_t>(cost_.overhead_s / (kEasyOverheadPart * cost_.token_s)));
}

// When all that are to be in time are so at an easy pace, a step computes no more than reading the
// weights hides: it is shorter, and memory returns sooner.
bool IterationBatcher::easy_is_enough(const Context& context, std::size_t in_time, double longest,
                                      bool paced) const {
  const std::int64_t easy = easy_tokens(paced);
  if (easy <= 0) return false;
  StepWork at_ease = work_;
  at_ease.tokens = std::max(work_.tokens + 1, static_cast<double>(easy));
  const double seconds = cost_.seconds(at_ease);
  const double part = static_cast<double>(easy) - work_.tokens;
  if (seconds >= longest || part < kEasyRoom * static_cast<double>(easy)) return false;
  const double rate = cost_.token_s * part / seconds * kEasyShare;
  const std::int64_t now = context.now.time_since_epoch().count();
  double busy = 0;
  for (std::size_t i = 0; i < in_time; ++i) {
    const Candidate& c = candidates_[i];
    busy += c.work_s / rate;
    if (c.due != kNoDue && busy > seconds_until(c.due, now)) return false;
  }
  return true;
}

// Fills the step: those that waited too long, those that are to be in time and those put off, then
// the late ones.
void IterationBatcher::fill(Context& context, const Limits& limits, Step& step) {
  place_overdue(context, limits, step);
  bool blocked = false;
  bool others_blocked = false;  // of tenants that have less than their share
  std::size_t next = 0;
  // What memory there is goes to those first.
  for (std::size_t i = 0; contenders_.size() > 1 && i < candidates_.size() && !candidates_[i].late;
       ++i) {
    const Candidate& c = candidates_[i];
    if (c.waiting && !c.over_share && !admit_for(context, c)) others_blocked = true;
  }
  for (; next < candidates_.size() && !candidates_[next].late; ++next) {
    const Candidate& c = candidates_[next];
    if (c.over_share && c.waiting && (others_blocked || !leaves_others_room(context, c))) {
      blocked = true;
      continue;
    }
    const Served served = serve(context, c, limits.seconds, limits.easy_tokens, step);
    if (served == Served::no_time) break;
    blocked = blocked || served == Served::no_memory;
  }
  const bool good_prompts = !candidates_.empty() && !candidates_.front().late;
  while (next < candidates_.size() && !candidates_[next].late) ++next;
  note_demand(context);
  if (next < candidates_.size()) fill_late(context, limits, next, blocked, good_prompts, step);
}

// Gives a waiting candidate a place and memory, which late ones have to give up for those that can
// be in time.
bool IterationBatcher::admit_for(Context& context, const Candidate& c) {
  Sequence& sequence = context.sequences.at(c.slot);
  bool admitted = admit(context, sequence);
  while (!admitted && !c.late) {
    if (enough_leaves(context, sequence)) {  // it waits for copies that are under way
      wake_ = std::min(wake_.value_or(kNever), memory_.tier().next_landing().value_or(kNever));
      break;
    }
    if (!evict_late(context, sequence)) break;
    admitted = admit(context, sequence);
  }
  return admitted;
}

// Gives a candidate its chunk, and before that a place and memory if it waits.
IterationBatcher::Served IterationBatcher::serve(Context& context, const Candidate& c,
                                                 double seconds, std::int64_t tokens, Step& step) {
  Sequence& sequence = context.sequences.at(c.slot);
  if (sequence.in_step) return Served::yes;
  const bool waits = sequence.running == kNoIndex;
  const std::int64_t computed =
      waits ? memory_.matched_tokens(sequence) : running_[sequence.running].context;
  if (follows(context, sequence, computed)) return Served::not_yet;
  if (c.waiting && waits) {
    Running imagined;  // as it would run: is there time for it at all?
    imagined.context = computed;
    imagined.target = sequence.prompt + sequence.generated;
    imagined.capacity = imagined.target;
    if (chunk_size(imagined, seconds, tokens) == 0) return Served::no_time;
    bool admitted = admit_for(context, c);
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

// True when the state that was fetched for a sequence is there.
bool IterationBatcher::arrived(const Context& context, const Sequence& sequence) {
  Running& place = running_[sequence.running];
  if (!place.arriving) return true;
  place.arriving = sequence.ready > context.now;
  if (place.arriving) wake_ = wake_ ? std::min(*wake_, sequence.ready) : sequence.ready;
  return !place.arriving;
}

// True when the next block of its prompt is computed by another one in this very step: it goes on
// from there instead of computing the same.
bool IterationBatcher::follows(const Context& context, const Sequence& sequence,
                               std::int64_t computed) const {
  if (sequence.prefix.empty() || !memory_.shares_prefixes()) return false;
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
  for (const std::vector<Candidate>* all : {&candidates_, &overdue_}) {
    for (const Candidate& c : *all) {
      if (context.sequences.at(c.slot).id == RequestId{}) continue;  // was refused
      if (serve(context, c, 1e12, std::min(limits.tokens, 2 * knee_tokens() + 1), step) ==
          Served::yes) {
        return;
      }
    }
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

}  // namespace mais::core
