#include "mais/files/gguf.hpp"

#include <gmock/gmock.h>

#include "gguf_writer.hpp"
#include "mais/files/gguf_architecture.hpp"
#include "scratch_folder.hpp"

namespace mais::files {
namespace {

using testing::HasSubstr;

std::string fault_of(const std::string& bytes, const ReadLimits& limits = {}) {
  const Result<ModelFile> file = parse_gguf(bytes, "m.gguf", limits);
  if (file) return "was read";
  EXPECT_EQ(file.error().code, ErrorCode::parse_error);
  EXPECT_THAT(file.error().message, testing::StartsWith("m.gguf: "));
  return file.error().message;
}

class Versions : public testing::TestWithParam<std::pair<std::uint32_t, bool>> {};

TEST_P(Versions, AreReadWhole) {
  const auto [version, big_endian] = GetParam();
  const GgufWriter writer = small_gguf(version, big_endian);
  const Result<ModelFile> file = parse_gguf(writer.bytes(), "m.gguf");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->architecture, "llama");
  ASSERT_EQ(file->tensors.size(), 21U);
  EXPECT_EQ(file->weight_bytes().count(),
            2176 + 2 * (2 * 256 + 2 * 2304 + 2 * 1152 + 3 * 4608) + 256 + 4096);
  EXPECT_EQ(file->file_bytes().count(), static_cast<std::int64_t>(writer.bytes().size()));
  const TensorEntry& first = file->tensors.front();
  EXPECT_EQ(first.name, "token_embd.weight");
  EXPECT_EQ(first.type, ElementType::q8_0);
  EXPECT_THAT(first.shape, testing::ElementsAre(32, 64));
  EXPECT_EQ(first.offset, writer.header().size());
  EXPECT_EQ(file->integer("llama.embedding_length"), 64);
  EXPECT_EQ(file->text("general.name"), "small");
  EXPECT_EQ(file->list_size("tokenizer.ggml.tokens"), 32);
  EXPECT_EQ(file->integer("no.such.key"), std::nullopt);
}
INSTANTIATE_TEST_SUITE_P(Gguf, Versions,
                         testing::Values(std::pair(2U, false), std::pair(3U, false),
                                         std::pair(3U, true)));

// Numbers of ggml's types with elements and bytes of a block, from ggml.h and ggml-common.h.
TEST(Gguf, EveryTypeHasTheBlocksOfGgml) {
  struct Row {
    std::uint32_t number;
    std::uint64_t elements, bytes;
  };
  const Row rows[] = {
      {0, 1, 4},      {1, 1, 2},      {2, 32, 18},   {3, 32, 20},    {6, 32, 22},    {7, 32, 24},
      {8, 32, 34},    {9, 32, 36},    {10, 256, 84}, {11, 256, 110}, {12, 256, 144}, {13, 256, 176},
      {14, 256, 210}, {15, 256, 292}, {16, 256, 66}, {17, 256, 74},  {18, 256, 98},  {19, 256, 50},
      {20, 32, 18},   {21, 256, 110}, {22, 256, 82}, {23, 256, 136}, {24, 1, 1},     {25, 1, 2},
      {26, 1, 4},     {27, 1, 8},     {28, 1, 8},    {29, 256, 56},  {30, 1, 2},     {34, 256, 54},
      {35, 256, 66},  {39, 32, 17},   {40, 64, 36},  {41, 128, 18},  {42, 64, 18}};
  for (const Row& row : rows) {
    GgufWriter writer;
    writer.tensor("t", {row.elements * 4, 3}, row.number, row.bytes * 12);
    const Result<ModelFile> file = parse_gguf(writer.bytes(), "m.gguf");
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->tensors[0].bytes.count(), static_cast<std::int64_t>(row.bytes * 12))
        << row.number;
    if (row.elements == 1) continue;
    EXPECT_THAT(fault_of(GgufWriter().tensor("t", {row.elements + 1}, row.number, 999).bytes()),
                HasSubstr("needs a multiple of " + std::to_string(row.elements)));
  }
}

