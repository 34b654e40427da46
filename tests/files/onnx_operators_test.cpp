// Every operator that the ONNX library can infer, with inputs and attributes it does not expect.
#include <algorithm>
#include <random>
#include <string>

#include <gmock/gmock.h>
#include <onnx/defs/schema.h>
#include <onnx/onnx_pb.h>

#include "mais/files/operator_graph_onnx.hpp"
#include "onnx_model.hpp"

namespace mais::files {
namespace {

#ifdef MAIS_LONG_TESTS
constexpr int kNodes = 2'000;  // of each operator in each version
#else
constexpr int kNodes = 25;
#endif

class AnyNode {
 public:
  explicit AnyNode(std::uint64_t seed) : random_(seed) {}

  Model of(const onnx::OpSchema& schema, int version) {
    Model model(version);
    onnx::NodeProto& node = model.node(schema.Name(), {}, {});
    const int most = std::min(schema.max_input(), std::min(schema.min_input() + 4, 8));
    for (int i = 0; i < between(schema.min_input(), most); ++i) {
      node.add_input("x" + std::to_string(i));
      input(model, "x" + std::to_string(i));
    }
    const int outputs = between(std::max(1, schema.min_output()),
                                std::min(schema.max_output(), schema.min_output() + 3));
    for (int i = 0; i < outputs; ++i) node.add_output("y" + std::to_string(i));
    for (const auto& [name, declared] : schema.attributes()) {
      if (!declared.required && below(2) == 0) continue;
      onnx::AttributeProto& attribute = *node.add_attribute();
      attribute.set_name(name);
      fill(attribute, declared.type);
    }
    return model;
  }

 private:
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }
  int between(int least, int most) {
    return most <= least
               ? least
               : least + static_cast<int>(below(static_cast<std::size_t>(most - least) + 1));
  }
  std::int64_t number() {
    constexpr std::int64_t kNumbers[] = {0,  1,  1,   2,       2,        3,         4,         5,
                                         -1, -2, 100, 1000000, 1L << 40, INT64_MAX, INT64_MIN, 7};
    return kNumbers[below(below(4) == 0 ? std::size(kNumbers) : 8)];
  }
  int element_type() { return below(2) == 0 ? 1 : static_cast<int>(1 + below(12)); }

  void input(Model& model, const std::string& name) {
    if (below(3) == 0) {
      std::vector<std::int64_t> values(below(5));
      for (std::int64_t& value : values) value = number();
      model.integers(name, values);
      return;
    }
    Model::Shape shape(below(6));
    for (std::string& length : shape) {
      length = below(6) == 0 ? "N" : std::to_string(std::max<std::int64_t>(1, number()));
    }
    model.input(name, shape, element_type());
  }

  void fill(onnx::AttributeProto& attribute, onnx::AttributeProto::AttributeType type) {
    constexpr const char* kWords[] = {"SAME_UPPER", "VALID", "forward", "ij,jk->ik", "...i->",
                                      "constant",   "floor", "a,b->ab", "->",        ""};
    attribute.set_type(type);
    switch (type) {
      case onnx::AttributeProto::INT:
        return attribute.set_i(number());
      case onnx::AttributeProto::FLOAT:
        return attribute.set_f(static_cast<float>(number()));
      case onnx::AttributeProto::STRING:
        return attribute.set_s(kWords[below(std::size(kWords))]);
      case onnx::AttributeProto::INTS:
        for (std::size_t n = below(6); n > 0; --n) attribute.add_ints(number());
        return;
      case onnx::AttributeProto::FLOATS:
        for (std::size_t n = below(6); n > 0; --n) {
          attribute.add_floats(static_cast<float>(number()));
        }
        return;
      case onnx::AttributeProto::TENSOR:
        attribute.mutable_t()->set_data_type(7);
        for (std::size_t n = below(3); n > 0; --n) attribute.mutable_t()->add_dims(number());
        for (std::size_t n = below(5); n > 0; --n) attribute.mutable_t()->add_int64_data(number());
        return;
      case onnx::AttributeProto::GRAPH:
        attribute.mutable_g()->set_name("body");
        for (std::size_t n = below(3); n > 0; --n)
          attribute.mutable_g()->add_input()->set_name("b");
        for (std::size_t n = below(3); n > 0; --n) {
          attribute.mutable_g()->add_output()->set_name(below(2) == 0 ? "b" : "x0");
        }
        return;
      default:
        return;
    }
  }

  std::mt19937_64 random_;
};

TEST(OnnxOperators, NoNodeOfAnyOperatorCrashesTheLibrary) {
  int graphs = 0;
  int errors = 0;
  for (const onnx::OpSchema& newest : onnx::OpSchemaRegistry::get_all_schemas()) {
    if (!newest.domain().empty()) continue;
    for (const int version : {9, 11, 13, 17}) {
      const onnx::OpSchema* schema = onnx::OpSchemaRegistry::Schema(newest.Name(), version, "");
      if (schema == nullptr || schema->Deprecated()) continue;
      const std::uint64_t seed = std::hash<std::string>()(newest.Name()) + 71;
      SCOPED_TRACE(newest.Name() + ", version " + std::to_string(version) + ", seed " +
                   std::to_string(seed));
      AnyNode any(seed);
      for (int i = 0; i < kNodes; ++i) {
        const auto graph = parse_operator_graph_onnx(any.of(*schema, version).bytes(), "m.onnx",
                                                     {.bounds = {{"N", {4}}}});
        ++(graph ? graphs : errors);
        if (!graph) {
          ASSERT_THAT(graph.error().message, testing::StartsWith("m.onnx: "));
        }
      }
    }
  }
  EXPECT_GT(graphs, 1000);
  EXPECT_GT(errors, 1000);
}

}  // namespace
}  // namespace mais::files
