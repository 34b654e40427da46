#include "mais/core/planner.hpp"

#include <algorithm>
#include <variant>

#include "core/iteration_batcher.hpp"
#include "core/lease_desk.hpp"
#include "core/queueing.hpp"
#include "core/request_batcher.hpp"
#include "core/router.hpp"

namespace mais::core {

struct Planner::State {
  explicit State(Config c) : config(std::move(c)), sequences(config.max_requests) {}

  Config config;
  Ledger ledger;
  SequenceTable sequences;
  std::vector<InstanceDesk> instances;
  std::vector<LeaseDesk> leases;  // by space
  Time now{};
  std::uint64_t submitted = 0, finished = 0, refused = 0, expired = 0, cancelled = 0;
  std::vector<std::uint32_t> orphans;
  std::vector<Bytes> foreign;  // by space: what others were measured to hold
  std::vector<Bytes> bounds;   // by instance: the state limit that the host set

  Context context(Time at, Actions& out) {
    now = std::max(now, at);
    return {.ledger = ledger, .sequences = sequences, .now = now, .out = out};
  }
  // Counts what ended in the actions since `from`.
  void tally(const Actions& out, std::size_t from) {
    for (std::size_t i = from; i < out.list.size(); ++i) {
      switch (out.list[i].kind) {
        case ActionKind::finished:
          ++finished;
          break;
        case ActionKind::refused:
          ++refused;
          break;
        case ActionKind::expired:
          ++expired;
          break;
        case ActionKind::cancelled:
          ++cancelled;
          break;
        default:
          break;
      }
    }
  }

