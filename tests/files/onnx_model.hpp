// ONNX models made in tests.
#pragma once

#include <string>
#include <vector>

#include <onnx/onnx_pb.h>

namespace mais::files {

// Writes models as a converter would.
class Model {
 public:
  using Shape = std::vector<std::string>;  // lengths, names, or "" for neither

  explicit Model(int version = 13) {
    model_.set_ir_version(8);
    model_.add_opset_import()->set_version(version);
    model_.mutable_graph()->set_name("test");
  }
  Model& input(const std::string& name, const Shape& shape, int type = 1) {
    set_type(*model_.mutable_graph()->add_input(), name, shape, type);
    return *this;
  }
  Model& output(const std::string& name, int type = 1) {
    onnx::ValueInfoProto& value = *model_.mutable_graph()->add_output();
    value.set_name(name);
    value.mutable_type()->mutable_tensor_type()->set_elem_type(type);
    return *this;
  }
  Model& says(const std::string& name, const Shape& shape, int type = 1) {
    set_type(*model_.mutable_graph()->add_value_info(), name, shape, type);
    return *this;
  }
  Model& weight(const std::string& name, const std::vector<std::int64_t>& dims) {
    onnx::TensorProto& tensor = *model_.mutable_graph()->add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(1);
    std::int64_t elements = 1;
    for (const std::int64_t dim : dims) {
      tensor.add_dims(dim);
      elements *= dim;
    }
    tensor.set_raw_data(std::string(static_cast<std::size_t>(4 * elements), '\0'));
    return *this;
  }
  Model& integers(const std::string& name, const std::vector<std::int64_t>& values) {
    onnx::TensorProto& tensor = *model_.mutable_graph()->add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(7);
    tensor.add_dims(static_cast<std::int64_t>(values.size()));
    for (const std::int64_t value : values) tensor.add_int64_data(value);
    return *this;
  }
  onnx::NodeProto& node(const std::string& type, const std::vector<std::string>& inputs,
                        const std::vector<std::string>& outputs) {
    return add_node(*model_.mutable_graph(), type, inputs, outputs);
  }
  static onnx::NodeProto& add_node(onnx::GraphProto& graph, const std::string& type,
                                   const std::vector<std::string>& inputs,
                                   const std::vector<std::string>& outputs) {
    onnx::NodeProto& node = *graph.add_node();
    node.set_op_type(type);
    for (const std::string& name : inputs) node.add_input(name);
    for (const std::string& name : outputs) node.add_output(name);
    return node;
  }
  onnx::ModelProto& proto() { return model_; }
  std::string bytes() const { return model_.SerializeAsString(); }

 private:
  static void set_type(onnx::ValueInfoProto& value, const std::string& name, const Shape& shape,
                       int type) {
    value.set_name(name);
    onnx::TypeProto::Tensor& tensor = *value.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(type);
    tensor.mutable_shape();
    for (const std::string& length : shape) {
      auto& dimension = *tensor.mutable_shape()->add_dim();
      if (length.empty()) continue;
      if (length[0] == '-' || (length[0] >= '0' && length[0] <= '9')) {
        dimension.set_dim_value(std::stoll(length));
      } else {
        dimension.set_dim_param(length);
      }
    }
  }
  onnx::ModelProto model_;
};

}  // namespace mais::files
