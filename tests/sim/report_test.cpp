#include "mais/sim/report.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace mais::sim {
namespace {

using namespace mais::literals;
using ::testing::HasSubstr;
using ::testing::Not;

Report sample_report() {
  Report report{.trace = "a \"trace\", </script><b>",
                .synthetic = true,
                .machine = "l4-llama3-8b",
                .requests = 10,
                .left_out = 1,
                .trace_rate = 5,
                .tpot = 150ms,
                .host_tier = {},
                .policies = {}};
  RunResult run;
  run.rate = 0.5;
  run.requests_per_second = 2.5;
  run.submitted = run.finished = 10;
  run.attainment = 0.9;
  run.good = 9;
  run.ooms = 0;
  run.preemptions = 3;
  run.computed = 1000_tok;
  run.recomputed = 7_tok;
  run.kv_mean = 0.25;
  run.kv_peak = 0.5;
  run.longest_wait = 1.75;
  run.step_us_p50 = 1.5;
  run.step_us_p99 = 4;
  run.pool = 4_GiB;
  run.course = {{.time = Time(1s), .sequences = 1_GiB, .cached = {}, .host = {}, .running = 2},
                {.time = Time(2s), .sequences = 2_GiB, .cached = {}, .host = {}, .running = 3}};
  run.ttft_over_bound = {0.1, 0.2, 1.75};
  run.ttft_seconds = {0.2, 0.3, 2.0};
  run.tpot_seconds = {0.05, 0.06};
  RunResult offline;
  offline.makespan = 20s;
  offline.makespan_ratio = 1.25;
  report.policies.push_back({.policy = "projected",
                             .run = run,
                             .offline = offline,
                             .capacity_90 = 0.96,
                             .capacity_99 = 0.0,
                             .load = {{.rate = 0.1, .requests_per_second = 0.5, .attainment = 1},
                                      {.rate = 9, .attainment = 0.89, .exact = false}}});
  report.policies.push_back({.policy = "optimistic", .run = run});
  return report;
}

TEST(Report, JsonIsAnArrayOfRunsUnderPlainNames) {
  const auto runs = nlohmann::json::parse(to_json(sample_report()));
  ASSERT_TRUE(runs.is_array());
  ASSERT_EQ(runs.size(), 2u);
  for (const char* name :
       {"trace", "machine", "policy", "rate", "capacity_90", "capacity_99", "attainment",
        "preemptions", "recomputed_tokens", "ooms", "kv_mean", "kv_peak", "prefix_hit_rate",
        "makespan_ratio", "longest_wait", "step_us_p50", "step_us_p99"}) {
    EXPECT_TRUE(runs[0].contains(name)) << name;
    EXPECT_TRUE(runs[1].contains(name)) << name;
  }
  EXPECT_EQ(runs[0]["policy"], "projected");
  EXPECT_EQ(runs[0]["synthetic"], true);
  EXPECT_EQ(runs[0]["capacity_90"], 0.96);
  EXPECT_EQ(runs[0]["capacity_99"], 0.0);
  EXPECT_EQ(runs[0]["attainment"], 0.9);
  EXPECT_EQ(runs[0]["recomputed_tokens"], 7);
  EXPECT_EQ(runs[0]["makespan_ratio"], 1.25);
  EXPECT_EQ(runs[0]["rate"], 0.5);
  EXPECT_TRUE(runs[1]["capacity_90"].is_null()) << "what was not measured is null, not 0";
  EXPECT_TRUE(runs[1]["makespan_ratio"].is_null());
  EXPECT_EQ(runs[0]["load"].size(), 1u) << "upper bounds are not attainment";
}

TEST(Report, CsvHasALineOfNamesAndOneForEachPolicy) {
  const std::string csv = to_csv(sample_report());
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 3);
  EXPECT_THAT(csv, ::testing::StartsWith("trace,synthetic,machine,"));
  EXPECT_THAT(csv, HasSubstr("\n\"a \"\"trace\"\", </script><b>\",true,l4-llama3-8b,,projected,"));
}

TEST(Report, TableLeavesOutWhatNobodyMeasured) {
  Report report = sample_report();
  EXPECT_THAT(to_table(report), HasSubstr("cap-90 r/s"));
  report.policies.erase(report.policies.begin());
  EXPECT_THAT(to_table(report), Not(HasSubstr("cap-90")));
  EXPECT_THAT(to_table(report), HasSubstr("90.0%"));
}

TEST(Report, PageNeedsNoOtherFileAndItsDataCannotCloseTheScript) {
  const std::string page = to_html(sample_report());
  EXPECT_THAT(page, HasSubstr("<title>Replay: a \"trace\", &lt;/script&gt;&lt;b&gt; on l4"));
  EXPECT_THAT(page, HasSubstr("\\u003c/script>\\u003cb>"));
  EXPECT_THAT(page, Not(HasSubstr("{{")));
  EXPECT_THAT(page, Not(HasSubstr("src=")));
  EXPECT_THAT(page, Not(HasSubstr("@import")));
  EXPECT_THAT(page, Not(HasSubstr("<link")));
  // The only address is the name of the SVG namespace.
  const auto first = page.find("http");
  EXPECT_EQ(page.substr(first, 26), "http://www.w3.org/2000/svg");
  EXPECT_EQ(page.find("http", first + 1), std::string::npos);
}

TEST(Report, AnEmptyReportIsStillAReport) {
  Report report;
  EXPECT_EQ(to_json(report), "[]\n");
  EXPECT_EQ(to_csv(report), "");
  EXPECT_THAT(to_html(report), HasSubstr("</html>"));
}

}  // namespace
}  // namespace mais::sim
