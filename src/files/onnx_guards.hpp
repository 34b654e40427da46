// What must hold before the ONNX library may infer the shape of a node. It was written for models
// that its checker has passed: on others it divides by attributes of 0, reads past the end of
// shapes, and makes one dimension for each of the 2^40 elements that a shape is said to have.
#pragma once

#include <optional>
#include <string>

#include <onnx/defs/shape_inference.h>
#include <onnx/onnx_pb.h>

namespace mais::files {

inline constexpr std::int64_t kMostDimensions = 256;  // of a tensor; also elements of a shape value

// A fault of the attributes: "its attribute 'strides' has 0; 1 or more is needed".
std::optional<std::string> wrong_attribute(const onnx::NodeProto& node);

// Whether inference of `op` with these inputs stays within bounds. If not, the shape of its outputs
// stays unknown.
bool safe_to_infer(const std::string& op, const onnx::InferenceContext& context);

}  // namespace mais::files
