#include "plain_backend.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "gateway_gauges.hpp"

namespace server {

using Outcome = StepResult::Outcome;

mais::Result<std::unique_ptr<PlainBackend>> PlainBackend::start(ModelSet& models) {
  std::unique_ptr<PlainBackend> backend(new PlainBackend(models));
  for (auto& engine : models.take_engines()) {
    if (auto loaded = engine->load(); !loaded) {
      return tl::unexpected<mais::Error>(std::move(loaded.error()));
    }
    auto loop = std::make_unique<Loop>();
    loop->free_pages.resize(static_cast<std::size_t>(engine->info().pages));
    std::iota(loop->free_pages.rbegin(), loop->free_pages.rend(), 0U);
    loop->tokenizer = engine->tokenizer();
    loop->engine = std::move(engine);
    backend->loops_.push_back(std::move(loop));
  }
  for (auto& loop : backend->loops_) {
    loop->thread = std::thread([self = backend.get(), &loop = *loop] { self->work(loop); });
  }
  return backend;
}

PlainBackend::~PlainBackend() {
  stop();
}

void PlainBackend::stop() {
  {
    const std::scoped_lock lock(mutex_);
    over_ = true;
  }
  came_.notify_all();
  for (auto& loop : loops_) {
    if (loop->thread.joinable()) loop->thread.join();
  }
}

mais::Result<mais::RequestId> PlainBackend::submit(Job job, Callbacks callbacks) {
  if (!job.request.model || job.request.model->value() >= loops_.size()) {
    return mais::fail(mais::ErrorCode::invalid_argument, "there is no such model");
  }
  Loop& loop = *loops_[job.request.model->value()];
  const bool decoder = loop.engine->info().model.batching == mais::Batching::iteration;
  Running one;
  if (decoder) {
    const auto longest = models_.served()[job.request.model->value()].max_context;
    one.left = std::min(job.request.max_new.count(),
                        longest - static_cast<std::int64_t>(job.prompt.size()));
  }
  one.ticket = std::make_shared<Ticket>(std::move(job), std::move(callbacks));
  {
    const std::scoped_lock lock(mutex_);
    one.id = mais::RequestId(++last_id_);
    if (!over_) {
      cancelled_.emplace(last_id_, false);
      loop.arrived.push_back(one);
      came_.notify_all();
      return one.id;
    }
  }
  one.ticket->end({.kind = mais::EndKind::cancelled, .request = one.id});
  return one.id;
}

void PlainBackend::cancel(mais::RequestId request) {
  const std::scoped_lock lock(mutex_);
  const auto found = cancelled_.find(static_cast<std::uint64_t>(request));
  if (found != cancelled_.end()) found->second = true;
}

bool PlainBackend::is_cancelled(mais::RequestId request) {
  const std::scoped_lock lock(mutex_);
  return over_ || cancelled_.at(static_cast<std::uint64_t>(request));
}

void PlainBackend::work(Loop& loop) {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (loop.running.empty()) {
        came_.wait(lock, [&] { return over_ || !loop.arrived.empty(); });
      }
      loop.running.insert(loop.running.end(), std::make_move_iterator(loop.arrived.begin()),
                          std::make_move_iterator(loop.arrived.end()));
      running_ += static_cast<std::int64_t>(loop.arrived.size());
      loop.arrived.clear();
      if (over_ && loop.running.empty()) return;
    }
    for (std::size_t i = loop.running.size(); i-- > 0;) {
      if (is_cancelled(loop.running[i].id)) end(loop, i, mais::EndKind::cancelled);
    }
    if (!loop.running.empty()) step(loop);
  }
}

void PlainBackend::end(Loop& loop, std::size_t index, mais::EndKind kind) {
  const Running one = std::move(loop.running[index]);
  loop.running.erase(loop.running.begin() + static_cast<std::ptrdiff_t>(index));
  --running_;
  const auto& pages = one.ticket->pages;
  loop.free_pages.insert(loop.free_pages.end(), pages.rbegin(), pages.rend());
  loop.engine->forget(one.id, mais::Tokens(0));
  if (!pages.empty()) loop.engine->trim(loop.free_pages);
  {
    const std::scoped_lock lock(mutex_);
    cancelled_.erase(static_cast<std::uint64_t>(one.id));
  }
  one.ticket->end({.kind = kind, .request = one.id});
}

// Everything that is known of every sequence, in one step.
Outcome PlainBackend::try_step(Loop& loop, StepResult& result) {
  const EngineInfo& info = loop.engine->info();
  const bool decoder = info.model.batching == mais::Batching::iteration;
  mais::core::Step step;
  std::vector<SequenceView> views;
  for (Running& one : loop.running) {
    const auto known = static_cast<std::int64_t>(one.ticket->tokens.size());
    if (decoder) {
      const auto pages =
          static_cast<std::size_t>((known + info.page.count() - 1) / info.page.count());
      while (one.ticket->pages.size() < pages) {
        if (loop.free_pages.empty()) {
          result.outcome = Outcome::allocation_failed;
          return result.outcome;
        }
        one.ticket->pages.push_back(loop.free_pages.back());
        loop.free_pages.pop_back();
      }
    }
    step.entries.push_back({.request = one.id,
                            .context = mais::Tokens(one.computed),
                            .tokens = mais::Tokens(known - one.computed),
                            .emits = decoder});
    views.push_back({.tokens = one.ticket->tokens,
                     .pages = one.ticket->pages,
                     .sampling = one.ticket->sampling});
    if (decoder) continue;
    const auto& buckets = info.model.shape_buckets;
    const auto bucket = std::lower_bound(buckets.begin(), buckets.end(), mais::Tokens(known));
    step.padded = std::max(step.padded, bucket == buckets.end() ? mais::Tokens(known) : *bucket);
  }
  loop.engine->run(step, views, result);
  return result.outcome;
}

void PlainBackend::step(Loop& loop) {
  StepResult result;
  while (try_step(loop, result) != Outcome::done) {
    ++failures_;
    ++failed_requests_;
    end(loop, loop.running.size() - 1, mais::EndKind::refused);
    if (loop.running.empty()) return;
  }
  ++steps_;
  const auto width = static_cast<std::size_t>(loop.engine->info().embedding_width);
  for (std::size_t i = loop.running.size(); i-- > 0;) {
    Running& one = loop.running[i];
    Ticket& ticket = *one.ticket;
    one.computed = static_cast<std::int64_t>(ticket.tokens.size());
    if (width > 0) {
      ticket.give(std::span<const float>(result.embeddings).subspan(i * width, width));
      end(loop, i, mais::EndKind::finished);
      continue;
    }
    const Token token = *result.emitted[i];
    ticket.tokens.push_back(token);
    ticket.stopped = loop.tokenizer->ends_text(token) || !ticket.give(token);
    if (ticket.stopped || --one.left == 0) end(loop, i, mais::EndKind::finished);
  }
}

std::string PlainBackend::metrics() {
  using Kind = GaugeText::Kind;
  GaugeText text;
  text.metric("server_steps_total", Kind::counter, "Steps of all engines.")
      .value(steps_.load())
      .metric("server_failed_steps_total", Kind::counter, "Steps that found no memory.")
      .value(failures_.load())
      .metric("server_failed_requests_total", Kind::counter,
              "Requests that ended because an allocation failed.")
      .value(failed_requests_.load());
  models_.tell_memory(text);
  return to_text({.running = static_cast<std::size_t>(std::max<std::int64_t>(0, running_))}) +
         std::move(text).text();
}

}  // namespace server
