#include "mais/files/operator_graph_onnx.hpp"

#include <random>
#include <string>

#include <gmock/gmock.h>
#include <onnx/onnx_pb.h>

#include "mais/graph/order.hpp"
#include "onnx_model.hpp"

namespace mais::files {
namespace {

using namespace mais::literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

#ifdef MAIS_LONG_TESTS
constexpr int kMutations = 100'000;
#else
constexpr int kMutations = 1'500;
#endif

std::string message(const Model& model, const OnnxOptions& options = {}) {
  const auto graph = parse_operator_graph_onnx(model.bytes(), "m.onnx", options);
  return graph ? std::string() : graph.error().message;
}

graph::OperatorGraph read(const Model& model, const OnnxOptions& options = {}) {
  auto graph = parse_operator_graph_onnx(model.bytes(), "m.onnx", options);
  EXPECT_TRUE(graph) << graph.error().message;
  return graph ? *graph : graph::OperatorGraph();
}

Bytes size_of(const graph::OperatorGraph& graph, const std::string& name) {
  for (std::uint32_t t = 0; t < graph.tensors().size(); ++t) {
    if (graph.tensors()[t].name == name) {
      return graph.storages()[graph.storage_of(graph::TensorId(t)).value()].size;
    }
  }
  return Bytes(-1);
}

Model small_network() {
  Model model;
  model.input("x", {"N", "3", "32", "32"}).output("y").weight("w", {16, 3, 3, 3});
  model.integers("flat", {0, -1}).weight("dense", {14400, 10});
  model.node("Conv", {"x", "w"}, {"c"});
  model.node("Relu", {"c"}, {"r"});
  model.node("Reshape", {"r", "flat"}, {"f"});
  model.node("MatMul", {"f", "dense"}, {"y"});
  return model;
}

TEST(OperatorGraphOnnx, InfersSizesFromTheBoundOfTheBatch) {
  const OnnxOptions options{.bounds = {{"N", {6, {4, 8}}}}, .alignment = 1_B};
  const graph::OperatorGraph graph = read(small_network(), options);
  ASSERT_EQ(graph.operators().size(), 4U);
  EXPECT_EQ(size_of(graph, "x"), Bytes(8 * 3 * 32 * 32 * 4));  // padded to the bucket of 8
  EXPECT_EQ(size_of(graph, "c"), Bytes(8 * 16 * 30 * 30 * 4));
  EXPECT_EQ(size_of(graph, "y"), Bytes(8 * 10 * 4));
  EXPECT_EQ(graph.storages().size(), 4U) << "weights are left out, and Reshape is a view";
  // While Relu runs: its input and its output.
  EXPECT_EQ(graph::plan_order(graph).peak, Bytes(2 * 8 * 16 * 30 * 30 * 4));
}

TEST(OperatorGraphOnnx, OptionsSayWhatIsCounted) {
  OnnxOptions options{.bounds = {{"N", {1}}}, .alignment = 1_B};
  const Bytes map = Bytes(16 * 30 * 30 * 4);
  options.in_place = true;
  EXPECT_EQ(graph::plan_order(read(small_network(), options)).peak, map + Bytes(3 * 32 * 32 * 4));
  options.pin_inputs = true;
  options.in_place = false;
  EXPECT_EQ(graph::plan_order(read(small_network(), options)).peak,
            map * 2 + Bytes(3 * 32 * 32 * 4));
  options.pin_inputs = false;
  options.views = false;
  EXPECT_EQ(read(small_network(), options).storages().size(), 5U);
  options.weights = true;
  options.views = true;
  EXPECT_EQ(graph::plan_order(read(small_network(), options)).peak,
            map * 2 + Bytes(4 * (16 * 27 + 144'000) + 16));
}

void set_axis(onnx::NodeProto& node, std::int64_t value) {
  onnx::AttributeProto& axis = *node.add_attribute();
  axis.set_name("axis");
  axis.set_type(onnx::AttributeProto::INT);
  axis.set_i(value);
}

// As exporters write x.view(n * 2, t // 2, -1) and x.expand(2, -1, -1, -1).
TEST(OperatorGraphOnnx, ShapesThatNodesComputeAreBoundedToo) {
  for (const int version : {9, 11, 13, 17}) {
    SCOPED_TRACE("operator set " + std::to_string(version));
    Model model(version);
    model.input("x", {"N", "T", "8"}).output("y").output("z");
    model.integers("zero", {0}).integers("one", {1}).integers("two", {2}).integers("rest", {-1});
    model.node("Shape", {"x"}, {"shape"});
    set_axis(model.node("Gather", {"shape", "zero"}, {"n"}), 0);
    set_axis(model.node("Gather", {"shape", "one"}, {"t"}), 0);
    model.node("Mul", {"n", "two"}, {"n2"});
    model.node("Div", {"t", "two"}, {"t2"});
    set_axis(model.node("Concat", {"n2", "t2", "rest"}, {"target"}), 0);
    model.node("Reshape", {"x", "target"}, {"y"});

    model.integers("asked", {2, -1, -1, -1}).integers("rank", {4});
    onnx::NodeProto& ones = model.node("ConstantOfShape", {"rank"}, {"ones"});
    onnx::AttributeProto& value = *ones.add_attribute();
    value.set_name("value");
    value.set_type(onnx::AttributeProto::TENSOR);
    value.mutable_t()->set_data_type(7);
    value.mutable_t()->add_dims(1);
    value.mutable_t()->add_int64_data(1);
    model.node("Mul", {"ones", "rest"}, {"minus"});
    model.node("Equal", {"asked", "minus"}, {"open"});
    model.node("Where", {"open", "ones", "asked"}, {"wide"});
    model.node("Expand", {"x", "wide"}, {"z"});
    const OnnxOptions options{
        .bounds = {{"N", {4}}, {"T", {10}}}, .alignment = 1_B, .views = false};
    const graph::OperatorGraph graph = read(model, options);
    EXPECT_EQ(size_of(graph, "y"), Bytes(4 * 10 * 8 * 4));
    EXPECT_EQ(size_of(graph, "z"), Bytes(2 * 4 * 10 * 8 * 4));
  }
}

TEST(OperatorGraphOnnx, UnknownIsNeverNothing) {
  EXPECT_THAT(message(small_network()),
              AllOf(HasSubstr("m.onnx: input 'x', dimension 0"), HasSubstr("bound of 'N'")));
  Model unnamed;
  unnamed.input("x", {"", "4"}).output("y");
  unnamed.node("Relu", {"x"}, {"y"});
  EXPECT_THAT(message(unnamed), HasSubstr("bound of 'x[0]'"));
  EXPECT_EQ(size_of(read(unnamed, {.bounds = {{"x[0]", {3}}}, .alignment = 1_B}), "y"), 48_B);
  for (const char* unknown : {"0", "-1"}) {
    Model model;
    model.input("x", {unknown, "4"}).output("y");
    model.node("Relu", {"x"}, {"y"});
    EXPECT_THAT(message(model), HasSubstr("bound of 'x[0]'")) << unknown;
  }
  Model data;
  data.input("x", {"5"}).output("i", 7);
  data.node("NonZero", {"x"}, {"i"}).set_name("where");
  EXPECT_THAT(
      message(data),
      HasSubstr("value 'i' (output of node 0 (NonZero 'where')): its dimension 1 is not known"));
  EXPECT_EQ(size_of(read(data, {.sizes = {{"i", 40_B}}, .alignment = 1_B}), "i"), 40_B);
  Model words;
  words.input("x", {"5"}, 8).output("y", 8);
  words.node("Identity", {"x"}, {"y"});
  EXPECT_THAT(message(words), HasSubstr("its elements (type 8) have no fixed size"));
}

TEST(OperatorGraphOnnx, OperatorsTheLibraryDoesNotKnowTakeWhatTheFileSays) {
  Model model;
  model.proto().add_opset_import()->set_domain("com.maker");
  model.proto().mutable_opset_import(1)->set_version(1);
  model.input("x", {"N", "4"}).output("y");
  model.node("Fused", {"x"}, {"h"}).set_domain("com.maker");
  model.node("Relu", {"h"}, {"y"});
  EXPECT_THAT(message(model, {.bounds = {{"N", {2}}}}), HasSubstr("value 'h'"));
  model.says("h", {"N", "16"});
  const graph::OperatorGraph graph = read(model, {.bounds = {{"N", {2}}}, .alignment = 1_B});
  EXPECT_EQ(size_of(graph, "h"), 128_B);
  EXPECT_EQ(size_of(graph, "y"), 128_B);
}

// Exporters write the lengths of one example beside names.
TEST(OperatorGraphOnnx, LengthsOfAnExampleGiveWayToInference) {
  Model model = small_network();
  model.says("c", {"1", "16", "30", "30"}).says("r", {"1", "16", "30", "30"});
  const graph::OperatorGraph graph = read(model, {.bounds = {{"N", {8}}}, .alignment = 1_B});
  EXPECT_EQ(size_of(graph, "c"), Bytes(8 * 16 * 30 * 30 * 4));
}

TEST(OperatorGraphOnnx, BodiesAreWorkspaceAndReadWhatTheyCapture) {
  Model model;
  model.input("x", {"256"}).input("p", {}, 9).output("y");
  model.node("Relu", {"x"}, {"h"});
  onnx::NodeProto& branch = model.node("If", {"p"}, {"y"});
  for (const char* side : {"then_branch", "else_branch"}) {
    onnx::AttributeProto& attribute = *branch.add_attribute();
    attribute.set_name(side);
    attribute.set_type(onnx::AttributeProto::GRAPH);
    onnx::GraphProto& body = *attribute.mutable_g();
    body.set_name(side);
    std::string last = "h";
    for (int i = 0; i < (side[0] == 't' ? 1 : 3); ++i) {
      const std::string next = std::string(side) + std::to_string(i);
      Model::add_node(body, "Exp", {last}, {next});
      last = next;
    }
    onnx::ValueInfoProto& result = *body.add_output();
    result.set_name(last);
    result.mutable_type()->mutable_tensor_type()->set_elem_type(1);
  }
  const graph::OperatorGraph graph = read(model, {.alignment = 1_B});
  ASSERT_EQ(graph.operators().size(), 2U);
  EXPECT_EQ(graph.operators()[1].inputs.size(), 2U) << "the condition, and what the bodies capture";
  ASSERT_EQ(graph.operators()[1].workspace.size(), 1U);
  EXPECT_EQ(graph.operators()[1].workspace[0].size, 2048_B) << "two values of the longer branch";
}

TEST(OperatorGraphOnnx, FaultsNameNodeAndValue) {
  Model reads;
  reads.input("x", {"2"}).output("y");
  reads.node("Add", {"x", "nobody"}, {"y"});
  EXPECT_THAT(message(reads), HasSubstr("node 0 (Add) reads 'nobody', which no input"));
  Model twice;
  twice.input("x", {"2"}).output("y");
  twice.node("Relu", {"x"}, {"y"});
  twice.node("Relu", {"x"}, {"y"});
  EXPECT_THAT(message(twice), HasSubstr("value 'y' is given twice"));
  Model arity;
  arity.input("x", {"2"}).output("y");
  arity.node("Add", {"x"}, {"y"});
  EXPECT_THAT(message(arity), HasSubstr("node 0 (Add): "));
  Model nothing;
  nothing.input("x", {"2"}).output("z");
  EXPECT_THAT(message(nothing), HasSubstr("output 'z': no input, weight or node gives it"));
  Model cycle;
  cycle.input("x", {"2"}).output("y").says("b", {"2"}).says("y", {"2"});
  cycle.node("Add", {"x", "b"}, {"y"});
  cycle.node("Relu", {"y"}, {"b"});
  EXPECT_THAT(message(cycle), HasSubstr("cycle"));
  Model domain;
  domain.input("x", {"2"}).output("y");
  domain.node("Relu", {"x"}, {"y"}).set_domain("elsewhere");
  EXPECT_THAT(message(domain), HasSubstr("imports no version of its domain 'elsewhere'"));
  Model call;
  call.input("x", {"2"}).output("y");
  call.proto().add_opset_import()->set_domain("local");
  call.node("F", {"x"}, {"y"}).set_domain("local");
  auto& function = *call.proto().add_functions();
  function.set_domain("local");
  function.set_name("F");
  Model::add_node(*call.proto().mutable_graph(), "F", {"x"}, {"z"});
  EXPECT_THAT(message(call), HasSubstr("node 0 (F) calls a function that the model defines"));
  Model large;
  large.input("x", {"4611686018427387904", "8"}).output("y");
  large.node("Relu", {"x"}, {"y"});
  EXPECT_THAT(message(large), HasSubstr("2^62"));
}

TEST(OperatorGraphOnnx, WhatIsNoModelIsAParseError) {
  for (const std::string& bytes :
       {std::string(), std::string("id,lower\n"), std::string(1000, '\xff'),
        small_network().bytes().substr(0, 200)}) {
    const auto graph = parse_operator_graph_onnx(bytes, "m.onnx");
    ASSERT_FALSE(graph);
    EXPECT_EQ(graph.error().code, ErrorCode::parse_error);
    EXPECT_THAT(graph.error().message, HasSubstr("m.onnx: this is not an ONNX model: "));
  }
}

// The ONNX library would read a type that is not there.
TEST(OperatorGraphOnnx, ShapesOfUnknownValuesStayUnknown) {
  Model model(17);
  model.proto().add_opset_import()->set_domain("com.maker");
  model.input("x", {"4"}).output("y");
  model.node("Fused", {"x"}, {"h"}).set_domain("com.maker");
  model.node("Shape", {"h"}, {"s"});
  model.node("Reshape", {"x", "s"}, {"y"});
  EXPECT_THAT(message(model),
              HasSubstr("value 'h' (output of node 0 (Fused)): its type is not known"));
}

// The ONNX library would divide by these, or read past the end of the shorter shape.
TEST(OperatorGraphOnnx, NodesThatDoNotFitTheirOperatorAreRefused) {
  Model model;
  model.input("x", {"1", "3", "8", "8"}).output("y").weight("w", {4, 3});
  onnx::NodeProto& conv = model.node("Conv", {"x", "w"}, {"y"});
  EXPECT_THAT(message(model), HasSubstr("(Conv)): its shape is not known"));
  onnx::AttributeProto& strides = *conv.add_attribute();
  strides.set_name("strides");
  strides.set_type(onnx::AttributeProto::INTS);
  strides.add_ints(1);
  strides.add_ints(0);
  EXPECT_THAT(message(model), HasSubstr("node 0 (Conv): its attribute 'strides' has 0; 1 to"));
}

// The ONNX library makes a dimension of each element of a shape; these would take terabytes.
TEST(OperatorGraphOnnx, ShapesOfEndlessShapesAreRefused) {
  for (const char* type : {"ConstantOfShape", "Expand"}) {
    Model model;
    model.input("x", {"3"}).input("s", {"1099511627776"}, 7).output("y");
    if (std::string(type) == "Expand") {
      model.node(type, {"x", "s"}, {"y"});
    } else {
      model.node(type, {"s"}, {"y"});
    }
    EXPECT_THAT(message(model), HasSubstr("its shape is not known")) << type;
  }
  Model doubled;
  doubled.input("x", {"3"}).output("y");
  doubled.node("Shape", {"x"}, {"s0"});
  for (int i = 0; i < 40; ++i) {
    const std::string last = "s" + std::to_string(i);
    set_axis(doubled.node("Concat", {last, last}, {"s" + std::to_string(i + 1)}), 0);
  }
  doubled.node("ConstantOfShape", {"s40"}, {"y"});
  EXPECT_THAT(message(doubled), Not(testing::IsEmpty()));
}

TEST(OperatorGraphOnnx, MutatedModelsGiveAGraphOrOneError) {
  const std::uint64_t seed = 61;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  Model seedling = small_network();
  seedling.proto().mutable_graph()->mutable_initializer(2)->clear_raw_data();
  const std::string base = seedling.bytes();
  int graphs = 0;
  for (int i = 0; i < kMutations; ++i) {
    std::string bytes = base;
    for (std::uint64_t n = 1 + random() % 3; n > 0; --n) {
      const std::size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
          break;
        case 2:
          bytes.erase(at, 1 + random() % 4);
          break;
        default:
          bytes.insert(at, bytes.substr(at, random() % 16));
      }
    }
    const auto graph = parse_operator_graph_onnx(bytes, "m.onnx", {.bounds = {{"N", {2}}}});
    if (graph) {
      ++graphs;
    } else {
      ASSERT_THAT(graph.error().message, testing::StartsWith("m.onnx: ")) << i;
      ASSERT_THAT(graph.error().message, Not(HasSubstr("\n"))) << i;
    }
  }
  EXPECT_GT(graphs, 0);
  EXPECT_LT(graphs, kMutations);
}

}  // namespace
}  // namespace mais::files
