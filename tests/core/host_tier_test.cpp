// Prefix blocks go to host memory and come back: told by a small world, step by step.
#include <gtest/gtest.h>

#include "core/planner_host.hpp"
#include "mais/core/audit.hpp"
#include "mais/core/ledger.hpp"

namespace mais::core {
namespace {

using namespace mais::literals;

// A pool of 8 blocks and a tier of 16, one page each; computing a block takes 4 ms, moving it 16
// us.
Config world() {
  Config config;
  config.machine = {.name = "small",
                    .spaces = {{.name = "gpu", .capacity = 128_B},
                               {.name = "host", .kind = SpaceKind::host, .capacity = 256_B}},
                    .devices = {{.name = "gpu", .space = SpaceId(0), .compute = {1e9}}},
                    .links = {{.from = SpaceId(0), .to = SpaceId(1), .bandwidth = {1e6}},
                              {.from = SpaceId(1), .to = SpaceId(0), .bandwidth = {1e6}}}};
  config.models = {{.name = "decoder",
                    .state = {{.name = "kv", .per_token = 4_B / 1_tok}},
                    .cost = {.flops_per_token = 1e6, .overhead = 100us}}};
  config.instances = {{.name = "decoder",
                       .model = ModelId(0),
                       .device = DeviceId(0),
                       .state = 128_B,
                       .block = TokensPerBlock(4),
                       .host_tier = SpaceId(1),
                       .host_state = 256_B}};
  config.prefix_block = 4_tok;
  return config;
}

class HostTierTest : public testing::Test {
 protected:
  // Runs a prompt of so many blocks, named by `first`, `first` + 1, ..., to its only token.
  // Returns how many tokens were computed for it.
  std::int64_t serve(std::uint64_t first, std::int64_t blocks) {
    Request request{.model = ModelId(0), .prompt = Tokens(4 * blocks + 1), .max_new = 1_tok};
    for (std::int64_t i = 0; i < blocks; ++i) {
      request.prefix.push_back(first + static_cast<std::uint64_t>(i));
    }
    out_.clear();
    host_.submitted(planner_.submit(now_, request, out_), request, out_);
    std::int64_t computed = 0;
    for (int turn = 0; turn < 100 && !host_.live().empty(); ++turn) {
      out_.clear();
      const bool has_step = planner_.next_step(now_, InstanceId(0), out_, step_);
      host_.heard(out_);
      if (!has_step) {
        EXPECT_TRUE(out_.wake_at.has_value()) << "it would wait for ever";
        if (!out_.wake_at) break;
        now_ = *out_.wake_at;
        continue;
      }
      host_.begin(step_);
      std::int64_t inward = 0;
      for (const StateMove& move : step_.moves) {
        ++(move.kind == StateMove::Kind::out ? moved_out_ : moved_in_);
        if (move.kind == StateMove::Kind::in) arrival_ = now_ + page_in_ * ++inward;
      }
      for (const StepEntry& entry : step_.entries) {
        computed += entry.tokens.count();
        EXPECT_TRUE(entry.context == 0_tok || now_ >= arrival_) << "runs before its state is back";
      }
      EXPECT_EQ(audit(planner_.view(), planner_.config()), std::vector<std::string>{});
      now_ += step_.predicted;
      out_.clear();
      planner_.report(now_, host_.done(InstanceId(0)), out_);
      host_.heard(out_);
      EXPECT_EQ(audit(planner_.view(), planner_.config()), std::vector<std::string>{});
    }
    EXPECT_EQ(host_.breaches(), std::vector<std::string>{});
    return computed;
  }

  Config config_ = world();
  Planner planner_ = planner_of(config_);
  Host host_{config_};
  Time now_{};
  Time arrival_{};
  Duration page_in_ = 16us;  // no copy is faster
  Actions out_;
  Step step_;
  std::int64_t moved_out_ = 0, moved_in_ = 0;
};

TEST_F(HostTierTest, ABlockThatThePoolDroppedComesBackInsteadOfBeingComputedAgain) {
  EXPECT_EQ(serve(100, 4), 17);
  EXPECT_EQ(serve(200, 7), 29);  // takes the whole pool
  EXPECT_GT(moved_out_, 0);
  EXPECT_EQ(moved_in_, 0);
  EXPECT_LT(serve(100, 4), 17);
  EXPECT_GT(moved_in_, 0);
}

TEST_F(HostTierTest, WhatTheTierHoldsIsChargedToItsSpaceAndReturnsWithTheInstance) {
  serve(100, 4);
  serve(200, 1);
  const auto charged = [&] { return planner_.ledger().used(planner_.ledger().root(SpaceId(1))); };
  EXPECT_EQ(charged(), 64_B);
  EXPECT_EQ(planner_.load(InstanceId(0)).host_used, charged());
  out_.clear();
  planner_.instance_lost(now_, InstanceId(0), out_);
  EXPECT_EQ(charged(), 0_B);
  EXPECT_EQ(audit(planner_.view(), planner_.config()), std::vector<std::string>{});
}

TEST_F(HostTierTest, ATierStaysWithinItsBytesWhateverPassesThroughIt) {
  for (std::uint64_t i = 0; i < 20; ++i) serve(100 * (i + 1), 4);
  EXPECT_GT(moved_out_, 16);
  EXPECT_LE(planner_.load(InstanceId(0)).host_used, 256_B);
}

TEST_F(HostTierTest, CopiesThatAreMeasuredToBeSlowerThanComputingAreNotMade) {
  const auto measured = [&](StateMove::Kind kind, std::int64_t pages, Duration took) {
    planner_.moves_measured(now_, InstanceId(0), kind, pages, took, out_);
  };
  serve(100, 4);
  serve(200, 7);  // takes the whole pool
  // A page takes 16 us as configured, and a block 4 ms to compute. One report may be wrong.
  measured(StateMove::Kind::in, 1, 10s);
  measured(StateMove::Kind::out, 1000, 10s);  // the other way is another link
  measured(StateMove::Kind::in, 0, 10s);
  measured(StateMove::Kind::in, 10, Duration(0));
  EXPECT_LT(serve(100, 4), 17);
  EXPECT_GT(moved_in_, 0);

  serve(300, 7);
  for (int i = 0; i < 20; ++i) measured(StateMove::Kind::in, 100, 2s);  // 20 ms a page
  moved_in_ = 0;
  EXPECT_EQ(serve(100, 4), 17);
  EXPECT_EQ(moved_in_, 0);

  serve(400, 7);
  for (int i = 0; i < 20; ++i) measured(StateMove::Kind::in, 100, 1ms);
  page_in_ = 10us;
  EXPECT_LT(serve(100, 4), 17);
  EXPECT_GT(moved_in_, 0);
}

// A request that is late runs; one that can be in time needs its memory. Returns how many tokens
// were computed for the late one until both had ended.
class SwapTest : public HostTierTest {
 protected:
  std::int64_t computed_for_the_late_one(bool swap, std::vector<BlockHash> prefix = {}) {
    config_.policy.swap = swap;
    planner_ = planner_of(config_);
    const RequestId late = submit({.model = ModelId(0),
                                   .prompt = 17_tok,
                                   .max_new = 6_tok,
                                   .deadlines = {.ttft = 18ms},
                                   .prefix = std::move(prefix)});
    now_ += 10ms;  // too late for it
    std::int64_t computed = 0;
    for (int i = 0; i < 3; ++i) computed += step_of(late);
    submit({.model = ModelId(0), .prompt = 28_tok, .max_new = 2_tok, .deadlines = {.ttft = 1s}});
    for (int turn = 0; turn < 200 && !host_.live().empty(); ++turn) computed += step_of(late);
    EXPECT_TRUE(host_.live().empty());
    EXPECT_EQ(host_.breaches(), std::vector<std::string>{});
    return computed;
  }

