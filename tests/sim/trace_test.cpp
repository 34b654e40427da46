#include "mais/sim/trace.hpp"

#include <cstdio>
#include <fstream>

#include <gmock/gmock.h>

namespace mais::sim {
namespace {

using namespace mais::literals;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kHeader = "arrived_at,num_prefill_tokens,num_decode_tokens\n";

std::string azure_error(std::string_view rows, std::string_view header = kHeader) {
  const auto trace = parse_azure(std::string(header) + std::string(rows), "t.csv");
  return trace ? "read" : trace.error().message;
}
std::string mooncake_error(std::string_view text) {
  const auto trace = parse_mooncake(text, "t.jsonl");
  return trace ? "read" : trace.error().message;
}

TEST(AzureTrace, ReadsArrivalsAndLengths) {
  const auto trace = parse_azure(std::string(kHeader) + "0.0,374,44\n4.314579,396,109\n", "t.csv");
  ASSERT_TRUE(trace) << trace.error().message;
  ASSERT_EQ(trace->requests.size(), 2u);
  EXPECT_EQ(trace->requests[1].arrival, 4314579us);
  EXPECT_EQ(trace->requests[1].prompt, 396_tok);
  EXPECT_EQ(trace->requests[1].output, 109_tok);
  EXPECT_EQ(trace->prefix_block, 0_tok);
  EXPECT_FALSE(trace->synthetic);
}

TEST(AzureTrace, ColumnsAreFoundByNameAndLineEndsMayDiffer) {
  const auto trace = parse_azure(
      "id,num_decode_tokens,arrived_at,num_prefill_tokens\r\n7,3,1.5e0,20\r\n\r\n8,0,2,30",
      "t.csv");
  ASSERT_TRUE(trace) << trace.error().message;
  ASSERT_EQ(trace->requests.size(), 2u);
  EXPECT_EQ(trace->requests[0].arrival, 1500ms);
  EXPECT_EQ(trace->requests[0].prompt, 20_tok);
  EXPECT_EQ(trace->requests[0].output, 3_tok);
  EXPECT_EQ(trace->requests[1].output, 1_tok) << "a complete prompt gives a token in any case";
}

TEST(AzureTrace, EveryBadLineIsNamedWithWhatIsWrong) {
  EXPECT_EQ(azure_error("0,1\n"), "t.csv:2: has 2 fields where the first line names 3");
  EXPECT_EQ(azure_error("0,1,1\n1,2,3,4\n"), "t.csv:3: has 4 fields where the first line names 3");
  EXPECT_EQ(azure_error("0,-4,1\n"),
            "t.csv:2: num_prefill_tokens is '-4', not between 1 and 100000000");
  EXPECT_EQ(azure_error("0,0,1\n"),
            "t.csv:2: num_prefill_tokens is '0', not between 1 and 100000000");
  EXPECT_EQ(azure_error("0,1,99999999999\n"),
            "t.csv:2: num_decode_tokens is '99999999999', not between 0 and 100000000");
  EXPECT_EQ(
      azure_error("0,1,999999999999999999999999\n"),
      "t.csv:2: num_decode_tokens is '999999999999999999999999', not a whole number of tokens");
  EXPECT_EQ(azure_error("0,1.5,1\n"),
            "t.csv:2: num_prefill_tokens is '1.5', not a whole number of "
            "tokens");
  EXPECT_EQ(azure_error("0,,1\n"),
            "t.csv:2: num_prefill_tokens is '', not a whole number of tokens");
  EXPECT_EQ(azure_error("-1,1,1\n"), "t.csv:2: arrived_at is '-1', before the start of the trace");
  EXPECT_EQ(azure_error("nan,1,1\n"), "t.csv:2: arrived_at is 'nan', not a number of seconds");
  EXPECT_EQ(azure_error("inf,1,1\n"), "t.csv:2: arrived_at is 'inf', not a number of seconds");
  EXPECT_EQ(azure_error("1e300,1,1\n"), "t.csv:2: arrived_at is '1e300', beyond ten years");
  EXPECT_EQ(azure_error("0x10,1,1\n"), "t.csv:2: arrived_at is '0x10', not a number of seconds");
  EXPECT_EQ(azure_error("5,1,1\n4,1,1\n"),
            "t.csv:3: arrived_at is '4', before the line above; sort the file by arrival");
  EXPECT_EQ(azure_error(""), "t.csv:1: there is no request in the file");
}

TEST(AzureTrace, WrongColumnsAreNamed) {
  EXPECT_THAT(azure_error("1,2\n", "arrived_at,num_prefill_tokens\n"),
              StartsWith("t.csv:1: there is no column num_decode_tokens; an Azure trace starts"));
  EXPECT_THAT(azure_error("", "arrived_at,arrived_at,num_prefill_tokens\n"),
              HasSubstr("t.csv:1: the column arrived_at stands there twice"));
  EXPECT_EQ(azure_error("", ""), "t.csv:1: the file is empty");
}

TEST(MooncakeTrace, ReadsLengthsAndWholePrefixBlocks) {
  const auto trace = parse_mooncake(
      R"({"timestamp": 0, "input_length": 1100, "output_length": 5, "hash_ids": [0, 1, 2]}
{"hash_ids": [0,1,9], "extra": {"a": [1, "x\"]"], "b": null}, "timestamp": 2997, "output_length": 1, "input_length": 1536}
)",
      "t.jsonl");
  ASSERT_TRUE(trace) << trace.error().message;
  ASSERT_EQ(trace->requests.size(), 2u);
  EXPECT_EQ(trace->prefix_block, 512_tok);
  EXPECT_EQ(trace->requests[1].arrival, 2997ms);
  EXPECT_EQ(trace->requests[0].prefix_count, 2u) << "the third block is not whole";
  EXPECT_EQ(trace->requests[1].prefix_count, 3u);
}

TEST(MooncakeTrace, EqualHashesMeanEqualPrefixes) {
  const auto trace = parse_mooncake(
      R"({"timestamp": 0, "input_length": 1024, "output_length": 1, "hash_ids": [1, 2]}
{"timestamp": 0, "input_length": 1024, "output_length": 1, "hash_ids": [1, 3]}
{"timestamp": 0, "input_length": 1024, "output_length": 1, "hash_ids": [3, 2]}
{"timestamp": 0, "input_length": 1024, "output_length": 1, "hash_ids": [2, 1]})",
      "t.jsonl");
  ASSERT_TRUE(trace);
  const auto hash = [&](std::size_t request, std::size_t block) {
    return trace->prefix_of(trace->requests[request])[block];
  };
  EXPECT_EQ(hash(0, 0), hash(1, 0));
  EXPECT_NE(hash(0, 1), hash(1, 1));
  EXPECT_NE(hash(0, 1), hash(2, 1)) << "the same block behind another prefix";
  EXPECT_NE(hash(0, 0), hash(3, 1)) << "the same block at another place";
}

