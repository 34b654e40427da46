// Small random operator graphs with views, in-place pairs, workspace, control edges and several
// spaces; and the lowest peak by trying every order.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "mais/graph/order.hpp"

namespace mais::graph {

struct RandomGraph {
  std::size_t operators = 9;
  std::size_t spaces = 1;
  std::int64_t largest = 12;  // bytes; alignment 1, so that sizes vary
};

inline OperatorGraph random_graph(const RandomGraph& shape, std::mt19937_64& random) {
  const auto below = [&random](std::size_t bound) {
    return static_cast<std::size_t>(random() % bound);
  };
  GraphBuilder builder;
  for (std::size_t s = 0; s < shape.spaces; ++s) {
    builder.space(
        {"space", Bytes(std::int64_t{1} << below(2)), static_cast<std::int64_t>(1 + below(2))});
  }
  const auto pick_size = [&] {
    return Bytes(static_cast<std::int64_t>(below(12)) * shape.largest / 12);
  };
  const auto pick_space = [&] { return SpaceId(static_cast<std::uint32_t>(below(shape.spaces))); };
  struct Made {
    TensorId id;
    Bytes size;
    SpaceId space;
  };
  std::vector<Made> made;
  for (std::size_t i = 0; i < 1 + below(2); ++i) {
    const Bytes size = pick_size();
    const SpaceId space = pick_space();
    made.push_back({builder.tensor({"input", size, space, {}, below(5) == 0}), size, space});
  }
  for (std::size_t v = 0; v < shape.operators; ++v) {
    Operator op;
    op.name = "op";
    const std::size_t inputs = below(4);
    for (std::size_t i = 0; i < inputs; ++i) {
      // Recent tensors more often, so that graphs are deep as well as wide.
      const std::size_t reach = below(2) == 0 ? made.size() : std::min<std::size_t>(3, made.size());
      op.inputs.push_back(made[made.size() - 1 - below(reach)].id);
    }
    const std::size_t outputs = 1 + (below(6) == 0 ? 1 : 0);
    for (std::size_t i = 0; i < outputs; ++i) {
      const bool from_input = !op.inputs.empty() && below(3) == 0;
      if (from_input) {
        const TensorId input = op.inputs[below(op.inputs.size())];
        const auto source =
            std::find_if(made.begin(), made.end(), [&](const Made& m) { return m.id == input; });
        const Made from = *source;
        if (below(2) == 0) {
          const TensorId view = builder.tensor({"view", {}, {}, input, below(8) == 0});
          op.outputs.push_back(view);
          made.push_back({view, from.size, from.space});
        } else {
          const TensorId out = builder.tensor({"out", from.size, from.space, {}, below(8) == 0});
          op.outputs.push_back(out);
          op.in_place.push_back({input, out});
          if (op.inputs.size() > 1 && below(2) == 0) {
            for (const TensorId other : op.inputs) {
              const auto match = std::find_if(made.begin(), made.end(), [&](const Made& m) {
                return m.id == other && m.size == from.size && m.space == from.space;
              });
              if (match != made.end() && other != input) op.in_place.push_back({other, out});
            }
          }
          made.push_back({out, from.size, from.space});
        }
      } else {
        const Bytes size = pick_size();
        const SpaceId space = pick_space();
        const TensorId out = builder.tensor({"out", size, space, {}, below(6) == 0});
        op.outputs.push_back(out);
        made.push_back({out, size, space});
      }
    }
    if (below(4) == 0) op.workspace.push_back({pick_size(), pick_space()});
    if (v > 0 && below(8) == 0) op.after.push_back(OpId(static_cast<std::uint32_t>(below(v))));
    builder.op(std::move(op));
  }
  return builder.build().value();
}

// By recursion over all orders, each measured from scratch.
inline Bytes lowest_peak(const OperatorGraph& graph) {
  const std::size_t n = graph.operators().size();
  Bytes best = Bytes::max();
  // Bytes in use after a set of operators do not depend on its order, so the lowest peak of every
  // set follows from those one operator smaller. Each transition is measured on a full order.
  std::vector<Bytes> peak(std::size_t{1} << n, Bytes::max());
  std::vector<std::vector<OpId>> order(std::size_t{1} << n);
  peak[0] = Bytes(0);
  for (std::size_t set = 0; set < peak.size(); ++set) {
    if (peak[set] == Bytes::max()) continue;
    for (std::uint32_t v = 0; v < n; ++v) {
      if (set >> v & 1U) continue;
      const auto before = graph.before(OpId(v));
      if (!std::all_of(before.begin(), before.end(),
                       [&](OpId u) { return set >> u.value() & 1U; })) {
        continue;
      }
      std::vector<OpId> prefix = order[set];
      prefix.push_back(OpId(v));
      std::vector<OpId> whole = prefix;
      std::size_t done = set | std::size_t{1} << v;
      while (whole.size() < n) {
        for (std::uint32_t u = 0; u < n; ++u) {
          if (done >> u & 1U) continue;
          const auto needs = graph.before(OpId(u));
          if (std::all_of(needs.begin(), needs.end(),
                          [&](OpId w) { return done >> w.value() & 1U; })) {
            whole.emplace_back(u);
            done |= std::size_t{1} << u;
          }
        }
      }
      const Usage usage = measure(graph, whole).value();
      const Bytes level = std::max(peak[set], usage.level[prefix.size() - 1]);
      const std::size_t next = set | std::size_t{1} << v;
      if (level < peak[next]) {
        peak[next] = level;
        order[next] = prefix;
      }
    }
  }
  best = peak.back();
  return std::max(best, measure(graph, order.back()).value().peak_level);
}

}  // namespace mais::graph
