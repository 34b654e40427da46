// Shapes of every value of an ONNX model, by the ONNX library, guarded against models that would
// make it use memory without end.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include <onnx/onnx_pb.h>

#include "mais/files/operator_graph_onnx.hpp"

namespace mais::files {

// A name from the file, fit for one line of an error: cut, without control characters.
std::string shown(std::string_view name);
// "node 3 (Conv 'c1')"
std::string shown(const onnx::NodeProto& node, int index);

// What the file says of values, by name; used where inference leaves a dimension open.
using StatedTypes = std::unordered_map<std::string, onnx::TypeProto>;

// Checks every node against the schema of its operator, replaces the bounded dimensions of the
// inputs by their largest lengths, and infers. Afterwards the value_info of the graph and of the
// bodies in it have all that could be inferred.
Result<StatedTypes> infer_shapes(onnx::ModelProto& model, const graph::DimensionBounds& bounds);

}  // namespace mais::files