TEST(MooncakeTrace, EveryBadLineIsNamedWithWhatIsWrong) {
  const std::string good =
      R"({"timestamp": 10, "input_length": 6, "output_length": 5, "hash_ids": [0]})";
  EXPECT_EQ(mooncake_error(good), "read");
  for (std::size_t cut = 1; cut < good.size(); ++cut) {
    EXPECT_THAT(mooncake_error(good + "\n" + good.substr(0, cut)), StartsWith("t.jsonl:2: "))
        << cut;
  }
  EXPECT_EQ(mooncake_error(good + "\n" + good.substr(0, 30)),
            "t.jsonl:2: ends too early: the line is cut off");
  EXPECT_EQ(mooncake_error(good + good),
            "t.jsonl:1: goes on after its object with '{\"timestamp\": 10, \"input_length\": 6, "
            "\"ou...'");
  const auto with = [&](std::string_view old, std::string_view replacement) {
    std::string text = good;
    return mooncake_error(text.replace(text.find(old), old.size(), replacement));
  };
  EXPECT_EQ(with("10", "-1"), "t.jsonl:1: timestamp is negative");
  EXPECT_THAT(with("10", "NaN"), HasSubstr("expected a number of milliseconds for timestamp"));
  EXPECT_EQ(with("10", "1e200"), "t.jsonl:1: timestamp is beyond ten years");
  EXPECT_EQ(with("6", "0"), "t.jsonl:1: input_length is 0, not between 1 and 100000000");
  EXPECT_EQ(with("6", "-6"), "t.jsonl:1: input_length is -6, not between 1 and 100000000");
  EXPECT_THAT(with("6", "6.5"), HasSubstr("input_length is not a whole number at '6.5"));
  EXPECT_THAT(with("6", "\"6\""), HasSubstr("input_length is not a whole number"));
  EXPECT_THAT(with("[0]", "[-1]"), HasSubstr("expected a hash id of 0 or more at '-1]}'"));
  EXPECT_EQ(with("[0]", "[0, 1]"),
            "t.jsonl:1: has 2 hash_ids, but its tokens fill only 1 blocks of 512");
  EXPECT_EQ(with("\"input_length\"", "\"length\""), "t.jsonl:1: has no input_length");
  EXPECT_EQ(with("\"input_length\"", "\"timestamp\""), "t.jsonl:1: gives timestamp twice");
  EXPECT_THAT(with("{", "["), HasSubstr("is not a JSON object"));
  EXPECT_EQ(
      mooncake_error(good + "\n" +
                     R"({"timestamp": 9, "input_length": 6, "output_length": 5, "hash_ids": []})"),
      "t.jsonl:2: timestamp is before the line above; sort the file by arrival");
  EXPECT_EQ(mooncake_error(""), "t.jsonl:1: there is no request in the file");
}

