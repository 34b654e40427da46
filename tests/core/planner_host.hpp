// An engine that believes nothing: it carries out steps on pages that remember what was written to
// them, keeps its own block tables from what steps tell, and notes every breach of the contract in
// mais/core/planner.hpp. Used beside the real planner in randomised and exhaustive tests.
#pragma once

#include <algorithm>
#include <array>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mais/core/planner.hpp"

namespace mais::core {

// A small, fast generator of its own, the same on every platform (Steele, Lea and Flood, Fast
// splittable pseudorandom number generators, OOPSLA 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  // 0 ... n - 1.
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(n));
  }
  // from ... to.
  std::int64_t between(std::int64_t from, std::int64_t to) { return from + below(to - from + 1); }
  bool one_in(std::int64_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

// The planner of a configuration that is known to be right.
inline Planner planner_of(const Config& config) {
  auto made = Planner::create(config);
  if (!made) std::cerr << made.error().message << std::endl;
  return std::move(made).value();
}

class Host {
 public:
  explicit Host(const Config& config) : config_(&config), pools_(config.instances.size()) {}

  struct Live {
    Request request{};
    bool leased = false;
    std::optional<InstanceId> started{};  // where its block table belongs to
    std::vector<std::uint32_t> table{};
    std::int64_t generated = 0;
  };

  // --- What the planner said ---

  // To be called right after submit(), with the request that was submitted.
  void submitted(RequestId id, const Request& request, const Actions& out) {
    if (live_.contains(id) || id <= newest_) breach(id, "an id that was used before");
    newest_ = std::max(newest_, id);
    live_[id].request = request;
    heard(out);
  }
  void heard(const Actions& out) {
    for (const Action& action : out.list) hear(action);
  }

  void begin(const Step& step) {
    const std::uint32_t at = step.instance.value();
    if (at >= pools_.size()) return breach({}, "a step of no instance");
    if (pools_[at].step) breach({}, "a step while another is under way");
    if (step.id <= last_step_) breach({}, "step ids do not rise");
    last_step_ = step.id;
    if (step.entries.empty() && step.moves.empty()) breach({}, "an empty step");
    const Instance& instance = config_->instances[at];
    if (step.workspace > instance.workspace) breach({}, "more workspace than there is");
    if (instance.max_sequences &&
        static_cast<std::int64_t>(step.entries.size()) > *instance.max_sequences) {
      breach({}, "more sequences than the engine takes");
    }
    const Model& model = config_->models[instance.model.value()];
    for (const StateMove& move : step.moves) copy(pools_[at], instance, move);
    std::int64_t tokens = 0;
    for (const StepEntry& entry : step.entries) {
      const auto found = live_.find(entry.request);
      if (found == live_.end()) {
        breach(entry.request, "a step with a request that is not there");
        continue;
      }
      tokens += model.batching == Batching::request ? step.padded.count() : entry.tokens.count();
      if (model.batching == Batching::iteration) take(step, entry, found->second);
    }
    if (instance.max_step_tokens && tokens > instance.max_step_tokens->count()) {
      breach({}, "more tokens than the engine takes");
    }
    pools_[at].step = step;
  }

  // The step under way was computed: writes what it computed. Returns the report, in which some of
  // those that emitted end by themselves.
  StepReport done(InstanceId instance, Random* random = nullptr) {
    Pool& pool = pools_[instance.value()];
    StepReport report{.step = pool.step->id};
    if (random != nullptr) report.took = pool.step->predicted * random->between(60, 160) / 100;
    const Model& model = config_->models[config_->instances[instance.value()].model.value()];
    for (const StepEntry& entry : pool.step->entries) {
      if (model.batching == Batching::request) continue;
      // One that was cancelled meanwhile is computed all the same.
      const auto found = live_.find(entry.request);
      Live& live = found == live_.end() ? cancelled_[entry.request] : found->second;
      for (std::int64_t t = 0; t < entry.tokens.count(); ++t) {
        std::uint64_t* cell = at(pool, instance, live, entry.context.count() + t);
        if (cell != nullptr) *cell = content(entry.request, live, entry.context.count() + t);
      }
      if (!entry.emits) continue;
      ++live.generated;
      if (found == live_.end()) continue;
      if (random != nullptr && random->one_in(12)) report.finished.push_back(entry.request);
    }
    pool.step.reset();
    return report;
  }
  StepReport failed(InstanceId instance, std::optional<Bytes> missing) {
    Pool& pool = pools_[instance.value()];
    StepReport report{.step = pool.step->id,
                      .outcome = StepReport::Outcome::allocation_failed,
                      .missing = missing};
    // The tables that the step extended stay as they are; nothing was written.
    pool.step.reset();
    return report;
  }
  void lost(InstanceId instance) {
    pools_[instance.value()].step.reset();
    pools_[instance.value()].cells.clear();
    for (auto& [id, live] : live_) {
      if (live.started == instance) live.started.reset();
    }
  }

  // --- What it knows ---

  bool busy(InstanceId instance) const { return pools_[instance.value()].step.has_value(); }
  const Step* step(InstanceId instance) const {
    const auto& step = pools_[instance.value()].step;
    return step ? &*step : nullptr;
  }
  const std::map<RequestId, Live>& live() const { return live_; }
  const std::vector<std::string>& breaches() const { return breaches_; }
  std::uint64_t count(ActionKind kind) const { return counts_[static_cast<std::size_t>(kind)]; }

 private:
  struct Pool {
    std::optional<Step> step{};
    std::vector<std::uint64_t> cells{};       // what each token of each page holds
    std::vector<std::uint64_t> host_cells{};  // the same of the host tier
  };

  void breach(RequestId id, const std::string& what) {
    breaches_.push_back("request " + std::to_string(static_cast<std::uint64_t>(id)) + ": " + what);
  }

  void hear(const Action& action) {
    ++counts_[static_cast<std::size_t>(action.kind)];
    const auto found = live_.find(action.request);
    if (found == live_.end()) return breach(action.request, to_string(action) + ", of nobody");
    Live& live = found->second;
    if (action.tag != live.request.tag) breach(action.request, "its tag is another's");
    switch (action.kind) {
      case ActionKind::cancelled:
        cancelled_[action.request] = live;
        [[fallthrough]];
      case ActionKind::refused:
      case ActionKind::expired:
      case ActionKind::finished:
        live_.erase(found);
        break;
      case ActionKind::granted:
        if (live.leased || live.request.model) breach(action.request, "granted what it is not");
        if (action.bytes != live.request.bytes || action.space != live.request.space) {
          breach(action.request, "granted something else than it asked for");
        }
        live.leased = true;
        break;
      case ActionKind::requeued:
        live.started.reset();
        break;
      case ActionKind::accepted:
      case ActionKind::preempted:
        break;
    }
  }

  void take(const Step& step, const StepEntry& entry, Live& live) {
    Pool& pool = pools_[step.instance.value()];
    const std::int64_t page = config_->instances[step.instance.value()].block.count();
    if (entry.restarts) live.table.clear();
    if (!entry.restarts && live.started != step.instance) {
      breach(entry.request, "goes on with a block table that the instance does not have");
    }
    live.started = step.instance;
    if (std::size_t{entry.first_block} + entry.block_count > step.blocks.size()) {
      return breach(entry.request, "pages beyond the step's list");
    }
    live.table.insert(live.table.end(), step.blocks.begin() + entry.first_block,
                      step.blocks.begin() + entry.first_block + entry.block_count);
    const std::int64_t end = entry.context.count() + entry.tokens.count();
    const std::int64_t length = live.request.prompt.count() + live.generated;
    if (entry.tokens < Tokens(1) || end > length) breach(entry.request, "computes beyond its end");
    if (entry.emits != (end == length)) breach(entry.request, "emits at the wrong place");
    const Model& model = config_->models[config_->instances[step.instance.value()].model.value()];
    if (model.page_bytes(TokensPerBlock(page)) == Bytes(0)) return;  // pages have no ids
    if (static_cast<std::int64_t>(live.table.size()) * page < end) {
      return breach(entry.request, "computes beyond its pages");
    }
    for (std::int64_t t = 0; t < entry.context.count(); ++t) {
      const std::uint64_t* cell = at(pool, step.instance, live, t);
      if (cell != nullptr && *cell == content(entry.request, live, t)) continue;
      breach(entry.request, "token " + std::to_string(t) + " of its state is not what it computed");
      return;
    }
  }

  // Links are fast here: a move is over when the next step begins.
  void copy(Pool& pool, const Instance& of, const StateMove& move) {
    const std::int64_t page = of.block.count();
    const Bytes bytes = config_->models[of.model.value()].page_bytes(of.block);
    pool.cells.resize(static_cast<std::size_t>(of.state / bytes * page));
    pool.host_cells.resize(static_cast<std::size_t>(of.host_state / bytes * page));
    const std::int64_t cell = std::int64_t{move.block} * page;
    const std::int64_t host = std::int64_t{move.host_block} * page;
    if (cell >= static_cast<std::int64_t>(pool.cells.size()) ||
        host >= static_cast<std::int64_t>(pool.host_cells.size())) {
      return breach({}, "moves a page that does not exist");
    }
    if (move.kind == StateMove::Kind::out) {
      std::copy_n(pool.cells.begin() + cell, page, pool.host_cells.begin() + host);
    } else {
      std::copy_n(pool.host_cells.begin() + host, page, pool.cells.begin() + cell);
    }
  }

  std::uint64_t* at(Pool& pool, InstanceId instance, const Live& live, std::int64_t token) {
    const Instance& of = config_->instances[instance.value()];
    const std::int64_t page = of.block.count();
    const Bytes bytes = config_->models[of.model.value()].page_bytes(of.block);
    if (bytes == Bytes(0)) return nullptr;
    if (pool.cells.empty()) {
      pool.cells.resize(static_cast<std::size_t>(of.state / bytes * page));
    }
    const auto id = live.table[static_cast<std::size_t>(token / page)];
    const auto cell = static_cast<std::size_t>(std::int64_t{id} * page + token % page);
    return cell < pool.cells.size() ? &pool.cells[cell] : nullptr;
  }

  // What the state of a token depends on: the shared prefix where it lies in one, else the request.
  std::uint64_t content(RequestId id, const Live& live, std::int64_t token) const {
    const std::int64_t block = config_->prefix_block.count();
    std::uint64_t key = static_cast<std::uint64_t>(id) << 1;
    if (block > 0 && token / block < static_cast<std::int64_t>(live.request.prefix.size()) &&
        (token / block + 1) * block <= live.request.prompt.count()) {
      key = live.request.prefix[static_cast<std::size_t>(token / block)] << 1 | 1;
    }
    return Random(key * 1'000'003 + static_cast<std::uint64_t>(token)).next();
  }

  const Config* config_;
  std::vector<Pool> pools_;
  std::map<RequestId, Live> live_;
  std::map<RequestId, Live> cancelled_;  // perhaps in a step
  std::vector<std::string> breaches_;
  std::array<std::uint64_t, 8> counts_{};
  RequestId newest_{};
  StepId last_step_{};
};

}  // namespace mais::core
