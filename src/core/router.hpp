// One instance with its batcher, and which of several a request goes to.
#pragma once

#include <variant>
#include <vector>

#include "core/iteration_batcher.hpp"
#include "core/request_batcher.hpp"

namespace mais::core {

// An instance of either kind of batching, as the planner sees it.
class InstanceDesk {
 public:
  static Result<InstanceDesk> open(Ledger& ledger, const Config& config, InstanceId id);

  std::optional<Refusal> check(const Ledger& ledger, const Sequence& sequence) const;
  std::optional<Refusal> enqueue(Sequence& sequence);
  void requeue(Sequence& sequence);
  void cancel(Context& context, Sequence& sequence);
  void advance(Context& context);
  bool plan(Context& context, Step& step);
  void report(Context& context, const StepReport& report);
  void lose(Context& context, std::vector<std::uint32_t>& orphans);
  void give_way(Context& context, Bytes bytes);
  Bytes wanted() const;
  Bytes state_lacking(const Ledger& ledger, const SequenceTable& sequences) const;
  void set_bound(Ledger& ledger, Bytes state, Bytes guarantee);
  void set_tenant_limit(Ledger& ledger, TenantId tenant, std::optional<Bytes> limit);
  void moves_measured(StateMove::Kind kind, std::int64_t pages, Duration took);
  Sequence* hand_over(Context& context);

  bool has_work() const;
  bool in_flight() const;
  bool runs(StepId step) const { return in_flight() && step == step_; }
  std::size_t waiting() const;
  std::int64_t matched_tokens(const Sequence& sequence) const;
  double backlog_seconds(const Sequence& sequence) const;
  std::optional<Time> next_timer() const;
  InstanceLoad load(const Ledger& ledger) const;
  void view(const Ledger& ledger, InstanceView& out) const;
  void progress(const Sequence& sequence, RequestView& out) const;
  StateMemory& memory();
  const StateMemory& memory() const;

  bool lost = false;
  bool returning = false;  // came back, waits for the memory of its weights

 private:
  explicit InstanceDesk(IterationBatcher batcher) : batcher_(std::move(batcher)) {}
  explicit InstanceDesk(RequestBatcher batcher) : batcher_(std::move(batcher)) {}
  std::variant<IterationBatcher, RequestBatcher> batcher_;
  StepId step_{};
};

struct Route {
  InstanceId instance{};
  RouteReason why = RouteReason::only_choice;
};

// The instance that is predicted to compute the request's prompt first: what is queued and runs
// there, and its own prompt less what of its prefix is there. Or why none can take it.
// O(instances).
tl::expected<Route, Refusal> choose_instance(const Config& config,
                                             const std::vector<InstanceDesk>& instances,
                                             const Ledger& ledger, const Sequence& sequence);

// An instance with nothing to do takes a few waiting requests from the one of the same model that
// has the most.
void take_over_work(const Config& config, std::vector<InstanceDesk>& instances, InstanceId idle,
                    Context& context);
bool could_take_over(const Config& config, const std::vector<InstanceDesk>& instances,
                     InstanceId idle);

}  // namespace mais::core
