// What goes into the planner and what comes out: plain data, so that a journal can keep it, a
// digest can compare it, and a test can write it down.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "mais/request.hpp"
#include "mais/units.hpp"

namespace mais::core {

// Names one step of one instance; given by the planner in rising order.
enum class StepId : std::uint64_t {};

// --- Out -----------------------------------------------------------------------------------------

enum class ActionKind : std::uint8_t {
  accepted,   // queued; `instance` says where it was routed, `why` says why there
  refused,    // ended: `refusal` says why
  expired,    // ended: not started in the time its host gave it
  cancelled,  // ended, as asked
  finished,   // ended: everything was generated, computed or given back
  preempted,  // a running sequence lost its place; it runs again without being asked for
  requeued,   // the instance was lost; it waits for another one
  granted,    // a lease: `bytes` of `space` are its own until it is given back
};

enum class RouteReason : std::uint8_t {
  only_choice,    // one instance runs the model
  shared_prefix,  // the most of its prefix is there, and that outweighs the load
  least_loaded,   // predicted to start it first
  only_fit,       // the others can never hold it
};

struct Action {
  ActionKind kind = ActionKind::accepted;
  RequestId request{};
  std::uint64_t tag = 0;  // the host's own
  std::optional<InstanceId> instance{};
  RouteReason why = RouteReason::only_choice;  // accepted
  Refusal refusal{};                           // refused
  SpaceId space{};                             // granted
  Bytes bytes{};                               // granted; preempted: what it gave back
};

// What one sequence (or item of a request batch) does in a step.
struct StepEntry {
  RequestId request{};
  std::uint64_t tag = 0;
  Tokens context{};               // tokens whose state is there before the step
  Tokens tokens{};                // computed in the step: a prompt chunk, or 1
  bool emits = false;             // one token comes out at the end
  bool restarts = false;          // its block table begins anew; all drop theirs before any writes
  std::uint32_t first_block = 0;  // its new pages: Step::blocks[first_block ... + block_count)
  std::uint32_t block_count = 0;
};

// Copies one page between the instance's pool and its host tier. What it copies from is unchanged.
//
// The moves of a step are begun before its entries, in their order: outward ones one after another,
// inward ones one after another, the two directions beside each other and beside the computing. The
// step does not wait for them to end, and is reported when its entries are done. What waits is what
// must: an entry for moves into pages that it reads, or out of pages that it writes; a move for
// earlier ones that write what it reads, or that read or write what it writes. The planner predicts
// when a move ends and gives no sequence a place in a step before its state should be there, so
// that where the links are as fast as configured nothing ever waits.
struct StateMove {
  enum class Kind : std::uint8_t {
    out,  // pool to host: what was computed, so that the pool can drop it later
    in,   // host to pool: for a request that waits for it
  };
  Kind kind = Kind::out;
  std::uint32_t block = 0;       // page of the pool
  std::uint32_t host_block = 0;  // page of the host tier
};

struct Step {
  StepId id{};
  InstanceId instance{};
  std::vector<StepEntry> entries{};
  std::vector<std::uint32_t> blocks{};  // pages given to entries, see StepEntry::first_block
  // Begun with the step; see StateMove. A step may have moves and no entries, so that a copy need
  // not wait for others to compute: it is reported as soon as its moves are under way.
  std::vector<StateMove> moves{};
  Tokens padded{};       // request batching: the length every item is padded to
  Bytes workspace{};     // scratch memory it may use
  Duration predicted{};  // how long it should take
};

struct Actions {
  std::vector<Action> list{};
  std::optional<Time> wake_at{};  // ask next_step again at this time even if nothing happens

  void clear() noexcept {
    list.clear();
    wake_at.reset();
  }
};

// One line for people: "preempted request 12 on instance 0, 4194304 bytes".
std::string to_string(const Action& action);

// --- In ------------------------------------------------------------------------------------------

// What became of a step.
struct StepReport {
  enum class Outcome : std::uint8_t {
    done,
    allocation_failed,  // the host ran out of memory all the same: nothing was computed
  };
  StepId step{};
  Outcome outcome = Outcome::done;
  std::optional<Duration> took{};     // measured; teaches the cost model
  std::vector<RequestId> finished{};  // ended by themselves (end of text); max_new ends alone
  std::optional<Bytes> missing{};     // allocation_failed: how much could not be had, if known
};

namespace event {
struct Submit {
  Request request{};
};
struct Cancel {
  RequestId request{};
};
struct GiveBack {  // a lease
  RequestId request{};
};
struct NextStep {
  InstanceId instance{};
};
struct Report {
  StepReport report{};
};
struct InstanceLost {
  InstanceId instance{};
};
struct InstanceBack {
  InstanceId instance{};
};
struct MemoryMeasured {  // bytes of a space that somebody else holds
  SpaceId space{};
  Bytes foreign{};
};
struct LimitChanged {  // of an instance's state
  InstanceId instance{};
  Bytes state{};
};
struct TenantLimitChanged {
  TenantId tenant{};
  std::optional<Bytes> limit{};
};
struct Tick {};         // time passed: expiry, leases
struct MovesMeasured {  // how long copies really take
  InstanceId instance{};
  StateMove::Kind kind = StateMove::Kind::out;
  std::int64_t pages = 0;
  Duration took{};
};
}  // namespace event

using Event =
    std::variant<event::Submit, event::Cancel, event::GiveBack, event::NextStep, event::Report,
                 event::InstanceLost, event::InstanceBack, event::MemoryMeasured,
                 event::LimitChanged, event::TenantLimitChanged, event::Tick, event::MovesMeasured>;

}  // namespace mais::core
