#include "mais/graph/operator_graph.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "graph/most_bytes.hpp"

namespace mais::graph {

namespace {

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

tl::unexpected<Error> wrong(std::string message) {
  return fail(ErrorCode::invalid_argument, std::move(message));
}

using Edges = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

// Compressed rows of sorted, unique edges.
void fill_rows(const Edges& edges, std::size_t rows, std::vector<std::uint32_t>& begin,
               std::vector<OpId>& to) {
  begin.assign(rows + 1, 0);
  to.clear();
  for (const auto& [from, target] : edges) {
    ++begin[from + 1];
    to.emplace_back(target);
  }
  for (std::size_t i = 0; i < rows; ++i) begin[i + 1] += begin[i];
}

std::string label(const char* kind, const std::string& name, std::size_t index) {
  return std::string(kind) + " " + std::to_string(index) + (name.empty() ? "" : " (" + name + ")");
}

}  // namespace

std::span<const OpId> OperatorGraph::before(OpId op) const {
  const std::uint32_t begin = before_begin_[op.value()];
  return {before_.data() + begin, before_begin_[op.value() + 1] - begin};
}

std::span<const OpId> OperatorGraph::after(OpId op) const {
  const std::uint32_t begin = after_begin_[op.value()];
  return {after_.data() + begin, after_begin_[op.value() + 1] - begin};
}

SpaceId GraphBuilder::space(Space space) {
  spaces_.push_back(std::move(space));
  return SpaceId(static_cast<std::uint32_t>(spaces_.size() - 1));
}

TensorId GraphBuilder::tensor(Tensor tensor) {
  tensors_.push_back(std::move(tensor));
  return TensorId(static_cast<std::uint32_t>(tensors_.size() - 1));
}

OpId GraphBuilder::op(Operator op) {
  operators_.push_back(std::move(op));
  return OpId(static_cast<std::uint32_t>(operators_.size() - 1));
}

Result<OperatorGraph> GraphBuilder::build() const {
  OperatorGraph graph;
  graph.spaces_ = spaces_.empty() ? std::vector<Space>{Space{}} : spaces_;
  graph.tensors_ = tensors_;
  graph.operators_ = operators_;
  const auto& tensors = graph.tensors_;
  const auto tensor_label = [&](std::size_t t) { return label("tensor", tensors[t].name, t); };
  const auto op_label = [&](std::size_t v) { return label("operator", operators_[v].name, v); };

  if (graph.spaces_.size() > kMostSpaces) {
    return wrong(std::to_string(graph.spaces_.size()) + " spaces; at most " +
                 std::to_string(kMostSpaces) + " are supported");
  }
  for (std::size_t s = 0; s < graph.spaces_.size(); ++s) {
    const Space& space = graph.spaces_[s];
    const std::int64_t alignment = space.alignment.count();
    if (alignment <= 0 || !std::has_single_bit(static_cast<std::uint64_t>(alignment))) {
      return wrong(label("space", space.name, s) + ": its alignment is " +
                   std::to_string(alignment) + "; it must be a power of two");
    }
    if (space.weight < 0 || space.weight > 1'000'000) {
      return wrong(label("space", space.name, s) + ": its weight is " +
                   std::to_string(space.weight) + "; it must lie in 0 to 1000000");
    }
  }

  // Views: follow to the root, with path marks against cycles.
  std::vector<std::uint32_t> root(tensors.size(), kNone);
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    std::vector<std::size_t> path;
    std::size_t at = t;
    while (root[at] == kNone && tensors[at].view_of) {
      path.push_back(at);
      const std::size_t next = tensors[at].view_of->value();
      if (next >= tensors.size())
        return wrong(tensor_label(at) + " views a tensor nobody declared");
      if (path.size() > tensors.size()) return wrong(tensor_label(at) + " is a view of itself");
      at = next;
    }
    if (root[at] == kNone) root[at] = static_cast<std::uint32_t>(at);
    for (const std::size_t p : path) root[p] = root[at];
  }