TEST(Gguf, KindsOfMetadataAreTold) {
  GgufWriter writer;
  writer.i32("a", -5).u16("b", 65535).u64("c", UINT64_MAX).flag("d", true);
  writer.i32s("e", {1, -2, 3}).text("f", "text").f32("g", 2.0F).texts("h", 100'000);
  writer.entry("i", 9, writer.number(9U) + writer.number(std::uint64_t{0}));
  const Result<ModelFile> file = parse_gguf(writer.bytes(), "m.gguf");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->integer("a"), -5);
  EXPECT_EQ(file->integer("b"), 65535);
  EXPECT_EQ(file->integer("c"), std::nullopt);
  EXPECT_EQ(std::get<bool>(file->metadata.at("d")), true);
  EXPECT_THAT(std::get<std::vector<std::int64_t>>(file->metadata.at("e")),
              testing::ElementsAre(1, -2, 3));
  EXPECT_EQ(file->integer("g"), 2);
  EXPECT_EQ(file->list_size("h"), 100'000);
  EXPECT_EQ(file->list_size("i"), 0);
}

TEST(Gguf, WhatIsWrongIsNamedWithItsByteAndRemedy) {
  EXPECT_THAT(fault_of(""), HasSubstr("at byte 0: the magic number takes 4 bytes"));
  EXPECT_THAT(fault_of("GGML" + std::string(60, '\0')), HasSubstr("not with 'GGUF'"));
  EXPECT_THAT(fault_of(GgufWriter(1).bytes()), HasSubstr("version 1 of GGUF is not read"));
  EXPECT_THAT(fault_of(GgufWriter(3).i32("a", 1).i32("a", 2).bytes()), HasSubstr("'a' is given"));
  EXPECT_THAT(fault_of(GgufWriter().entry("a", 13, "").bytes()), HasSubstr("number 13"));
  EXPECT_THAT(fault_of(GgufWriter().tensor("t", {1}, 4, 4).bytes()), HasSubstr("has type 4"));
  EXPECT_THAT(fault_of(GgufWriter().tensor("t", {1}, 43, 4).bytes()), HasSubstr("has type 43"));
  EXPECT_THAT(fault_of(GgufWriter().tensor("t", {1, 1, 1, 1, 1}, 0, 4).bytes()),
              HasSubstr("has 5 dimensions"));
  EXPECT_THAT(fault_of(GgufWriter().tensor("t", {8}, 0, 32).tensor("t", {8}, 0, 32).bytes()),
              HasSubstr("'t' is given twice"));
  EXPECT_THAT(fault_of(GgufWriter().u32("general.alignment", 48).bytes()), HasSubstr("power of 2"));
  EXPECT_THAT(fault_of(GgufWriter().tensor_at("t", {8}, 0, 16).bytes()),
              HasSubstr("not a multiple of 32"));
  EXPECT_THAT(fault_of(GgufWriter().tensor("t", {8}, 0, 64).tensor_at("u", {8}, 0, 0).bytes()),
              HasSubstr("overlaps"));
  std::string cut = small_gguf().bytes();
  cut.pop_back();
  EXPECT_THAT(fault_of(cut), HasSubstr("'output.weight' takes 4096 bytes, but the file ends"));
}

TEST(Gguf, AbsurdCountsAreRefusedBeforeAnythingIsKept) {
  const std::string start = std::string("GGUF") + std::string("\3\0\0\0", 4);
  const std::string huge(8, '\x7f'), none(8, '\0');
  EXPECT_THAT(fault_of(start + huge + none), HasSubstr("tensors; at most 1000000"));
  EXPECT_THAT(fault_of(start + none + huge), HasSubstr("metadata entries; at most 65536"));
  EXPECT_THAT(fault_of(start + std::string("\xff\xff\0\0\0\0\0\0", 8) + none),
              HasSubstr("more than the rest of the header has room for"));
  GgufWriter list;
  list.entry("a", 9, list.number(4U) + huge);
  EXPECT_THAT(fault_of(list.bytes()), HasSubstr("a list says it has"));
  GgufWriter text;
  text.entry("a", 8, huge);
  EXPECT_THAT(fault_of(text.bytes()), HasSubstr("a metadata text takes"));
  GgufWriter nested;
  std::string lists;
  for (int i = 0; i < 10; ++i) lists += nested.number(9U) + nested.number(std::uint64_t{1});
  nested.entry("a", 9, lists + std::string(64, '\0'));
  EXPECT_THAT(fault_of(nested.bytes()), HasSubstr("nested more than 4 deep"));
  EXPECT_THAT(fault_of(GgufWriter().tensor_at("t", {1ULL << 62, 4}, 0, 0).bytes()),
              HasSubstr("2^59 elements"));
  EXPECT_THAT(fault_of(GgufWriter().tensor_at("t", {1ULL << 63}, 0, 0).bytes()),
              HasSubstr("below 2^63"));
  EXPECT_THAT(fault_of(GgufWriter().tensor_at("t", {8}, 0, UINT64_MAX - 31).bytes()),
              HasSubstr("but the file ends"));
  EXPECT_THAT(fault_of(small_gguf().bytes(), {.header = Bytes(1200)}),
              HasSubstr("the most that is read of a header"));
}

std::string part(int number, int parts, const std::string& tensor) {
  GgufWriter writer;
  if (number == 0) writer.text("general.architecture", "llama").i32("split.tensors.count", parts);
  writer.u16("split.no", static_cast<std::uint16_t>(number));
  writer.u16("split.count", static_cast<std::uint16_t>(parts));
  return writer.tensor(tensor, {8}, 0, 32).bytes();
}

TEST(GgufSplit, AllPartsAreFoundFromTheNameOfAny) {
  const ScratchFolder folder;
  folder.write("x-00001-of-00003.gguf", part(0, 3, "a"));
  folder.write("x-00002-of-00003.gguf", part(1, 3, "b"));
  folder.write("x-00003-of-00003.gguf", part(2, 3, "c"));
  for (const char* name : {"x-00001-of-00003.gguf", "x-00003-of-00003.gguf"}) {
    const Result<ModelFile> file = read_gguf(folder.at(name));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->parts.size(), 3U);
    ASSERT_EQ(file->tensors.size(), 3U);
    EXPECT_EQ(file->tensors[2].name, "c");
    EXPECT_EQ(file->tensors[2].part, 2U);
    EXPECT_EQ(file->architecture, "llama");
  }
}

