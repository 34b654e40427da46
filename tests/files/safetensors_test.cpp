#include "mais/files/safetensors.hpp"

#include <gmock/gmock.h>

#include "safetensors_writer.hpp"
#include "scratch_folder.hpp"

namespace mais::files {
namespace {

using testing::HasSubstr;

std::string fault_of(const std::string& bytes, const ReadLimits& limits = {}) {
  const Result<ModelFile> file = parse_safetensors(bytes, "m.safetensors", limits);
  if (file) return "was read";
  EXPECT_EQ(file.error().code, ErrorCode::parse_error);
  EXPECT_THAT(file.error().message, testing::StartsWith("m.safetensors: at byte "));
  return file.error().message;
}
std::string fault_of_header(const std::string& text) {
  return fault_of(SafetensorsWriter::with_length(text));
}

TEST(Safetensors, TensorsAndMetadataAreRead) {
  const SafetensorsWriter writer = small_safetensors();
  const Result<ModelFile> file = parse_safetensors(writer.bytes(), "m.safetensors");
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->tensors.size(), 5U);
  EXPECT_EQ(file->weight_bytes().count(), 4096 + 8192 + 8192 + 256 + 4);
  EXPECT_EQ(file->tensors[2].type, ElementType::f8_e4m3);
  EXPECT_THAT(file->tensors[2].shape, testing::ElementsAre(128, 64));
  EXPECT_EQ(file->tensors[2].offset, writer.header().size() + 4096 + 8192);
  EXPECT_EQ(file->tensors[4].elements(), 1);
  EXPECT_EQ(file->text("format"), "pt");
}

TEST(Safetensors, TypesBelowAByteArePacked) {
  SafetensorsWriter writer;
  writer.tensor("a", "F4", {3, 10}, 15).tensor("b", "F6_E2M3", {4}, 3).tensor("c", "BOOL", {3}, 3);
  const Result<ModelFile> file = parse_safetensors(writer.bytes(), "m.safetensors");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->weight_bytes(), Bytes(21));
}

TEST(Safetensors, WhatIsWrongIsNamedWithItsByteAndRemedy) {
  EXPECT_THAT(fault_of("1234"), HasSubstr("the length of the header takes 8 bytes"));
  EXPECT_THAT(fault_of(std::string(8, '\x7f')), HasSubstr("at most 100000000 are allowed"));
  EXPECT_THAT(fault_of(std::string("\x40\0\0\0\0\0\0\0{}", 10)), HasSubstr("it is cut short"));
  EXPECT_THAT(fault_of_header("{\"a\":"), HasSubstr("not JSON"));
  EXPECT_THAT(fault_of_header("[]"), HasSubstr("an object, not a list"));
  EXPECT_THAT(fault_of_header("{\"a\":{\"dtype\":\"F99\"}}"),
              HasSubstr("at byte 26: the tensor 'a' has the dtype 'F99'"));
  EXPECT_THAT(fault_of_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}"),
              HasSubstr("'a' lacks a field; a tensor has \"dtype\""));
  EXPECT_THAT(fault_of_header("{\"a\":{\"colour\":1}}"), HasSubstr("a field 'colour'"));
  EXPECT_THAT(fault_of_header("{\"a\":{\"shape\":[-1]}}"), HasSubstr("negative"));
  EXPECT_THAT(fault_of_header("{\"a\":{\"shape\":[1.5]}}"), HasSubstr("not whole"));
  EXPECT_THAT(fault_of_header("{\"a\":{\"shape\":{}}}"), HasSubstr("an object where it must not"));
  EXPECT_THAT(fault_of_header("{\"__metadata__\":{\"a\":1}}"), HasSubstr("only texts may be"));
  EXPECT_THAT(
      fault_of(SafetensorsWriter().tensor("a", "F32", {2}, 8).tensor("a", "F32", {2}, 8).bytes()),
      HasSubstr("'a' is given twice"));
  EXPECT_THAT(fault_of(SafetensorsWriter().tensor("a", "F32", {2}, 9).bytes()),
              HasSubstr("dtype and shape take 8 bytes"));
  EXPECT_THAT(fault_of(SafetensorsWriter().data(4).tensor("a", "F32", {2}, 8).bytes()),
              HasSubstr("nothing says what lies here"));
  EXPECT_THAT(fault_of(SafetensorsWriter().tensor("a", "F32", {2}, 8).bytes() + "x"),
              HasSubstr("the file goes on"));
  std::string cut = SafetensorsWriter().tensor("a", "F32", {2}, 8).bytes();
  cut.pop_back();
  EXPECT_THAT(fault_of(cut), HasSubstr("it is cut short"));
}

