// Image networks of repeated cells at operator level, after the published cell definitions:
// NASNet-A (Zoph et al. 2018), AmoebaNet-D (Real et al. 2019, as in GPipe), PNASNet-5 (Liu et al.
// 2018) and DARTS (Liu et al. 2019, second order). Inference, 32-bit floats.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mais/graph/operator_graph.hpp"

namespace mais::graph {

enum class CellOp : std::uint8_t { none, pool, conv, conv_pair, sep, dil };

struct Cell {
  struct Edge {
    int from;  // 0: output of the cell before last, 1: of the last cell, 2...: blocks
    CellOp op;
  };
  std::vector<Edge> edges;  // two for each block
  std::vector<int> concat;  // what the output joins
};

struct CellNetwork {
  std::string name;
  Cell normal;
  Cell reduction;
  int cells_each = 4;       // normal cells in each of three stacks
  std::int64_t side = 331;  // of the image
  std::int64_t filters = 168;
};

inline std::vector<CellNetwork> cell_networks() {
  using enum CellOp;
  return {
      {"NASNet-A",
       {{{1, sep},
         {1, none},
         {0, sep},
         {1, sep},
         {1, pool},
         {0, none},
         {0, pool},
         {0, pool},
         {0, sep},
         {0, sep}},
        {0, 2, 3, 4, 5, 6}},
       {{{0, sep},
         {1, sep},
         {1, pool},
         {0, sep},
         {1, pool},
         {0, sep},
         {2, none},
         {2, pool},
         {2, sep},
         {1, pool}},
        {3, 4, 5, 6}}},
      {"AmoebaNet-D",
       {{{1, conv},
         {1, pool},
         {1, none},
         {0, conv_pair},
         {0, conv},
         {0, conv_pair},
         {2, pool},
         {2, none},
         {1, pool},
         {5, conv}},
        {0, 3, 4, 6}},
       {{{0, pool},
         {0, pool},
         {2, none},
         {1, conv},
         {2, conv_pair},
         {2, pool},
         {3, none},
         {1, pool},
         {2, pool},
         {3, conv}},
        {4, 5, 6}},
       7},
      {"PNASNet-5",
       {{{0, sep},
         {0, pool},
         {1, sep},
         {1, pool},
         {1, sep},
         {1, sep},
         {4, sep},
         {1, pool},
         {0, sep},
         {1, conv}},
        {2, 3, 4, 5, 6}},
       {{{0, sep},
         {0, pool},
         {1, sep},
         {1, pool},
         {1, sep},
         {1, sep},
         {4, sep},
         {1, pool},
         {0, sep},
         {1, conv}},
        {2, 3, 4, 5, 6}},
       3},
      {"DARTS",
       {{{0, sep}, {1, sep}, {0, sep}, {1, sep}, {1, sep}, {0, none}, {0, none}, {2, dil}},
        {2, 3, 4, 5}},
       {{{0, pool}, {1, pool}, {2, none}, {1, pool}, {0, pool}, {2, none}, {2, none}, {1, pool}},
        {2, 3, 4, 5}},
       5,
       224,
       48},
  };
}

class CellNetworkBuilder {
 public:
  static OperatorGraph build(const CellNetwork& network) {
    CellNetworkBuilder b;
    Value image = b.make({network.side, 3}, "image");
    Value before = b.chain(image, {"conv", "bn"}, {network.side / 2, network.filters / 4 * 2});
    Value last = before;
    std::int64_t filters = network.filters / 2;
    // Two reductions make the stem, then three stacks with reductions between them.
    for (int stack = -2; stack < 3; ++stack) {
      if (stack != 0) {
        filters *= stack == -1 ? 2 : 1;
        filters *= stack > 0 ? 2 : 1;
        Value next = b.cell(network.reduction, before, last, filters, true);
        before = last;
        last = next;
      }
      for (int i = 0; stack >= 0 && i < network.cells_each; ++i) {
        Value next = b.cell(network.normal, before, last, filters, false);
        before = last;
        last = next;
      }
    }
    Value pooled = b.chain(last, {"relu", "pool"}, {1, last.shape.channels});
    Value logits = b.chain(pooled, {"dense"}, {1, 1000});
    b.keep(logits);
    return b.builder_.build().value();
  }

 private:
  struct Shape {
    std::int64_t side;
    std::int64_t channels;
  };
  struct Value {
    std::size_t tensor;
    Shape shape;
  };

  Value make(Shape shape, const std::string& name) {
    const TensorId id = builder_.tensor({.name = name, .size = Bytes(bytes(shape))});
    return {id.value(), shape};
  }
  static std::int64_t bytes(Shape s) { return 4 * s.side * s.side * s.channels; }

  // The reshaping operators of `kinds` all give `out`; relu keeps the shape of its input.
  Value chain(Value from, const std::vector<std::string>& kinds, Shape out) {
    for (const std::string& kind : kinds) {
      const Shape shape = kind == "relu" || kind == "bn" ? from.shape : out;
      Value to = make(shape, kind);
      builder_.op({.name = kind, .inputs = {id(from)}, .outputs = {id(to)}});
      from = to;
    }
    return from;
  }
  Value join(const std::string& kind, const std::vector<Value>& parts, Shape out) {
    Value to = make(out, kind);
    Operator op{.name = kind, .outputs = {id(to)}};
    for (const Value& part : parts) op.inputs.push_back(id(part));
    builder_.op(std::move(op));
    return to;
  }
  Value apply(CellOp op, Value from, Shape out) {
    switch (op) {
      case CellOp::none:
        return from.shape.side == out.side ? from : chain(from, {"relu", "conv", "bn"}, out);
      case CellOp::pool:
        return chain(from, {"pool"}, out);
      case CellOp::conv:
        return chain(from, {"relu", "conv", "bn"}, out);
      case CellOp::conv_pair:
        return chain(from, {"relu", "conv", "bn", "relu", "conv", "bn"}, out);
      case CellOp::sep:
        return chain(from, {"relu", "dw", "pw", "bn", "relu", "dw", "pw", "bn"}, out);
      case CellOp::dil:
        return chain(from, {"relu", "dw", "pw", "bn"}, out);
    }
    return from;
  }
  Value cell(const Cell& cell, Value before, Value last, std::int64_t filters, bool reduce) {
    const Shape in{last.shape.side, filters};
    const Shape out{reduce ? (in.side + 1) / 2 : in.side, filters};
    std::vector<Value> values = {chain(before, {"relu", "conv", "bn"}, in),
                                 chain(last, {"relu", "conv", "bn"}, in)};
    for (std::size_t i = 0; i + 1 < cell.edges.size(); i += 2) {
      std::vector<Value> pair;
      for (const Cell::Edge& edge : {cell.edges[i], cell.edges[i + 1]}) {
        pair.push_back(apply(edge.op, values[static_cast<std::size_t>(edge.from)], out));
      }
      values.push_back(join("add", pair, out));
    }
    std::vector<Value> parts;
    for (const int part : cell.concat) parts.push_back(values[static_cast<std::size_t>(part)]);
    return join("concat", parts,
                {out.side, filters * static_cast<std::int64_t>(cell.concat.size())});
  }
  void keep(Value value) {
    // Outputs are marked by an identity that copies into a kept tensor.
    const TensorId out =
        builder_.tensor({.name = "output", .size = Bytes(bytes(value.shape)), .keep = true});
    builder_.op({.name = "softmax", .inputs = {id(value)}, .outputs = {out}});
  }
  static TensorId id(Value value) { return TensorId(static_cast<std::uint32_t>(value.tensor)); }

  GraphBuilder builder_;
};

}  // namespace mais::graph
