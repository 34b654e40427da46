// From an order to buffers: when each storage is alive, and what shares a buffer in place.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "mais/graph/arena.hpp"
#include "mais/graph/operator_graph.hpp"

namespace mais::graph {

struct BufferPlace {
  SpaceId space;
  std::size_t buffer = 0;  // in Lifetimes::arenas[space]
};

struct Lifetimes {
  std::vector<ArenaProblem> arenas;   // one for each space; steps are positions in the order
  std::vector<BufferPlace> storages;  // of each storage; those that share in place have one buffer
  std::vector<std::vector<BufferPlace>> workspace;  // of each operator, as it was declared
};

// Error: as measure(), when `order` is not an order of the graph. O(V + E).
Result<Lifetimes> lifetimes(const OperatorGraph& graph, const std::vector<OpId>& order);

// Several streams: operators of one stream run in the order given, those of different streams at
// any time the graph's edges allow. Two storages conflict unless every operator that touches one is
// sure to be done before the other is produced. In place is not assumed.
struct ConflictProblem {
  std::vector<Bytes> sizes;                           // aligned
  std::vector<std::vector<std::uint32_t>> conflicts;  // of each buffer, ascending, both ways
  Bytes alignment{1};
};

// The conflicts of one space; buffer i is `storages[i]`. O(V E / 64 + S^2 x readers).
// Error: an operator missing from the streams or in two, or streams that contradict the graph.
struct StreamConflicts {
  ConflictProblem problem;
  std::vector<StorageId> storages;
};
Result<StreamConflicts> stream_conflicts(const OperatorGraph& graph,
                                         const std::vector<std::vector<OpId>>& streams,
                                         SpaceId space);

// Offsets such that no two conflicting buffers share a byte: first fit in several orders. The bound
// is a heaviest clique found greedily. O(conflicts log conflicts) for each order.
ArenaPlan plan_conflicts(const ConflictProblem& problem);

// Recounts it pair by pair. Empty: valid.
std::vector<Fault> validate(const ConflictProblem& problem, const ArenaPlan& plan);

}  // namespace mais::graph
