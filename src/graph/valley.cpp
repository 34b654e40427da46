#include "graph/valley.hpp"

#include <algorithm>
#include <limits>

#include "graph/index.hpp"

namespace mais::graph {

namespace {

constexpr std::int64_t kInfinite = std::numeric_limits<std::int64_t>::max() / 4;

// Dinic's maximum flow.
class Flow {
 public:
  explicit Flow(std::size_t nodes) : first_(nodes, -1), level_(nodes), next_(nodes) {}
  void edge(std::int32_t from, std::int32_t to, std::int64_t capacity) {
    edges_.push_back({to, first_[at(from)], capacity});
    first_[at(from)] = static_cast<std::int32_t>(edges_.size() - 1);
    edges_.push_back({from, first_[at(to)], 0});
    first_[at(to)] = static_cast<std::int32_t>(edges_.size() - 1);
  }
  std::int64_t run(std::int32_t source, std::int32_t sink) {
    std::int64_t total = 0;
    while (layer(source, sink)) {
      next_ = first_;
      while (const std::int64_t sent = push(source, sink, kInfinite)) total += sent;
    }
    return total;
  }

 private:
  struct Edge {
    std::int32_t to;
    std::int32_t next;
    std::int64_t left;
  };
  bool layer(std::int32_t source, std::int32_t sink) {
    std::fill(level_.begin(), level_.end(), -1);
    std::vector<std::int32_t> queue{source};
    level_[at(source)] = 0;
    for (std::size_t i = 0; i < queue.size(); ++i) {
      for (std::int32_t e = first_[at(queue[i])]; e >= 0; e = edges_[at(e)].next) {
        const Edge& edge = edges_[at(e)];
        if (edge.left == 0 || level_[at(edge.to)] >= 0) continue;
        level_[at(edge.to)] = level_[at(queue[i])] + 1;
        queue.push_back(edge.to);
      }
    }
    return level_[at(sink)] >= 0;
  }
  std::int64_t push(std::int32_t node, std::int32_t sink, std::int64_t limit) {
    if (node == sink) return limit;
    for (std::int32_t& e = next_[at(node)]; e >= 0; e = edges_[at(e)].next) {
      Edge& edge = edges_[at(e)];
      if (edge.left == 0 || level_[at(edge.to)] != level_[at(node)] + 1) continue;
      const std::int64_t sent = push(edge.to, sink, std::min(limit, edge.left));
      if (sent == 0) continue;
      edge.left -= sent;
      edges_[at(e) ^ 1U].left += sent;
      return sent;
    }
    return 0;
  }
  std::vector<Edge> edges_;
  std::vector<std::int32_t> first_;
  std::vector<std::int32_t> level_;
  std::vector<std::int32_t> next_;
};

}  // namespace

bool is_valley(const OrderModel& model, const std::vector<std::uint64_t>& done,
               const std::vector<std::int32_t>& stretch) {
  const auto is_done = [&](std::int32_t v) { return (done[at(v) / 64] >> (at(v) % 64) & 1U) != 0; };
  std::vector<std::int32_t> place(model.steps.size(), -1);
  for (std::size_t i = 0; i < stretch.size(); ++i) {
    place[at(stretch[i])] = static_cast<std::int32_t>(i);
  }
  std::vector<std::int32_t> items;
  for (const std::int32_t v : stretch) {
    for (const OrderModel::Touch& touch : model.steps[at(v)].touches) items.push_back(touch.item);
  }
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());

  for (std::size_t space = 0; space < model.spaces; ++space) {
    // Nodes: steps, then for each item one that pays when any opener is chosen and one that earns
    // when all closers are.
    const auto steps = static_cast<std::int32_t>(stretch.size());
    const auto count = static_cast<std::int32_t>(items.size());
    const std::int32_t source = steps + 2 * count;
    const std::int32_t sink = source + 1;
    Flow flow(at(sink) + 1);
    std::int64_t earned = 0;  // by all that can be earned
    std::int64_t paid = 0;    // by choosing everything
    for (std::int32_t i = 0; i < steps; ++i) {
      for (const std::int32_t u : model.steps[at(stretch[at(i)])].before) {
        if (place[at(u)] >= 0) flow.edge(i, place[at(u)], kInfinite);
      }
    }
    for (std::int32_t k = 0; k < count; ++k) {
      const OrderModel::Item& item = model.items[at(items[at(k)])];
      if (item.space != space || item.size == 0) continue;
      const bool open = item.open || std::any_of(item.openers.begin(), item.openers.end(), is_done);
      if (!open) {
        const std::int32_t pays = steps + k;
        flow.edge(pays, sink, item.size);
        bool any = false;
        for (const std::int32_t v : item.openers) {
          if (place[at(v)] < 0) continue;
          flow.edge(place[at(v)], pays, kInfinite);
          any = true;
        }
        if (any) paid += item.size;
      }
      const bool earnable =
          item.closable && std::all_of(item.closers.begin(), item.closers.end(),
                                       [&](auto v) { return is_done(v) || place[at(v)] >= 0; });
      if (earnable) {
        const std::int32_t earns = steps + count + k;
        flow.edge(source, earns, item.size);
        earned += item.size;
        for (const std::int32_t v : item.closers) {
          if (place[at(v)] >= 0) flow.edge(earns, place[at(v)], kInfinite);
        }
      }
    }
    // The best part earns `earned - cut`; the whole earns `earned - paid`.
    if (earned - flow.run(source, sink) > earned - paid) return false;
  }
  return true;
}

}  // namespace mais::graph
