// What a server and an engine say to each other. No engine's library is named here, so that the
// server, its tests and another engine do not depend on one.
//
//   engine->load();
//   while (scheduler.next_step(instance, step, stop)) {
//     for (const StateMove& move : step.moves) engine->move(move);  // see there when this fails
//     engine->run(step, views, result);
//     scheduler.report(to_report(step, result, finished));
//   }
//
// State. What there is about a sequence lies in pages: block tables and tokens come with every
// call, as mais/core/action.hpp says. Pages are numbers below EngineInfo::pages; sequences that
// share a prefix name the same pages, and one that computes a shared page again writes what stands
// there already. An engine that keeps its state by sequences and not by pages takes the numbers for
// a count, says shares_pages = false, and hears by forget() when a sequence is over.
//
// Memory. Weights, pages and what a step needs come from budgets with a hard cap. load() takes
// weights and, where all pages are mapped ahead, theirs, or nothing; else pages get theirs when a
// step names them. (Some ahead and others later would hold memory for pages that the planner does
// not use, beside those that it does, and so more than the planner counts.) A step that finds no
// memory says so and has computed nothing: the positions that it was to write may hold anything,
// all others are as they were, so that the same step can be run again.
//
// Threads. One caller at a time; different engines may run beside each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mais/core/action.hpp"
#include "mais/model.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"
#include "sampling.hpp"
#include "tokenizer.hpp"

namespace server {

// What a host must know to configure a scheduler (mais::Instance) and to serve people.
struct EngineInfo {
  // Weights as they are allocated, state per token, the workspace bound that run() keeps, a cost
  // that scheduling begins with. Batching says which kind of engine this is.
  mais::Model model{};
  mais::TokensPerBlock page{16};      // tokens of state in a page; decoders
  std::int64_t pages = 0;             // of the pool
  std::int64_t guaranteed_pages = 0;  // of them, that other engines' pages leave room for
  bool maps_pages_ahead = true;       // all have memory while loaded; else when a step names them
  std::int64_t host_pages = 0;        // where pages are swapped to
  bool shares_pages = true;           // several sequences may name one page; else no host_pages
  std::int64_t vocabulary = 0;        // tokens are 0 ... vocabulary - 1
  std::int64_t embedding_width = 0;   // floats in an embedding; encoders
  std::string weights_from{};         // for people: a file, or "random weights, seed 1"
  std::string remarks{};              // for people: what is worth a line in the log; may be empty
};

// One sequence of a step, beside its StepEntry.
struct SequenceView {
  std::span<const Token> tokens{};         // all that are known: the prompt, then the generated
  std::span<const std::uint32_t> pages{};  // its block table, with the pages that the step gives it
  Sampling sampling{};                     // of the token that it emits
};

struct StepResult {
  enum class Outcome : std::uint8_t {
    done,
    allocation_failed,  // nothing was computed; see `missing`
    broken,             // the engine cannot go on; see `error`
  };
  Outcome outcome = Outcome::done;
  mais::Duration took{};
  std::optional<mais::Bytes> missing{};  // of the allocation that was refused
  std::string error{};
  // The token that each entry emits; none for those that emit nothing.
  std::vector<std::optional<Token>> emitted{};
  // Encoders: entries x EngineInfo::embedding_width, each of length 1.
  std::vector<float> embeddings{};
};

// Bytes that an engine holds now and held at most, of each budget.
struct EngineMemory {
  struct Use {
    mais::Bytes used{};
    mais::Bytes peak{};
    std::uint64_t refusals = 0;  // allocations that found no room
  };
  Use weights{};
  Use state{};
  Use host_state{};
  Use workspace{};
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Does not change; valid before load(), except `remarks`.
  virtual const EngineInfo& info() const = 0;
  // That of the model, valid before load(); never null. May outlive the engine.
  virtual std::shared_ptr<const Tokenizer> tokenizer() const = 0;

  // Takes weights and pages, and fills the weights. over_limit or over_capacity: a budget is too
  // small; parse_error, io_error: of the files. On failure nothing is held. Loading what is loaded
  // does nothing.
  virtual mais::Result<void> load() = 0;
  // Gives everything back. What pages held is gone.
  virtual void unload() = 0;

  // Copies a page between the pool and the host tier; done when it returns. False, and nothing
  // happened, when the page it copies to finds no memory: then the step cannot run, and the planner
  // will not name the move again, so it must be made good before any later step runs.
  virtual bool move(const mais::core::StateMove& move) = 0;

  // What the engine keeps of a sequence beside pages is of no more use from the token `from` on: it
  // ended (0), or pages of it were given to others. It may come again, with a context of at most so
  // many tokens, or of fewer: what the engine keeps beyond a context is computed again. Called
  // between steps, before one that names those pages; maybe twice, or for a sequence that the
  // engine has not seen.
  virtual void forget(mais::RequestId sequence, mais::Tokens from) {
    static_cast<void>(sequence), static_cast<void>(from);
  }

  // Gives back the memory of pages of the pool that nobody uses, as far as whole slabs are free;
  // nothing where pages are mapped ahead. They get memory again when a step names them. Returns how
  // much.
  virtual mais::Bytes trim(std::span<const std::uint32_t> free_pages) = 0;

  // What a page of the pool holds, for checksums. Aborts where there is no such page.
  virtual std::span<const std::byte> page(std::uint32_t id) const = 0;

  // Computes a step; `sequences[i]` belongs to `step.entries[i]`. Iteration batching: computes
  // `tokens` of each from `context` on, and for those that emit chooses the next token as
  // Sampler does, at position `context` + `tokens`. Request batching: computes an embedding of
  // each, as if padded to `step.padded`. The same tokens give the same bits, whatever else is in
  // the step and however the prompt was cut into chunks, unless `remarks` says otherwise. A view
  // that does not fit its entry aborts. `result` is overwritten; its room is used again.
  virtual void run(const mais::core::Step& step, std::span<const SequenceView> sequences,
                   StepResult& result) = 0;

  // From any thread.
  virtual EngineMemory memory() const = 0;

 protected:
  Engine() = default;
  Engine(const Engine&) = default;
  Engine& operator=(const Engine&) = default;
};

// Aborts for views that do not fit the entries of a step, in pages of so many tokens.
inline void expect_fitting(const mais::core::Step& step, std::span<const SequenceView> sequences,
                           mais::TokensPerBlock page) {
  MAIS_EXPECTS(sequences.size() == step.entries.size(), "a view for each entry");
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const mais::core::StepEntry& entry = step.entries[i];
    const std::int64_t end = (entry.context + entry.tokens).count();
    MAIS_EXPECTS(entry.context.count() >= 0 && entry.tokens.count() >= 1 &&
                     end <= static_cast<std::int64_t>(sequences[i].tokens.size()),
                 "an entry computes tokens that are not known");
    MAIS_EXPECTS(static_cast<std::int64_t>(sequences[i].pages.size()) * page.count() >= end,
                 "an entry computes beyond its pages");
  }
}

// What to tell the scheduler of a step that was not broken.
inline mais::core::StepReport to_report(const mais::core::Step& step, const StepResult& result,
                                        std::vector<mais::RequestId> finished) {
  using Outcome = mais::core::StepReport::Outcome;
  const bool done = result.outcome == StepResult::Outcome::done;
  mais::core::StepReport report{.step = step.id,
                                .outcome = done ? Outcome::done : Outcome::allocation_failed};
  if (done) {
    report.took = result.took;
    report.finished = std::move(finished);
  } else {
    report.missing = result.missing;
  }
  return report;
}

}  // namespace server