TEST(Trace, AMissingFileIsOneClearError) {
  const auto missing = read_trace("no/such/trace.csv");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  EXPECT_EQ(missing.error().message, "no/such/trace.csv: cannot be opened; is the path right?");
  EXPECT_FALSE(read_trace("/"));
}

TEST(Trace, TheFormatIsToldByNameOrContent) {
  const std::string path = ::testing::TempDir() + "mais_trace_without_a_name";
  std::ofstream(path)
      << R"({"timestamp": 0, "input_length": 6, "output_length": 5, "hash_ids": [0]})";
  const auto trace = read_trace(path);
  EXPECT_TRUE(trace) << trace.error().message;
  EXPECT_EQ(trace->name, "mais_trace_without_a_name");
  EXPECT_FALSE(read_trace(path, TraceFormat::azure));
  std::remove(path.c_str());
}

TEST(Trace, SpreadTicksSpreadsEvenlyUntilTheNextTick) {
  Trace trace;
  for (const Duration at : {0s, 0s, 0s, 3s, 6s, 6s}) {
    trace.requests.push_back({.arrival = at, .prompt = 1_tok, .output = 1_tok});
  }
  std::vector<Duration> arrivals;
  for (const TraceRequest& r : spread_ticks(trace).requests) arrivals.push_back(r.arrival);
  EXPECT_THAT(arrivals, ::testing::ElementsAre(0s, 1s, 2s, 3s, 6s, 7500ms));
}

TEST(Trace, RequestsLongerThanThePoolAreLeftOutAndCounted) {
  Trace trace;
  trace.requests = {{.prompt = 90_tok, .output = 10_tok}, {.prompt = 91_tok, .output = 10_tok}};
  EXPECT_EQ(leave_out_longer_than(trace, 100_tok), 1u);
  EXPECT_EQ(trace.requests.size(), 1u);
  EXPECT_EQ(first_requests(trace, 0).requests.size(), 0u);
  EXPECT_EQ(first_requests(trace, 9).requests.size(), 1u);
}

#ifdef MAIS_SHARED_DATA
TEST(Trace, TheSharedTracesAreReadWhole) {
  const std::string folder = MAIS_SHARED_DATA "/traces/";
  if (!std::ifstream(folder + "azure_llm_2023_conv.csv")) GTEST_SKIP() << "no traces in " << folder;
  const auto azure = read_trace(folder + "azure_llm_2023_conv.csv");
  ASSERT_TRUE(azure) << azure.error().message;
  EXPECT_EQ(azure->requests.size(), 19'366u);
  EXPECT_NEAR(mean_rate(*azure), 5.53, 0.01);
  const auto mooncake = read_trace(folder + "mooncake_conversation.jsonl");
  ASSERT_TRUE(mooncake) << mooncake.error().message;
  EXPECT_EQ(mooncake->requests.size(), 12'031u);
}
#else
TEST(Trace, TheSharedTracesAreReadWhole) {
  GTEST_SKIP() << "MAIS_SHARED_DATA is not set";
}
#endif

}  // namespace
}  // namespace mais::sim
