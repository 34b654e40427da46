#include "onnx_schemas.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <vector>

#include "onnx_guards.hpp"

namespace mais::files {

namespace {

using Values = std::vector<std::int64_t>;

// The whole numbers a value is known to hold.
std::optional<Values> known(const onnx::TensorShapeProto* data) {
  if (data == nullptr) return std::nullopt;
  Values values;
  for (const auto& dimension : data->dim()) {
    if (!dimension.has_dim_value()) return std::nullopt;
    values.push_back(dimension.dim_value());
  }
  return values;
}

// Shows computed values where the library asks for constants.
class ValuesAsConstants final : public onnx::InferenceContext {
 public:
  explicit ValuesAsConstants(onnx::InferenceContext& inner) : inner_(inner) {}

  const onnx::TensorProto* getInputData(std::size_t index) const override {
    const onnx::TensorProto* constant = inner_.getInputData(index);
    if (constant != nullptr) return constant;
    const onnx::TypeProto* type = inner_.getInputType(index);
    const std::optional<Values> values = known(inner_.getSymbolicInput(index));
    constexpr int kInt32 = 6;
    constexpr int kInt64 = 7;
    if (!values || type == nullptr || !type->tensor_type().has_shape()) return nullptr;
    const int element = type->tensor_type().elem_type();
    const bool list = type->tensor_type().shape().dim_size() == 1;
    if ((element != kInt32 && element != kInt64) || (!list && values->size() != 1)) return nullptr;
    onnx::TensorProto& made = made_.emplace_back();
    made.set_data_type(element);
    if (list) made.add_dims(static_cast<std::int64_t>(values->size()));
    for (const std::int64_t value : *values) {
      if (element == kInt64) {
        made.add_int64_data(value);
      } else {
        made.add_int32_data(static_cast<std::int32_t>(value));
      }
    }
    return &made;
  }

  const onnx::AttributeProto* getAttribute(const std::string& name) const override {
    return inner_.getAttribute(name);
  }
  std::size_t getNumInputs() const override { return inner_.getNumInputs(); }
  const onnx::TypeProto* getInputType(std::size_t index) const override {
    return inner_.getInputType(index);
  }
  std::size_t getNumOutputs() const override { return inner_.getNumOutputs(); }
  onnx::TypeProto* getOutputType(std::size_t index) override { return inner_.getOutputType(index); }
  onnx::GraphInferencer* getGraphAttributeInferencer(const std::string& name) override {
    return inner_.getGraphAttributeInferencer(name);
  }
  const onnx::SparseTensorProto* getInputSparseData(std::size_t index) const override {
    return inner_.getInputSparseData(index);
  }
  const onnx::TensorShapeProto* getSymbolicInput(std::size_t index) const override {
    return inner_.getSymbolicInput(index);
  }

