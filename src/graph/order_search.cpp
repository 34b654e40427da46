#include "graph/order_search.hpp"

#include <algorithm>

#include "graph/index.hpp"
#include "graph/random.hpp"
#include "graph/valley.hpp"

namespace mais::graph {

namespace {

constexpr int kLongestChain = 12;
constexpr std::size_t kLongestStretch = 400;  // steps between the ends of a valley

}  // namespace

DownsetSearch::DownsetSearch(const OrderModel& model, std::int64_t bound, std::int64_t best)
    : model_(model), bound_(bound), best_(best), words_((model.steps.size() + 63) / 64) {
  Random random(7);
  step_hash_.resize(model.steps.size());
  for (std::uint64_t& hash : step_hash_) hash = random.next();
  at_.bits.assign(words_, 0);
  for (std::size_t v = 0; v < model.steps.size(); ++v) {
    if (model.steps[v].before.empty()) at_.ready.push_back(static_cast<std::int32_t>(v));
  }
  at_.in_use = model.start;
  at_.key = std::max(bound_, model.level(model.start));
  if (at_.key >= best_) return;
  settle();
  add_node(-1);
}

bool DownsetSearch::is_done(std::int32_t step) const {
  return (at_.bits[at(step) / 64] >> (at(step) % 64) & 1U) != 0;
}

OrderRun::Effect DownsetSearch::effect(std::int32_t v) const {
  return effect_after(model_, at_.bits, at_.in_use, v);
}

bool DownsetSearch::not_above(const Levels& a, const Levels& b) const {
  for (std::size_t s = 0; s < model_.spaces; ++s) {
    if (a[s] > b[s]) return false;
  }
  return true;
}

// What becomes ready is appended; the step itself stays in the list until load or settle clean it.
void DownsetSearch::apply(std::int32_t v, const OrderRun::Effect& effect) {
  at_.bits[at(v) / 64] |= std::uint64_t{1} << (at(v) % 64);
  at_.hash ^= step_hash_[at(v)];
  at_.in_use = effect.after;
  at_.moves.push_back(v);
  for (const std::int32_t u : model_.steps[at(v)].after) {
    const auto& before = model_.steps[at(u)].before;
    if (std::all_of(before.begin(), before.end(), [this](auto w) { return is_done(w); })) {
      at_.ready.push_back(u);
    }
  }
}

void DownsetSearch::undo(std::int32_t v, const Levels& in_use, std::size_t ready) {
  at_.bits[at(v) / 64] &= ~(std::uint64_t{1} << (at(v) % 64));
  at_.hash ^= step_hash_[at(v)];
  at_.in_use = in_use;
  at_.moves.pop_back();
  at_.ready.resize(ready);
}

// Runs `v` and what it makes ready until memory is, in every space, no higher than at any point of
// the way (`lowest`); undoes all of it otherwise.
bool DownsetSearch::follow_chain(std::int32_t v, const Levels& lowest, int depth) {
  const OrderRun::Effect now = effect(v);
  if (model_.level(now.during) > at_.key) return false;
  const Levels in_use = at_.in_use;
  const std::size_t ready = at_.ready.size();
  apply(v, now);
  if (not_above(at_.in_use, lowest)) return true;
  if (depth < kLongestChain) {
    Levels lower = lowest;
    for (std::size_t s = 0; s < model_.spaces; ++s) lower[s] = std::min(lower[s], at_.in_use[s]);
    for (std::size_t i = ready; i < at_.ready.size(); ++i) {
      if (follow_chain(at_.ready[i], lower, depth + 1)) return true;
    }
  }
  undo(v, in_use, ready);
  return false;
}

void DownsetSearch::settle() {
  for (bool moved = true; moved;) {
    moved = false;
    const Levels start = at_.in_use;
    for (std::size_t i = 0; i < at_.ready.size() && !moved; ++i) {
      if (!is_done(at_.ready[i])) moved = follow_chain(at_.ready[i], start, 1);
    }
    if (moved) std::erase_if(at_.ready, [this](std::int32_t v) { return is_done(v); });
  }
}

void DownsetSearch::load(std::int32_t id) {
  const Node& node = nodes_[at(id)];
  std::copy_n(bits_.begin() + static_cast<std::ptrdiff_t>(at(id) * words_), words_,
              at_.bits.begin());
  const std::size_t end = at(id) + 1 < nodes_.size() ? nodes_[at(id) + 1].ready : ready_.size();
  at_.ready.assign(ready_.begin() + static_cast<std::ptrdiff_t>(node.ready),
                   ready_.begin() + static_cast<std::ptrdiff_t>(end));
  at_.moves.clear();
  at_.in_use = node.in_use;
  at_.key = std::max(node.key, bound_);
  at_.hash = hashes_[at(id)];
}

// The scratch state as a node, or -1 when it is known with as low a key.
std::int32_t DownsetSearch::add_node(std::int32_t parent) {
  const auto [begin, end] = seen_.equal_range(at_.hash);
  auto same = end;
  for (auto it = begin; it != end; ++it) {
    if (std::equal(at_.bits.begin(), at_.bits.end(),
                   bits_.begin() + static_cast<std::ptrdiff_t>(at(it->second) * words_))) {
      // One that was reached only through a replaced state would never be expanded.
      if (nodes_[at(it->second)].key <= at_.key && !dead(it->second)) return -1;
      same = it;
    }
  }
  const auto id = static_cast<std::int32_t>(nodes_.size());
  if (same != end) {
    same->second = id;
  } else {
    seen_.emplace(at_.hash, id);
  }
  std::erase_if(at_.ready, [this](std::int32_t v) { return is_done(v); });
  Node node;
  node.in_use = at_.in_use;
  node.key = at_.key;
  node.moves = moves_.size();
  node.ready = ready_.size();
  node.parent = parent;
  node.done =
      static_cast<std::int32_t>(at_.moves.size()) + (parent >= 0 ? nodes_[at(parent)].done : 0);
  nodes_.push_back(node);
  stamp_.push_back(-1);
  hashes_.push_back(at_.hash);
  bits_.insert(bits_.end(), at_.bits.begin(), at_.bits.end());
  moves_.insert(moves_.end(), at_.moves.begin(), at_.moves.end());
  ready_.insert(ready_.end(), at_.ready.begin(), at_.ready.end());
  if (node.done == static_cast<std::int32_t>(model_.steps.size())) {
    finish(id);
  } else {
    open_.push({node.key, node.done, id});
  }
  return id;
}

void DownsetSearch::finish(std::int32_t id) {
  best_ = nodes_[at(id)].key;
  order_.clear();
  for (std::int32_t n = id; n >= 0; n = nodes_[at(n)].parent) {
    const std::size_t end = at(n) + 1 < nodes_.size() ? nodes_[at(n) + 1].moves : moves_.size();
    for (std::size_t i = end; i-- > nodes_[at(n)].moves;) order_.push_back(moves_[i]);
  }
  std::reverse(order_.begin(), order_.end());
}

// Whether a state on the path was replaced by one that is not on it.
bool DownsetSearch::dead(std::int32_t id) {
  for (std::int32_t n = id; n >= 0; n = nodes_[at(n)].parent) {
    stamp_[at(n)] = id;
    const std::int32_t by = nodes_[at(n)].replaced_by;
    if (by >= 0 && stamp_[at(by)] != id) return true;
  }
  return false;
}

// Looks for the farthest state on the path from which `id` is the end of a valley.
bool DownsetSearch::commit(std::int32_t id) {
  if (nodes_[at(id)].tried) return false;
  nodes_[at(id)].tried = true;
  const Levels low = nodes_[at(id)].in_use;
  std::vector<std::int32_t> path;
  std::size_t steps = 0;
  for (std::int32_t n = nodes_[at(id)].parent; n >= 0; n = nodes_[at(n)].parent) {
    steps = static_cast<std::size_t>(nodes_[at(id)].done - nodes_[at(n)].done);
    if (!not_above(low, nodes_[at(n)].in_use) || steps > kLongestStretch) break;
    path.push_back(n);
    if (nodes_[at(n)].valley) break;
  }
  for (std::size_t tries = path.size(); tries > 0; tries /= 2) {
    const std::int32_t from = path[tries - 1];
    std::vector<std::int32_t> stretch;
    for (std::int32_t n = id; n != from; n = nodes_[at(n)].parent) {
      const std::size_t end = at(n) + 1 < nodes_.size() ? nodes_[at(n) + 1].moves : moves_.size();
      stretch.insert(stretch.end(),
                     moves_.begin() + static_cast<std::ptrdiff_t>(nodes_[at(n)].moves),
                     moves_.begin() + static_cast<std::ptrdiff_t>(end));
    }
    const std::vector<std::uint64_t> done(
        bits_.begin() + static_cast<std::ptrdiff_t>(at(from) * words_),
        bits_.begin() + static_cast<std::ptrdiff_t>((at(from) + 1) * words_));
    if (is_valley(model_, done, stretch)) {
      nodes_[at(from)].replaced_by = id;
      nodes_[at(id)].valley = true;
      return true;
    }
  }
  return false;
}

void DownsetSearch::expand(std::int32_t id) {
  load(id);
  const std::vector<std::int32_t> ready = at_.ready;
  for (const std::int32_t v : ready) {
    load(id);
    const OrderRun::Effect now = effect(v);
    at_.key = std::max(at_.key, model_.level(now.during));
    if (at_.key >= best_) continue;
    apply(v, now);
    std::erase(at_.ready, v);
    settle();
    const std::int32_t child = add_node(id);
    // At a higher key the rest may still be reached lower by other ways: that waits.
    if (child >= 0 && nodes_[at(child)].key <= bound_ && commit(child) && dead(id)) return;
  }
}

bool DownsetSearch::run(std::int64_t states, const std::function<bool()>& stop) {
  const std::int64_t limit = this->states() + states;
  for (std::int64_t popped = 0; !open_.empty(); ++popped) {
    const Open top = open_.top();
    if (top.key >= best_) break;
    bound_ = std::max(bound_, top.key);
    if (this->states() >= limit || (popped % 256 == 255 && stop())) return false;
    open_.pop();
    const std::int32_t id = top.node;
    const auto [begin, end] = seen_.equal_range(hashes_[at(id)]);
    const bool current =
        std::any_of(begin, end, [id](const auto& entry) { return entry.second == id; });
    if (!current || dead(id)) continue;
    commit(id);
    expand(id);
  }
  bound_ = best_;
  return true;
}

}  // namespace mais::graph
