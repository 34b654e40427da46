#include "onnx_shapes.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <onnx/shape_inference/implementation.h>

#include "onnx_guards.hpp"
#include "onnx_schemas.hpp"

namespace mais::files {

namespace {

using Versions = std::unordered_map<std::string, int>;  // of the operator sets, by domain

tl::unexpected<Error> bad_shape(std::string message) {
  return fail(ErrorCode::invalid_argument, std::move(message));
}

std::string domain_of(const onnx::NodeProto& node) {
  return node.domain() == "ai.onnx" ? std::string() : node.domain();
}

// The largest length of dimension `i` of the input `name`.
Result<std::int64_t> longest(const onnx::TensorShapeProto::Dimension& dimension, int i,
                             const std::string& name, const graph::DimensionBounds& bounds) {
  if (dimension.has_dim_value() && dimension.dim_value() > 0) return dimension.dim_value();
  const std::string unnamed = name + "[" + std::to_string(i) + "]";
  const std::string key = dimension.dim_param().empty() ? unnamed : dimension.dim_param();
  const Result<Bytes> elements = graph::bytes_at_most({key}, Bytes(1), bounds);
  if (!elements) {
    return bad_shape("input '" + shown(name) + "', dimension " + std::to_string(i) +
                     ": its length is not in the model; give a bound of '" + shown(key) +
                     "' that it never exceeds");
  }
  return elements->count();
}

Result<void> bind_inputs(onnx::GraphProto& graph, const graph::DimensionBounds& bounds) {
  std::unordered_set<std::string> weights;
  for (const auto& each : graph.initializer()) weights.insert(each.name());
  for (onnx::ValueInfoProto& input : *graph.mutable_input()) {
    if (weights.count(input.name()) > 0 || !input.type().has_tensor_type()) continue;
    auto* shape = input.mutable_type()->mutable_tensor_type()->mutable_shape();
    for (int i = 0; i < shape->dim_size(); ++i) {
      const Result<std::int64_t> length = longest(shape->dim(i), i, input.name(), bounds);
      if (!length) return tl::unexpected<Error>(length.error());
      shape->mutable_dim(i)->set_dim_value(*length);
    }
  }
  return {};
}

// What the file says of values that inference reaches is taken out, for inference to start afresh
// from the bounded inputs: exporters write lengths of one example there. It is kept aside for
// values whose inference leaves something open.
StatedTypes take_out_stated(onnx::GraphProto& graph, const graph::DimensionBounds& bounds,
                            const onnx::ISchemaRegistry& schemas, const Versions& versions) {
  std::unordered_set<std::string> inferred;
  for (const onnx::NodeProto& node : graph.node()) {
    const auto version = versions.find(domain_of(node));
    if (version == versions.end()) continue;
    if (schemas.GetSchema(node.op_type(), version->second, domain_of(node)) == nullptr) continue;
    inferred.insert(node.output().begin(), node.output().end());
  }
  StatedTypes stated;
  for (auto* list : {graph.mutable_value_info(), graph.mutable_output()}) {
    for (onnx::ValueInfoProto& value : *list) {
      if (!value.type().has_tensor_type() || !value.type().tensor_type().has_shape()) continue;
      onnx::TypeProto::Tensor& type = *value.mutable_type()->mutable_tensor_type();
      for (auto& dimension : *type.mutable_shape()->mutable_dim()) {
        const auto bound = bounds.find(dimension.dim_param());
        if (dimension.has_dim_param() && bound != bounds.end()) {
          const Result<Bytes> length = graph::bytes_at_most({bound->first}, Bytes(1), bounds);
          if (length) dimension.set_dim_value(length->count());
        } else if (dimension.has_dim_value() && dimension.dim_value() < 0) {
          dimension.clear_dim_value();
        }
      }
      if (inferred.count(value.name()) == 0) continue;
      stated[value.name()] = value.type();
      type.clear_shape();
    }
  }
  return stated;
}

Result<void> verify(const onnx::GraphProto& graph, const onnx::ISchemaRegistry& schemas,
                    const Versions& versions) {
  for (int i = 0; i < graph.node_size(); ++i) {
    const onnx::NodeProto& node = graph.node(i);
    const std::string domain = domain_of(node);
    const auto version = versions.find(domain);
    if (version == versions.end()) {
      return bad_shape(shown(node, i) + ": the model imports no version of its domain '" +
                       shown(domain) + "'");
    }
    if (const auto fault = wrong_attribute(node)) return bad_shape(shown(node, i) + ": " + *fault);
    const onnx::OpSchema* schema = schemas.GetSchema(node.op_type(), version->second, domain);
    if (schema != nullptr) {
      try {
        schema->Verify(node);
      } catch (const std::exception& fault) {
        return bad_shape(shown(node, i) + ": " + shown(fault.what()));
      }
    }
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      if (attribute.has_g()) {
        if (auto inner = verify(attribute.g(), schemas, versions); !inner) return inner;
      }
      for (const onnx::GraphProto& body : attribute.graphs()) {
        if (auto inner = verify(body, schemas, versions); !inner) return inner;
      }
    }
  }
  return {};
}

}  // namespace

std::string shown(std::string_view name) {
  std::string text;
  for (const char c : name.substr(0, 160)) {
    const auto code = static_cast<unsigned char>(c);
    text += code < 32 || code == 127 ? ' ' : c;
  }
  return text;
}

std::string shown(const onnx::NodeProto& node, int index) {
  std::string text = "node " + std::to_string(index) + " (" + shown(node.op_type());
  if (!node.name().empty()) text += " '" + shown(node.name()) + "'";
  return text + ")";
}

Result<StatedTypes> infer_shapes(onnx::ModelProto& model, const graph::DimensionBounds& bounds) {
  Versions versions;
  for (const onnx::OperatorSetIdProto& set : model.opset_import()) {
    const std::int64_t version = std::clamp<std::int64_t>(set.version(), 1, 1'000'000);
    versions[set.domain() == "ai.onnx" ? "" : set.domain()] = static_cast<int>(version);
  }
  onnx::GraphProto& graph = *model.mutable_graph();
  const ShapeSchemas schemas;
  if (auto fine = verify(graph, schemas, versions); !fine) {
    return tl::unexpected<Error>(fine.error());
  }
  if (auto bound = bind_inputs(graph, bounds); !bound) return tl::unexpected<Error>(bound.error());
  StatedTypes stated = take_out_stated(graph, bounds, schemas, versions);
  try {
    const onnx::ShapeInferenceOptions options(false, 0, true);  // lenient, with shape values
    std::unordered_map<std::string, onnx::TensorShapeProto> values;
    onnx::shape_inference::InferShapes(model, &schemas, options, &values);
  } catch (const std::exception& fault) {
    return bad_shape("shape inference: " + shown(fault.what()));
  }
  return stated;
}

}  // namespace mais::files
