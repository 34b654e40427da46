#include <random>
#include <string>

#include <gmock/gmock.h>

#include "mais/files/operator_graph_csv.hpp"
#include "mais/files/operator_graph_json.hpp"
#include "mais/graph/order.hpp"
#include "operator_graph_fuzz.hpp"

namespace mais::files {
namespace {

using namespace mais::literals;
using testing::ElementsAre;
using testing::HasSubstr;

#ifdef MAIS_LONG_TESTS
constexpr int kMutations = 200'000;
#else
constexpr int kMutations = 4'000;
#endif

TEST(BuffersCsv, ColumnsComeInAnyOrder) {
  const BufferTable table =
      parse_buffers_csv("size,id,upper,note,lower\r\n 64 ,a,9,x,-3\n\n1,b,2,,0").value();
  EXPECT_THAT(table.ids, ElementsAre("a", "b"));
  EXPECT_EQ(table.buffers[0].lower, -3);
  EXPECT_EQ(table.buffers[0].upper, 9);
  EXPECT_EQ(table.buffers[1].size, 1_B);
  EXPECT_EQ(offsets_csv(table, {{0_B, 64_B}, 65_B, 65_B}), "id,offset\na,0\nb,64\n");
}

TEST(BuffersCsv, FaultsNameFileAndLine) {
  const auto message = [](std::string_view text) {
    const Result<BufferTable> table = parse_buffers_csv(text, "t.csv");
    return table ? std::string() : table.error().message;
  };
  const std::string header = "id,lower,upper,size\n";
  EXPECT_THAT(message(""), HasSubstr("t.csv:1: the file is empty"));
  EXPECT_THAT(message("id,lower,size\n"), HasSubstr("no column 'upper'"));
  EXPECT_THAT(message(header + "a,0,1"), HasSubstr("t.csv:2: there are 3 fields"));
  EXPECT_THAT(message(header + "a,0,1,x"), HasSubstr("size is 'x'"));
  EXPECT_THAT(message(header + "a,0,1,99999999999999999999"), HasSubstr("64 bits"));
  EXPECT_THAT(message(header + "a,0,1,1\na,1,2,1"), HasSubstr("t.csv:3: id 'a' is there twice"));
  EXPECT_THAT(message(header + "a,1,1,1"), HasSubstr("lower must be below upper"));
  EXPECT_THAT(message(header + "a,0,1,-1"), HasSubstr("size is -1"));
}

constexpr const char* kGraph = R"({
  "spaces": [{"name": "gpu", "alignment": 64}],
  "bounds": {"N": 8, "T": {"most": 100, "buckets": [64, 128]}},
  "tensors": [{"name": "x", "size": 256}, {"name": "v", "view_of": "x"},
              {"name": "h", "shape": ["N", "T"], "element": 2, "space": "gpu"},
              {"name": "y", "size": 256, "keep": true}],
  "operators": [{"name": "view", "inputs": ["x"], "outputs": ["v"]},
                {"name": "wide", "inputs": ["v"], "outputs": ["h"], "workspace": 10},
                {"name": "out", "inputs": ["h", "x"], "outputs": ["y"], "after": ["wide"],
                 "in_place": [["x", "y"]], "seconds": 0.5}]})";

TEST(OperatorGraphJson, ReadsAGraph) {
  const graph::OperatorGraph graph = parse_operator_graph_json(kGraph).value();
  EXPECT_EQ(graph.operators().size(), 3U);
  EXPECT_EQ(graph.storages().size(), 3U);
  EXPECT_EQ(graph.storages()[1].size, Bytes(8 * 128 * 2));
  EXPECT_EQ(graph.operators()[2].time, 500ms);
  EXPECT_EQ(graph::plan_order(graph).peak, Bytes(256 + 2048 + 64));
}

TEST(OperatorGraphJson, FaultsNameThePath) {
  const auto message = [](std::string_view text) {
    const auto graph = parse_operator_graph_json(text, "g.json");
    return graph ? std::string() : graph.error().message;
  };
  EXPECT_THAT(message("{"), HasSubstr("g.json: this is not JSON"));
  EXPECT_THAT(message(R"({"tensors": [9E923]})"), HasSubstr("a number in it is out of range"));
  EXPECT_THAT(message("[]"), HasSubstr("an object is needed"));
  EXPECT_THAT(message(R"({"tensor": []})"), HasSubstr("unknown field 'tensor'"));
  EXPECT_THAT(message(R"({"tensors": [{"size": 1}]})"), HasSubstr("tensors[0]"));
  EXPECT_THAT(message(R"({"tensors": [{"name": "x"}]})"), HasSubstr("has no size"));
  EXPECT_THAT(message(R"({"tensors": [{"name": "x", "size": 1.5}]})"),
              HasSubstr("tensors[0].size"));
  EXPECT_THAT(message(R"({"tensors": [{"name": "x", "shape": ["N"]}]})"), HasSubstr("upper bound"));
  EXPECT_THAT(message(R"({"tensors": [{"name": "x", "size": 1}, {"name": "x", "size": 1}]})"),
              HasSubstr("tensors[1].name: it is there twice"));
  EXPECT_THAT(message(R"({"operators": [{"name": "v", "inputs": ["x"]}]})"),
              HasSubstr("operators[0].inputs: nobody declared 'x'"));
  EXPECT_THAT(message(std::string(100'000, '[')), HasSubstr("nested too deeply"));
  EXPECT_THAT(message(R"({"tensors": [{"name": "x", "size": 18446744073709551615}]})"),
              HasSubstr("whole number"));
}

TEST(OperatorGraphFiles, AnyBytesGiveAGraphOrOneError) {
  const std::uint64_t seed = 41;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::string csv = "id,lower,upper,size\n0,3,9,64\n1,0,4,128\n2,4,9,1\n";
  for (int i = 0; i < kMutations; ++i) {
    for (const std::string& base : {std::string(kGraph), csv}) {
      std::string text = base;
      for (std::size_t k = 0; k < 1 + random() % 4; ++k) {
        const std::size_t at = random() % text.size();
        switch (random() % 4) {
          case 0:
            text[at] = static_cast<char>(random());
            break;
          case 1:
            text.erase(at, 1 + random() % 8);
            break;
          case 2:
            text.insert(at, text.substr(random() % text.size(), random() % 12));
            break;
          default:
            text.insert(at, "9999999999");
        }
        if (text.empty()) text = "x";
      }
      SCOPED_TRACE(text);
      fuzz_graph_files(text);
    }
  }
}

}  // namespace
}  // namespace mais::files
