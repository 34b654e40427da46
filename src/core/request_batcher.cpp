#include "core/request_batcher.hpp"

#include <algorithm>
#include <array>

#include "core/queueing.hpp"

namespace mais::core {

namespace {}

RequestBatcher::RequestBatcher(const Config& config, InstanceId id, StateMemory memory)
    : id_(id), memory_(std::move(memory)), queue_(config.queue) {
  const Instance& instance = config.instances[id.value()];
  const Model& model = config.models[instance.model.value()];
  const Device& device = config.machine.devices[instance.device.value()];
  workspace_ = model.workspace;
  bound_ = configured_ = instance.workspace;
  max_items_ = instance.max_sequences.value_or(kForever);
  max_tokens_ = instance.max_step_tokens.value_or(Tokens(kForever)).count();
  max_context_ = model.max_context;
  buckets_ = model.shape_buckets;
  cost_ = CostModel::of(model.cost, device.compute,
                        config.machine.spaces[device.space.value()].bandwidth);
  batch_wait_ = config.policy.batch_wait;
  declare_tenants(queue_, config.tenants);
  if (cost_.token_s > 0) queue_.set_service_rate(TokensPerSecond{1 / cost_.token_s});
}

Tokens RequestBatcher::padded(Tokens length) const {
  const auto bucket = std::lower_bound(buckets_.begin(), buckets_.end(), length);
  return bucket == buckets_.end() ? length : *bucket;
}

Bytes RequestBatcher::workspace(std::int64_t items, Tokens length) const {
  return workspace_.bytes(length * items, items, length * items);
}

double RequestBatcher::seconds(std::int64_t items, Tokens length) const {
  StepWork work;
  StepWork one;
  one.add(0, static_cast<double>(length.count()));
  const auto n = static_cast<double>(items);
  work = {.tokens = n * one.tokens, .pairs = n * one.pairs, .context = n * one.context};
  return cost_.seconds(work);
}

std::optional<Refusal> RequestBatcher::check(const Sequence& sequence) const {
  const Tokens length = padded(Tokens(sequence.prompt));
  const bool too_long = (max_context_ && Tokens(sequence.prompt) > *max_context_) ||
                        (!buckets_.empty() && Tokens(sequence.prompt) > buckets_.back()) ||
                        length.count() > max_tokens_;
  if (too_long || workspace(1, length) > configured_) {
    return Refusal{.reason = RefusalReason::can_never_fit,
                   .asked = workspace(1, length).count(),
                   .available = configured_.count()};
  }
  const Duration alone = from_seconds(seconds(1, length));
  if (sequence.completion_due != kNever &&
      saturating_add(sequence.arrival, alone) > sequence.completion_due) {
    return Refusal{.reason = RefusalReason::deadline_impossible,
                   .asked = alone.count(),
                   .available = (sequence.completion_due - sequence.arrival).count()};
  }
  return std::nullopt;
}

namespace {
std::int64_t rank_by_deadline(const Sequence& sequence) {
  if (sequence.completion_due != kNever) return sequence.completion_due.time_since_epoch().count();
  return detail::saturating_add(sequence.arrival.time_since_epoch().count(), std::int64_t{1} << 61);
}
}  // namespace

std::optional<Refusal> RequestBatcher::enqueue(Sequence& sequence) {
  sequence.instance = id_;
  return push(queue_, sequence, rank_by_deadline(sequence), sequence.prompt);
}

void RequestBatcher::requeue(Sequence& sequence) {
  sequence.instance = id_;
  sequence.handle = queue_.readmit(queued(sequence, rank_by_deadline(sequence), 0));
  sequence.phase = RequestPhase::waiting;
}

bool RequestBatcher::plan(Context& context, Step& step) {
  MAIS_EXPECTS(!flight_, "the instance has a step under way: report it before asking for the next");
  step.entries.clear();
  step.blocks.clear();
  step.moves.clear();
  chosen_.clear();
  std::array<QueueHandle, AdmissionQueue::kMostAhead> ahead;
  const std::size_t waiting = queue_.look_ahead(ahead);
  if (waiting == 0) return false;

  // Grow the batch one by one, as long as it fits and everybody in it is in time.
  Tokens length{};
  Time earliest = kNever;  // deadline of those in the batch
  Time oldest = context.now;
  bool full = false;
  for (std::size_t i = 0; i < waiting && !full; ++i) {
    const Sequence& item = context.sequences[queue_.find(ahead[i])->id];
    const Tokens with = std::max(length, padded(Tokens(item.prompt)));
    const auto count = static_cast<std::int64_t>(chosen_.size()) + 1;
    const bool fits = workspace(count, with) <= bound_ && count <= max_items_ &&
                      count * with.count() <= max_tokens_;
    if (!fits) {
      full = !chosen_.empty();
      if (full) break;
      continue;  // this one waits until the bound is back; see report()
    }
    const Time due = std::min(earliest, item.completion_due);
    const Time end = saturating_add(context.now, from_seconds(seconds(count, with)));
    const bool hopeless =
        item.completion_due != kNever &&
        saturating_add(context.now, from_seconds(seconds(1, with))) > item.completion_due;
    // Who is late anyway does not hold back the others, nor do they hold him back.
    if (!chosen_.empty() && !hopeless && due != kNever && end > due) {
      full = true;
      break;
    }
    chosen_.push_back(ahead[i]);
    length = with;
    if (!hopeless) earliest = due;
    oldest = std::min(oldest, item.arrival);
  }
  if (chosen_.empty()) {
    // A failed allocation lowered the bound below what even one needs: try once more at its size.
    const Sequence& item = context.sequences[queue_.find(ahead[0])->id];
    bound_ = std::min(configured_, workspace(1, padded(Tokens(item.prompt))));
    chosen_.push_back(ahead[0]);
    length = padded(Tokens(item.prompt));
    full = true;
  }
  const auto count = static_cast<std::int64_t>(chosen_.size());

  // Room for more: wait for it while nobody's deadline suffers, and not for long.
  if (!full && chosen_.size() == waiting && count < max_items_ &&
      workspace(count + 1, length) <= bound_ && (count + 1) * length.count() <= max_tokens_) {
    const Time patience = saturating_add(oldest, batch_wait_);
    const Time latest =
        earliest == kNever
            ? patience
            : std::min(patience,
                       saturating_add(earliest, -from_seconds(seconds(count + 1, length))));
    if (context.now < latest) {
      context.out.wake_at = latest;
      return false;
    }
  }

  step.instance = id_;
  step.padded = length;
  step.workspace = workspace(count, length);
  step.predicted = from_seconds(seconds(count, length));
  if (!memory_.take_workspace(context.ledger, step.workspace)) return false;
  for (const QueueHandle handle : chosen_) {
    Sequence& item = context.sequences[queue_.pop(handle).id];
    item.phase = RequestPhase::running;
    item.expires = kNever;  // it started in time, also when its step fails
    item.in_step = true;
    batch_.push_back({.id = item.id, .tokens = Tokens(item.prompt)});
    step.entries.push_back(
        {.request = item.id, .tag = item.tag, .tokens = Tokens(item.prompt), .emits = true});
  }
  flight_ = Flight{.workspace = step.workspace, .padded = length};
  return true;
}

void RequestBatcher::end(Context& context, Sequence& sequence, Action action) {
  context.out.list.push_back(action);
  context.sequences.remove(sequence);
}

void RequestBatcher::report(Context& context, const StepReport& report) {
  MAIS_EXPECTS(flight_ && flight_->id == report.step, "a step was reported that is not under way");
  memory_.give_back_workspace(context.ledger);
  const bool failed = report.outcome == StepReport::Outcome::allocation_failed;
  const bool alone = batch_.size() == 1;
  if (failed) {
    // Not again so much at once.
    good_steps_ = 0;
    bound_ = std::max(Bytes(0), flight_->workspace - std::max({report.missing.value_or(Bytes(0)),
                                                               configured_ / 32, Bytes(1)}));
  } else if (++good_steps_ % 64 == 0) {
    bound_ = std::min(configured_, bound_ + configured_ / 32);
  }
  flight_.reset();
  for (const Item& placed : batch_) {
    Sequence& item = context.sequences[placed.id];
    item.in_step = false;
    if (item.phase == RequestPhase::ended) {
      context.sequences.remove(item);
    } else if (!failed) {
      end(context, item, action_of(item, ActionKind::finished, id_));
    } else if (alone && ++item.failures >= 3) {
      refuse(context, item,
             {.reason = RefusalReason::can_never_fit,
              .asked = workspace(1, padded(Tokens(item.prompt))).count(),
              .available = bound_.count()},
             id_);
    } else {
      requeue(item);
    }
  }
  batch_.clear();
}

void RequestBatcher::cancel(Context& context, Sequence& sequence) {
  context.out.list.push_back(action_of(sequence, ActionKind::cancelled, id_));
  if (sequence.in_step) {
    sequence.phase = RequestPhase::ended;
    return;
  }
  queue_.cancel(sequence.handle);
  context.sequences.remove(sequence);
}

void RequestBatcher::advance(Context& context) {
  expired_.clear();
  queue_.advance(context.now, expired_);
  for (const QueuedRequest& gone : expired_) {
    Sequence& item = context.sequences[gone.id];
    end(context, item, action_of(item, ActionKind::expired, id_));
  }
}

void RequestBatcher::lose(Context& context, std::vector<std::uint32_t>& orphans) {
  if (flight_) memory_.give_back_workspace(context.ledger);
  flight_.reset();
  for (const Item& placed : batch_) {
    Sequence& item = context.sequences[placed.id];
    item.in_step = false;
    if (item.phase == RequestPhase::ended) {
      context.sequences.remove(item);
    } else {
      orphans.push_back(SequenceTable::slot_of(item.id));
    }
  }
  batch_.clear();
  chosen_.clear();
  queue_.for_each([&](QueueHandle handle, const QueuedRequest& request) {
    chosen_.push_back(handle);
    orphans.push_back(SequenceTable::slot_of(request.id));
  });
  for (const QueueHandle handle : chosen_) queue_.cancel(handle);
  memory_.close(context);
}

double RequestBatcher::backlog_seconds(const Sequence& sequence) const {
  std::int64_t tokens = sequence.prompt;
  for (const ServiceClass c : kAllServiceClasses) {
    if (c <= sequence.service_class) tokens += queue_.work(c).count();
  }
  return static_cast<double>(tokens) * (cost_.token_s > 0 ? cost_.token_s : 1e-6);
}

InstanceLoad RequestBatcher::load(const Ledger&) const {
  InstanceLoad load;
  load.waiting = queue_.size();
  load.running = batch_.size();
  return load;
}

void RequestBatcher::view(const Ledger& ledger, InstanceView& out) const {
  out.state_limit = memory_.limit(ledger);
  out.waiting = queue_.size();
  out.state_account = memory_.state_account();
  if (!flight_) return;
  Step step;
  step.id = flight_->id;
  step.instance = id_;
  step.workspace = flight_->workspace;
  step.padded = flight_->padded;
  for (const Item& item : batch_) {
    step.entries.push_back({.request = item.id, .tokens = item.tokens, .emits = true});
  }
  out.step = std::move(step);
}

}  // namespace mais::core
