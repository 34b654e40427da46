// A small scheduler for testing the simulator: first come, first served, whole prompts, one new
// sequence a step, pages reserved for prompt and max_new. Its bugs can be planted.
#pragma once

#include <algorithm>
#include <deque>
#include <vector>

#include "mais/sim/subject.hpp"

namespace mais::sim {

struct FakeBugs {
  std::uint32_t page_beyond_pool_at_step = 0;  // hands out a page that the pool does not have
  std::uint64_t page_given_twice_at_step = 0;  // hands out a page that another sequence holds
  std::uint64_t skips_a_token_at_step = 0;     // claims state that nobody computed
  std::uint64_t forgets_to_emit_at_step = 0;
  std::uint64_t preempts_at_step = 0;  // no bug: the newest sequence starts over
  bool never_schedules = false;
  bool asks_to_be_woken = false;  // and does nothing
};

class FakeSubject final : public Subject {
 public:
  FakeSubject(std::uint32_t pages, std::int64_t block, FakeBugs bugs = {})
      : pages_(pages), block_(block), bugs_(bugs) {
    for (std::uint32_t page = pages; page > 0; --page) free_.push_back(page - 1);
  }

  std::vector<Request> submitted;  // as they came in

  RequestId submit(Time, const Request& request, core::Actions& out) override {
    const auto id = static_cast<RequestId>(submitted.size());
    submitted.push_back(request);
    if (pages_for(request) > pages_) {
      out.list.push_back({.kind = core::ActionKind::refused, .request = id, .tag = request.tag});
    } else {
      waiting_.push_back({.id = id, .request = request});
    }
    return id;
  }

  bool next_step(Time now, InstanceId, core::Actions& out, core::Step& step) override {
    step = {};
    if (bugs_.asks_to_be_woken) out.wake_at = now;
    if (bugs_.never_schedules || bugs_.asks_to_be_woken) return false;
    ++steps_;
    if (steps_ == bugs_.preempts_at_step && !running_.empty()) preempt(out);
    for (Sequence& s : running_) add(step, s, s.computed, 1);
    if (!waiting_.empty() && pages_for(waiting_.front().request) <= free_.size()) {
      Sequence& s = running_.emplace_back(waiting_.front());
      waiting_.pop_front();
      s.computed = 0;
      core::StepEntry& entry = add(step, s, 0, s.request.prompt.count() + s.generated);
      entry.first_block = static_cast<std::uint32_t>(step.blocks.size());
      entry.restarts = true;
      for (std::size_t i = pages_for(s.request); i > 0; --i) {
        s.pages.push_back(free_.back());
        free_.pop_back();
      }
      step.blocks.insert(step.blocks.end(), s.pages.begin(), s.pages.end());
      entry.block_count = static_cast<std::uint32_t>(s.pages.size());
    }
    plant(step);
    return !step.entries.empty();
  }

  void report(Time, const core::StepReport& report, core::Actions& out) override {
    for (Sequence& s : running_) {
      s.computed = s.request.prompt.count() + s.generated;
      ++s.generated;
    }
    std::erase_if(running_, [&](Sequence& s) {
      const bool ends = std::find(report.finished.begin(), report.finished.end(), s.id) !=
                            report.finished.end() ||
                        s.generated >= s.request.max_new.count();
      if (ends) {
        give_back(s);
        out.list.push_back(
            {.kind = core::ActionKind::finished, .request = s.id, .tag = s.request.tag});
      }
      return ends;
    });
  }

  void tick(Time, core::Actions&) override {}
  std::optional<Time> next_timer() const override { return std::nullopt; }
  core::InstanceLoad load(InstanceId) const override { return {}; }

 private:
  struct Sequence {
    RequestId id{};
    Request request;
    std::int64_t computed = 0;
    std::int64_t generated = 0;
    std::vector<std::uint32_t> pages{};
  };

  std::size_t pages_for(const Request& request) const {
    return static_cast<std::size_t>((request.prompt + request.max_new).count() / block_ + 1);
  }
  static core::StepEntry& add(core::Step& step, const Sequence& s, std::int64_t context,
                              std::int64_t tokens) {
    step.entries.push_back({.request = s.id,
                            .tag = s.request.tag,
                            .context = Tokens(context),
                            .tokens = Tokens(tokens),
                            .emits = true});
    return step.entries.back();
  }
  void give_back(Sequence& s) {
    free_.insert(free_.end(), s.pages.begin(), s.pages.end());
    s.pages.clear();
  }
  void preempt(core::Actions& out) {
    Sequence s = running_.back();
    running_.pop_back();
    give_back(s);
    out.list.push_back(
        {.kind = core::ActionKind::preempted, .request = s.id, .tag = s.request.tag});
    waiting_.push_front(s);
  }
  void plant(core::Step& step) {
    if (step.entries.empty()) return;
    core::StepEntry& last = step.entries.back();
    const auto hand_out = [&](std::uint32_t page) {
      // Behind the pages of the newest sequence, which come last in the list.
      last.first_block = static_cast<std::uint32_t>(step.blocks.size()) - last.block_count;
      ++last.block_count;
      step.blocks.push_back(page);
    };
    if (steps_ == bugs_.page_beyond_pool_at_step) hand_out(pages_);
    if (steps_ == bugs_.page_given_twice_at_step && running_.size() > 1) {
      step.blocks[last.first_block] = running_.front().pages.front();
    }
    if (steps_ == bugs_.skips_a_token_at_step) {
      last.context += Tokens(1);
      last.tokens -= Tokens(1);
    }
    if (steps_ == bugs_.forgets_to_emit_at_step) last.emits = false;
  }

  std::uint32_t pages_;
  std::int64_t block_;
  FakeBugs bugs_;
  std::vector<std::uint32_t> free_;
  std::deque<Sequence> waiting_;
  std::vector<Sequence> running_;
  std::uint64_t steps_ = 0;
};

}  // namespace mais::sim
