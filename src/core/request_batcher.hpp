// Runs the items of one request-batched instance (encoders, vision, embeddings): a batch runs once,
// as a whole, padded to one length.
//
// A batch is the largest prefix of the queue's order that ends before its earliest deadline and
// whose workspace fits. It waits for more only while it is not full, nobody's deadline suffers, and
// no longer than Policy::batch_wait (the adaptive batching of Clipper, NSDI 2017, with bytes).
#pragma once

#include <optional>
#include <vector>

#include "core/sequence.hpp"
#include "core/state_memory.hpp"

namespace mais::core {

class RequestBatcher {
 public:
  RequestBatcher(const Config& config, InstanceId id, StateMemory memory);

  std::optional<Refusal> check(const Sequence& sequence) const;
  std::optional<Refusal> enqueue(Sequence& sequence);
  void requeue(Sequence& sequence);

  // False, and context.out.wake_at, while it waits for a batch to fill up.
  bool plan(Context& context, Step& step);
  void report(Context& context, const StepReport& report);
  void cancel(Context& context, Sequence& sequence);
  void advance(Context& context);
  std::optional<Time> next_timer() const { return queue_.next_expiry(); }
  void lose(Context& context, std::vector<std::uint32_t>& orphans);

  std::size_t waiting() const noexcept { return queue_.size(); }
  bool has_work() const noexcept { return !queue_.empty(); }
  bool in_flight() const noexcept { return flight_.has_value(); }
  void name_step(StepId id) { flight_->id = id; }
  double backlog_seconds(const Sequence& sequence) const;
  InstanceLoad load(const Ledger& ledger) const;
  void view(const Ledger& ledger, InstanceView& out) const;
  StateMemory& memory() noexcept { return memory_; }
  const StateMemory& memory() const noexcept { return memory_; }

 private:
  struct Flight {
    StepId id{};
    Bytes workspace{};
    Tokens padded{};
  };
  Tokens padded(Tokens length) const;
  Bytes workspace(std::int64_t items, Tokens length) const;
  double seconds(std::int64_t items, Tokens length) const;
  std::int64_t most_items() const;
  void end(Context& context, Sequence& sequence, Action action);

  InstanceId id_;
  Workspace workspace_;
  Bytes bound_;  // of the workspace; falls after failed allocations
  Bytes configured_;
  std::int64_t max_items_ = 0;
  std::int64_t max_tokens_ = 0;
  std::optional<Tokens> max_context_;
  std::vector<Tokens> buckets_;
  CostModel cost_;
  Duration batch_wait_{};
  StateMemory memory_;
  AdmissionQueue queue_;

  std::optional<Flight> flight_;
  struct Item {
    RequestId id{};
    Tokens tokens{};
  };
  std::vector<Item> batch_;  // under way
  std::vector<QueueHandle> chosen_;
  std::vector<QueuedRequest> expired_;
  std::uint32_t good_steps_ = 0;
};

}  // namespace mais::core
