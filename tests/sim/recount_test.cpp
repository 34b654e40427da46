// The simulator's own count of pages, prefixes and moves, told by hand-written steps.
#include <gmock/gmock.h>

#include "mais/sim/simulator.hpp"

namespace mais::sim {
namespace {

using namespace mais::literals;
using ::testing::HasSubstr;

// Plays back a script: the steps in order, each with the actions that come with it.
class ScriptedSubject final : public Subject {
 public:
  struct Turn {
    core::Step step{};
    std::vector<std::uint64_t> finishes{};  // tags, told with the report
    std::vector<std::uint64_t> preempts{};  // tags, told before the step
  };
  explicit ScriptedSubject(std::vector<Turn> turns) : turns_(std::move(turns)) {}

  std::vector<Duration> took;  // as reported

  RequestId submit(Time, const Request& request, core::Actions&) override {
    return static_cast<RequestId>(request.tag);
  }
  bool next_step(Time, InstanceId, core::Actions& out, core::Step& step) override {
    if (next_ == turns_.size()) return false;
    for (const std::uint64_t tag : turns_[next_].preempts) {
      out.list.push_back(about(core::ActionKind::preempted, tag));
    }
    step = turns_[next_].step;
    return true;
  }
  void report(Time, const core::StepReport& report, core::Actions& out) override {
    took.push_back(*report.took);
    for (const std::uint64_t tag : turns_[next_].finishes) {
      out.list.push_back(about(core::ActionKind::finished, tag));
    }
    ++next_;
  }
  void tick(Time, core::Actions&) override {}
  std::optional<Time> next_timer() const override { return std::nullopt; }
  core::InstanceLoad load(InstanceId) const override { return {}; }

