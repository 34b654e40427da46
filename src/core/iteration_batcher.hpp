// Runs the sequences of one decoder instance: who holds a place and pages, what each step computes,
// who gives way. Decides in plan(), learns what became of it in report().
//
// Order of a plan: bring an overdrawn pool back under its limit; give decodes the pages they grow
// into; choose how long the step may take; fill it with decodes, then with prompt chunks of those
// that run and of those that wait, in order. A sequence that is admitted gets the pages of its
// whole prompt (and of what it had generated) at once, so that it can always reach its next token.
//
// A *late* request can no longer be good. It gives way to all that can: it computes with what time
// and memory they leave, and its decodes stand still while they need all of a step. An *overdue*
// one has waited so long (Policy::overdue_after) that it goes before everybody, on its part of the
// step, and does not give way any more.
//
// Progress: a victim must have emitted a token since it was preempted last, so a sequence that
// needs a page can always find one, at worst by giving way itself; each admission leads to a token.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/fading_peak.hpp"
#include "core/projection.hpp"
#include "core/sequence.hpp"
#include "core/state_memory.hpp"
#include "core/tenant_usage.hpp"
#include "mais/core/cost_fit.hpp"
#include "mais/core/forecast.hpp"
#include "mais/core/tied_heap.hpp"

namespace mais::core {

class IterationBatcher {
 public:
  IterationBatcher(const Config& config, InstanceId id, StateMemory memory);

  // Why the request could never run here, if so.
  std::optional<Refusal> check(const Ledger& ledger, const Sequence& sequence) const;
  // Queues it, or says why not.
  std::optional<Refusal> enqueue(Sequence& sequence);
  // Queues what was accepted before, whatever the bounds.
  void requeue(Sequence& sequence);

  // True and a step, when there is something to run. No step may be under way.
  bool plan(Context& context, Step& step);
  void report(Context& context, const StepReport& report);

  // Ends a request of this instance, now or (in a step) for its memory at the report.
  void cancel(Context& context, Sequence& sequence);
  // Drops what has expired and marks what became hopeless.
  void advance(Context& context);
  std::optional<Time> next_timer() const;

  // The instance is gone. Everything it had, in order of id, has no place any more.
  void lose(Context& context, std::vector<std::uint32_t>& orphans);

  // A new bound of the state, set from outside.
  void set_bound(Ledger& ledger, Bytes bound, Bytes guarantee);
  // Somebody with a guarantee needs memory: gives back so much, now or with the next plan.
  void give_way(Context& context, Bytes bytes);
  Bytes wanted() const noexcept { return wanted_; }  // of it, still to come
  // What others hold of the state that it is guaranteed and needs for its next step.
  Bytes state_lacking(const Ledger& ledger, const SequenceTable& sequences) const;
  void tenant_limit_changed() noexcept { tenants_settle_ = true; }
  // Takes the next waiting request out of the queue, for an instance that has nothing to do.
  Sequence* hand_over(Context& context);

  std::size_t waiting() const noexcept { return queue_.size(); }
  bool has_work() const noexcept { return !running_.empty() || !queue_.empty(); }
  bool in_flight() const noexcept { return flight_.has_value(); }
  void name_step(StepId id) { flight_->id = id; }
  InstanceLoad load(const Ledger& ledger) const;
  // For routing: predicted seconds until a new request would have its prompt computed here.
  double backlog_seconds(const Sequence& sequence) const;
  std::int64_t matched_tokens(const Sequence& sequence) const {
    return memory_.matched_tokens(sequence);
  }
  void view(const Ledger& ledger, InstanceView& out) const;
  // Of a request that runs here: what the running set knows better than the sequence.
  void progress(const Sequence& sequence, RequestView& out) const;
  const AdmissionQueue& queue() const noexcept { return queue_; }
  StateMemory& memory() noexcept { return memory_; }
  const StateMemory& memory() const noexcept { return memory_; }

 private:
  // One sequence with a place: what every step touches, on one cache line. While it runs, this is
  // the truth; Sequence::generated and ::computed are written back when it stops.
  struct alignas(64) Running {
    RequestId id{};
    std::uint64_t tag = 0;
    std::int64_t context = 0;   // tokens of state that are computed
    std::int64_t target = 0;    // prompt + generated: tokens to compute before the next comes out
    std::int64_t capacity = 0;  // tokens that its pages hold
    std::int64_t due = 0;       // of its next token, nanoseconds
    std::int64_t admitted = 0;  // order of admission
    std::uint32_t slot = 0;
    bool prompting : 1 = true;  // has more to compute than its last token: a prompt, or all again
    bool late : 1 = false;
    bool shed : 1 = false;      // lost its tail pages, must get them back before it goes on
    bool stalled : 1 = false;   // finds no page to grow into, for this step
    bool arriving : 1 = false;  // waits for content of its pages: Sequence::ready
    bool overdue : 1 = false;   // waited too long: does not give way any more