TEST(Safetensors, AbsurdHeadersAreRefused) {
  EXPECT_THAT(fault_of_header(std::string(100'000, '[')), HasSubstr("not a list"));
  EXPECT_THAT(fault_of_header("{\"a\":{\"shape\":" + std::string(100'000, '[')),
              HasSubstr("a list where it must not be"));
  EXPECT_THAT(fault_of_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],"
                              "\"data_offsets\":[0,0]}}"),
              HasSubstr("2^59 elements"));
  EXPECT_THAT(fault_of_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[0],"
                              "\"data_offsets\":[0,9223372036854775807]}}"),
              HasSubstr("take 0 bytes"));
  EXPECT_THAT(fault_of(small_safetensors().bytes(), {.tensors = 3}),
              HasSubstr("more than 3 tensors"));
}

std::string index(const std::string& map) {
  return "{\"metadata\":{\"total_size\":16},\"weight_map\":{" + map + "}}";
}

TEST(SafetensorsShards, AreJoinedByTheirIndex) {
  const ScratchFolder folder;
  folder.write("a.safetensors", SafetensorsWriter().tensor("x", "F32", {2}, 8).bytes());
  folder.write(
      "b.safetensors",
      SafetensorsWriter().tensor("y", "F16", {4}, 8).tensor("unused", "U8", {1}, 1).bytes());
  const std::string path = folder.write("model.safetensors.index.json",
                                        index("\"x\":\"a.safetensors\",\"y\":\"b.safetensors\""));
  const Result<ModelFile> file = read_safetensors(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->weight_bytes(), Bytes(16));
  ASSERT_EQ(file->tensors.size(), 2U);
  EXPECT_EQ(file->tensors[1].part, 1U);
  EXPECT_EQ(file->parts[1].path, folder.at("b.safetensors"));
}

TEST(SafetensorsShards, AnIndexThatDoesNotMatchIsRefused) {
  const ScratchFolder folder;
  folder.write("a.safetensors", SafetensorsWriter().tensor("x", "F32", {2}, 8).bytes());
  const auto fault = [&](const std::string& text) {
    const Result<ModelFile> file =
        read_safetensors(folder.write("model.safetensors.index.json", text));
    return file ? std::string("was read") : file.error().message;
  };
  EXPECT_THAT(fault(index("\"z\":\"a.safetensors\"")), HasSubstr("'z' is not in 'a.safetensors'"));
  EXPECT_THAT(fault(index("\"x\":\"c.safetensors\"")),
              HasSubstr("c.safetensors: there is no such"));
  for (const char* outside : {"../a.safetensors", "/etc/passwd", "", ".hidden"}) {
    EXPECT_THAT(fault(index("\"x\":\"" + std::string(outside) + "\"")),
                HasSubstr("is not the name of a file beside the index"));
  }
  EXPECT_THAT(fault(index("\"x\":5")), HasSubstr("'x' without the name of a file"));
  EXPECT_THAT(fault("{}"), HasSubstr("no \"weight_map\""));
  EXPECT_THAT(fault("[]"), HasSubstr("an object, not a list"));
  EXPECT_THAT(fault(index("\"x\":\"a.safetensors\",\"x\":\"a.safetensors\"")),
              HasSubstr("given twice"));
  EXPECT_THAT(fault(std::string(100'000, '[')), HasSubstr("not a list"));
}

TEST(ModelFiles, WhatIsNoFileIsRefused) {
  const ScratchFolder folder;
  const auto code = [](const Result<ModelFile>& file) { return file.error().code; };
  EXPECT_EQ(code(read_safetensors(folder.at("none.safetensors"))), ErrorCode::not_found);
  EXPECT_EQ(code(read_safetensors("/dev/zero")), ErrorCode::io_error);
  EXPECT_EQ(code(read_safetensors(folder.at(""))), ErrorCode::io_error);
}

}  // namespace
}  // namespace mais::files
