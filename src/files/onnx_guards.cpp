#include "onnx_guards.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace mais::files {

namespace {

// Dimensions of an input; unset: not known, then the library does not look at them.
std::optional<int> rank_of(const onnx::InferenceContext& context, std::size_t input) {
  if (input >= context.getNumInputs()) return std::nullopt;
  const onnx::TypeProto* type = context.getInputType(input);
  if (type == nullptr || !type->tensor_type().has_shape()) return std::nullopt;
  return type->tensor_type().shape().dim_size();
}

// At least one spatial dimension behind batch and channels, in both if they are known.
bool spatial(const onnx::InferenceContext& context, std::size_t data, std::size_t weight) {
  const std::optional<int> first = rank_of(context, data);
  const std::optional<int> second = rank_of(context, weight);
  return first.value_or(3) >= 3 && (!first || !second || *first == *second);
}

std::int64_t number(const onnx::InferenceContext& context, const char* name,
                    std::int64_t otherwise) {
  const onnx::AttributeProto* attribute = context.getAttribute(name);
  return attribute == nullptr ? otherwise : attribute->i();
}

bool axis_inside(const onnx::InferenceContext& context, std::int64_t otherwise) {
  const std::optional<int> rank = rank_of(context, 0);
  const std::int64_t axis = number(context, "axis", otherwise);
  return !rank || (axis >= -*rank && axis < *rank);
}

bool gather_nd(const onnx::InferenceContext& context) {
  const std::optional<int> data = rank_of(context, 0);
  const std::optional<int> indices = rank_of(context, 1);
  if (!data || !indices) return true;
  if (*data < 1 || *indices < 1) return false;
  const auto& last = context.getInputType(1)->tensor_type().shape().dim(*indices - 1);
  const std::int64_t batch = number(context, "batch_dims", 0);
  return batch >= 0 && batch < std::min(*data, *indices) && last.dim_value() >= 0 &&
         last.dim_value() <= *data - batch;
}

bool short_shape(const onnx::InferenceContext& context) {
  if (context.getNumInputs() == 0) return true;
  const std::size_t last = context.getNumInputs() - 1;
  if (rank_of(context, last) != 1) return true;
  const auto& dimension = context.getInputType(last)->tensor_type().shape().dim(0);
  return dimension.dim_value() <= kMostDimensions;
}

}  // namespace

std::optional<std::string> wrong_attribute(const onnx::NodeProto& node) {
  constexpr std::array<std::string_view, 5> kPositive = {"strides", "dilations", "kernel_shape",
                                                         "group", "blocksize"};
  constexpr std::int64_t kMost = 1'000'000'000;
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (std::find(kPositive.begin(), kPositive.end(), attribute.name()) == kPositive.end()) {
      continue;
    }
    const auto fault = [&](std::int64_t value) {
      return "its attribute '" + attribute.name() + "' has " + std::to_string(value) +
             "; 1 to 1000000000 is needed";
    };
    const bool one = attribute.type() == onnx::AttributeProto::INT;
    if (one && (attribute.i() < 1 || attribute.i() > kMost)) return fault(attribute.i());
    for (const std::int64_t value : attribute.ints()) {
      if (value < 1 || value > kMost) return fault(value);
    }
  }
  return std::nullopt;
}

bool safe_to_infer(const std::string& op, const onnx::InferenceContext& context) {
  if (op == "Conv" || op == "ConvTranspose" || op == "ConvInteger") {
    return spatial(context, 0, 1);
  }
  if (op == "MaxPool" || op == "AveragePool" || op == "LpPool") return spatial(context, 0, 0);
  if (op == "QLinearConv") return spatial(context, 0, 3);
  if (op == "LayerNormalization") return axis_inside(context, -1);
  if (op == "GatherND") return gather_nd(context);
  if (op == "ConstantOfShape" || op == "Expand") return short_shape(context);
  return op != "STFT" && op != "SplitToSequence" && op != "MaxUnpool";
}

}  // namespace mais::files