 private:
  static core::Action about(core::ActionKind kind, std::uint64_t tag) {
    return {.kind = kind, .request = static_cast<RequestId>(tag), .tag = tag};
  }
  std::vector<Turn> turns_;
  std::size_t next_ = 0;
};

using Turn = ScriptedSubject::Turn;

core::StepEntry entry(std::uint64_t tag, int context, int tokens, std::uint32_t first_block = 0,
                      std::uint32_t blocks = 0) {
  return {.request = static_cast<RequestId>(tag),
          .tag = tag,
          .context = Tokens(context),
          .tokens = Tokens(tokens),
          .emits = true,
          .first_block = first_block,
          .block_count = blocks};
}

// Steps take 11 ms; a page of 16 tokens is 16 KiB and takes 16.384 ms to the host and back.
Scenario box_with_host() {
  Scenario scenario{.name = "box", .config = {}, .tpot = {}};
  Config& config = scenario.config;
  config.machine.spaces = {{.name = "m", .capacity = 1_GiB, .bandwidth = {1e9}},
                           {.name = "h", .kind = SpaceKind::host, .capacity = 1_GiB}};
  config.machine.devices = {{.name = "d", .space = SpaceId(0), .compute = {1e15}}};
  config.machine.links = {{.from = SpaceId(0), .to = SpaceId(1), .bandwidth = {1e6}},
                          {.from = SpaceId(1), .to = SpaceId(0), .bandwidth = {1e6}}};
  Model model;
  model.name = "model";
  model.state.push_back({.name = "s", .per_token = BytesPerToken(1024)});
  model.cost = {.weights_read = Bytes(10'000'000), .overhead = 1ms};
  config.models.push_back(model);
  config.instances.push_back(
      {.name = "i", .state = 128_KiB, .host_tier = SpaceId(1), .host_state = 64_KiB});
  return scenario;
}

// Two requests of 32 prompt tokens; the first block of 16 is shared by both, the second is not.
Trace shared_prefix(Tokens output = 1_tok) {
  Trace trace;
  trace.prefix_block = 16_tok;
  trace.hashes = {7, 8, 7, 9};
  trace.requests = {{.prompt = 32_tok, .output = output, .first_prefix = 0, .prefix_count = 2},
                    {.prompt = 32_tok, .output = output, .first_prefix = 2, .prefix_count = 2}};
  return trace;
}

Result<RunResult> play(const Trace& trace, std::vector<Turn> turns) {
  ScriptedSubject script(std::move(turns));
  return simulate(trace, box_with_host(), script);
}

TEST(Recount, APrefixThatIsThereIsAHitAndHeldOnce) {
  const auto result =
      play(shared_prefix(),
           {{.step = {.entries = {entry(0, 0, 32, 0, 2)}, .blocks = {0, 1}}, .finishes = {0}},
            {.step = {.entries = {entry(1, 16, 16, 0, 2)}, .blocks = {0, 2}}, .finishes = {1}}});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->prefix_hits, 16_tok);
  EXPECT_DOUBLE_EQ(result->prefix_hit_rate, 0.25);
  EXPECT_EQ(result->computed, 48_tok);
  EXPECT_EQ(result->recomputed, 0_tok);
  EXPECT_DOUBLE_EQ(result->kv_peak, 2.0 / 8);
}

TEST(Recount, SharedPagesOfTwoRunningSequencesCountOnce) {
  const auto result =
      play(shared_prefix(2_tok),
           {{.step = {.entries = {entry(0, 0, 32, 0, 3)}, .blocks = {0, 1, 3}}},
            {.step = {.entries = {entry(0, 32, 1), entry(1, 16, 16, 0, 3)}, .blocks = {0, 2, 4}},
             .finishes = {0}},
            {.step = {.entries = {entry(1, 32, 1)}}, .finishes = {1}}});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_DOUBLE_EQ(result->kv_peak, 5.0 / 8);
}

TEST(Recount, AHitOnOtherTokensIsABrokenContract) {
  const auto other_block =
      play(shared_prefix(),
           {{.step = {.entries = {entry(0, 0, 32, 0, 2)}, .blocks = {0, 1}}, .finishes = {0}},
            {.step = {.entries = {entry(1, 31, 1, 0, 2)}, .blocks = {0, 1}}}});
  ASSERT_FALSE(other_block);
  EXPECT_THAT(other_block.error().message,
              HasSubstr("attends to 31 tokens, but page 1 of its table does not hold them"));
  // In the same step nothing is there yet.
  const auto too_early =
      play(shared_prefix(), {{.step = {.entries = {entry(0, 0, 32, 0, 2), entry(1, 16, 16, 2, 2)},
                                       .blocks = {0, 1, 0, 2}}}});
  ASSERT_FALSE(too_early);
  EXPECT_THAT(too_early.error().message, HasSubstr("page 0 of its table does not hold them"));
}

TEST(Recount, AStepWaitsForStateThatComesBackAndTakesOnlyItsComputing) {
  using core::StateMove;
  const auto out = StateMove::Kind::out;
  const auto in = StateMove::Kind::in;
  Trace trace;
  trace.requests = {{.prompt = 32_tok, .output = 2_tok}};
  ScriptedSubject script({{.step = {.entries = {entry(0, 0, 32, 0, 3)}, .blocks = {0, 1, 2}}},
                          {.step = {.entries = {entry(0, 32, 1, 0, 3)},
                                    .blocks = {3, 4, 5},
                                    .moves = {{.kind = out, .block = 0, .host_block = 0},
                                              {.kind = out, .block = 1, .host_block = 1},
                                              {.kind = in, .block = 3, .host_block = 0},
                                              {.kind = in, .block = 4, .host_block = 1}}},
                           .finishes = {0},
                           .preempts = {0}}});
  const auto result = simulate(trace, box_with_host(), script);
  ASSERT_TRUE(result) << result.error().message;
  // 11 ms; out 0 ... 16.384 ... 32.768 and in behind each, the last done at 49.152; 11 ms.
  EXPECT_EQ(result->makespan, 11ms + 49152us + 11ms);
  EXPECT_EQ(script.took, (std::vector<Duration>{11ms, 11ms}));
  EXPECT_EQ(result->moved_out, 32_tok);
  EXPECT_EQ(result->moved_in, 32_tok);
  EXPECT_EQ(result->recomputed, 0_tok);
  EXPECT_EQ(result->prefix_hits, 0_tok) << "its own state is no hit";
}

TEST(Recount, MovesRunBesideStepsThatDoNotNeedThem) {
  using core::StateMove;
  Trace trace;
  trace.requests = {{.prompt = 16_tok, .output = 3_tok}};
  const auto result = play(
      trace, {{.step = {.entries = {entry(0, 0, 16, 0, 2)}, .blocks = {0, 1}}},
              {.step = {.entries = {entry(0, 16, 1)},
                        .moves = {{.kind = StateMove::Kind::out, .block = 0, .host_block = 0}}}},
              {.step = {.entries = {entry(0, 17, 1)}}, .finishes = {0}}});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->makespan, 33ms);
}

TEST(Recount, AMoveBeyondTheHostTierIsABrokenContract) {
  Trace trace;
  trace.requests = {{.prompt = 16_tok, .output = 3_tok}};
  const auto result = play(
      trace,
      {{.step = {.entries = {entry(0, 0, 16, 0, 1)},
                 .blocks = {0},
                 .moves = {{.kind = core::StateMove::Kind::out, .block = 0, .host_block = 4}}}}});
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("host page 4, and one of them does not exist"));
}

}  // namespace
}  // namespace mais::sim