TEST(GgufSplit, PartsThatDoNotBelongTogetherAreRefused) {
  const ScratchFolder folder;
  const auto fault = [&](const char* name) {
    const Result<ModelFile> file = read_gguf(folder.at(name));
    return file ? std::string("was read") : file.error().message;
  };
  folder.write("x-00001-of-00002.gguf", part(0, 2, "a"));
  EXPECT_THAT(fault("x-00001-of-00002.gguf"), HasSubstr("x-00002-of-00002.gguf: there is no such"));
  folder.write("x-00002-of-00002.gguf", part(1, 2, "a"));
  EXPECT_THAT(fault("x-00001-of-00002.gguf"), HasSubstr("'a' is in another part too"));
  folder.write("x-00002-of-00002.gguf", part(1, 3, "b"));
  EXPECT_THAT(fault("x-00001-of-00002.gguf"), HasSubstr("does not say that it is part 2 of 2"));
  folder.write("renamed.gguf", part(0, 2, "a"));
  EXPECT_THAT(fault("renamed.gguf"), HasSubstr("must end in '-00001-of-00002.gguf'"));
}

TEST(GgufArchitecture, ComesFromTheMetadata) {
  const Result<ModelFile> file = parse_gguf(small_gguf().bytes(), "m.gguf");
  const Result<Architecture> read = gguf_architecture(*file);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->family, "llama");
  EXPECT_EQ(read->vocabulary, 32);
  EXPECT_FALSE(read->tied);
  EXPECT_EQ(read->max_context, Tokens(2048));
  // The tensors have exactly the parameters that the architecture says.
  EXPECT_EQ(read->parameters(), file->parameters());
  const Attention& attention = *read->towers[0].layers[1].attention;
  EXPECT_EQ(attention.kv_heads, 2);
  EXPECT_EQ(attention.key_size, 16);
}