 private:
  RequestId submit(const Request& request) {
    out_.clear();
    const RequestId id = planner_.submit(now_, request, out_);
    host_.submitted(id, request, out_);
    return id;
  }
  std::int64_t step_of(RequestId id) {
    out_.clear();
    const bool has_step = planner_.next_step(now_, InstanceId(0), out_, step_);
    host_.heard(out_);
    for (const Action& action : out_.list) preempted_ += action.kind == ActionKind::preempted;
    if (!has_step) {
      EXPECT_TRUE(out_.wake_at.has_value()) << "it would wait for ever";
      now_ = out_.wake_at.value_or(now_ + 1ms);
      return 0;
    }
    host_.begin(step_);
    std::int64_t computed = 0;
    for (const StepEntry& entry : step_.entries) {
      if (entry.request == id) computed += entry.tokens.count();
    }
    for (const StateMove& move : step_.moves) {
      ++(move.kind == StateMove::Kind::out ? moved_out_ : moved_in_);
    }
    now_ += step_.predicted;
    out_.clear();
    planner_.report(now_, host_.done(InstanceId(0)), out_);
    host_.heard(out_);
    EXPECT_EQ(audit(planner_.view(), planner_.config()), std::vector<std::string>{});
    return computed;
  }

 protected:
  int preempted_ = 0;
};

TEST_F(SwapTest, APreemptedSequenceComesBackByCopyingInsteadOfComputing) {
  EXPECT_LT(computed_for_the_late_one(true), 17 + 6 + 8);
  EXPECT_EQ(preempted_, 1);
  EXPECT_GE(moved_out_, 4);
  EXPECT_GE(moved_in_, 4);
  // Four blocks of its prompt and what it had generated, in whole blocks.
  EXPECT_GE(planner_.load(InstanceId(0)).swapped_tokens, 16U);
  EXPECT_LE(planner_.load(InstanceId(0)).swapped_tokens, 23U);
}

TEST_F(SwapTest, WithoutSwappingAllIsComputedAgain) {
  EXPECT_GE(computed_for_the_late_one(false), 2 * 17);
  EXPECT_EQ(preempted_, 1);
  EXPECT_EQ(moved_in_, 0);
  EXPECT_EQ(planner_.load(InstanceId(0)).swapped_tokens, 0U);
}

TEST_F(SwapTest, ALinkThatIsSlowerThanComputingIsNotUsed) {
  for (Link& link : config_.machine.links) link.bandwidth = {1e3};  // 16 ms a page, 4 ms to compute
  EXPECT_GE(computed_for_the_late_one(true), 2 * 17);
  EXPECT_EQ(moved_in_, 0);
}

TEST_F(SwapTest, WithoutSharedPrefixesSwappingWorksAlike) {
  config_.prefix_block = 0_tok;
  config_.instances[0].block = TokensPerBlock(1);  // a swapped block is 16 pages
  EXPECT_LT(computed_for_the_late_one(true), 17 + 6 + 8);
  EXPECT_GE(moved_in_, 16);
}

TEST_F(SwapTest, WhatNobodyElseCanUseLeavesNothingBehind) {
  computed_for_the_late_one(true);
  // The blocks of the late one are named by nobody: they are the first to go.
  EXPECT_EQ(planner_.load(InstanceId(0)).state_used, 0_B);
  const Bytes before = planner_.load(InstanceId(0)).host_used;
  for (std::uint64_t i = 0; i < 8; ++i) serve(100 * (i + 1), 4);
  EXPECT_LE(planner_.load(InstanceId(0)).host_used, 256_B);
  EXPECT_LE(before, 256_B);
}

}  // namespace
}  // namespace mais::core
