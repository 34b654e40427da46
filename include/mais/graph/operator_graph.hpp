// A graph of operators and the memory it touches. Built once, then read only; a plain value.
//
// A tensor lives in a storage. A view shares the storage of what it views. A storage is alive from
// the step that produces it (from the start, for an input of the graph) to the last step that reads
// any of its tensors (to the end, if one of them is kept). An operator that may work in place
// reuses its input's storage for its output, if no other reader of that storage is left: whether it
// does depends on the order.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::graph {

using OpId = Id<struct OperatorTag>;      // OperatorGraph::operators()
using TensorId = Id<struct TensorTag>;    // OperatorGraph::tensors()
using StorageId = Id<struct StorageTag>;  // OperatorGraph::storages()

inline constexpr std::size_t kMostSpaces = 8;
inline constexpr std::size_t kMostInPlace = 64;  // pairs of one operator

// A memory with its own arena.
struct Space {
  std::string name = "memory";
  Bytes alignment{64};      // of every storage; a power of two. Sizes are rounded up to it.
  std::int64_t weight = 1;  // what a byte counts in the level to minimise; 0 leaves the space out
};

struct Tensor {
  std::string name{};
  std::optional<Bytes> size{};  // an upper bound for dynamic shapes (shape.hpp). Views: unset.
  SpaceId space{};              // views: that of the viewed tensor
  std::optional<TensorId> view_of{};  // shares its storage
  bool keep = false;                  // an output, or an input that must stay: lives to the end
};

struct Workspace {
  Bytes size{};
  SpaceId space{};
};

// `output` may take the storage of `input`; both have the same aligned size and space.
struct InPlace {
  TensorId input;
  TensorId output;
};

struct Operator {
  std::string name{};
  std::vector<TensorId> inputs{};
  std::vector<TensorId> outputs{};
  std::vector<OpId> after{};           // control edges
  std::vector<Workspace> workspace{};  // lives during the step only
  std::vector<InPlace> in_place{};     // tried in this order; a storage is given away once
  Duration time{0};                    // how long it runs; used where recomputing is weighed
};

struct Storage {
  SpaceId space;
  Bytes size;                    // aligned
  TensorId root;                 // the tensor the others view
  std::optional<OpId> producer;  // unset: an input of the graph
  std::vector<OpId> readers;     // ascending, each once; includes operators that produce views
  bool keep = false;
};

class OperatorGraph {
 public:
  const std::vector<Space>& spaces() const noexcept { return spaces_; }
  const std::vector<Tensor>& tensors() const noexcept { return tensors_; }
  const std::vector<Operator>& operators() const noexcept { return operators_; }
  const std::vector<Storage>& storages() const noexcept { return storages_; }
  StorageId storage_of(TensorId tensor) const { return storage_of_[tensor.value()]; }
  // Direct predecessors and successors, by data or control; ascending, each once.
  std::span<const OpId> before(OpId op) const;
  std::span<const OpId> after(OpId op) const;

 private:
  friend class GraphBuilder;
  std::vector<Space> spaces_;
  std::vector<Tensor> tensors_;
  std::vector<Operator> operators_;
  std::vector<Storage> storages_;
  std::vector<StorageId> storage_of_;
  std::vector<std::uint32_t> before_begin_, after_begin_;
  std::vector<OpId> before_, after_;
};

// Collects spaces, tensors and operators in any order, then checks them all at once.
//
//   GraphBuilder b;
//   const TensorId x = b.tensor({.name = "x", .size = 4_MiB});
//   const TensorId y = b.tensor({.name = "y", .size = 4_MiB, .keep = true});
//   b.op({.name = "relu", .inputs = {x}, .outputs = {y}, .in_place = {{x, y}}});
//   const Result<OperatorGraph> graph = b.build();
class GraphBuilder {
 public:
  SpaceId space(Space space);  // none declared: one space of default alignment
  TensorId tensor(Tensor tensor);
  OpId op(Operator op);

  // O(V + E log E). Errors (invalid_argument, naming the tensor or operator): an id nobody
  // declared, an unknown size, a size or workspace below 0 or a total beyond 2^62 bytes, a bad
  // alignment, several producers, a view that is its own ancestor, an in-place pair of different
  // size or space or not of this operator, a cycle, more than kMostSpaces spaces or
  // kMostInPlace pairs.
  Result<OperatorGraph> build() const;

 private:
  std::vector<Space> spaces_;
  std::vector<Tensor> tensors_;
  std::vector<Operator> operators_;
};

}  // namespace mais::graph