 private:
  onnx::InferenceContext& inner_;
  mutable std::deque<onnx::TensorProto> made_;
};

void give(onnx::DataPropagationContext& context, const Values& values) {
  onnx::TensorShapeProto data;
  for (const std::int64_t value : values) data.add_dim()->set_dim_value(value);
  context.addOutputData(0, std::move(data));
}

// One function of whole numbers, applied element by element; a list of one is spread over the rest.
using Function = std::optional<std::int64_t> (*)(const Values&);

void each_element(onnx::DataPropagationContext& context, Function function, std::size_t arity) {
  std::vector<Values> inputs;
  std::size_t length = 1;
  for (std::size_t i = 0; i < context.getNumInputs(); ++i) {
    std::optional<Values> values = known(context.getInputData(i));
    if (!values || values->empty()) return;
    length = std::max(length, values->size());
    inputs.push_back(*std::move(values));
  }
  if (inputs.size() != arity) return;
  Values result(length);
  for (std::size_t k = 0; k < length; ++k) {
    Values arguments;
    for (const Values& values : inputs) {
      if (values.size() != 1 && values.size() != length) return;
      arguments.push_back(values[values.size() == 1 ? 0 : k]);
    }
    const std::optional<std::int64_t> value = function(arguments);
    if (!value) return;
    result[k] = *value;
  }
  give(context, result);
}

std::optional<std::int64_t> sum(const Values& v) {
  std::int64_t out = 0;
  return __builtin_add_overflow(v[0], v[1], &out) ? std::nullopt : std::optional(out);
}
std::optional<std::int64_t> difference(const Values& v) {
  std::int64_t out = 0;
  return __builtin_sub_overflow(v[0], v[1], &out) ? std::nullopt : std::optional(out);
}
std::optional<std::int64_t> product(const Values& v) {
  std::int64_t out = 0;
  return __builtin_mul_overflow(v[0], v[1], &out) ? std::nullopt : std::optional(out);
}
std::optional<std::int64_t> quotient(const Values& v) {
  constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
  if (v[1] == 0 || (v[0] == kLowest && v[1] == -1)) return std::nullopt;
  return v[0] / v[1];
}
std::optional<std::int64_t> equal(const Values& v) {
  return v[0] == v[1] ? 1 : 0;
}
std::optional<std::int64_t> choice(const Values& v) {
  return v[0] != 0 ? v[1] : v[2];
}

std::int64_t attribute_or(const onnx::DataPropagationContext& context, const char* name,
                          std::int64_t otherwise) {
  const onnx::AttributeProto* attribute = context.getAttribute(name);
  return attribute == nullptr ? otherwise : attribute->i();
}

// The same values in another shape or whole-number type.
void pass_on(onnx::DataPropagationContext& context) {
  constexpr std::int64_t kInt32 = 6;
  constexpr std::int64_t kInt64 = 7;
  const std::int64_t to = attribute_or(context, "to", kInt64);  // of Cast
  if (to != kInt32 && to != kInt64) return;
  if (const auto values = known(context.getInputData(0))) give(context, *values);
}

void shape(onnx::DataPropagationContext& context) {
  const onnx::TypeProto* type = context.getInputType(0);
  if (type == nullptr || !type->tensor_type().has_shape()) return;
  const onnx::TensorShapeProto& whole = type->tensor_type().shape();
  const std::int64_t rank = whole.dim_size();
  const auto inside = [rank](std::int64_t at) {
    return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  onnx::TensorShapeProto part;
  for (std::int64_t i = inside(attribute_or(context, "start", 0));
       i < inside(attribute_or(context, "end", rank)); ++i) {
    *part.add_dim() = whole.dim(static_cast<int>(i));
  }
  context.addOutputData(0, std::move(part));
}

void gather(onnx::DataPropagationContext& context) {
  const onnx::TensorShapeProto* data = context.getInputData(0);
  const auto indices = known(context.getInputData(1));
  if (data == nullptr || !indices || attribute_or(context, "axis", 0) != 0) return;
  onnx::TensorShapeProto picked;
  for (const std::int64_t index : *indices) {
    const std::int64_t at = index < 0 ? index + data->dim_size() : index;
    if (at < 0 || at >= data->dim_size()) return;
    *picked.add_dim() = data->dim(static_cast<int>(at));
  }
  context.addOutputData(0, std::move(picked));
}

void concat(onnx::DataPropagationContext& context) {
  onnx::TensorShapeProto joined;
  for (std::size_t i = 0; i < context.getNumInputs(); ++i) {
    const onnx::TensorShapeProto* data = context.getInputData(i);
    if (data == nullptr) return;
    for (const auto& dimension : data->dim()) *joined.add_dim() = dimension;
  }
  context.addOutputData(0, std::move(joined));
}

// A range of a list, by steps of 1: bounds as inputs, or as attributes in old models.
void slice(onnx::DataPropagationContext& context) {
  const onnx::TensorShapeProto* data = context.getInputData(0);
  if (data == nullptr) return;
  const auto bound = [&context](std::size_t input, const char* name) -> std::optional<Values> {
    if (input < context.getNumInputs()) return known(context.getInputData(input));
    const onnx::AttributeProto* attribute = context.getAttribute(name);
    if (attribute == nullptr) return std::nullopt;
    return Values(attribute->ints().begin(), attribute->ints().end());
  };
  const auto starts = bound(1, "starts");
  const auto ends = bound(2, "ends");
  const auto steps = context.getNumInputs() > 4 ? bound(4, "steps") : Values{1};
  if (!starts || !ends || !steps || *steps != Values{1}) return;
  if (starts->size() != 1 || ends->size() != 1) return;
  const std::int64_t length = data->dim_size();
  const auto inside = [length](std::int64_t at) {
    return std::clamp<std::int64_t>(at < 0 ? at + length : at, 0, length);
  };
  onnx::TensorShapeProto part;
  for (std::int64_t i = inside((*starts)[0]); i < inside((*ends)[0]); ++i) {
    *part.add_dim() = data->dim(static_cast<int>(i));
  }
  context.addOutputData(0, std::move(part));
}

void fill(onnx::DataPropagationContext& context) {
  const std::optional<Values> lengths = known(context.getInputData(0));
  if (!lengths || lengths->size() != 1) return;
  const std::int64_t length = lengths->front();
  if (length < 0 || length > kMostDimensions) return;
  const onnx::AttributeProto* attribute = context.getAttribute("value");
  if (attribute == nullptr) return;  // zeros, of a float
  const onnx::TensorProto& tensor = attribute->t();
  constexpr int kInt64 = 7;
  if (tensor.data_type() != kInt64) return;
  std::uint64_t bits = 0;
  if (tensor.int64_data_size() == 1) {
    bits = static_cast<std::uint64_t>(tensor.int64_data(0));
  } else if (tensor.raw_data().size() == sizeof bits) {
    for (std::size_t i = sizeof bits; i-- > 0;) {  // little-endian, whatever this machine is
      bits = bits << 8U | static_cast<std::uint8_t>(tensor.raw_data()[i]);
    }
  } else {
    return;
  }
  give(context, Values(static_cast<std::size_t>(length), static_cast<std::int64_t>(bits)));
}

// What exporters put between Shape and Reshape or Expand, in every version of the operators.
onnx::DataPropagationFunction evaluation_of(const std::string& op) {
  const auto elements = [](Function function, std::size_t arity) {
    return [=](onnx::DataPropagationContext& context) { each_element(context, function, arity); };
  };
  if (op == "Add") return elements(sum, 2);
  if (op == "Sub") return elements(difference, 2);
  if (op == "Mul") return elements(product, 2);
  if (op == "Div") return elements(quotient, 2);
  if (op == "Equal") return elements(equal, 2);
  if (op == "Where") return elements(choice, 3);
  if (op == "Cast" || op == "Identity" || op == "Squeeze" || op == "Unsqueeze" || op == "Reshape") {
    return pass_on;
  }
  if (op == "Shape") return shape;
  if (op == "Gather") return gather;
  if (op == "Concat") return concat;
  if (op == "Slice") return slice;
  if (op == "ConstantOfShape") return fill;
  return {};
}

bool short_enough(onnx::DataPropagationContext& context) {
  std::int64_t elements = 0;
  for (std::size_t i = 0; i < context.getNumInputs(); ++i) {
    const onnx::TensorShapeProto* data = context.getInputData(i);
    elements += data == nullptr ? 0 : data->dim_size();
  }
  return elements <= kMostDimensions;
}

}  // namespace

const onnx::OpSchema* ShapeSchemas::GetSchema(const std::string& op, int version,
                                              const std::string& domain) const {
  const onnx::OpSchema* schema = onnx::OpSchemaRegistry::Instance()->GetSchema(op, version, domain);
  if (schema == nullptr || !domain.empty()) return schema;
  std::unique_ptr<onnx::OpSchema>& changed = changed_[schema];
  if (changed) return changed.get();
  changed = std::make_unique<onnx::OpSchema>(*schema);
  if (schema->has_type_and_shape_inference_function()) {
    changed->TypeAndShapeInferenceFunction(
        [op, infer = schema->GetTypeAndShapeInferenceFunction()](onnx::InferenceContext& context) {
          if (!safe_to_infer(op, context)) return;
          ValuesAsConstants wide(context);
          infer(wide);
        });
  }
  // The library's own hand on what Cast makes of a fraction as if it were whole, read past the end
  // of the shorter list, and look at types that are not known: only ours are used.
  changed->PartialDataPropagationFunction(
      [evaluation = evaluation_of(op)](onnx::DataPropagationContext& context) {
        if (evaluation && short_enough(context)) evaluation(context);
      });
  return changed.get();
}

}  // namespace mais::files
