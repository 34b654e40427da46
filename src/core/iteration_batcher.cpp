#include "core/iteration_batcher.hpp"

#include <algorithm>

#include "core/queueing.hpp"

namespace mais::core {

namespace {

constexpr std::int64_t kServeEvery = 64;  // tokens between two charges to the fair shares
// Late requests may lose this part of what is computed to those that can be good, saved up to so
// many tokens.
constexpr double kEvictionPart = 0.005;
constexpr double kEvictionCredit = 8192;
// Costs that nobody measured yet may be wrong by two: what they say is impossible is tried, or
// nothing would ever be learned.
constexpr double kDoubt = 0.5;

}  // namespace

IterationBatcher::IterationBatcher(const Config& config, InstanceId id, StateMemory memory)
    : id_(id), policy_(config.policy), memory_(std::move(memory)), queue_(config.queue) {
  const Instance& instance = config.instances[id.value()];
  const Model& model = config.models[instance.model.value()];
  const Device& device = config.machine.devices[instance.device.value()];
  cost_ = CostModel::of(model.cost, device.compute,
                        config.machine.spaces[device.space.value()].bandwidth);
  fit_ = CostFit(cost_);
  workspace_ = model.workspace;
  workspace_bound_ = instance.workspace;
  max_sequences_ = instance.max_sequences.value_or(kForever);
  max_step_tokens_ = instance.max_step_tokens.value_or(Tokens(kForever)).count();
  max_context_ = model.max_context;
  max_bypass_ = config.queue.max_bypass;
  for (const ServiceClass c : kAllServiceClasses) {
    patience_[static_cast<std::size_t>(c)] =
        config.queue.classes[static_cast<std::size_t>(c)].patience;
  }
  bound_ = instance.state;
  smallest_step_ = std::max(memory_.page_bytes(), instance.state / 32);
  declare_tenants(queue_, config.tenants);
  for (const Tenant& tenant : config.tenants) weights_.push_back(tenant.weight);
  usage_.resize(weights_.size());
  contender_at_.assign(weights_.size(), kNoIndex);
  if (cost_.token_s > 0) queue_.set_service_rate(TokensPerSecond{1 / cost_.token_s});
}

// --- Submission ---------------------------------------------------------------------------------

std::optional<Refusal> IterationBatcher::check(const Ledger& ledger,
                                               const Sequence& sequence) const {
  const std::int64_t start = sequence.prompt + 1;
  const std::int64_t whole = sequence.prompt + sequence.max_new;
  const bool all = policy_.memory == MemoryPolicy::no_evict && memory_.grows();
  const std::int64_t needed = all ? whole : start;
  const auto bytes = [&](std::int64_t tokens) {
    return memory_.bytes_at((tokens - 1) / memory_.page_tokens() + 1);
  };
  if (max_context_ && start > max_context_->count()) {
    return Refusal{.reason = RefusalReason::can_never_fit,
                   .asked = bytes(start),
                   .available = bytes(max_context_->count())};
  }
  const Bytes most = memory_.most_of(memory_.limit(ledger), sequence.tenant);
  if (needed > memory_.most_tokens(ledger) || Bytes(bytes(needed)) > most) {
    return Refusal{
        .reason = RefusalReason::can_never_fit, .asked = bytes(needed), .available = most.count()};
  }
  const auto tenant_limit = ledger.limit(memory_.tenant_account(sequence.tenant));
  if (tenant_limit && bytes(needed) > tenant_limit->count()) {
    return Refusal{.reason = RefusalReason::tenant_over_limit,
                   .asked = bytes(needed),
                   .available = tenant_limit->count()};
  }
  if (sequence.first_due != kNever) {
    const double doubt = policy_.learn_costs && !fit_.learned() ? kDoubt : 1;
    const double seconds = cost_.alone(static_cast<double>(sequence.prompt));
    const Duration alone = from_seconds(seconds);
    if (saturating_add(sequence.arrival, from_seconds(doubt * seconds)) > sequence.first_due) {
      return Refusal{.reason = RefusalReason::deadline_impossible,
                     .asked = alone.count(),
                     .available = (sequence.first_due - sequence.arrival).count()};
    }
  }
  return std::nullopt;
}

std::optional<Refusal> IterationBatcher::enqueue(Sequence& sequence) {
  sequence.instance = id_;
  if (auto refusal = push(queue_, sequence, rank_of(sequence), sequence.prompt)) return refusal;
  watch(sequence);
  return std::nullopt;
}

void IterationBatcher::requeue(Sequence& sequence) {
  // Nothing more is charged to its tenant: it was when it first ran.
  sequence.handle = queue_.readmit(queued(sequence, rank_of(sequence), 0));
  sequence.phase = RequestPhase::waiting;
  sequence.instance = id_;
  sequence.running = kNoIndex;
  watch(sequence);
}

// A waiting request becomes hopeless when even alone it could not be in time any more.
void IterationBatcher::watch(const Sequence& sequence) {
  if (policy_.order == OrderPolicy::arrival) return;
  const std::uint32_t slot = SequenceTable::slot_of(sequence.id);
  if (const std::int64_t at = overdue_at(sequence); at != kForever) {
    ages_.push(at, static_cast<std::uint64_t>(sequence.id), slot);
  }
  const std::int64_t due = due_of(sequence);
  if (due == kForever || sequence.late) return;
  const std::int64_t at = detail::saturating_add(due, -from_seconds(own_seconds(sequence)).count());
  hopeless_.push(at, static_cast<std::uint64_t>(sequence.id), slot);
}

// --- Running and stopping -----------------------------------------------------------------------

void IterationBatcher::run(Context& context, Sequence& sequence) {
  sequence.phase = RequestPhase::running;
  sequence.expires = kNever;  // it started in time, also when it is preempted
  sequence.running = static_cast<std::uint32_t>(running_.size());
  Running place;
  place.id = sequence.id;
  place.tag = sequence.tag;
  place.context = sequence.computed;
  place.target = sequence.prompt + sequence.generated;
  place.capacity = static_cast<std::int64_t>(sequence.pages.size()) * memory_.page_tokens();
  place.due = due_of(sequence);
  place.admitted = next_admission_++;
  place.slot = SequenceTable::slot_of(sequence.id);
  place.late = sequence.late;
  place.overdue = sequence.overdue;
  place.arriving = sequence.ready > context.now;
  running_.push_back(place);
}

// Takes a sequence out of the running set; what it holds stays with it.
void IterationBatcher::stop(std::uint32_t place, SequenceTable& sequences) {
  const Running& leaving = running_[place];
  Sequence& sequence = sequences.at(leaving.slot);
  sequence.generated = leaving.target - sequence.prompt;
  sequence.computed = leaving.context;
  sequence.late = leaving.late;
  sequence.overdue = leaving.overdue;
  sequence.running = kNoIndex;
  running_[place] = running_.back();
  running_.pop_back();
  moved_ = true;
  if (place == running_.size()) return;
  sequences.at(running_[place].slot).running = place;
  if (!flight_) return;
  for (Chunk& chunk : chunks_) {
    if (chunk.slot == running_[place].slot) chunk.place = place;
  }
}

void IterationBatcher::free_memory(Context& context, Sequence& sequence) {
  memory_.give_back(context, sequence);
  sequence.computed = 0;
  sequence.told = 0;
  if (queue_.blocked() > 0) {
    queue_.unblock(memory_.page_bytes() * memory_.available_pages(context.ledger));
  }
}

// The fair shares learn of service in lumps: every kServeEvery tokens, and at the end.
void IterationBatcher::serve(Sequence& sequence, std::int64_t tokens, bool now) {
  sequence.uncharged += tokens;
  if (sequence.uncharged >= kServeEvery || (now && sequence.uncharged > 0)) {
    queue_.serve(sequence.tenant, sequence.service_class, Tokens(sequence.uncharged));
    sequence.uncharged = 0;
  }
}

void IterationBatcher::finish(Context& context, Sequence& sequence) {
  serve(sequence, 0, true);
  free_memory(context, sequence);
  context.out.list.push_back(action_of(sequence, ActionKind::finished, id_));
  context.sequences.remove(sequence);
}

void IterationBatcher::refuse(Context& context, Sequence& sequence, Refusal refusal) {
  core::refuse(context, sequence, refusal, id_);
}

void IterationBatcher::cancel(Context& context, Sequence& sequence) {
  context.out.list.push_back(action_of(sequence, ActionKind::cancelled, id_));
  if (sequence.phase == RequestPhase::waiting) {
    queue_.cancel(sequence.handle);
    forget(sequence);
    context.sequences.remove(sequence);
    return;
  }
  if (sequence.in_step) {  // the engine may be writing its pages: they return with the report
    sequence.phase = RequestPhase::ended;
    return;
  }
  stop(sequence.running, context.sequences);
  serve(sequence, 0, true);
  free_memory(context, sequence);
  context.sequences.remove(sequence);
}

void IterationBatcher::forget(Sequence& sequence) {
  const std::uint32_t slot = SequenceTable::slot_of(sequence.id);
  if (hopeless_.contains(slot)) hopeless_.remove(slot);
  if (ages_.contains(slot)) ages_.remove(slot);
  memory_.forget_swapped(sequence);
}

// --- Time ---------------------------------------------------------------------------------------

void IterationBatcher::advance(Context& context) {
  expired_.clear();
  queue_.advance(context.now, expired_);
  for (const QueuedRequest& gone : expired_) {
    Sequence& sequence = context.sequences[gone.id];
    forget(sequence);
    context.out.list.push_back(action_of(sequence, ActionKind::expired, id_));
    context.sequences.remove(sequence);
  }
  const std::int64_t now = context.now.time_since_epoch().count();
  while (!hopeless_.empty() && hopeless_.top_value() < now) {
    const std::uint32_t slot = hopeless_.top();
    hopeless_.remove(slot);
    Sequence& sequence = context.sequences.at(slot);
    if (policy_.refuse_hopeless && sequence.generated == 0) {
      queue_.cancel(sequence.handle);
      forget(sequence);
      refuse(context, sequence,
             {.reason = RefusalReason::deadline_impossible,
              .asked = from_seconds(own_seconds(sequence)).count(),
              .available = std::max<std::int64_t>(0, due_of(sequence) - now)});
      continue;
    }
    sequence.late = true;
    queue_.set_late(sequence.handle, true);
    queue_.rerank(sequence.handle, rank_of(sequence));
  }
}

std::optional<Time> IterationBatcher::next_timer() const {
  return queue_.next_expiry();
}

// --- Reports ------------------------------------------------------------------------------------

void IterationBatcher::report(Context& context, const StepReport& report) {
  MAIS_EXPECTS(flight_ && flight_->id == report.step, "a step was reported that is not under way");
  memory_.give_back_workspace(context.ledger);
  if (report.outcome == StepReport::Outcome::allocation_failed) {
    allocation_failed(context, report);
    return;
  }
  const StepWork flight_work = flight_->work;
  flight_.reset();
  const std::int64_t now = context.now.time_since_epoch().count();
  for (const RequestId id : report.finished) {
    if (Sequence* sequence = context.sequences.find(id)) sequence->stops = true;
  }
  if (++good_steps_ % 64 == 0) {  // a limit that failures lowered is tried again, slowly
    const Bytes limit = memory_.limit(context.ledger);
    if (limit < bound_) {
      memory_.set_limit(context.ledger, std::min(bound_, limit + smallest_step_));
    }
  }

  if (report.took && policy_.learn_costs) {
    fit_.observe(flight_work, to_seconds(*report.took));
    cost_ = fit_.model();
  }
  eviction_credit_ =
      std::min(kEvictionCredit, eviction_credit_ + kEvictionPart * flight_work.tokens);
  ended_.clear();
  for (const Chunk& chunk : chunks_) {
    Running& place = running_[chunk.place];
    Sequence& sequence = context.sequences.at(chunk.slot);
    sequence.in_step = false;
    if (weights_.size() > 1) {
      const auto q = static_cast<double>(chunk.tokens);
      const auto c = static_cast<double>(place.context);
      usage_.add(sequence.tenant, now, cost_.token_s * q + cost_.context_s * (c + q));
    }
    place.context += chunk.tokens;
    totals_.recomputed_tokens += static_cast<std::uint64_t>(std::clamp<std::int64_t>(
        sequence.reached - (place.context - chunk.tokens), 0, chunk.tokens));
    sequence.reached = std::max(sequence.reached, place.context);
    if (sequence.phase == RequestPhase::ended) {  // its host may not have written its state
      ended_.push_back(chunk.place);
      continue;
    }
    if (place.prompting && !sequence.prefix.empty() && memory_.shares_prefixes()) {
      sequence.computed = place.context;
      memory_.publish(context, sequence, cost_);
    }
    serve(sequence, chunk.emits ? 1 : 0, false);
    if (!chunk.emits) continue;
    ++place.target;
    place.prompting = false;
    sequence.without_progress = 0;
    sequence.failures = 0;
    const std::int64_t generated = place.target - sequence.prompt;
    if (generated == 1) {
      sequence.first_token = context.now;
      if (now > place.due) place.late = true;
    }
    sequence.generated = generated;
    place.due = place.late ? pause_end(sequence, now) : due_of(sequence);
    if (sequence.stops || generated >= sequence.max_new) {
      forecast_.observe(generated, !sequence.stops);
      ended_.push_back(chunk.place);
    }
  }
  // Highest place first: those below keep theirs.
  std::sort(ended_.begin(), ended_.end(), std::greater<>());
  for (const std::uint32_t place : ended_) {
    Sequence& sequence = context.sequences.at(running_[place].slot);
    const bool cancelled = sequence.phase == RequestPhase::ended;
    stop(place, context.sequences);
    if (cancelled) {
      serve(sequence, 0, true);
      free_memory(context, sequence);
      context.sequences.remove(sequence);
    } else {
      sequence.gives_way() ? late_ended() : narrow();
      finish(context, sequence);
    }
  }
  chunks_.clear();
}

// Nothing was computed. The limit falls below what was just tried, so that the same is not tried
// again; whoever cannot run even alone after several attempts is refused.
void IterationBatcher::allocation_failed(Context& context, const StepReport& report) {
  flight_.reset();
  good_steps_ = 0;
  const Bytes used = memory_.used(context.ledger);
  const Bytes less = std::max(report.missing.value_or(Bytes(0)), smallest_step_);
  const Bytes limit = std::min(memory_.limit(context.ledger), used) - less;
  memory_.set_limit(context.ledger, std::max(Bytes(0), limit));
  const bool alone = chunks_.size() == 1;
  ended_.clear();
  for (const Chunk& chunk : chunks_) {
    Sequence& sequence = context.sequences.at(chunk.slot);
    sequence.in_step = false;
    if (alone) ++sequence.failures;
    if (sequence.phase == RequestPhase::ended || sequence.failures >= 3) {
      ended_.push_back(chunk.place);
    }
  }
  chunks_.clear();
  std::sort(ended_.begin(), ended_.end(), std::greater<>());
  for (const std::uint32_t place : ended_) {
    Sequence& sequence = context.sequences.at(running_[place].slot);
    const bool cancelled = sequence.phase == RequestPhase::ended;
    stop(place, context.sequences);
    const std::int64_t asked = memory_.bytes_at(memory_.pages_for(sequence.prompt + 1));
    serve(sequence, 0, true);
    free_memory(context, sequence);
    if (cancelled) {
      context.sequences.remove(sequence);
    } else {
      refuse(context, sequence,
             {.reason = RefusalReason::can_never_fit,
              .asked = asked,
              .available = memory_.limit(context.ledger).count()});
    }
  }
}

// --- Loss ---------------------------------------------------------------------------------------

void IterationBatcher::lose(Context& context, std::vector<std::uint32_t>& orphans) {
  if (flight_) memory_.give_back_workspace(context.ledger);
  flight_.reset();
  chunks_.clear();
  while (!running_.empty()) {
    Sequence& sequence = context.sequences.at(running_.back().slot);
    stop(static_cast<std::uint32_t>(running_.size() - 1), context.sequences);
    sequence.in_step = false;
    serve(sequence, 0, true);
    memory_.give_back(context, sequence);
    sequence.computed = 0;
    sequence.told = 0;
    if (sequence.phase == RequestPhase::ended) {
      context.sequences.remove(sequence);
    } else {
      orphans.push_back(SequenceTable::slot_of(sequence.id));
    }
  }
  needy_.clear();
  queue_.for_each([&](QueueHandle, const QueuedRequest& request) {
    needy_.push_back(SequenceTable::slot_of(request.id));
  });
  for (const std::uint32_t slot : needy_) {
    Sequence& sequence = context.sequences.at(slot);
    queue_.cancel(sequence.handle);
    forget(sequence);
    orphans.push_back(slot);
  }
  wanted_ = Bytes(0);
  memory_.close(context);
}

void IterationBatcher::set_bound(Ledger& ledger, Bytes bound, Bytes guarantee) {
  bound_ = bound;
  memory_.set_bounds(ledger, bound, guarantee);
}

void IterationBatcher::give_way(Context& context, Bytes bytes) {
  wanted_ = std::max(wanted_, bytes);
  if (!flight_) {
    settle(context);
    return;
  }
  // Sequences stay until the step is reported; what nobody uses can go at once.
  const Bytes before = memory_.used(context.ledger);
  while (before - memory_.used(context.ledger) < wanted_ && memory_.evict_prefix(context)) {
  }
  wanted_ = std::max(Bytes(0), wanted_ - (before - memory_.used(context.ledger)));
}

Bytes IterationBatcher::state_lacking(const Ledger& ledger, const SequenceTable& sequences) const {
  Bytes needed = memory_.page_bytes() * static_cast<std::int64_t>(running_.size());
  if (const auto head = queue_.head()) {
    needed += Bytes(memory_.bytes_at(pages_to_start(sequences[queue_.find(*head)->id])));
  }
  return memory_.state_lacking(ledger, needed);
}

Sequence* IterationBatcher::hand_over(Context& context) {
  const auto head = queue_.head();
  if (!head) return nullptr;
  Sequence& sequence = context.sequences[queue_.find(*head)->id];
  queue_.cancel(*head);
  forget(sequence);
  return &sequence;
}

// --- Views --------------------------------------------------------------------------------------

InstanceLoad IterationBatcher::load(const Ledger& ledger) const {
  InstanceLoad load = totals_;
  load.waiting = queue_.size();
  load.running = running_.size();
  load.state_cached =
      memory_.page_bytes() * static_cast<std::int64_t>(memory_.cache().unused_pages());
  load.state_used = memory_.used(ledger) - load.state_cached;
  load.state_limit = memory_.limit(ledger);
  load.host_used = memory_.tier().used(ledger);
  return load;
}

double IterationBatcher::backlog_seconds(const Sequence& sequence) const {
  double tokens = 0;
  for (const ServiceClass c : kAllServiceClasses) {
    if (c <= sequence.service_class) tokens += static_cast<double>(queue_.work(c).count());
  }
  for (const Running& place : running_) {
    if (place.prompting) tokens += static_cast<double>(place.need());
  }
  const auto hit = static_cast<double>(memory_.matched_tokens(sequence));
  tokens += static_cast<double>(sequence.prompt) - hit;
  // Decodes share every step with prompts: each counts as a token of prompt in every step to come.
  const double per_token = cost_.token_s > 0 ? cost_.token_s : 1e-6;
  return tokens * per_token *
         (1 + static_cast<double>(running_.size()) / std::max(64.0, cost_.knee()));
}

void IterationBatcher::progress(const Sequence& sequence, RequestView& out) const {
  if (sequence.running == kNoIndex) return;
  const Running& place = running_[sequence.running];
  out.generated = Tokens(place.target - sequence.prompt);
  out.computed = Tokens(place.context);
}

void IterationBatcher::view(const Ledger& ledger, InstanceView& out) const {
  out.state_limit = memory_.limit(ledger);
  out.page_bytes = memory_.page_bytes();
  out.pages = memory_.pages().size();
  out.free_pages = memory_.pages().free_pages();
  out.waiting = queue_.size();
  out.state_account = memory_.state_account();
  memory_.cache().for_each([&](PrefixCache::Node node) {
    for (const std::uint32_t page : memory_.cache().pages(node)) {
      out.cached.push_back({.block = page, .users = memory_.cache().users(node)});
    }
  });
  if (const HostTier& tier = memory_.tier(); tier.exists()) {
    out.host_pages = tier.pages().size();
    out.host_free_pages = tier.pages().free_pages();
    out.host_account = tier.account();
    tier.cache().for_each([&](PrefixCache::Node node) {
      const auto pages = tier.cache().pages(node);
      out.host_cached.insert(out.host_cached.end(), pages.begin(), pages.end());
    });
  }
  if (!flight_) return;
  Step step;
  step.moves = flight_moves_;
  step.id = flight_->id;
  step.instance = id_;
  step.workspace = flight_->workspace;
  for (const Chunk& chunk : chunks_) {
    const Running& place = running_[chunk.place];
    step.entries.push_back({.request = place.id,
                            .tag = place.tag,
                            .context = Tokens(place.context),
                            .tokens = Tokens(chunk.tokens),
                            .emits = chunk.emits});
  }
  out.step = std::move(step);
}

}  // namespace mais::core