  // Storages, one for each root.
  std::int64_t total = 0;
  std::vector<std::uint32_t> storage(tensors.size(), kNone);
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const Tensor& tensor = tensors[t];
    if (root[t] != t) continue;
    if (tensor.space.value() >= graph.spaces_.size()) {
      return wrong(tensor_label(t) + " lies in space " + std::to_string(tensor.space.value()) +
                   ", which nobody declared");
    }
    if (!tensor.size) {
      return wrong(tensor_label(t) +
                   " has no size; give its bytes, or an upper bound if its shape is dynamic");
    }
    const std::int64_t bytes = tensor.size->count();
    if (bytes < 0) return wrong(tensor_label(t) + " has a negative size");
    const std::int64_t alignment = graph.spaces_[tensor.space.value()].alignment.count();
    total = mais::detail::saturating_add(total, mais::detail::saturating_add(bytes, alignment));
    if (total > kMostBytes) return wrong(tensor_label(t) + ": sizes up to here exceed 2^62 bytes");
    storage[t] = static_cast<std::uint32_t>(graph.storages_.size());
    graph.storages_.push_back({tensor.space,
                               Bytes((bytes + alignment - 1) / alignment * alignment),
                               TensorId(static_cast<std::uint32_t>(t)),
                               std::nullopt,
                               {},
                               false});
  }
  graph.storage_of_.resize(tensors.size());
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    graph.storage_of_[t] = StorageId(storage[root[t]]);
    if (tensors[t].keep) graph.storages_[storage[root[t]]].keep = true;
  }

  // Operators: producers, readers, edges.
  std::vector<std::uint32_t> producer(tensors.size(), kNone);
  for (std::size_t v = 0; v < operators_.size(); ++v) {
    for (const TensorId output : operators_[v].outputs) {
      if (output.value() >= tensors.size()) {
        return wrong(op_label(v) + " writes a tensor nobody declared");
      }
      if (producer[output.value()] != kNone) {
        return wrong(tensor_label(output.value()) + " is written by " + op_label(v) + " and by " +
                     op_label(producer[output.value()]) + "; one producer is allowed");
      }
      producer[output.value()] = static_cast<std::uint32_t>(v);
    }
  }
  Edges edges;
  for (std::size_t v = 0; v < operators_.size(); ++v) {
    const Operator& op = operators_[v];
    const auto id = static_cast<std::uint32_t>(v);
    for (const TensorId output : op.outputs) {
      Storage& target = graph.storages_[storage[root[output.value()]]];
      if (root[output.value()] == output.value()) {
        target.producer = OpId(id);
      } else {
        target.readers.emplace_back(id);
        const std::uint32_t from = producer[tensors[output.value()].view_of->value()];
        if (from != kNone) edges.emplace_back(from, id);
      }
    }
    for (const TensorId input : op.inputs) {
      if (input.value() >= tensors.size()) {
        return wrong(op_label(v) + " reads a tensor nobody declared");
      }
      graph.storages_[storage[root[input.value()]]].readers.emplace_back(id);
      // A view without an operator is there as soon as what it views is.
      std::size_t t = input.value();
      while (producer[t] == kNone && tensors[t].view_of) t = tensors[t].view_of->value();
      if (producer[t] != kNone) edges.emplace_back(producer[t], id);
    }
    for (const OpId other : op.after) {
      if (other.value() >= operators_.size()) {
        return wrong(op_label(v) + " waits for an operator nobody declared");
      }
      edges.emplace_back(other.value(), id);
    }
    for (const Workspace& work : op.workspace) {
      if (work.space.value() >= graph.spaces_.size()) {
        return wrong(op_label(v) + " has workspace in a space nobody declared");
      }
      if (work.size < Bytes(0)) {
        return wrong(op_label(v) + " has a workspace of " + std::to_string(work.size.count()) +
                     " bytes; it must be 0 or more");
      }
      // With what aligning adds, so that no sum of what is alive can overflow.
      const std::int64_t alignment = graph.spaces_[work.space.value()].alignment.count();
      total = mais::detail::saturating_add(
          total, mais::detail::saturating_add(work.size.count(), alignment));
      if (total > kMostBytes) {
        return wrong(op_label(v) + ": sizes and workspaces up to here exceed 2^62 bytes");
      }
    }
    if (op.in_place.size() > kMostInPlace) {
      return wrong(op_label(v) + " has " + std::to_string(op.in_place.size()) +
                   " in-place pairs; at most " + std::to_string(kMostInPlace) + " are supported");
    }
    for (const InPlace& pair : op.in_place) {
      const auto among = [](const std::vector<TensorId>& list, TensorId t) {
        return std::find(list.begin(), list.end(), t) != list.end();
      };
      if (!among(op.inputs, pair.input) || !among(op.outputs, pair.output) ||
          root[pair.output.value()] != pair.output.value()) {
        return wrong(op_label(v) +
                     ": an in-place pair must name one of its inputs and one of its outputs that "
                     "is no view");
      }
      const Storage& from = graph.storages_[storage[root[pair.input.value()]]];
      const Storage& to = graph.storages_[storage[pair.output.value()]];
      if (from.size != to.size || from.space != to.space) {
        return wrong(op_label(v) + ": in place, " + tensor_label(pair.output.value()) + " has " +
                     std::to_string(to.size.count()) + " aligned bytes and its input's storage " +
                     std::to_string(from.size.count()) + "; size and space must be the same");
      }
    }
  }
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    if (root[t] == t && producer[t] == kNone && graph.storages_[storage[t]].readers.empty()) {
      graph.storages_[storage[t]].keep = true;  // an input nobody reads is the caller's to release
    }
  }
  for (Storage& each : graph.storages_) {
    std::sort(each.readers.begin(), each.readers.end());
    each.readers.erase(std::unique(each.readers.begin(), each.readers.end()), each.readers.end());
  }
  for (const auto& [from, to] : edges) {
    if (from == to) return wrong(op_label(from) + " depends on itself");
  }
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  fill_rows(edges, operators_.size(), graph.after_begin_, graph.after_);
  for (auto& [from, to] : edges) std::swap(from, to);
  std::sort(edges.begin(), edges.end());
  fill_rows(edges, operators_.size(), graph.before_begin_, graph.before_);

  // A cycle leaves operators that never become ready.
  std::vector<std::size_t> waiting(operators_.size());
  std::vector<std::uint32_t> ready;
  for (std::uint32_t v = 0; v < operators_.size(); ++v) {
    waiting[v] = graph.before(OpId(v)).size();
    if (waiting[v] == 0) ready.push_back(v);
  }
  for (std::size_t i = 0; i < ready.size(); ++i) {
    for (const OpId next : graph.after(OpId(ready[i]))) {
      if (--waiting[next.value()] == 0) ready.push_back(next.value());
    }
  }
  if (ready.size() < operators_.size()) {
    const auto stuck = std::find_if(waiting.begin(), waiting.end(), [](auto n) { return n > 0; });
    return wrong(op_label(static_cast<std::size_t>(stuck - waiting.begin())) +
                 " waits for itself: the graph has a cycle");
  }
  return graph;
}

}  // namespace mais::graph
