#include "mais/files/onnx_model.hpp"

#include <gmock/gmock.h>

#include "onnx_writer.hpp"
#include "scratch_folder.hpp"

namespace mais::files {
namespace {

using testing::HasSubstr;

std::string fault_of(const std::string& bytes, const ReadLimits& limits = {}) {
  const Result<ModelFile> file = parse_onnx_model(bytes, "m.onnx", limits);
  if (file) return "was read";
  EXPECT_EQ(file.error().code, ErrorCode::parse_error);
  EXPECT_THAT(file.error().message, testing::StartsWith("m.onnx: at byte "));
  return file.error().message;
}
std::string fault_of_tensor(const std::string& tensor) {
  return fault_of(onnx_model(onnx_graph({tensor})));
}

TEST(OnnxModel, InitializersOfGraphAndBodiesAreRead) {
  const std::string bytes = small_onnx();
  const Result<ModelFile> file = parse_onnx_model(bytes, "m.onnx");
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->tensors.size(), 3U);
  EXPECT_EQ(file->tensors[0].name, "#1/w");
  EXPECT_EQ(file->tensors[0].type, ElementType::f16);
  EXPECT_EQ(file->tensors[1].name, "w");
  EXPECT_THAT(file->tensors[1].shape, testing::ElementsAre(4, 2));
  EXPECT_EQ(file->weight_bytes(), Bytes(30 + 32 + 16));
}

TEST(OnnxModel, PackedDimensionsAndTypedDataAreUnderstood) {
  ProtoWriter tensor;
  tensor.bytes(1, "\2\3").number(2, 1).bytes(8, "t").bytes(4, std::string(24, '\0'));
  const auto file = parse_onnx_model(onnx_model(onnx_graph({tensor.text()})), "m.onnx");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->weight_bytes(), Bytes(24));
}

TEST(OnnxModel, WhatIsWrongIsNamedWithItsByteAndRemedy) {
  EXPECT_THAT(fault_of(""), HasSubstr("it has no graph"));
  EXPECT_THAT(fault_of("GGUF"), HasSubstr("not an ONNX model"));
  EXPECT_THAT(fault_of(std::string(20, '\xff')), HasSubstr("more than ten bytes"));
  EXPECT_THAT(fault_of_tensor(onnx_tensor("t", 1, {2}, 9)),
              HasSubstr("'t' has 9 bytes of data, but its type and shape take 8"));
  EXPECT_THAT(fault_of_tensor(onnx_tensor("t", 99, {2}, 8)), HasSubstr("the data type 99"));
  EXPECT_THAT(fault_of_tensor(onnx_tensor("t", 1, {1ULL << 62, 8}, 8)), HasSubstr("2^59"));
  EXPECT_THAT(fault_of_tensor(onnx_tensor("t", 1, {UINT64_MAX}, 8)), HasSubstr("negative"));
  EXPECT_THAT(fault_of_tensor(ProtoWriter().number(1, 1ULL << 40).number(2, 1).text()),
              HasSubstr("less data than its shape"));
  EXPECT_THAT(
      fault_of(onnx_model(onnx_graph({onnx_tensor("t", 1, {2}, 8), onnx_tensor("t", 1, {2}, 8)}))),
      HasSubstr("'t' is given twice"));
  std::string deep;
  for (int i = 0; i < 40; ++i) deep = onnx_graph({}, onnx_node(deep));
  EXPECT_THAT(fault_of(onnx_model(deep)), HasSubstr("nested more than 32 deep"));
  std::string cut = small_onnx();
  cut.pop_back();
  EXPECT_THAT(fault_of(cut), HasSubstr("more than what it is a part of"));
  EXPECT_THAT(fault_of(small_onnx(), {.tensors = 2}), HasSubstr("more than 2 tensors"));
}

TEST(OnnxModel, ExternalDataMustBeThereAndLongEnough) {
  const ScratchFolder folder;
  const auto with = [&](const std::string& tensor) {
    return read_onnx_model(folder.write("m.onnx", onnx_model(onnx_graph({tensor}))));
  };
  folder.write("m.data", std::string(64, '\0'));
  const auto fine = with(onnx_external("t", {8}, "m.data", "32", "32"));
  ASSERT_TRUE(fine) << fine.error().message;
  EXPECT_EQ(fine->weight_bytes(), Bytes(32));
  EXPECT_EQ(fine->tensors[0].part, 1U);
  EXPECT_EQ(fine->parts[1].size, Bytes(64));
  EXPECT_EQ(fine->parts[1].path, folder.at("m.data"));
  const auto fault = [&](const std::string& tensor) {
    const auto file = with(tensor);
    return file ? std::string("was read") : file.error().message;
  };
  EXPECT_THAT(fault(onnx_external("t", {8}, "m.data", "33", "32")),
              HasSubstr("m.data: at byte 33: the tensor 't' takes 32 bytes, but the file ends"));
  EXPECT_THAT(fault(onnx_external("t", {8}, "m.data", "18446744073709551615", "32")),
              HasSubstr("but the file ends"));
  EXPECT_THAT(fault(onnx_external("t", {8}, "m.data", "0", "31")), HasSubstr("said to have 31"));
  EXPECT_THAT(fault(onnx_external("t", {8}, "m.data", "-1", "32")), HasSubstr("a whole number"));
  EXPECT_THAT(fault(onnx_external("t", {8}, "none", "0", "32")),
              HasSubstr("there is no such file"));
  for (const char* outside : {"../m.data", "/etc/passwd", "a/../../b", ""}) {
    EXPECT_THAT(fault(onnx_external("t", {8}, outside, "0", "32")),
                HasSubstr("a file below the model's folder is needed"));
  }
}

}  // namespace
}  // namespace mais::files
