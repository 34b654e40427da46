#include "sim/recount.hpp"

#include <algorithm>

namespace mais::sim {

namespace {

// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). Never 0, which means nothing.
std::uint64_t mixed(std::uint64_t a, std::uint64_t b) {
  std::uint64_t z = a * 0x9e3779b97f4a7c15u + b + 0x2545f4914f6cdd1du;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return z == 0 ? 1 : z;
}

Duration move_time(const Config& config, const mais::Instance& instance, bool out) {
  if (!instance.host_tier) return Duration::max() / 4;
  const SpaceId device = config.machine.devices[instance.device.value()].space;
  const SpaceId host = *instance.host_tier;
  const Link* link = out ? config.machine.link(device, host) : config.machine.link(host, device);
  if (link == nullptr) return Duration::zero();  // one memory: nothing moves
  const Bytes page = config.models[instance.model.value()].page_bytes(instance.block);
  return page / link->bandwidth + link->latency;
}

}  // namespace

Recount::Recount(const Trace& trace, const Scenario& scenario, Tokens max_new)
    : trace_(trace), max_new_(max_new.count()), sequences_(trace.requests.size()) {
  for (std::size_t i = 0; i < sequences_.size(); ++i) {
    sequences_[i].prompt = trace.requests[i].prompt.count();
    sequences_[i].output = std::min(trace.requests[i].output.count(), max_new_);
  }
  const Config& config = scenario.config;
  for (const mais::Instance& instance : config.instances) {
    const Bytes page = config.models[instance.model.value()].page_bytes(instance.block);
    const std::int64_t pages = instance.state / page;
    const std::int64_t host_pages = instance.host_tier ? instance.host_state / page : 0;
    instances_.push_back(
        {.pages =
             PageRecount(static_cast<std::size_t>(pages), static_cast<std::size_t>(host_pages),
                         move_time(config, instance, true), move_time(config, instance, false)),
         .block = instance.block.count(),
         .page_bytes = page});
    pool_ += page * pages;
  }
}

void Recount::submitted(std::size_t index, RequestId id) {
  sequences_[index].id = id;
  sequences_[index].submitted = true;
}

Bytes Recount::held() const {
  Bytes bytes;
  for (const Instance& instance : instances_) {
    bytes += instance.page_bytes * instance.pages.held();
  }
  return bytes;
}

void Recount::book(RunResult& result) const {
  result.steps = step_number_;
  result.finished = finished_;
  result.refused = refused_;
  result.ooms = ooms_;
  result.preemptions = preemptions_;
  for (const Sequence& sequence : sequences_) {
    result.max_preemptions = std::max<std::uint64_t>(result.max_preemptions, sequence.preemptions);
  }
  result.computed = Tokens(computed_);
  result.recomputed = Tokens(recomputed_);
  result.prompt = Tokens(prompt_);
  result.prefix_hits = Tokens(hits_);
  result.moved_out = Tokens(moved_out_);
  result.moved_in = Tokens(moved_in_);
  result.pool = pool_;
}

Error Recount::broken(const std::string& what) const {
  return {ErrorCode::invalid_argument,
          "the scheduler broke its contract at step " + std::to_string(step_number_) + ": " + what,
          std::nullopt, std::nullopt};
}

std::string Recount::name(std::size_t index) const {
  return "request " + std::to_string(static_cast<std::uint64_t>(sequences_[index].id)) +
         " (number " + std::to_string(index) + " of the trace)";
}

// Tokens within whole shared prefix blocks are named by the hash of the block that the page ends
// in; all others belong to their request alone.
std::uint64_t Recount::content(std::size_t index, std::int64_t page, std::int64_t block) const {
  const TraceRequest& request = trace_.requests[index];
  const std::int64_t prefix_block = trace_.prefix_block.count();
  if (prefix_block > 0) {
    const std::int64_t last = (page + 1) * block - 1;
    const std::int64_t in = last / prefix_block;
    if (in < request.prefix_count) {
      const BlockHash hash = trace_.hashes[request.first_prefix + static_cast<std::size_t>(in)];
      return mixed(hash, static_cast<std::uint64_t>(page));
    }
  }
  return mixed(~static_cast<std::uint64_t>(index), static_cast<std::uint64_t>(page));
}

void Recount::release(Sequence& sequence) {
  PageRecount& pages = instances_[sequence.instance].pages;
  for (const std::uint32_t page : sequence.pages) pages.release(page);
  if (!sequence.pages.empty()) --holding_;
  sequence.pages.clear();
  sequence.computed = 0;
}

tl::expected<void, Error> Recount::apply(const std::vector<core::Action>& actions,
                                         std::vector<std::size_t>& ended) {
  for (const core::Action& action : actions) {
    const auto index = static_cast<std::size_t>(action.tag);
    if (index >= sequences_.size()) {
      return tl::unexpected(broken("an action carries the tag " + std::to_string(action.tag) +
                                   ", which no request has"));
    }
    Sequence& sequence = sequences_[index];
    if (sequence.ended) return tl::unexpected(broken(name(index) + " ended twice"));
    switch (action.kind) {
      case core::ActionKind::accepted:
      case core::ActionKind::granted:
        break;
      case core::ActionKind::preempted:
        ++preemptions_;
        ++sequence.preemptions;
        release(sequence);
        break;
      case core::ActionKind::requeued:
        release(sequence);
        break;
      case core::ActionKind::finished:
        if (sequence.generated < sequence.output) {
          return tl::unexpected(broken(name(index) + " finished after " +
                                       std::to_string(sequence.generated) + " of " +
                                       std::to_string(sequence.output) + " tokens"));
        }
        ++finished_;
        [[fallthrough]];
      case core::ActionKind::refused:
      case core::ActionKind::expired:
      case core::ActionKind::cancelled:
        if (action.kind != core::ActionKind::finished) ++refused_;
        release(sequence);
        sequence.ended = true;
        ++ended_;
        ended.push_back(index);
        break;
    }
  }
  return {};
}

Result<Recount::Start> Recount::begin(Time now, const core::Step& step) {
  ++step_number_;
  Start start{.work = {}, .ready = now};
  Instance& instance = instances_[step.instance.value()];
  for (const core::StateMove& move : step.moves) {
    const auto done = instance.pages.move(now, move);
    if (!done) {
      return tl::unexpected(broken("it moves page " + std::to_string(move.block) +
                                   " and host page " + std::to_string(move.host_block) +
                                   ", and one of them does not exist"));
    }
    const bool out = move.kind == core::StateMove::Kind::out;
    (out ? moved_out_ : moved_in_) += instance.block;
    if (!out && instance.pages.users(move.block) > 0) start.ready = std::max(start.ready, *done);
  }
  // What they drop is there for all others of the step.
  for (const core::StepEntry& entry : step.entries) {
    const auto index = static_cast<std::size_t>(entry.tag);
    if (entry.restarts && index < sequences_.size()) release(sequences_[index]);
  }
  for (const core::StepEntry& entry : step.entries) {
    if (auto booked = begin_entry(step, entry, start); !booked) {
      return tl::unexpected(booked.error());
    }
  }
  return start;
}

tl::expected<void, Error> Recount::begin_entry(const core::Step& step, const core::StepEntry& entry,
                                               Start& start) {
  const auto index = static_cast<std::size_t>(entry.tag);
  if (index >= sequences_.size() || !sequences_[index].submitted ||
      sequences_[index].id != entry.request) {
    return tl::unexpected(broken("an entry names a request that nobody submitted"));
  }
  Sequence& sequence = sequences_[index];
  if (sequence.ended) return tl::unexpected(broken(name(index) + " runs after its end"));
  if (sequence.in_step == step_number_) {
    return tl::unexpected(broken(name(index) + " is in the step twice"));
  }
  sequence.in_step = step_number_;
  if (sequence.pages.empty()) {
    sequence.instance = step.instance.value();
  } else if (sequence.instance != step.instance.value()) {
    return tl::unexpected(broken(name(index) + " has its state on another instance"));
  }

  Instance& instance = instances_[step.instance.value()];
  if (std::size_t{entry.first_block} + entry.block_count > step.blocks.size()) {
    return tl::unexpected(broken(name(index) + " is given pages beyond the step's list"));
  }
  if (sequence.pages.empty() && entry.block_count > 0) ++holding_;
  for (std::uint32_t i = 0; i < entry.block_count; ++i) {
    const std::uint32_t page = step.blocks[entry.first_block + i];
    instance.pages.hold(page);
    sequence.pages.push_back(page);
    start.ready = std::max(start.ready, instance.pages.arrives(page));
  }

  const std::int64_t context = entry.context.count();
  const std::int64_t tokens = entry.tokens.count();
  const std::int64_t target = sequence.prompt + sequence.generated;
  if (context < 0 || tokens < 1 || context + tokens > target) {
    return tl::unexpected(broken(name(index) + " computes tokens " + std::to_string(context) +
                                 " ... " + std::to_string(context + tokens) + " of " +
                                 std::to_string(target) + " that are known"));
  }
  if (entry.emits != (context + tokens == target)) {
    return tl::unexpected(broken(name(index) + (entry.emits ? " emits" : " does not emit") +
                                 " after computing " + std::to_string(context) + " ... " +
                                 std::to_string(context + tokens) + " of " +
                                 std::to_string(target) + " known tokens"));
  }
  if (auto there = check_state(instance, index, context); !there) return there;
  if (auto own = check_writes(instance, index, context, tokens); !own) return own;
  for (std::int64_t i = context / instance.block; i * instance.block < context + tokens; ++i) {
    start.ready =
        std::max(start.ready, instance.pages.leaves(sequence.pages[static_cast<std::size_t>(i)]));
  }

  if (!sequence.started) {
    sequence.started = true;
    prompt_ += sequence.prompt;
  }
  // What it jumps over for the first time, somebody else has computed.
  hits_ += std::max<std::int64_t>(
      0, std::min(context, sequence.prompt) - std::max(sequence.computed, sequence.furthest));
  recomputed_ += std::max<std::int64_t>(0, std::min(context + tokens, sequence.furthest) - context);
  computed_ += tokens;
  sequence.computed = context;  // until the end of the step
  sequence.furthest = std::max(sequence.furthest, context + tokens);
  start.work.add(entry.context, entry.tokens);
  return {};
}

// Everything it attends to that it did not compute itself must stand in its pages.
tl::expected<void, Error> Recount::check_state(const Instance& instance, std::size_t index,
                                               std::int64_t context) const {
  const Sequence& sequence = sequences_[index];
  for (std::int64_t page = sequence.computed / instance.block; page * instance.block < context;
       ++page) {
    if (context <= sequence.computed) break;
    const auto filled =
        static_cast<std::uint32_t>(std::min(instance.block, context - page * instance.block));
    if (page >= static_cast<std::int64_t>(sequence.pages.size()) ||
        !instance.pages.holds(sequence.pages[static_cast<std::size_t>(page)],
                              content(index, page, instance.block), filled)) {
      return tl::unexpected(broken(name(index) + " attends to " + std::to_string(context) +
                                   " tokens, but page " + std::to_string(page) +
                                   " of its table does not hold them"));
    }
  }
  return {};
}

// Pages it writes must be its own, or hold the very same tokens for all who share them.
tl::expected<void, Error> Recount::check_writes(const Instance& instance, std::size_t index,
                                                std::int64_t context, std::int64_t tokens) const {
  const Sequence& sequence = sequences_[index];
  const std::int64_t last = (context + tokens - 1) / instance.block;
  if (last >= static_cast<std::int64_t>(sequence.pages.size())) {
    return tl::unexpected(broken(name(index) + " computes up to token " +
                                 std::to_string(context + tokens) + " with " +
                                 std::to_string(sequence.pages.size()) + " pages"));
  }
  for (std::int64_t i = context / instance.block; i <= last; ++i) {
    const std::uint32_t page = sequence.pages[static_cast<std::size_t>(i)];
    if (instance.pages.in_pool(page) && instance.pages.users(page) > 1 &&
        !instance.pages.holds(page, content(index, i, instance.block), 0)) {
      return tl::unexpected(broken(name(index) + " writes page " + std::to_string(page) +
                                   ", which another sequence holds"));
    }
  }
  return {};
}

void Recount::end(Time now, const core::Step& step, std::vector<RequestId>& finished,
                  std::vector<std::size_t>& emitted_first, std::vector<std::size_t>& emitted_last) {
  Instance& instance = instances_[step.instance.value()];
  if (instance.pages.over()) ++ooms_;
  for (const core::StepEntry& entry : step.entries) {
    const auto index = static_cast<std::size_t>(entry.tag);
    Sequence& sequence = sequences_[index];
    if (sequence.ended) continue;  // while the step was under way
    const std::int64_t from = entry.context.count();
    const std::int64_t to = from + entry.tokens.count();
    sequence.computed = to;
    for (std::int64_t i = from / instance.block; i * instance.block < to; ++i) {
      instance.pages.write(
          sequence.pages[static_cast<std::size_t>(i)], content(index, i, instance.block),
          static_cast<std::uint32_t>(std::min(instance.block, to - i * instance.block)));
    }
    if (!entry.emits) continue;
    sequence.last_token = now;
    if (++sequence.generated == 1) {
      sequence.first_token = now;
      emitted_first.push_back(index);
    }
    if (sequence.generated == sequence.output) {
      emitted_last.push_back(index);
      if (sequence.output < max_new_) finished.push_back(sequence.id);
    }
  }
}

}  // namespace mais::sim
