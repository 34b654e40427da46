#include "worker.hpp"

#include <chrono>
#include <utility>

namespace server {

using Outcome = StepResult::Outcome;

namespace {
constexpr int kTries = 4;  // to run a step again after memory was taken back
}  // namespace

Worker::Worker(std::unique_ptr<Engine> engine, mais::InstanceId instance)
    : engine_(std::move(engine)), tokenizer_(engine_->tokenizer()), instance_(instance) {
  const EngineInfo& info = engine_->info();
  if (info.shares_pages) return;
  MAIS_EXPECTS(info.host_pages == 0,
               "an engine that keeps state by sequences has no pages to swap");
  holders_.resize(static_cast<std::size_t>(info.pages));
}

void Worker::start(Shared shared) {
  shared_.emplace(std::move(shared));
  thread_ = std::thread([this] { work(); });
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

HostCounts Worker::counts() const {
  return {.steps = steps_,
          .failed_steps = failed_,
          .saved_steps = saved_,
          .broken_steps = broken_,
          .pages_out = pages_out_,
          .pages_in = pages_in_};
}

// A page that is free in the snapshot may be given to a sequence before it is taken away here. No
// harm: the step that names it runs only after this, and maps it anew.
mais::Bytes Worker::trim(mais::Scheduler& scheduler) {
  const EngineInfo& info = engine_->info();
  if (info.maps_pages_ahead) return mais::Bytes(0);
  const std::scoped_lock lock(mutex_);
  tell_ended();
  const mais::core::PlannerView view = scheduler.snapshot();
  return engine_->trim(view.instances[instance_.value()].free_pages);
}

void Worker::forget(mais::RequestId request) {
  const std::scoped_lock lock(ended_mutex_);
  ended_.push_back(request);
}

// With the engine's mutex held.
void Worker::tell_ended() {
  std::vector<mais::RequestId> ended;
  {
    const std::scoped_lock lock(ended_mutex_);
    ended.swap(ended_);
  }
  for (const mais::RequestId request : ended) engine_->forget(request, mais::Tokens(0));
}

// Its block table begins anew.
void Worker::restart(const mais::core::StepEntry& entry, Ticket& ticket) {
  if (!holders_.empty()) {
    for (const std::uint32_t page : ticket.pages) {
      auto& holder = holders_[page];
      if (holder && holder->request == entry.request) holder.reset();
    }
  }
  ticket.pages.clear();
}

// Pages that a step gives to a sequence were taken from whoever had them before.
void Worker::take_pages(const mais::core::StepEntry& entry, Ticket& ticket) {
  const auto first = step_.blocks.begin() + entry.first_block;
  for (auto page = first; page != first + entry.block_count; ++page) {
    if (!holders_.empty()) {
      auto& holder = holders_[*page];
      if (holder && holder->request != entry.request) {
        const auto kept = static_cast<std::int64_t>(holder->index) * engine_->info().page.count();
        engine_->forget(holder->request, mais::Tokens(kept));
      }
      holder = {.request = entry.request, .index = ticket.pages.size()};
    }
    ticket.pages.push_back(*page);
  }
}

void Worker::work() {
  while (shared_->scheduler.next_step(instance_, step_)) run_step();
}

void Worker::run_step() {
  ++steps_;
  owed_.insert(owed_.end(), step_.moves.begin(), step_.moves.end());
  prepare();
  mais::Bytes reclaimed = shared_->reclaimed();
  Outcome outcome = try_step();
  // Another worker that lacks memory may have taken back what is unused just before this one looks,
  // or be faster to take what this one found.
  for (int tries = 0; outcome == Outcome::allocation_failed && tries < kTries; ++tries) {
    shared_->reclaim();
    const mais::Bytes now = shared_->reclaimed();
    if (now == reclaimed) break;  // by nobody since the step was tried
    reclaimed = now;
    outcome = try_step();
    if (outcome == Outcome::done) ++saved_;
  }
  std::vector<mais::RequestId> finished;
  switch (outcome) {
    case Outcome::done:
      give_results(finished);
      break;
    case Outcome::allocation_failed:
      ++failed_;
      break;
    case Outcome::broken:
      tickets_.clear();
      start_anew();
      return;
  }
  tickets_.clear();
  tell_copied(mais::core::StateMove::Kind::out, copied_out_);
  tell_copied(mais::core::StateMove::Kind::in, copied_in_);
  shared_->scheduler.report(to_report(step_, result_, std::move(finished)));
}

// From then on the planner decides by it what is worth copying.
void Worker::tell_copied(mais::core::StateMove::Kind kind, Copied& copied) {
  if (copied.pages > 0) {
    shared_->scheduler.moves_measured(instance_, kind, copied.pages, copied.took);
  }
  copied = {};
}

// What is over is told to the engine; block tables as the step says; a view of each sequence. A
// ticket whose request has just been cancelled is not there any more: it is computed no further.
void Worker::prepare() {
  tickets_.clear();
  views_.clear();
  for (const mais::core::StepEntry& entry : step_.entries) {
    tickets_.push_back(shared_->find(entry.tag));
  }
  {
    const std::scoped_lock lock(mutex_);
    tell_ended();
    for (std::size_t i = 0; i < tickets_.size(); ++i) {
      if (tickets_[i] && step_.entries[i].restarts) restart(step_.entries[i], *tickets_[i]);
    }
    for (std::size_t i = 0; i < tickets_.size(); ++i) {
      if (tickets_[i]) take_pages(step_.entries[i], *tickets_[i]);
    }
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < tickets_.size(); ++i) {
    if (!tickets_[i]) continue;
    const mais::core::StepEntry& entry = step_.entries[i];
    const Ticket& ticket = *tickets_[i];
    views_.push_back({.tokens = ticket.tokens, .pages = ticket.pages, .sampling = ticket.sampling});
    step_.entries[kept] = entry;
    if (kept != i) tickets_[kept] = std::move(tickets_[i]);
    ++kept;
  }
  step_.entries.resize(kept);
  tickets_.resize(kept);
}

Outcome Worker::try_step() {
  const std::scoped_lock lock(mutex_);
  std::size_t made = 0;
  for (; made < owed_.size(); ++made) {
    const bool out = owed_[made].kind == mais::core::StateMove::Kind::out;
    const auto began = std::chrono::steady_clock::now();
    if (!engine_->move(owed_[made])) break;
    Copied& copied = out ? copied_out_ : copied_in_;
    copied.took += std::chrono::steady_clock::now() - began;
    ++copied.pages;
    ++(out ? pages_out_ : pages_in_);
  }
  owed_.erase(owed_.begin(), owed_.begin() + static_cast<std::ptrdiff_t>(made));
  result_.outcome = Outcome::allocation_failed;
  result_.missing.reset();
  result_.took = {};
  if (!owed_.empty()) return result_.outcome;
  engine_->run(step_, views_, result_);
  return result_.outcome;
}

void Worker::give_results(std::vector<mais::RequestId>& finished) {
  const auto width = static_cast<std::size_t>(engine_->info().embedding_width);
  for (std::size_t i = 0; i < tickets_.size(); ++i) {
    Ticket& ticket = *tickets_[i];
    if (width > 0)
      ticket.give(std::span<const float>(result_.embeddings).subspan(i * width, width));
    if (!result_.emitted[i]) continue;
    const Token token = *result_.emitted[i];
    ticket.tokens.push_back(token);
    if (tokenizer_->ends_text(token) || !ticket.give(token)) {
      ticket.stopped = true;
      finished.push_back(step_.entries[i].request);
    }
  }
}

// The planner requeues or refuses what ran here; the engine begins with empty pages.
void Worker::start_anew() {
  ++broken_;
  shared_->log(engine_->info().model.name + ": a step broke: " + result_.error +
               "; the engine is loaded anew");
  shared_->scheduler.instance_lost(instance_);
  owed_.clear();
  holders_.assign(holders_.size(), std::nullopt);
  mais::Result<void> loaded{};
  {
    const std::scoped_lock lock(mutex_);
    engine_->unload();
    loaded = engine_->load();
  }
  if (loaded) {
    shared_->scheduler.instance_back(instance_);
  } else {
    shared_->log(engine_->info().model.name + ": stays away: " + loaded.error().message);
  }
}

}  // namespace server
