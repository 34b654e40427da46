#include "core/router.hpp"

#include <algorithm>

#include "core/queueing.hpp"

namespace mais::core {

namespace {

template <class Batcher>
constexpr bool kIterates = std::is_same_v<std::decay_t<Batcher>, IterationBatcher>;

}  // namespace

Result<InstanceDesk> InstanceDesk::open(Ledger& ledger, const Config& config, InstanceId id) {
  auto memory = StateMemory::open(ledger, config, id);
  if (!memory) return tl::unexpected<Error>(std::move(memory.error()));
  const Model& model = config.models[config.instances[id.value()].model.value()];
  if (model.batching == Batching::iteration) {
    return InstanceDesk(IterationBatcher(config, id, std::move(*memory)));
  }
  return InstanceDesk(RequestBatcher(config, id, std::move(*memory)));
}

std::optional<Refusal> InstanceDesk::check(const Ledger& ledger, const Sequence& sequence) const {
  return std::visit(
      [&](const auto& b) {
        if constexpr (kIterates<decltype(b)>)
          return b.check(ledger, sequence);
        else
          return b.check(sequence);
      },
      batcher_);
}

std::optional<Refusal> InstanceDesk::enqueue(Sequence& sequence) {
  return std::visit([&](auto& b) { return b.enqueue(sequence); }, batcher_);
}

void InstanceDesk::requeue(Sequence& sequence) {
  std::visit([&](auto& b) { b.requeue(sequence); }, batcher_);
}

void InstanceDesk::cancel(Context& context, Sequence& sequence) {
  std::visit([&](auto& b) { b.cancel(context, sequence); }, batcher_);
}

void InstanceDesk::advance(Context& context) {
  std::visit([&](auto& b) { b.advance(context); }, batcher_);
}

bool InstanceDesk::plan(Context& context, Step& step) {
  const bool planned = std::visit([&](auto& b) { return b.plan(context, step); }, batcher_);
  if (planned) {
    step.id = context.sequences.next_step();
    step_ = step.id;
    std::visit([&](auto& b) { b.name_step(step.id); }, batcher_);
  }
  return planned;
}

void InstanceDesk::report(Context& context, const StepReport& report) {
  std::visit([&](auto& b) { b.report(context, report); }, batcher_);
}

void InstanceDesk::lose(Context& context, std::vector<std::uint32_t>& orphans) {
  std::visit([&](auto& b) { b.lose(context, orphans); }, batcher_);
}

void InstanceDesk::give_way(Context& context, Bytes bytes) {
  if (auto* b = std::get_if<IterationBatcher>(&batcher_)) b->give_way(context, bytes);
}

Bytes InstanceDesk::wanted() const {
  const auto* b = std::get_if<IterationBatcher>(&batcher_);
  return b == nullptr ? Bytes(0) : b->wanted();
}

Bytes InstanceDesk::state_lacking(const Ledger& ledger, const SequenceTable& sequences) const {
  const auto* b = std::get_if<IterationBatcher>(&batcher_);
  return b == nullptr ? Bytes(0) : b->state_lacking(ledger, sequences);
}

void InstanceDesk::set_bound(Ledger& ledger, Bytes state, Bytes guarantee) {
  if (auto* b = std::get_if<IterationBatcher>(&batcher_)) b->set_bound(ledger, state, guarantee);
}

void InstanceDesk::set_tenant_limit(Ledger& ledger, TenantId tenant, std::optional<Bytes> limit) {
  memory().set_tenant_limit(ledger, tenant, limit);
  if (auto* b = std::get_if<IterationBatcher>(&batcher_)) b->tenant_limit_changed();
}

void InstanceDesk::moves_measured(StateMove::Kind kind, std::int64_t pages, Duration took) {
  memory().moves_measured(kind, pages, took);
}

Sequence* InstanceDesk::hand_over(Context& context) {
  auto* b = std::get_if<IterationBatcher>(&batcher_);
  return b == nullptr ? nullptr : b->hand_over(context);
}

bool InstanceDesk::has_work() const {
  return std::visit([](const auto& b) { return b.has_work(); }, batcher_);
}

bool InstanceDesk::in_flight() const {
  return std::visit([](const auto& b) { return b.in_flight(); }, batcher_);
}

std::size_t InstanceDesk::waiting() const {
  return std::visit([](const auto& b) { return b.waiting(); }, batcher_);
}

std::int64_t InstanceDesk::matched_tokens(const Sequence& sequence) const {
  const auto* b = std::get_if<IterationBatcher>(&batcher_);
  return b == nullptr ? 0 : b->matched_tokens(sequence);
}

double InstanceDesk::backlog_seconds(const Sequence& sequence) const {
  return std::visit([&](const auto& b) { return b.backlog_seconds(sequence); }, batcher_);
}

std::optional<Time> InstanceDesk::next_timer() const {
  return std::visit([](const auto& b) { return b.next_timer(); }, batcher_);
}

InstanceLoad InstanceDesk::load(const Ledger& ledger) const {
  return std::visit([&](const auto& b) { return b.load(ledger); }, batcher_);
}

void InstanceDesk::view(const Ledger& ledger, InstanceView& out) const {
  std::visit([&](const auto& b) { b.view(ledger, out); }, batcher_);
}

void InstanceDesk::progress(const Sequence& sequence, RequestView& out) const {
  if (const auto* b = std::get_if<IterationBatcher>(&batcher_)) b->progress(sequence, out);
}

StateMemory& InstanceDesk::memory() {
  return std::visit([](auto& b) -> StateMemory& { return b.memory(); }, batcher_);
}
const StateMemory& InstanceDesk::memory() const {
  return std::visit([](const auto& b) -> const StateMemory& { return b.memory(); }, batcher_);
}

// --- Choosing -----------------------------------------------------------------------------------

tl::expected<Route, Refusal> choose_instance(const Config& config,
                                             const std::vector<InstanceDesk>& instances,
                                             const Ledger& ledger, const Sequence& sequence) {
  std::optional<Route> best;
  double best_seconds = 0;
  std::int64_t best_hit = 0, most_hit_elsewhere = 0;
  double least_elsewhere = 0;
  bool elsewhere = false;
  std::size_t running_model = 0, fitting = 0;
  bool lost = false;
  std::optional<Refusal> why_not;
  for (std::uint32_t i = 0; i < instances.size(); ++i) {
    if (config.instances[i].model != sequence.model) continue;
    ++running_model;
    if (instances[i].lost) {
      lost = true;
      continue;
    }
    if (auto refusal = instances[i].check(ledger, sequence)) {
      if (!why_not || refusal->available > why_not->available) why_not = refusal;
      continue;
    }
    ++fitting;
    const double seconds = instances[i].backlog_seconds(sequence);
    const std::int64_t hit = instances[i].matched_tokens(sequence);
    if (!best || seconds < best_seconds) {
      if (best) {
        elsewhere = true;
        most_hit_elsewhere = std::max(most_hit_elsewhere, best_hit);
        least_elsewhere = best_seconds;
      }
      best = Route{.instance = InstanceId(i)};
      best_seconds = seconds;
      best_hit = hit;
    } else {
      elsewhere = true;
      most_hit_elsewhere = std::max(most_hit_elsewhere, hit);
      least_elsewhere = seconds;
    }
  }
  if (!best) {
    if (why_not) return tl::unexpected(*why_not);
    return tl::unexpected(
        lost ? Refusal{.reason = RefusalReason::instance_lost}
             : Refusal{.reason = RefusalReason::unknown_model,
                       .asked = sequence.model.value(),
                       .available = static_cast<std::int64_t>(config.models.size())});
  }
  if (running_model == 1) {
    best->why = RouteReason::only_choice;
  } else if (fitting == 1) {
    best->why = RouteReason::only_fit;
  } else {
    best->why = elsewhere && best_hit > most_hit_elsewhere && best_seconds <= least_elsewhere
                    ? RouteReason::shared_prefix
                    : RouteReason::least_loaded;
  }
  return *best;
}

namespace {

constexpr std::size_t kWorthTaking = 2;  // one waiting request is better left where it is
constexpr int kTakenAtOnce = 8;

std::optional<std::uint32_t> busiest(const Config& config,
                                     const std::vector<InstanceDesk>& instances, InstanceId idle) {
  std::optional<std::uint32_t> most;
  for (std::uint32_t i = 0; i < instances.size(); ++i) {
    if (InstanceId(i) == idle || instances[i].lost) continue;
    if (config.instances[i].model != config.instances[idle.value()].model) continue;
    if (instances[i].waiting() < kWorthTaking) continue;
    if (!most || instances[i].waiting() > instances[*most].waiting()) most = i;
  }
  return most;
}

}  // namespace

bool could_take_over(const Config& config, const std::vector<InstanceDesk>& instances,
                     InstanceId idle) {
  return busiest(config, instances, idle).has_value();
}

void take_over_work(const Config& config, std::vector<InstanceDesk>& instances, InstanceId idle,
                    Context& context) {
  InstanceDesk& to = instances[idle.value()];
  for (int taken = 0; taken < kTakenAtOnce; ++taken) {
    const auto from = busiest(config, instances, idle);
    if (!from) return;
    Sequence* sequence = instances[*from].hand_over(context);
    if (sequence == nullptr) return;
    const bool fits = !to.check(context.ledger, *sequence);
    (fits ? to : instances[*from]).requeue(*sequence);
    if (!fits) return;
    Action moved = action_of(*sequence, ActionKind::requeued, idle);
    moved.why = RouteReason::least_loaded;
    context.out.list.push_back(moved);
  }
}

}  // namespace mais::core
