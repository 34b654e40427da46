// An operator graph from an ONNX model, with shapes inferred by the ONNX library. Target
// mais::onnx, built where that library is (MAIS_WITH_ONNX).
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "mais/graph/operator_graph.hpp"
#include "mais/graph/shape.hpp"
#include "mais/result.hpp"

namespace mais::files {

struct OnnxOptions {
  // Of the named dimensions of the model's inputs; a dimension i of an input x that has no name is
  // called "x[i]". The length that a bound allows at most goes through shape inference, so what
  // nodes compute from it is bounded too, as long as it grows with it.
  graph::DimensionBounds bounds{};
  // Bytes at most of values whose shape cannot be inferred: data-dependent ones (NonZero),
  // sequences, outputs of operators the ONNX library does not know.
  std::map<std::string, Bytes> sizes{};
  Bytes alignment{64};      // of the one space
  bool weights = false;     // initializers and constants count, alive throughout
  bool pin_inputs = false;  // inputs of the model live to the end; else to their last reader
  bool views = true;        // Reshape and its kin share the storage of what they reshape
  bool in_place = false;    // elementwise operators may overwrite an input of the same size
};

// Each node is one operator, in the order of the file; outputs of the model are kept. A node with
// bodies (If, Loop, Scan) reads what they capture, and has as workspace the highest peak of a body
// run in the order of the file. The workspace of kernels is not in a file and not counted. Data of
// weights in other files is not read.
//
// Errors, each with `name` and the node or value: parse_error (not an ONNX model, above 2 GiB);
// invalid_argument: a dimension without bound or a shape that cannot be inferred (never counted as
// 0), a node the schema of its operator refuses, a value nobody gives, two producers, a cycle,
// a call of a function that the model defines (inline it first), sizes beyond 2^62 bytes.
// Hostile models give errors too; what the ONNX library throws is caught.
// O(bytes + nodes x the cost of their shape inference). Takes any bytes; call from any thread.
Result<graph::OperatorGraph> parse_operator_graph_onnx(std::string_view bytes,
                                                       std::string_view name = "onnx",
                                                       const OnnxOptions& options = {});

}  // namespace mais::files