GgufWriter metadata(const std::string& family, std::uint32_t layers) {
  GgufWriter writer;
  writer.text("general.architecture", family).u32(family + ".block_count", layers);
  writer.u32(family + ".embedding_length", 64).u32(family + ".feed_forward_length", 128);
  writer.u32(family + ".attention.head_count", 4);
  return writer;
}
Result<Architecture> architecture_of(const GgufWriter& writer, bool guess = false) {
  return gguf_architecture(*parse_gguf(writer.bytes(), "m.gguf"), {.guess = guess});
}

TEST(GgufArchitecture, WindowsFollowThePatternOfTheFamily) {
  const auto windows = [](const Architecture& read) {
    std::string text;
    for (const Layer& layer : read.towers[0].layers) text += layer.attention->window ? 'w' : '.';
    return text;
  };
  const auto with = [&](const std::string& family) {
    return windows(
        *architecture_of(metadata(family, 6).u32(family + ".attention.sliding_window", 512)));
  };
  EXPECT_EQ(with("gemma2"), "w.w.w.");
  EXPECT_EQ(with("gemma3"), "wwwww.");
  EXPECT_EQ(with("cohere2"), "www.ww");
  EXPECT_EQ(with("llama"), "......");
  EXPECT_EQ(
      windows(*architecture_of(metadata("gemma3", 3)
                                   .u32("gemma3.attention.sliding_window", 512)
                                   .i32s("gemma3.attention.sliding_window_pattern", {0, 1, 0}))),
      ".w.");
}

TEST(GgufArchitecture, ExplicitKeyLengthsCount) {
  const auto read = architecture_of(metadata("qwen3", 1)
                                        .u32("qwen3.attention.key_length", 128)
                                        .u32("qwen3.attention.value_length", 96)
                                        .u32("qwen3.attention.head_count_kv", 2));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->towers[0].layers[0].attention->key_size, 128);
  EXPECT_EQ(read->towers[0].layers[0].attention->value_size, 96);
}

TEST(GgufArchitecture, HeadsMayDifferFromLayerToLayer) {
  const auto read =
      architecture_of(metadata("llama", 2).i32s("llama.attention.head_count_kv", {4, 1}));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->towers[0].layers[0].attention->kv_heads, 4);
  EXPECT_EQ(read->towers[0].layers[1].attention->kv_heads, 1);
}

TEST(GgufArchitecture, AnUnknownOneIsAnErrorAndAGuessIsMarked) {
  const GgufWriter writer = metadata("novelty", 2);
  const auto refused = architecture_of(writer);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::not_found);
  EXPECT_THAT(refused.error().message, HasSubstr("'novelty' is not known; known are bert"));
  const auto guess = architecture_of(writer, true);
  ASSERT_TRUE(guess) << guess.error().message;
  EXPECT_EQ(guess->margin, 0.25);
  EXPECT_THAT(guess->notes, testing::Contains(HasSubstr("GUESS")));
}

TEST(GgufArchitecture, WhatIsMissingOrAbsurdIsNamed) {
  const auto fault = [](const GgufWriter& writer) {
    const auto read = architecture_of(writer);
    return read ? std::string("was read") : read.error().message;
  };
  EXPECT_THAT(fault(GgufWriter().text("general.architecture", "llama")),
              HasSubstr("llama.block_count is missing"));
  EXPECT_THAT(fault(GgufWriter().u32("a", 1)), HasSubstr("general.architecture is missing"));
  EXPECT_THAT(fault(metadata("llama", 4'000'000'000U)), HasSubstr("is 4000000000; a whole number"));
  EXPECT_THAT(fault(metadata("llama", 2).i32s("llama.attention.head_count_kv", {1})),
              HasSubstr("has 1 entries; one for each of the 2 layers"));
}

}  // namespace
}  // namespace mais::files