  void serve_leases(Context& context);
  void return_instances(Context& context);
  void memory_moved(Context& context) {
    serve_leases(context);
    return_instances(context);
  }
  void advance(Context& context);
  void rehome(Context& context);
  void fit_bounds(SpaceId space);
  void others_give_way(Context& context, SpaceId space, Bytes missing);
  void prepare_step(Context& context, InstanceId instance);
  SpaceId space_of(std::size_t instance) const {
    return config.machine.devices[config.instances[instance].device.value()].space;
  }
};

namespace {

// A call that may end requests: counts them when it is over.
template <class State>
class Call {
 public:
  Call(State& state, Time now, Actions& out)
      : state_(state), out_(out), from_(out.list.size()), context(state.context(now, out)) {}
  ~Call() { state_.tally(out_, from_); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

 private:
  State& state_;
  Actions& out_;
  std::size_t from_;

 public:
  Context context;
};

Error all_faults(const std::vector<Fault>& faults) {
  return {.code = ErrorCode::invalid_argument,
          .message = "the configuration has " + std::to_string(faults.size()) + " fault(s):\n" +
                     to_string(faults),
          .asked = std::nullopt,
          .available = std::nullopt};
}

}  // namespace

Planner::Planner(std::unique_ptr<State> state) : state_(std::move(state)) {}
Planner::Planner(const Planner& other) : state_(std::make_unique<State>(*other.state_)) {}
Planner::Planner(Planner&& other) noexcept = default;
Planner& Planner::operator=(const Planner& other) {
  if (this != &other) state_ = std::make_unique<State>(*other.state_);
  return *this;
}
Planner& Planner::operator=(Planner&& other) noexcept = default;
Planner::~Planner() = default;

Result<Planner> Planner::create(Config config) {
  if (const auto faults = validate(config); !faults.empty()) {
    return tl::unexpected<Error>(all_faults(faults));
  }
  auto state = std::make_unique<State>(std::move(config));
  for (const Space& space : state->config.machine.spaces) {
    state->ledger.add_space(space.name, space.capacity);
  }
  state->foreign.resize(state->config.machine.spaces.size());
  for (std::uint32_t i = 0; i < state->config.instances.size(); ++i) {
    auto desk = InstanceDesk::open(state->ledger, state->config, InstanceId(i));
    if (!desk) return tl::unexpected<Error>(std::move(desk.error()));
    state->instances.push_back(std::move(*desk));
    state->bounds.push_back(state->config.instances[i].state);
  }
  for (std::uint32_t i = 0; i < state->config.machine.spaces.size(); ++i) {
    auto desk = LeaseDesk::open(state->ledger, state->config, SpaceId(i));
    if (!desk) return tl::unexpected<Error>(std::move(desk.error()));
    state->leases.push_back(std::move(*desk));
  }
  for (std::size_t i = 0; i < state->instances.size(); ++i) {
    const AccountId root = state->ledger.root(state->space_of(i));
    state->instances[i].memory().set_unpromised(*state->ledger.limit(root) -
                                                state->ledger.committed(root));
  }
  return Planner(std::move(state));
}

// --- Requests -----------------------------------------------------------------------------------

namespace {

// What is wrong with the request as such, whatever the load.
std::optional<Refusal> fault_of(const Config& config, const Request& request) {
  const auto invalid = Refusal{.reason = RefusalReason::invalid_request};
  if (request.tenant.value() >= config.tenants.size()) {
    return Refusal{.reason = RefusalReason::unknown_tenant,
                   .asked = request.tenant.value(),
                   .available = static_cast<std::int64_t>(config.tenants.size())};
  }
  if (!request.model) {
    const bool known = request.space && request.space->value() < config.machine.spaces.size();
    return known && request.bytes > Bytes(0) ? std::nullopt : std::optional(invalid);
  }
  if (request.model->value() >= config.models.size()) {
    return Refusal{.reason = RefusalReason::unknown_model,
                   .asked = request.model->value(),
                   .available = static_cast<std::int64_t>(config.models.size())};
  }
  const bool iterates = config.models[request.model->value()].batching == Batching::iteration;
  if (request.prompt < Tokens(1) || (iterates && request.max_new < Tokens(1))) return invalid;
  return std::nullopt;
}

Time due_at(Time arrival, const std::optional<Duration>& own,
            const std::optional<Duration>& of_class) {
  const std::optional<Duration>& limit = own ? own : of_class;
  return limit ? saturating_add(arrival, std::max(*limit, Duration::zero())) : kNever;
}

void fill(Sequence& sequence, const Config& config, const Request& request, Time now) {
  const Deadlines& defaults =
      config.queue.classes[static_cast<std::size_t>(request.service_class)].deadlines;
  sequence.tag = request.tag;
  sequence.tenant = request.tenant;
  sequence.service_class = request.service_class;
  sequence.arrival = now;
  sequence.first_due = due_at(now, request.deadlines.ttft, defaults.ttft);
  sequence.completion_due = due_at(now, request.deadlines.completion, defaults.completion);
  sequence.tpot = request.deadlines.tpot ? request.deadlines.tpot : defaults.tpot;
  if (request.give_up) sequence.expires = saturating_add(now, *request.give_up);
  // Absurd lengths saturate far below an overflow and above what any pool holds.
  constexpr std::int64_t kLongest = std::int64_t{1} << 40;
  sequence.prompt = std::min(request.prompt.count(), kLongest);
  sequence.max_new = std::min(request.max_new.count(), kLongest);
  if (request.model) {
    const auto& most = config.models[request.model->value()].max_context;
    if (most && sequence.prompt < most->count()) {
      sequence.max_new = std::min(sequence.max_new, most->count() - sequence.prompt);
    }
    sequence.model = *request.model;
    if (config.prefix_block > Tokens(0) && config.policy.share_prefixes) {
      sequence.prefix.assign(request.prefix.begin(), request.prefix.end());
    }
    sequence.shared_blocks = static_cast<std::uint32_t>(sequence.prefix.size());
  } else {
    sequence.lease = true;
    sequence.space = *request.space;
    sequence.leased = request.bytes;
  }
}

}  // namespace

RequestId Planner::submit(Time now, const Request& request, Actions& out) {
  State& s = *state_;
  Call call(s, now, out);
  ++s.submitted;
  const RequestId id = s.sequences.next_id();
  const auto refuse = [&](const Refusal& why) {
    out.list.push_back(
        {.kind = ActionKind::refused, .request = id, .tag = request.tag, .refusal = why});
    return id;
  };
  if (const auto fault = fault_of(s.config, request)) return refuse(*fault);
  if (s.sequences.full()) {
    return refuse({.reason = RefusalReason::queue_full,
                   .asked = static_cast<std::int64_t>(s.sequences.size()),
                   .available = static_cast<std::int64_t>(s.config.max_requests)});
  }

  Sequence& sequence = s.sequences.add(id);
  fill(sequence, s.config, request, s.now);
  const auto give_up = [&](const Refusal& why) {
    s.sequences.remove(sequence);
    return refuse(why);
  };

  if (sequence.lease) {
    LeaseDesk& desk = s.leases[sequence.space.value()];
    auto why = desk.check(s.ledger, sequence);
    if (!why) why = desk.enqueue(sequence);
    if (why) return give_up(*why);
    out.list.push_back(action_of(sequence, ActionKind::accepted));
    s.serve_leases(call.context);
    return id;
  }

  const auto route = choose_instance(s.config, s.instances, s.ledger, sequence);
  if (!route) return give_up(route.error());
  if (auto why = s.instances[route->instance.value()].enqueue(sequence)) return give_up(*why);
  Action accepted = action_of(sequence, ActionKind::accepted, route->instance);
  accepted.why = route->why;
  out.list.push_back(accepted);
  return id;
}

void Planner::cancel(Time now, RequestId request, Actions& out) {
  State& s = *state_;
  Call call(s, now, out);
  Sequence* sequence = s.sequences.find(request);
  if (sequence == nullptr || sequence->phase == RequestPhase::ended) return;
  if (sequence->lease) {
    s.leases[sequence->space.value()].cancel(call.context, *sequence);
  } else {
    s.instances[sequence->instance.value()].cancel(call.context, *sequence);
  }
  s.memory_moved(call.context);
}

void Planner::give_back(Time now, RequestId lease, Actions& out) {
  State& s = *state_;
  Call call(s, now, out);
  Sequence* sequence = s.sequences.find(lease);
  if (sequence == nullptr || !sequence->lease) return;
  s.leases[sequence->space.value()].give_back(call.context, *sequence);
  s.memory_moved(call.context);
}

// --- Steps --------------------------------------------------------------------------------------

// What others borrowed of the workspace and state that the instance is guaranteed comes back when
// it is needed.
void Planner::State::prepare_step(Context& context, InstanceId instance) {
  InstanceDesk& desk = instances[instance.value()];
  if (!desk.has_work()) return;
  const SpaceId space = space_of(instance.value());
  others_give_way(context, space, desk.memory().workspace_lacking(ledger));
  others_give_way(context, space, desk.state_lacking(ledger, sequences));
}

bool Planner::next_step(Time now, InstanceId instance, Actions& out, Step& step) {
  State& s = *state_;
  MAIS_EXPECTS(instance.value() < s.instances.size(),
               "next_step() for an instance that is unknown");
  Call call(s, now, out);
  InstanceDesk& desk = s.instances[instance.value()];
  step.entries.clear();
  step.moves.clear();
  if (desk.lost) return false;
  desk.advance(call.context);
  if (!desk.has_work()) take_over_work(s.config, s.instances, instance, call.context);
  s.prepare_step(call.context, instance);
  const bool planned = desk.plan(call.context, step);
  if (!planned) {
    if (const auto timer = next_timer(); timer && (!out.wake_at || *timer < *out.wake_at)) {
      out.wake_at = timer;
    }
  }
  return planned;
}

void Planner::report(Time now, const StepReport& report, Actions& out) {
  State& s = *state_;
  Call call(s, now, out);
  // A step of an instance that was lost meanwhile has nobody waiting for it.
  for (InstanceDesk& desk : s.instances) {
    if (!desk.runs(report.step)) continue;
    desk.report(call.context, report);
    s.memory_moved(call.context);
    return;
  }
}

// --- The world changes --------------------------------------------------------------------------

void Planner::State::rehome(Context& context) {
  std::sort(orphans.begin(), orphans.end(), [&](std::uint32_t a, std::uint32_t b) {
    return sequences.at(a).id < sequences.at(b).id;
  });
  for (const std::uint32_t slot : orphans) {
    Sequence& sequence = sequences.at(slot);
    const auto route = choose_instance(config, instances, ledger, sequence);
    if (!route) {
      refuse(context, sequence, route.error());
      continue;
    }
    instances[route->instance.value()].requeue(sequence);
    Action moved = action_of(sequence, ActionKind::requeued, route->instance);
    moved.why = route->why;
    context.out.list.push_back(moved);
  }
  orphans.clear();
}

void Planner::instance_lost(Time now, InstanceId instance, Actions& out) {
  State& s = *state_;
  MAIS_EXPECTS(instance.value() < s.instances.size(), "an instance was lost that is unknown");
  Call call(s, now, out);
  InstanceDesk& desk = s.instances[instance.value()];
  desk.returning = false;
  if (desk.lost) return;
  desk.lost = true;
  desk.lose(call.context, s.orphans);
  s.rehome(call.context);
  s.memory_moved(call.context);
}

void Planner::instance_back(Time now, InstanceId instance, Actions& out) {
  State& s = *state_;
  MAIS_EXPECTS(instance.value() < s.instances.size(), "an instance is back that is unknown");
  Call call(s, now, out);
  if (s.instances[instance.value()].lost) s.instances[instance.value()].returning = true;
  s.memory_moved(call.context);
}

// An instance that came back waits until the ledger has room for its weights again.
void Planner::State::return_instances(Context& context) {
  for (std::size_t i = 0; i < instances.size(); ++i) {
    InstanceDesk& desk = instances[i];
    if (!desk.returning) continue;
    others_give_way(context, space_of(i), desk.memory().weights_lacking(ledger));
    if (!desk.memory().reopen(ledger)) continue;
    desk.returning = false;
    desk.lost = false;
  }
}

// Somebody lacks memory that he is guaranteed: whoever borrowed most gives way first.
void Planner::State::others_give_way(Context& context, SpaceId space, Bytes missing) {
  for (std::size_t i = 0; i < instances.size() && missing > Bytes(0); ++i) {
    if (config.instances[i].host_tier != space) continue;
    missing -= instances[i].memory().tier_gives_way(ledger, missing);
  }
  std::size_t asked = 0;
  while (missing > Bytes(0) && asked++ < instances.size()) {
    InstanceDesk* most = nullptr;
    Bytes borrowed;
    for (std::size_t i = 0; i < instances.size(); ++i) {
      if (space_of(i) != space) continue;
      const Bytes more = instances[i].memory().borrowed(ledger) - instances[i].wanted();
      if (more > borrowed) {
        most = &instances[i];
        borrowed = more;
      }
    }
    if (most == nullptr) return;
    const Bytes part = std::min(missing, borrowed);
    most->give_way(context, part);
    missing -= part;
  }
}

// State limits of a space's instances fall together when others hold so much of it that they would
// not all fit, and rise again with it.
void Planner::State::fit_bounds(SpaceId space) {
  const Bytes capacity = config.machine.spaces[space.value()].capacity - foreign[space.value()];
  const auto guaranteed = [&](std::size_t i) {
    return std::min(bounds[i], config.instances[i].guaranteed_state.value_or(bounds[i]));
  };
  Bytes fixed, state;
  for (std::size_t i = 0; i < instances.size(); ++i) {
    if (space_of(i) != space) continue;
    fixed += instances[i].memory().needed_without_state();
    state += guaranteed(i);
  }
  const Bytes room = std::max(Bytes(0), capacity - fixed);
  const double part =
      state > room ? static_cast<double>(room.count()) / static_cast<double>(state.count()) : 1.0;
  const Bytes bound = std::max(capacity, fixed);
  const bool up = bound > *ledger.limit(ledger.root(space));
  if (up) static_cast<void>(ledger.set_capacity(space, bound));
  // Those that fall make room for those that rise.
  for (const bool rising : {false, true}) {
    for (std::size_t i = 0; i < instances.size(); ++i) {
      if (space_of(i) != space) continue;
      const Bytes guarantee = part < 1 ? guaranteed(i) * part : guaranteed(i);
      const StateMemory& memory = instances[i].memory();
      if ((guarantee > memory.guarantee(ledger)) != rising) continue;
      instances[i].set_bound(ledger, part < 1 ? bounds[i] * part : bounds[i], guarantee);
    }
  }
  if (!up) static_cast<void>(ledger.set_capacity(space, bound));
}

void Planner::memory_measured(Time now, SpaceId space, Bytes foreign, Actions& out) {
  State& s = *state_;
  MAIS_EXPECTS(space.value() < s.foreign.size(), "memory was measured on a space that is unknown");
  Call call(s, now, out);
  s.foreign[space.value()] =
      std::clamp(foreign, Bytes(0), s.config.machine.spaces[space.value()].capacity);
  s.fit_bounds(space);
  s.memory_moved(call.context);
}

void Planner::limit_changed(Time now, InstanceId instance, Bytes state, Actions& out) {
  State& s = *state_;
  MAIS_EXPECTS(instance.value() < s.instances.size(), "a limit was changed of an unknown instance");
  Call call(s, now, out);
  s.bounds[instance.value()] =
      std::clamp(state, Bytes(0), s.config.instances[instance.value()].state);
  s.fit_bounds(s.space_of(instance.value()));
  s.memory_moved(call.context);
}

void Planner::tenant_limit_changed(Time now, TenantId tenant, std::optional<Bytes> limit,
                                   Actions& out) {
  State& s = *state_;
  MAIS_EXPECTS(tenant.value() < s.config.tenants.size(),
               "a limit was changed of an unknown tenant");
  Call call(s, now, out);
  if (limit) limit = std::max(*limit, Bytes(0));
  for (InstanceDesk& desk : s.instances) desk.set_tenant_limit(s.ledger, tenant, limit);
  for (LeaseDesk& desk : s.leases) {
    static_cast<void>(s.ledger.set_limit(desk.tenant_account(tenant), limit));
  }
  s.memory_moved(call.context);
}

void Planner::moves_measured(Time now, InstanceId instance, StateMove::Kind kind,
                             std::int64_t pages, Duration took, Actions& out) {
  State& s = *state_;
  MAIS_EXPECTS(instance.value() < s.instances.size(), "moves were measured of an unknown instance");
  Call call(s, now, out);
  if (s.config.policy.learn_costs) {
    s.instances[instance.value()].moves_measured(kind, pages, took);
  }
}

void Planner::State::advance(Context& context) {
  for (InstanceDesk& desk : instances) desk.advance(context);
  for (LeaseDesk& desk : leases) desk.advance(context);
}

void Planner::State::serve_leases(Context& context) {
  for (std::uint32_t i = 0; i < leases.size(); ++i) {
    LeaseDesk& desk = leases[i];
    if (!desk.waiting()) continue;
    desk.advance(context);
    desk.unblock();
    Bytes missing = desk.serve(context);
    if (missing <= Bytes(0)) continue;
    others_give_way(context, SpaceId(i), missing);
    desk.unblock();
    static_cast<void>(desk.serve(context));
  }
}

void Planner::tick(Time now, Actions& out) {
  State& s = *state_;
  Call call(s, now, out);
  s.advance(call.context);
  s.memory_moved(call.context);
}

void Planner::handle(Time now, const Event& event, Actions& out, Step& step) {
  step.entries.clear();
  step.moves.clear();
  std::visit(
      [&](const auto& e) {
        using E = std::decay_t<decltype(e)>;
        if constexpr (std::is_same_v<E, event::Submit>) submit(now, e.request, out);
        if constexpr (std::is_same_v<E, event::Cancel>) cancel(now, e.request, out);
        if constexpr (std::is_same_v<E, event::GiveBack>) give_back(now, e.request, out);
        if constexpr (std::is_same_v<E, event::NextStep>) next_step(now, e.instance, out, step);
        if constexpr (std::is_same_v<E, event::Report>) report(now, e.report, out);
        if constexpr (std::is_same_v<E, event::InstanceLost>) instance_lost(now, e.instance, out);
        if constexpr (std::is_same_v<E, event::InstanceBack>) instance_back(now, e.instance, out);
        if constexpr (std::is_same_v<E, event::MemoryMeasured>) {
          memory_measured(now, e.space, e.foreign, out);
        }
        if constexpr (std::is_same_v<E, event::LimitChanged>) {
          limit_changed(now, e.instance, e.state, out);
        }
        if constexpr (std::is_same_v<E, event::TenantLimitChanged>) {
          tenant_limit_changed(now, e.tenant, e.limit, out);
        }
        if constexpr (std::is_same_v<E, event::Tick>) tick(now, out);
        if constexpr (std::is_same_v<E, event::MovesMeasured>) {
          moves_measured(now, e.instance, e.kind, e.pages, e.took, out);
        }
      },
      event);
}

// --- Queries ------------------------------------------------------------------------------------

bool Planner::has_work(InstanceId instance) const {
  const State& s = *state_;
  const InstanceDesk& desk = s.instances[instance.value()];
  if (desk.lost || desk.in_flight()) return false;
  return desk.has_work() || could_take_over(s.config, s.instances, instance);
}

std::optional<Time> Planner::next_timer() const {
  std::optional<Time> first;
  const auto consider = [&](std::optional<Time> timer) {
    if (timer && (!first || *timer < *first)) first = timer;
  };
  for (const InstanceDesk& desk : state_->instances) consider(desk.next_timer());
  for (const LeaseDesk& desk : state_->leases) consider(desk.next_timer());
  return first;
}

const Config& Planner::config() const {
  return state_->config;
}
const Ledger& Planner::ledger() const {
  return state_->ledger;
}
InstanceLoad Planner::load(InstanceId instance) const {
  return state_->instances[instance.value()].load(state_->ledger);
}

PlannerView Planner::view() const {
  const State& s = *state_;
  PlannerView view{.now = s.now,
                   .requests = {},
                   .instances = {},
                   .ledger = s.ledger.snapshot(),
                   .submitted = s.submitted,
                   .finished = s.finished,
                   .refused = s.refused,
                   .expired = s.expired,
                   .cancelled = s.cancelled};
  s.sequences.for_each([&](const Sequence& sequence) {
    RequestView request;
    request.request = sequence.id;
    request.phase = sequence.phase;
    if (!sequence.lease) request.instance = sequence.instance;
    request.tenant = sequence.tenant;
    request.service_class = sequence.service_class;
    request.prompt = Tokens(sequence.prompt);
    request.max_new = Tokens(sequence.max_new);
    request.generated = Tokens(sequence.generated);
    request.computed = Tokens(sequence.computed);
    request.preemptions = sequence.preemptions;
    request.preemptions_without_progress = sequence.without_progress;
    request.blocks = sequence.pages;
    request.state = Bytes(sequence.charged);
    if (sequence.phase == RequestPhase::leased) request.leased = sequence.leased;
    request.space = sequence.space;
    request.in_step = sequence.in_step;
    if (!sequence.lease) s.instances[sequence.instance.value()].progress(sequence, request);
    view.requests.push_back(std::move(request));
  });
  for (const InstanceDesk& desk : s.instances) {
    InstanceView instance;
    instance.lost = desk.lost;
    desk.view(s.ledger, instance);
    view.instances.push_back(std::move(instance));
  }
  return view;
}

}  // namespace mais::core