    std::int64_t need() const noexcept { return target - context; }
    bool gives_way() const noexcept { return late && !overdue; }
  };
  struct Chunk {  // of the step under way
    std::uint32_t place = 0;
    std::uint32_t slot = 0;
    std::int64_t tokens = 0;  // 0: withdrawn, it gave way while the step was formed
    bool emits = false;
  };
  struct Flight {
    StepId id{};
    Time began{};
    StepWork work;
    Bytes workspace{};
  };
  struct Candidate {
    std::uint32_t slot = 0;
    bool waiting = false;
    bool late = false;
    bool put_off = false;
    bool over_share = false;  // its tenant got more than its share, and others want theirs
    TenantId tenant{};
    ServiceClass service_class = ServiceClass::streaming;
    double tokens = 0;   // to be computed in all
    double cached = 0;   // computed already
    double work_s = 0;   // predicted time of what is left, alone
    double takes_s = 0;  // the same beside the decodes that run
    std::int64_t due = 0;
    std::int64_t order = 0;
  };

  // --- plan: memory (iteration_memory.cpp) ---
  enum class Force : bool { no, yes };
  enum class Copy : bool { no, yes };
  void settle(Context& context);
  void settle_tenants(Context& context);
  void grow_decodes(Context& context, Force force);
  bool obtain(Context& context, std::uint32_t slot, std::uint32_t pages, Force force);
  bool make_way(Context& context, std::uint32_t needy, std::uint32_t pages, Force force);
  double comes_back_seconds(const Running& place) const;
  double expendable(const Context& context, const Running& place) const;
  std::optional<std::uint32_t> victim(const Context& context, std::uint32_t needy, bool same_tenant,
                                      Force force) const;
  void shed(Context& context, std::uint32_t place, std::uint32_t pages);
  void withdraw(Context& context, std::uint32_t place);
  std::int64_t preempt(Context& context, std::uint32_t place, Copy copy = Copy::no);
  void widen();
  void narrow();
  void late_lost();
  void late_ended();
  void project(const Context& context);
  double held_tokens(const Sequence& sequence) const;
  double shared_tokens(const Sequence& sequence) const;
  bool projection_allows(Context& context, const Sequence& sequence);
  bool admit(Context& context, Sequence& sequence);
  bool reclaim(Context& context, Sequence& sequence, std::uint32_t pages);
  bool restore(Context& context, Sequence& sequence);
  bool refuse_if_never(Context& context, Sequence& sequence);
  std::uint32_t pages_to_start(const Sequence& sequence) const;
  std::int64_t total_pages(const Ledger& ledger) const;
  bool leave_one(Context& context);
  bool try_again_or_end(Context& context);

  // --- plan: who goes first (step_order.cpp) ---
  std::int64_t due_of(const Sequence& sequence) const;
  double own_seconds(const Sequence& sequence) const;
  std::int64_t rank_of(const Sequence& sequence) const;
  bool before(const Candidate& a, const Candidate& b) const;
  void gather(const Context& context);
  std::size_t triage(const Context& context, double step);

  // --- plan: the step (step_forming.cpp) ---
  struct Limits {
    double seconds = 0;            // that the step may take
    double pace = 0;               // the tightest TPOT, or what stands for it
    std::int64_t tokens = 0;       // that the engine takes in a step
    std::int64_t easy_tokens = 0;  // that are enough for all to be in time
  };
  enum class Served : std::uint8_t { yes, not_yet, no_time, no_memory };
  void form(Context& context, Step& step);
  void place_decodes(Context& context, Step& step);
  void place_late_decodes(Context& context, Step& step);
  void place_prompts(Context& context, Step& step);
  void place_in_order(Context& context, Step& step);
  void fill(Context& context, const Limits& limits, Step& step);
  Served serve(Context& context, const Candidate& c, double seconds, std::int64_t tokens,
               Step& step);
  bool admit_for(Context& context, const Candidate& c);
  bool arrived(const Context& context, const Sequence& sequence);
  bool follows(const Context& context, const Sequence& sequence, std::int64_t computed) const;
  void adopt_blocks(Context& context, std::uint32_t index, double seconds, std::int64_t tokens);
  void force_something(Context& context, const Limits& limits, Step& step);
  void put(Context& context, std::uint32_t index, std::int64_t tokens, Step& step);
  void drop_withdrawn(Step& step);
  double longest_step(const Context& context, double& pace) const;
  std::int64_t knee_tokens() const { return static_cast<std::int64_t>(cost_.knee()); }
  std::int64_t easy_tokens(bool paced) const;
  bool easy_is_enough(const Context& context, std::size_t in_time, double longest,
                      bool paced) const;
  std::int64_t chunk_size(const Running& place, double seconds, std::int64_t tokens) const;
  Bytes workspace_with(double tokens, double context, std::int64_t sequences) const;

