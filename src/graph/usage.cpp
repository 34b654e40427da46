// Recounts an order straight from the graph; shares nothing with the model the search works on.
#include <algorithm>
#include <string>

#include "mais/graph/order.hpp"

namespace mais::graph {

Result<Usage> measure(const OperatorGraph& graph, const std::vector<OpId>& order) {
  const std::size_t n = graph.operators().size();
  if (order.size() != n) {
    return fail(ErrorCode::invalid_argument, "the order has " + std::to_string(order.size()) +
                                                 " steps for " + std::to_string(n) + " operators");
  }
  std::vector<std::size_t> step_of(n, n);
  for (std::size_t i = 0; i < n; ++i) {
    if (order[i].value() >= n || step_of[order[i].value()] != n) {
      return fail(ErrorCode::invalid_argument, "step " + std::to_string(i) + ": operator " +
                                                   std::to_string(order[i].value()) +
                                                   " does not exist or was run before");
    }
    step_of[order[i].value()] = i;
  }
  for (std::uint32_t v = 0; v < n; ++v) {
    for (const OpId u : graph.before(OpId(v))) {
      if (step_of[u.value()] > step_of[v]) {
        return fail(ErrorCode::invalid_argument,
                    "operator " + std::to_string(v) + " runs before operator " +
                        std::to_string(u.value()) + ", which it needs");
      }
    }
  }

  const std::vector<Storage>& storages = graph.storages();
  std::vector<std::size_t> last(storages.size(), 0);  // the step after which a storage is free
  for (std::size_t s = 0; s < storages.size(); ++s) {
    if (storages[s].producer) last[s] = step_of[storages[s].producer->value()];
    for (const OpId reader : storages[s].readers) {
      last[s] = std::max(last[s], step_of[reader.value()]);
    }
    if (storages[s].keep) last[s] = n;
  }
  const std::size_t spaces = graph.spaces().size();
  std::vector<Bytes> now(spaces);
  for (const Storage& storage : storages) {
    if (!storage.producer) now[storage.space.value()] += storage.size;
  }
  const auto level_of = [&](const std::vector<Bytes>& bytes) {
    Bytes level;
    for (std::size_t s = 0; s < spaces; ++s) {
      level = std::max(level, bytes[s] * graph.spaces()[s].weight);
    }
    return level;
  };
  Usage usage{now, {}, level_of(now)};
  for (std::size_t i = 0; i < n; ++i) {
    const Operator& op = graph.operators()[order[i].value()];
    std::vector<StorageId> born;
    for (const TensorId output : op.outputs) {
      const StorageId storage = graph.storage_of(output);
      if (storages[storage.value()].root == output) born.push_back(storage);
    }
    std::vector<StorageId> touched = born;
    for (const auto* list : {&op.inputs, &op.outputs}) {
      for (const TensorId tensor : *list) touched.push_back(graph.storage_of(tensor));
    }
    std::sort(touched.begin(), touched.end());
    touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
    for (const StorageId s : born) {
      now[storages[s.value()].space.value()] += storages[s.value()].size;
    }
    std::vector<Bytes> during = now;
    for (const Workspace& work : op.workspace) {
      const std::int64_t unit = graph.spaces()[work.space.value()].alignment.count();
      during[work.space.value()] += Bytes((work.size.count() + unit - 1) / unit * unit);
    }
    std::vector<StorageId> given, filled;
    for (const InPlace& pair : op.in_place) {
      const StorageId from = graph.storage_of(pair.input);
      const StorageId to = graph.storage_of(pair.output);
      const auto in = [](const std::vector<StorageId>& list, StorageId s) {
        return std::find(list.begin(), list.end(), s) != list.end();
      };
      if (last[from.value()] != i || in(given, from) || in(filled, to)) continue;
      given.push_back(from);
      filled.push_back(to);
      during[storages[to.value()].space.value()] -= storages[to.value()].size;
    }
    for (const StorageId s : touched) {
      if (last[s.value()] == i) now[storages[s.value()].space.value()] -= storages[s.value()].size;
    }
    for (std::size_t s = 0; s < spaces; ++s) usage.peak[s] = std::max(usage.peak[s], during[s]);
    usage.level.push_back(level_of(during));
    usage.peak_level = std::max(usage.peak_level, usage.level.back());
  }
  return usage;
}

}  // namespace mais::graph
