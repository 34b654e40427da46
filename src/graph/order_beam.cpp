#include "graph/order_beam.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_set>

#include "graph/index.hpp"
#include "graph/random.hpp"

namespace mais::graph {

namespace {

struct State {
  std::vector<std::uint64_t> done;
  std::vector<std::int32_t> ready;
  Levels in_use{};
  std::int64_t key = 0;  // the peak so far
  std::uint64_t hash = 0;
  std::int32_t trail = -1;  // the last step taken, in the list of all
};

struct Taken {
  std::int32_t step = 0;
  std::int32_t before = -1;
};

struct Candidate {
  std::int64_t key = 0;
  std::int64_t in_use = 0;
  std::uint64_t hash = 0;
  std::size_t state = 0;
  std::int32_t step = 0;
  bool operator<(const Candidate& other) const {
    return std::tie(key, in_use, hash) < std::tie(other.key, other.in_use, other.hash);
  }
};

}  // namespace

StepOrder beam_order(const OrderModel& model, std::size_t width, std::int64_t best,
                     const std::function<bool()>& stop) {
  Random random(11);
  std::vector<std::uint64_t> step_hash(model.steps.size());
  for (std::uint64_t& hash : step_hash) hash = random.next();
  std::vector<Taken> taken;
  State start;
  start.done.assign((model.steps.size() + 63) / 64, 0);
  for (std::size_t v = 0; v < model.steps.size(); ++v) {
    if (model.steps[v].before.empty()) start.ready.push_back(static_cast<std::int32_t>(v));
  }
  start.in_use = model.start;
  start.key = model.level(model.start);
  std::vector<State> beam{std::move(start)};
  std::vector<Candidate> candidates;
  for (std::size_t depth = 0; depth < model.steps.size(); ++depth) {
    if (depth % 64 == 63 && stop()) return {};
    candidates.clear();
    for (std::size_t b = 0; b < beam.size(); ++b) {
      for (const std::int32_t v : beam[b].ready) {
        const OrderRun::Effect effect = effect_after(model, beam[b].done, beam[b].in_use, v);
        const std::int64_t key = std::max(beam[b].key, model.level(effect.during));
        if (key >= best) continue;
        candidates.push_back(
            {key, model.level(effect.after), beam[b].hash ^ step_hash[at(v)], b, v});
      }
    }
    std::sort(candidates.begin(), candidates.end());
    std::vector<State> next;
    std::unordered_set<std::uint64_t> seen;
    for (const Candidate& candidate : candidates) {
      if (next.size() == width) break;
      if (!seen.insert(candidate.hash).second) continue;
      const State& from = beam[candidate.state];
      State state = from;
      const std::int32_t v = candidate.step;
      state.in_use = effect_after(model, from.done, from.in_use, v).after;
      state.done[at(v) / 64] |= std::uint64_t{1} << (at(v) % 64);
      state.key = candidate.key;
      state.hash = candidate.hash;
      std::erase(state.ready, v);
      for (const std::int32_t u : model.steps[at(v)].after) {
        const auto& before = model.steps[at(u)].before;
        if (std::all_of(before.begin(), before.end(), [&](std::int32_t w) {
              return (state.done[at(w) / 64] >> (at(w) % 64) & 1U) != 0;
            })) {
          state.ready.push_back(u);
        }
      }
      taken.push_back({v, from.trail});
      state.trail = static_cast<std::int32_t>(taken.size() - 1);
      next.push_back(std::move(state));
    }
    beam = std::move(next);
    if (beam.empty()) return {};
  }
  StepOrder order;
  for (std::int32_t t = beam.front().trail; t >= 0; t = taken[at(t)].before) {
    order.push_back(taken[at(t)].step);
  }
  std::reverse(order.begin(), order.end());
  return order;
}

}  // namespace mais::graph
