#include "mais/files/operator_graph_onnx.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <onnx/onnx_pb.h>
#if GOOGLE_PROTOBUF_VERSION < 4022000
#include <google/protobuf/stubs/logging.h>
#endif

#include "mais/graph/order.hpp"
#include "onnx_shapes.hpp"

namespace mais::files {

namespace {

using graph::TensorId;

tl::unexpected<Error> wrong(std::string message) {
  return fail(ErrorCode::invalid_argument, std::move(message));
}

// Bits of one element; unset: no fixed size (strings) or a type we do not know.
std::optional<std::int64_t> bits_of(std::int32_t type) {
  switch (type) {
    case 1:   // float
    case 6:   // int32
    case 12:  // uint32
      return 32;
    case 2:   // uint8
    case 3:   // int8
    case 9:   // bool
    case 17:  // the four 8-bit floats
    case 18:
    case 19:
    case 20:
      return 8;
    case 4:   // uint16
    case 5:   // int16
    case 10:  // float16
    case 16:  // bfloat16
      return 16;
    case 7:   // int64
    case 11:  // double
    case 13:  // uint64
    case 14:  // complex64
      return 64;
    case 15:  // complex128
      return 128;
    case 21:  // uint4, int4, float4
    case 22:
    case 23:
      return 4;
    default:
      return std::nullopt;
  }
}

bool one_of(std::string_view word, std::initializer_list<std::string_view> list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

bool standard(const onnx::NodeProto& node) {
  return node.domain().empty() || node.domain() == "ai.onnx";
}

bool is_constant(const onnx::NodeProto& node) {
  return standard(node) && node.op_type() == "Constant";
}

bool is_view(const onnx::NodeProto& node) {
  return standard(node) &&
         one_of(node.op_type(), {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"});
}

bool is_elementwise(const onnx::NodeProto& node) {
  return standard(node) && one_of(node.op_type(), {"Abs",
                                                   "Add",
                                                   "Cast",
                                                   "Ceil",
                                                   "Celu",
                                                   "Clip",
                                                   "Cos",
                                                   "Div",
                                                   "Elu",
                                                   "Erf",
                                                   "Exp",
                                                   "Floor",
                                                   "Gelu",
                                                   "HardSigmoid",
                                                   "HardSwish",
                                                   "LeakyRelu",
                                                   "Log",
                                                   "Max",
                                                   "Mean",
                                                   "Min",
                                                   "Mish",
                                                   "Mul",
                                                   "Neg",
                                                   "Not",
                                                   "PRelu",
                                                   "Pow",
                                                   "Reciprocal",
                                                   "Relu",
                                                   "Round",
                                                   "Selu",
                                                   "Sigmoid",
                                                   "Sign",
                                                   "Sin",
                                                   "Softplus",
                                                   "Softsign",
                                                   "Sqrt",
                                                   "Sub",
                                                   "Sum",
                                                   "Tan",
                                                   "Tanh",
                                                   "ThresholdedRelu"});
}

// One graph of the model: the main one, or the body of a node.
class Reader {
 public:
  Reader(const onnx::GraphProto& graph, const OnnxOptions& options, const StatedTypes* stated,
         const Reader* outer)
      : graph_(graph), options_(options), stated_(stated), outer_(outer) {}

  Result<graph::OperatorGraph> run() {
    builder_.space({.alignment = options_.alignment});
    note_types();
    Result<void> fine = declare_weights();
    if (fine) fine = declare_inputs();
    if (fine) fine = check_reads();
    for (int i = 0; i < graph_.node_size() && fine; ++i) fine = declare_outputs(i);
    for (int i = 0; i < graph_.node_size() && fine; ++i) fine = add_operator(i);
    if (fine) fine = check_results();
    if (!fine) return tl::unexpected<Error>(fine.error());
    return builder_.build();
  }

  // Values of outer graphs that this one reads.
  const std::set<std::string>& captured() const { return captured_; }

 private:
  struct Value {
    std::optional<TensorId> tensor{};  // unset: a weight that is left out
    std::optional<Bytes> size{};
    std::int32_t type = 0;
  };

  // Those of bodies are left out: they live throughout, not in the workspace of a step.
  bool counts_weights() const { return options_.weights && outer_ == nullptr; }

  void note_types() {
    for (const auto* list : {&graph_.value_info(), &graph_.input(), &graph_.output()}) {
      for (const onnx::ValueInfoProto& value : *list) types_.emplace(value.name(), &value.type());
    }
    for (const onnx::ValueInfoProto& value : graph_.output()) results_.insert(value.name());
  }

  bool given_outside(const std::string& name) const {
    for (const Reader* each = outer_; each != nullptr; each = each->outer_) {
      if (each->values_.count(name) > 0) return true;
    }
    return false;
  }

  // `kind` begins the error: "input", "output of node 3 (NonZero)".
  Result<Bytes> size_of(const std::string& name, const onnx::TypeProto* type,
                        const std::string& kind) const {
    if (const auto it = options_.sizes.find(name); it != options_.sizes.end()) return it->second;
    const std::string what = "value '" + shown(name) + "' (" + kind + "): ";
    constexpr const char* kHelp =
        "; give the value's size in bytes, or bounds of what it depends on";
    if (type == nullptr || !type->has_tensor_type()) {
      return wrong(what + (type == nullptr ? "its type" : "it is no tensor, so its size") +
                   " is not known" + kHelp);
    }
    const onnx::TypeProto::Tensor& tensor = type->tensor_type();
    const std::optional<std::int64_t> bits = bits_of(tensor.elem_type());
    if (!bits) {
      return wrong(what + "its elements (type " + std::to_string(tensor.elem_type()) +
                   ") have no fixed size" + kHelp);
    }
    const onnx::TypeProto* stated = nullptr;
    if (stated_ != nullptr) {
      const auto it = stated_->find(name);
      if (it != stated_->end() && it->second.tensor_type().shape().dim_size() > 0) {
        stated = &it->second;
      }
    }
    const bool shaped = tensor.has_shape();
    if (!shaped && stated == nullptr) return wrong(what + "its shape is not known" + kHelp);
    const onnx::TensorShapeProto& shape = shaped ? tensor.shape() : stated->tensor_type().shape();
    std::vector<graph::Dimension> lengths;
    for (int i = 0; i < shape.dim_size(); ++i) {
      std::int64_t length = shape.dim(i).has_dim_value() ? shape.dim(i).dim_value() : -1;
      if (length < 0 && stated != nullptr &&
          stated->tensor_type().shape().dim_size() == shape.dim_size() &&
          stated->tensor_type().shape().dim(i).has_dim_value()) {
        length = stated->tensor_type().shape().dim(i).dim_value();
      }
      if (length < 0) {
        return wrong(what + "its dimension " + std::to_string(i) + " is not known" + kHelp);
      }
      lengths.emplace_back(length);
    }
    const Result<Bytes> bytes =
        graph::bytes_at_most(lengths, Bytes(std::max<std::int64_t>(*bits / 8, 1)), {});
    if (!bytes) return wrong(what + bytes.error().message);
    return *bits == 4 ? Bytes((bytes->count() + 1) / 2) : *bytes;
  }

  Result<void> declare(const std::string& name, Value value, const std::string& kind) {
    if (values_.emplace(name, value).second) return {};
    return wrong("value '" + shown(name) + "' is given twice, the second time as " + kind);
  }

  Result<void> declare_weights() {
    const auto weight = [&](const std::string& name, const auto& dims, std::int32_t type) {
      Value value{.type = type};
      if (counts_weights()) {
        onnx::TypeProto whole;
        whole.mutable_tensor_type()->set_elem_type(type);
        whole.mutable_tensor_type()->mutable_shape();
        for (const std::int64_t length : dims) {
          whole.mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_value(length);
        }
        const Result<Bytes> size = size_of(name, &whole, "weight");
        if (!size) return Result<void>(tl::unexpected<Error>(size.error()));
        value.size = *size;
        value.tensor = builder_.tensor({.name = name, .size = *size, .keep = true});
      }
      return declare(name, value, "a weight");
    };
    for (const onnx::TensorProto& each : graph_.initializer()) {
      if (auto fine = weight(each.name(), each.dims(), each.data_type()); !fine) return fine;
    }
    for (const onnx::SparseTensorProto& each : graph_.sparse_initializer()) {
      const auto& name = each.values().name();
      if (auto fine = weight(name, each.values().dims(), each.values().data_type()); !fine) {
        return fine;
      }
    }
    return {};
  }

  Result<void> declare_inputs() {
    for (const onnx::ValueInfoProto& input : graph_.input()) {
      if (values_.count(input.name()) > 0) continue;  // a weight with a default, in old models
      const Result<Bytes> size = size_of(input.name(), &input.type(), "input");
      if (!size) return tl::unexpected<Error>(size.error());
      const bool keep = options_.pin_inputs || results_.count(input.name()) > 0;
      const TensorId id = builder_.tensor({.name = input.name(), .size = *size, .keep = keep});
      auto fine =
          declare(input.name(), {id, *size, input.type().tensor_type().elem_type()}, "an input");
      if (!fine) return fine;
    }
    return {};
  }

  // The value a view shares storage with, if it lies in this graph.
  const Value* viewed(const onnx::NodeProto& node) const {
    if (!options_.views || !is_view(node) || node.input_size() == 0) return nullptr;
    const auto it = values_.find(node.input(0));
    return it == values_.end() ? nullptr : &it->second;
  }

  Result<void> declare_outputs(int i) {
    const onnx::NodeProto& node = graph_.node(i);
    const std::string kind = "output of " + shown(node, i);
    for (int k = 0; k < node.output_size(); ++k) {
      const std::string& name = node.output(k);
      if (name.empty()) continue;
      const auto found = types_.find(name);
      const onnx::TypeProto* type = found == types_.end() ? nullptr : found->second;
      const std::int32_t element = type == nullptr ? 0 : type->tensor_type().elem_type();
      const bool keep = results_.count(name) > 0 || is_constant(node);
      const Value* source = k == 0 ? viewed(node) : nullptr;
      Value value{.type = element};
      if (source != nullptr && !source->tensor && !keep) {  // of a weight that is left out
      } else if (source != nullptr && source->tensor) {
        value.size = source->size;
        value.tensor = builder_.tensor({.name = name, .view_of = *source->tensor, .keep = keep});
      } else if (is_constant(node) && !counts_weights()) {
      } else {
        const Result<Bytes> size = size_of(name, type, kind);
        if (!size) return tl::unexpected<Error>(size.error());
        value.size = *size;
        value.tensor = builder_.tensor({.name = name, .size = *size, .keep = keep});
      }
      if (auto fine = declare(name, value, kind); !fine) return fine;
    }
    return {};
  }

  Result<void> add_operator(int i) {
    const onnx::NodeProto& node = graph_.node(i);
    if (is_constant(node)) return {};
    graph::Operator op;
    op.name = node.name().empty() ? node.op_type() : node.name();
    for (const std::string& name : node.input()) {
      if (name.empty()) continue;
      if (auto fine = read(name, op, shown(node, i)); !fine) return fine;
    }
    for (const std::string& name : node.output()) {
      if (name.empty()) continue;
      const Value& value = values_.at(name);
      if (value.tensor) op.outputs.push_back(*value.tensor);
      if (options_.in_place && is_elementwise(node)) add_in_place(node, value, op);
    }
    std::int64_t most = 0;
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      std::vector<const onnx::GraphProto*> bodies;
      if (attribute.has_g()) bodies.push_back(&attribute.g());
      for (const onnx::GraphProto& body : attribute.graphs()) bodies.push_back(&body);
      for (const onnx::GraphProto* body : bodies) {
        const Result<Bytes> peak = peak_of(*body, op, shown(node, i));
        if (!peak) return tl::unexpected<Error>(peak.error());
        most = std::max(most, peak->count());
      }
    }
    if (most > 0) op.workspace.push_back({Bytes(most)});
    // What only turns left-out weights into left-out weights is no step.
    if (op.outputs.empty() && op.inputs.empty() && viewed(node) != nullptr) return {};
    builder_.op(std::move(op));
    return {};
  }

  static tl::unexpected<Error> nobody_gives(const std::string& name, const std::string& reader) {
    return wrong(reader + " reads '" + shown(name) + "', which no input, weight or node gives");
  }

  // Before any size is asked for: what is missing here would make sizes unknown further on.
  Result<void> check_reads() const {
    std::unordered_set<std::string> given;
    for (const auto& node : graph_.node()) given.insert(node.output().begin(), node.output().end());
    for (int i = 0; i < graph_.node_size(); ++i) {
      for (const std::string& name : graph_.node(i).input()) {
        if (name.empty() || given.count(name) > 0 || values_.count(name) > 0) continue;
        if (!given_outside(name)) return nobody_gives(name, shown(graph_.node(i), i));
      }
    }
    return {};
  }

  Result<void> read(const std::string& name, graph::Operator& op, const std::string& reader) {
    const auto it = values_.find(name);
    if (it != values_.end()) {
      if (it->second.tensor) op.inputs.push_back(*it->second.tensor);
      return {};
    }
    if (!given_outside(name)) return nobody_gives(name, reader);
    captured_.insert(name);
    return {};
  }

  void add_in_place(const onnx::NodeProto& node, const Value& to, graph::Operator& op) const {
    if (!to.tensor || !to.size) return;
    std::set<std::string> tried;
    for (const std::string& name : node.input()) {
      const auto it = values_.find(name);
      if (it == values_.end() || !it->second.tensor || it->second.size != to.size) continue;
      if (it->second.type != to.type || !tried.insert(name).second) continue;
      op.in_place.push_back({*it->second.tensor, *to.tensor});
    }
  }

  // The peak of a body, run in the order of the file; what it captures is read by `op`.
  Result<Bytes> peak_of(const onnx::GraphProto& body, graph::Operator& op,
                        const std::string& where) {
    Reader inner(body, options_, nullptr, this);
    const auto in_body = [&](const Error& error) {
      return wrong("in a body of " + where + ": " + error.message);
    };
    const Result<graph::OperatorGraph> graph = inner.run();
    if (!graph) return in_body(graph.error());
    for (const std::string& name : inner.captured()) {
      const auto it = values_.find(name);
      const bool read_before =
          it != values_.end() && it->second.tensor &&
          std::find(op.inputs.begin(), op.inputs.end(), *it->second.tensor) != op.inputs.end();
      if (read_before) continue;
      if (auto fine = read(name, op, where); !fine) return tl::unexpected<Error>(fine.error());
    }
    std::vector<graph::OpId> order;
    for (std::uint32_t v = 0; v < graph->operators().size(); ++v) order.emplace_back(v);
    const Result<graph::Usage> usage = graph::measure(*graph, order);
    if (!usage) return in_body(usage.error());
    return usage->peak_level;
  }

  Result<void> check_results() {
    for (const std::string& name : results_) {
      if (values_.count(name) == 0 && !given_outside(name)) {
        return wrong("output '" + shown(name) + "': no input, weight or node gives it");
      }
      if (values_.count(name) == 0) captured_.insert(name);
    }
    return {};
  }

  const onnx::GraphProto& graph_;
  const OnnxOptions& options_;
  const StatedTypes* stated_;
  const Reader* outer_;
  graph::GraphBuilder builder_;
  std::unordered_map<std::string, const onnx::TypeProto*> types_;
  std::unordered_map<std::string, Value> values_;
  std::set<std::string> results_;
  std::set<std::string> captured_;
};

Result<onnx::ModelProto> parse(std::string_view bytes) {
  const auto no_model = [](const std::string& what) {
    return fail(ErrorCode::parse_error, "this is not an ONNX model: " + what);
  };
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return no_model("it has more than 2 GiB; weights belong into files of their own");
  }
#if GOOGLE_PROTOBUF_VERSION < 4022000
  const google::protobuf::LogSilencer quiet;  // the error says it all
#endif
  onnx::ModelProto model;
  if (!model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return no_model("its bytes are no protocol buffer of one, or nested too deeply");
  }
  if (!model.has_graph()) return no_model("it has no graph");
  if (model.opset_import_size() == 0) return no_model("it imports no operator set");
  return model;
}

// Nodes that call a function of the model would need its nodes in their place.
Result<void> refuse_calls(const onnx::GraphProto& graph,
                          const std::set<std::pair<std::string, std::string>>& functions) {
  for (int i = 0; i < graph.node_size(); ++i) {
    const onnx::NodeProto& node = graph.node(i);
    if (functions.count({node.domain(), node.op_type()}) > 0) {
      return wrong(shown(node, i) +
                   " calls a function that the model defines; inline it first (onnx.inliner)");
    }
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      if (attribute.has_g()) {
        if (auto fine = refuse_calls(attribute.g(), functions); !fine) return fine;
      }
      for (const onnx::GraphProto& body : attribute.graphs()) {
        if (auto fine = refuse_calls(body, functions); !fine) return fine;
      }
    }
  }
  return {};
}

Result<graph::OperatorGraph> read_model(std::string_view bytes, const OnnxOptions& options) {
  Result<onnx::ModelProto> model = parse(bytes);
  if (!model) return tl::unexpected<Error>(model.error());
  std::set<std::pair<std::string, std::string>> functions;
  for (const auto& function : model->functions()) {
    functions.emplace(function.domain(), function.name());
  }
  if (auto fine = refuse_calls(model->graph(), functions); !fine) {
    return tl::unexpected<Error>(fine.error());
  }
  model->clear_functions();
  const Result<StatedTypes> stated = infer_shapes(*model, options.bounds);
  if (!stated) return tl::unexpected<Error>(stated.error());
  return Reader(model->graph(), options, &*stated, nullptr).run();
}

}  // namespace

Result<graph::OperatorGraph> parse_operator_graph_onnx(std::string_view bytes,
                                                       std::string_view name,
                                                       const OnnxOptions& options) {
  Result<graph::OperatorGraph> graph = read_model(bytes, options);
  if (!graph) graph.error().message = std::string(name) + ": " + graph.error().message;
  return graph;
}

}  // namespace mais::files