  // --- plan: tenants (tenant_shares.cpp) ---
  void mark_over_share(const Context& context);
  bool over_share(TenantId tenant) const;
  bool leaves_others_room(const Context& context, const Candidate& c) const;

  // --- plan: late ones (late_requests.cpp) ---
  std::int64_t overdue_at(const Sequence& sequence) const;
  std::int64_t pause_end(const Sequence& sequence, std::int64_t now) const;
  double without_overdue(double seconds) const;
  void place_overdue(Context& context, const Limits& limits, Step& step);
  void fill_late(Context& context, const Limits& limits, std::size_t next, bool blocked,
                 bool good_prompts, Step& step);
  void note_demand(const Context& context);
  bool late_has_room(const Context& context, const Sequence& sequence) const;
  bool evict_late(Context& context, const Sequence& needy);
  bool enough_leaves(const Context& context, const Sequence& sequence) const;

  // --- life cycle (iteration_batcher.cpp) ---
  void run(Context& context, Sequence& sequence);
  void stop(std::uint32_t place, SequenceTable& sequences);
  void finish(Context& context, Sequence& sequence);
  void free_memory(Context& context, Sequence& sequence);
  void watch(const Sequence& sequence);  // for becoming hopeless or overdue
  void forget(Sequence& sequence);       // the opposite, when it waits no more
  void refuse(Context& context, Sequence& sequence, Refusal refusal);
  void serve(Sequence& sequence, std::int64_t tokens, bool now);
  void allocation_failed(Context& context, const StepReport& report);

  InstanceId id_;
  Policy policy_;
  CostModel cost_;
  CostFit fit_;
  Workspace workspace_;
  Bytes workspace_bound_;
  std::int64_t max_sequences_ = 0;
  std::int64_t max_step_tokens_ = 0;
  std::uint32_t max_bypass_ = 0;
  std::array<std::optional<Duration>, kServiceClasses> patience_{};
  std::optional<Tokens> max_context_;
  Bytes bound_;          // of the state, as configured or set from outside
  Bytes smallest_step_;  // by which a failed allocation lowers the limit
  StateMemory memory_;
  AdmissionQueue queue_;
  OutputForecast forecast_;
  std::vector<double> weights_;  // of tenants
  TenantUsage usage_;
  double spread_ = 1;  // standard deviations kept free; closed loop on preemptions

  std::vector<Running> running_;
  std::optional<Flight> flight_;
  std::vector<Chunk> chunks_;
  std::vector<StateMove> flight_moves_;  // of the step under way
  std::int64_t next_admission_ = 1;
  std::uint32_t good_steps_ = 0;
  Bytes wanted_{};
  bool tenants_settle_ = false;
  FadingPeak demand_;            // pages that good requests were seen to want
  FadingPeak poor_demand_;       // those of tenants that have less than their share
  double rich_pages_ = 0;        // held by the other tenants
  std::int64_t late_pages_ = 0;  // held by late ones
  double demand_margin_ = 1.1;   // closed loop on late ones that lost their memory
  double eviction_credit_ = 0;   // tokens that taking memory from late ones may still cost

  // Waiting requests, by time, then request.
  TiedHeap hopeless_;           // by when they become so
  TiedHeap ages_;               // by when they are overdue
  RequestId passed_{};          // the overdue one that found no memory
  std::uint32_t bypasses_ = 0;  // how often it was passed since

  // Scratch, kept for its room.
  std::vector<Candidate> candidates_;
  std::vector<std::uint32_t> needy_;
  std::vector<std::uint32_t> late_decodes_;  // counted in work_, to be placed last
  std::vector<std::uint32_t> ended_;
  std::vector<QueuedRequest> expired_;
  std::vector<Candidate> merged_;
  std::vector<Candidate> put_off_;
  std::vector<Candidate> late_;
  std::vector<Candidate> overdue_;
  struct Contender {
    TenantId tenant{};
    double seconds = 0;  // of the device, lately
    double bytes = 0;    // of state, now
    bool over_share = false;
  };
  std::vector<Contender> contenders_;
  std::vector<std::uint32_t> contender_at_;  // by tenant; kNoIndex: contends for nothing
  Projection projection_;
  bool moved_ = false;        // a sequence left the running set since the plan began
  bool pressed_ = false;      // those to be in time need all of a step: late decodes stand still
  bool paused_ = false;       // some do in this one
  bool closed_ = false;       // nobody is admitted beside those that run
  bool projected_ = false;    // projection_ is that of the running set as it is
  StepWork work_;             // of the step being formed
  std::optional<Time> wake_;  // when the first of those that wait for their state has it

  InstanceLoad totals_;
};

}  // namespace mais::core
