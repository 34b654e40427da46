#include "mais/graph/lifetimes.hpp"

#include <algorithm>
#include <numeric>
#include <string>

#include "mais/graph/order.hpp"

namespace mais::graph {

namespace {

std::size_t find_owner(std::vector<std::size_t>& owner, std::size_t s) {
  while (owner[s] != s) s = owner[s] = owner[owner[s]];
  return s;
}

}  // namespace

Result<Lifetimes> lifetimes(const OperatorGraph& graph, const std::vector<OpId>& order) {
  if (const Result<Usage> usage = measure(graph, order); !usage) {
    return tl::unexpected<Error>(usage.error());
  }
  const auto steps = static_cast<std::int64_t>(order.size());
  std::vector<std::int64_t> step_of(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    step_of[order[i].value()] = static_cast<std::int64_t>(i);
  }
  const std::vector<Storage>& storages = graph.storages();
  std::vector<std::int64_t> first(storages.size());
  std::vector<std::int64_t> last(storages.size());  // one past the last step it is alive in
  for (std::size_t s = 0; s < storages.size(); ++s) {
    first[s] = storages[s].producer ? step_of[storages[s].producer->value()] : 0;
    last[s] = first[s] + 1;
    for (const OpId reader : storages[s].readers) {
      last[s] = std::max(last[s], step_of[reader.value()] + 1);
    }
    if (storages[s].keep) last[s] = std::max(last[s], steps);
  }

  // In place: the output takes over the buffer its input leaves in that step.
  std::vector<std::size_t> owner(storages.size());
  std::iota(owner.begin(), owner.end(), std::size_t{0});
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::vector<std::size_t> given;
    std::vector<std::size_t> filled;
    for (const InPlace& pair : graph.operators()[order[i].value()].in_place) {
      const std::size_t from = graph.storage_of(pair.input).value();
      const std::size_t to = graph.storage_of(pair.output).value();
      const auto in = [](const std::vector<std::size_t>& list, std::size_t s) {
        return std::find(list.begin(), list.end(), s) != list.end();
      };
      const bool dies = last[from] == static_cast<std::int64_t>(i) + 1 && !storages[from].keep;
      if (!dies || in(given, from) || in(filled, to)) continue;
      given.push_back(from);
      filled.push_back(to);
      owner[to] = find_owner(owner, from);
    }
  }

  Lifetimes result;
  result.arenas.resize(graph.spaces().size());
  result.storages.resize(storages.size());
  std::vector<std::int64_t> end = last;
  for (std::size_t s = 0; s < storages.size(); ++s) {
    std::int64_t& latest = end[find_owner(owner, s)];
    latest = std::max(latest, last[s]);
  }
  for (std::size_t s = 0; s < storages.size(); ++s) {
    if (find_owner(owner, s) != s) continue;
    const SpaceId space = storages[s].space;
    std::vector<Buffer>& buffers = result.arenas[space.value()].buffers;
    result.storages[s] = {space, buffers.size()};
    buffers.push_back(
        {first[s], end[s], storages[s].size, graph.spaces()[space.value()].alignment});
  }
  for (std::size_t s = 0; s < storages.size(); ++s) {
    result.storages[s] = result.storages[find_owner(owner, s)];
  }
  result.workspace.resize(order.size());
  for (std::size_t v = 0; v < order.size(); ++v) {
    for (const Workspace& work : graph.operators()[v].workspace) {
      std::vector<Buffer>& buffers = result.arenas[work.space.value()].buffers;
      result.workspace[v].push_back({work.space, buffers.size()});
      buffers.push_back(
          {step_of[v], step_of[v] + 1, work.size, graph.spaces()[work.space.value()].alignment});
    }
  }
  return result;
}

Result<StreamConflicts> stream_conflicts(const OperatorGraph& graph,
                                         const std::vector<std::vector<OpId>>& streams,
                                         SpaceId space) {
  const std::size_t n = graph.operators().size();
  std::vector<std::vector<std::uint32_t>> after(n);
  std::vector<std::size_t> waiting(n);
  std::vector<char> seen(n);
  for (std::uint32_t v = 0; v < n; ++v) {
    for (const OpId next : graph.after(OpId(v))) {
      after[v].push_back(next.value());
      ++waiting[next.value()];
    }
  }
  for (const std::vector<OpId>& stream : streams) {
    for (std::size_t i = 0; i < stream.size(); ++i) {
      const std::uint32_t v = stream[i].value();
      if (v >= n || seen[v]) {
        return fail(ErrorCode::invalid_argument,
                    "operator " + std::to_string(v) + " does not exist or is in two streams");
      }
      seen[v] = 1;
      if (i > 0) {
        after[stream[i - 1].value()].push_back(v);
        ++waiting[v];
      }
    }
  }
  if (const auto none = std::find(seen.begin(), seen.end(), 0); none != seen.end()) {
    return fail(ErrorCode::invalid_argument,
                "operator " + std::to_string(none - seen.begin()) + " is in no stream");
  }
  std::vector<std::uint32_t> order;
  for (std::uint32_t v = 0; v < n; ++v) {
    if (waiting[v] == 0) order.push_back(v);
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (const std::uint32_t next : after[order[i]]) {
      if (--waiting[next] == 0) order.push_back(next);
    }
  }
  if (order.size() < n) {
    return fail(ErrorCode::invalid_argument,
                "the order of the streams contradicts the edges of the graph: they form a cycle");
  }

  // done_before[v]: bits of the operators that are surely done when v starts.
  const std::size_t words = (n + 63) / 64;
  std::vector<std::uint64_t> done_before(n * words);
  for (const std::uint32_t v : order) {
    for (const std::uint32_t next : after[v]) {
      for (std::size_t w = 0; w < words; ++w) {
        done_before[next * words + w] |= done_before[v * words + w];
      }
      done_before[next * words + v / 64] |= std::uint64_t{1} << (v % 64);
    }
  }
  StreamConflicts result;
  result.problem.alignment = graph.spaces()[space.value()].alignment;
  for (std::uint32_t s = 0; s < graph.storages().size(); ++s) {
    if (graph.storages()[s].space != space) continue;
    result.storages.emplace_back(s);
    result.problem.sizes.push_back(graph.storages()[s].size);
  }
  const auto over_before = [&](const Storage& a, const Storage& b) {  // a is free when b starts
    if (!b.producer || a.keep) return false;
    const auto done = [&](OpId v) {
      return (done_before[b.producer->value() * words + v.value() / 64] >> (v.value() % 64) & 1U) !=
             0;
    };
    return (!a.producer || done(*a.producer)) &&
           std::all_of(a.readers.begin(), a.readers.end(), done);
  };
  result.problem.conflicts.resize(result.storages.size());
  for (std::uint32_t i = 0; i < result.storages.size(); ++i) {
    const Storage& a = graph.storages()[result.storages[i].value()];
    for (std::uint32_t j = i + 1; j < result.storages.size(); ++j) {
      const Storage& b = graph.storages()[result.storages[j].value()];
      if (over_before(a, b) || over_before(b, a)) continue;
      result.problem.conflicts[i].push_back(j);
      result.problem.conflicts[j].push_back(i);
    }
  }
  for (auto& list : result.problem.conflicts) std::sort(list.begin(), list.end());
  return result;
}

}  // namespace mais::graph
