// The simulator's own account of every sequence: what it computed, which pages it holds, what it
// emitted. Fed with the actions and steps of a scheduler, it checks each against what it knows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mais/core/action.hpp"
#include "mais/result.hpp"
#include "mais/sim/presets.hpp"
#include "mais/sim/run_result.hpp"
#include "mais/sim/step_cost.hpp"
#include "mais/sim/trace.hpp"
#include "sim/page_recount.hpp"

namespace mais::sim {

struct Sequence {
  RequestId id{};
  std::int64_t prompt = 0;
  std::int64_t output = 0;  // tokens after which it ends
  std::int64_t generated = 0;
  std::int64_t computed = 0;  // tokens whose state is in its pages
  std::int64_t furthest = 0;  // the most it ever had computed
  std::uint64_t in_step = 0;  // number of the last step it was in; steps count from 1
  std::uint32_t instance = 0;
  std::uint32_t preemptions = 0;
  bool submitted = false;
  bool started = false;
  bool ended = false;
  Time first_token{}, last_token{};
  std::vector<std::uint32_t> pages;
};

class Recount {
 public:
  Recount(const Trace& trace, const Scenario& scenario, Tokens max_new);

  // What a step asks of the device, and when its state is there.
  struct Start {
    StepWork work;
    Time ready{};
  };

  void submitted(std::size_t index, RequestId id);
  // Books what became of requests; adds the indices of those that ended to `ended`.
  tl::expected<void, Error> apply(const std::vector<core::Action>& actions,
                                  std::vector<std::size_t>& ended);
  // A step that begins.
  Result<Start> begin(Time now, const core::Step& step);
  // The same step at its end: counts an OOM, emits tokens. Adds the ids of sequences that end by
  // themselves to `finished`, and the indices of those that emitted their first or last token.
  void end(Time now, const core::Step& step, std::vector<RequestId>& finished,
           std::vector<std::size_t>& emitted_first, std::vector<std::size_t>& emitted_last);

  const Sequence& sequence(std::size_t index) const { return sequences_[index]; }
  std::size_t size() const { return sequences_.size(); }
  std::size_t holding() const { return holding_; }  // sequences with pages
  std::size_t ended() const { return ended_; }
  Bytes held() const;
  Bytes pool() const { return pool_; }
  // Adds its counts to the result: OOMs, preemptions, tokens.
  void book(RunResult& result) const;

 private:
  struct Instance {
    PageRecount pages;
    std::int64_t block;
    Bytes page_bytes;
  };

  Error broken(const std::string& what) const;
  std::string name(std::size_t index) const;
  std::uint64_t content(std::size_t index, std::int64_t page, std::int64_t block) const;
  void release(Sequence& sequence);
  // Books one sequence's part of a step.
  tl::expected<void, Error> begin_entry(const core::Step& step, const core::StepEntry& entry,
                                        Start& start);
  tl::expected<void, Error> check_state(const Instance& instance, std::size_t index,
                                        std::int64_t context) const;
  tl::expected<void, Error> check_writes(const Instance& instance, std::size_t index,
                                         std::int64_t context, std::int64_t tokens) const;

  const Trace& trace_;
  std::int64_t max_new_;
  std::vector<Sequence> sequences_;
  std::vector<Instance> instances_;
  Bytes pool_;
  std::uint64_t step_number_ = 0;
  std::size_t holding_ = 0;
  std::size_t ended_ = 0;
  std::uint64_t ooms_ = 0, preemptions_ = 0;
  std::size_t finished_ = 0, refused_ = 0;
  std::int64_t computed_ = 0, recomputed_ = 0, prompt_ = 0, hits_ = 0;
  std::int64_t moved_out_ = 0, moved_in_ = 0;
};

}  // namespace mais::sim
