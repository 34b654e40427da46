// Long random runs of a planner with many instances and tenants, with everything that can go wrong
// going wrong, audited on the way. A failure prints its seed and the event it happened at.
#include <gtest/gtest.h>

#include "core/planner_host.hpp"
#include "mais/core/audit.hpp"
#include "mais/core/ledger.hpp"

namespace mais::core {
namespace {

#ifdef MAIS_LONG_TESTS
constexpr int kEvents = 1'000'000 / 8;
constexpr int kAuditEvery = 16;
#else
constexpr int kEvents = 50'000 / 8;
constexpr int kAuditEvery = 4;
#endif

struct Variant {
  const char* name;
  Policy policy;
  bool prefixes;
};

void PrintTo(const Variant& variant, std::ostream* out) {
  *out << variant.name;
}

Model decoder(std::string name, std::vector<StateGroup> state) {
  return {.name = std::move(name),
          .weights = 100_B,
          .state = std::move(state),
          .workspace = {.fixed = 16_B, .per_token = 1_B / 1_tok, .per_sequence = 2_B},
          .cost = {.flops_per_token = 1e6, .weights_read = 100_B, .overhead = 100us}};
}

// Two GPUs: a decoder on both with pools of different sizes, one with a sliding window, a recurrent
// one, a hybrid, and an encoder. The second GPU's instances lend each other what is not guaranteed.
Config world(const Variant& variant) {
  Config config;
  config.machine = {.name = "two",
                    .spaces = {{.name = "gpu0", .capacity = 2000_B, .bandwidth = {1e6}},
                               {.name = "gpu1", .capacity = 1900_B, .bandwidth = {1e6}},
                               {.name = "host", .kind = SpaceKind::host, .capacity = 1000_B}},
                    .devices = {{.name = "gpu0", .space = SpaceId(0), .compute = {1e9}},
                                {.name = "gpu1", .space = SpaceId(1), .compute = {1e9}}},
                    .links = {}};
  Model encoder{.name = "encoder",
                .batching = Batching::request,
                .weights = 50_B,
                .workspace = {.fixed = 10_B, .per_token = 1_B / 1_tok},
                .cost = {.flops_per_token = 1e6, .overhead = 50us},
                .shape_buckets = {8_tok, 16_tok, 32_tok}};
  config.models = {
      decoder("full", {{.name = "kv", .per_token = 4_B / 1_tok}}),
      decoder("window", {{.name = "kv", .per_token = 2_B / 1_tok},
                         {.name = "near", .per_token = 2_B / 1_tok, .window = 6_tok}}),
      decoder("recurrent", {{.name = "state", .fixed = 40_B}}),
      decoder("hybrid", {{.name = "kv", .per_token = 2_B / 1_tok}, {.name = "s", .fixed = 20_B}}),
      encoder,
  };
  config.instances = {
      {.name = "full-0",
       .model = ModelId(0),
       .device = DeviceId(0),
       .state = 640_B,
       .workspace = 100_B,
       .block = TokensPerBlock(4)},
      {.name = "full-1",
       .model = ModelId(0),
       .device = DeviceId(1),
       .state = 480_B,
       .guaranteed_state = 240_B,
       .workspace = 80_B,
       .block = TokensPerBlock(4),
       .max_sequences = 6},
      {.name = "window-0",
       .model = ModelId(1),
       .device = DeviceId(0),
       .state = 300_B,
       .workspace = 60_B,
       .block = TokensPerBlock(2),
       .max_step_tokens = 24_tok},
      {.name = "recurrent-1",
       .model = ModelId(2),
       .device = DeviceId(1),
       .state = 200_B,
       .guaranteed_state = 80_B,
       .workspace = 60_B},
      {.name = "hybrid-1",
       .model = ModelId(3),
       .device = DeviceId(1),
       .state = 400_B,
       .guaranteed_state = 200_B,
       .workspace = 60_B,
       .block = TokensPerBlock(4)},
      {.name = "encoder-0",
       .model = ModelId(4),
       .device = DeviceId(0),
       .workspace = 150_B,
       .max_sequences = 5},
  };
  config.tenants = {{.name = "gold", .weight = 3, .guarantee = 80_B},
                    {.name = "silver", .limit = 280_B},
                    {.name = "free", .limit = 400_B, .max_queued = 12}};
  config.queue.max_queued = 30;
  config.queue.classes[0].deadlines = {.ttft = 50ms, .tpot = 3ms};
  config.queue.classes[1].deadlines = {.ttft = 500ms, .tpot = 10ms};
  config.queue.classes[1].patience = 2s;
  config.policy = variant.policy;
  config.policy.token_budget = 24_tok;
  if (variant.prefixes) {
    config.prefix_block = 4_tok;
    for (const std::uint32_t i : {0U, 1U}) {
      config.instances[i].host_tier = SpaceId(2);
      config.instances[i].host_state = 320_B;
      config.machine.links.push_back({.from = SpaceId(i), .to = SpaceId(2), .bandwidth = {1e6}});
      config.machine.links.push_back({.from = SpaceId(2), .to = SpaceId(i), .bandwidth = {1e6}});
    }
  }
  return config;
}

class Trial {
 public:
  Trial(const Variant& variant, std::uint64_t seed)
      : config_(world(variant)),
        planner_(planner_of(config_)),
        host_(config_),
        random_(seed),
        lost_(config_.instances.size(), false) {}

  // True while everything is right.
  bool events(int count) {
    for (int i = 0; i < count; ++i) {
      now_ += Duration(random_.below(400'000));
      if (random_.one_in(500)) now_ += Duration(random_.below(3'000'000'000));
      event();
      if (!right(i % kAuditEvery == 0)) {
        ADD_FAILURE() << "at event " << i << ", a " << what_;
        return false;
      }
    }
    return true;
  }

  // Everything is given back and made whole again; what still waits is served to its end.
  bool drain() {
    for (std::uint32_t i = 0; i < config_.instances.size(); ++i) {
      call("instance back", [&] { planner_.instance_back(now_, InstanceId(i), out_); });
      lost_[i] = false;
    }
    for (std::uint32_t s = 0; s < config_.machine.spaces.size(); ++s) {
      call("memory back", [&] { planner_.memory_measured(now_, SpaceId(s), 0_B, out_); });
    }
    for (std::uint32_t t = 0; t < config_.tenants.size(); ++t) {
      call("tenant restored", [&] {
        planner_.tenant_limit_changed(now_, TenantId(t), config_.tenants[t].limit, out_);
      });
    }
    for (std::uint32_t i = 0; i < config_.instances.size(); ++i) {
      call("limit restored",
           [&] { planner_.limit_changed(now_, InstanceId(i), config_.instances[i].state, out_); });
    }
    for (int round = 0; round < 20'000 && !host_.live().empty(); ++round) {
      now_ += 200us;
      for (auto next = host_.live().begin(); next != host_.live().end();) {
        const auto [id, live] = *next++;
        if (live.leased)
          call("give back", [&, lease = id] { planner_.give_back(now_, lease, out_); });
      }
      bool idle = true;
      for (std::uint32_t i = 0; i < config_.instances.size(); ++i) {
        if (host_.busy(InstanceId(i))) done(InstanceId(i));
        step(InstanceId(i));
        idle = idle && !host_.busy(InstanceId(i));
      }
      if (idle && wake_at_) now_ = std::max(now_, *wake_at_);
      if (!right(round % kAuditEvery == 0)) return false;
    }
    const PlannerView view = planner_.view();
    for (const RequestView& left : view.requests) {
      ADD_FAILURE() << "request " << static_cast<std::uint64_t>(left.request)
                    << " never ended: phase " << static_cast<int>(left.phase) << ", "
                    << (left.instance ? config_.instances[left.instance->value()].name : "a lease")
                    << ", tenant " << left.tenant.value() << ", " << left.prompt.count() << " + "
                    << left.generated.count() << " of " << left.max_new.count() << " tokens, "
                    << left.blocks.size() << " pages";
    }
    if (!view.requests.empty()) ADD_FAILURE() << to_string(view.ledger);
    EXPECT_EQ(view.submitted, view.finished + view.refused + view.expired + view.cancelled);
    EXPECT_EQ(view.requests.size(), 0U);
    EXPECT_EQ(view.submitted, submitted_);
    EXPECT_EQ(view.finished, host_.count(ActionKind::finished));
    EXPECT_EQ(view.refused, host_.count(ActionKind::refused));
    EXPECT_EQ(view.expired, host_.count(ActionKind::expired));
    EXPECT_EQ(view.cancelled, host_.count(ActionKind::cancelled));
    for (std::uint32_t i = 0; i < view.instances.size(); ++i) {
      const InstanceView& instance = view.instances[i];
      EXPECT_EQ(instance.free_pages.size() + instance.cached.size(), instance.pages);
      for (const CachedBlockView& cached : instance.cached) EXPECT_EQ(cached.users, 0U);
      EXPECT_FALSE(instance.lost) << config_.instances[i].name;
    }
    Bytes used, weights, cached;
    for (std::uint32_t s = 0; s < config_.machine.spaces.size(); ++s) {
      used += planner_.ledger().used(planner_.ledger().root(SpaceId(s)));
    }
    for (std::uint32_t i = 0; i < config_.instances.size(); ++i) {
      weights += config_.models[config_.instances[i].model.value()].weights;
      const InstanceView& instance = view.instances[i];
      cached += instance.page_bytes *
                static_cast<std::int64_t>(instance.cached.size() + instance.host_cached.size());
    }
    EXPECT_EQ(used.count(), (weights + cached).count());
    return right(true) && !::testing::Test::HasFailure();
  }

  const Host& host() const { return host_; }

 private:
  template <class Call>
  void call(const char* what, Call&& made) {
    what_ = what;
    out_.clear();
    made();
    host_.heard(out_);
  }

  bool right(bool whole) {
    for (const std::string& breach : host_.breaches()) ADD_FAILURE() << breach;
    if (whole) {
      for (const std::string& fault : audit(planner_.view(), config_)) ADD_FAILURE() << fault;
    }
    return !::testing::Test::HasFailure();
  }

  InstanceId any_instance() {
    return InstanceId(static_cast<std::uint32_t>(
        random_.below(static_cast<std::int64_t>(config_.instances.size()))));
  }
  std::optional<RequestId> any_live() {
    if (host_.live().empty()) return std::nullopt;
    auto at = host_.live().begin();
    std::advance(at, random_.below(static_cast<std::int64_t>(host_.live().size())));
    return at->first;
  }

  void event() {
    const std::int64_t dice = random_.below(1000);
    if (dice < 300) {
      submit();
    } else if (dice < 880) {
      const InstanceId instance = any_instance();
      if (host_.busy(instance)) {
        report(instance);
      } else if (!lost_[instance.value()]) {
        step(instance);
      }
    } else if (dice < 910) {
      if (const auto id = any_live()) {
        call("cancel", [&] { planner_.cancel(now_, *id, out_); });
      }
    } else if (dice < 950) {
      const auto id = any_live();
      if (id && host_.live().at(*id).leased) {
        call("give back", [&] { planner_.give_back(now_, *id, out_); });
      }
    } else {
      fault();
    }
  }

  void fault() {
    const std::int64_t dice = random_.below(100);
    if (dice < 15) {
      call("tick", [&] { planner_.tick(now_, out_); });
    } else if (dice < 20) {
      const InstanceId instance = any_instance();
      const auto kind = random_.one_in(2) ? StateMove::Kind::out : StateMove::Kind::in;
      const std::int64_t pages = random_.below(100);
      const Duration took = std::chrono::microseconds(random_.below(100'000));
      call("moves measured",
           [&] { planner_.moves_measured(now_, instance, kind, pages, took, out_); });
    } else if (dice < 50) {
      const InstanceId instance = any_instance();
      const Bytes state = config_.instances[instance.value()].state;
      const Bytes limit = random_.one_in(2) ? state : Bytes(random_.between(0, state.count()));
      call("limit changed", [&] { planner_.limit_changed(now_, instance, limit, out_); });
    } else if (dice < 70) {
      const TenantId tenant(static_cast<std::uint32_t>(random_.below(3)));
      std::optional<Bytes> limit = config_.tenants[tenant.value()].limit;
      if (!random_.one_in(3)) limit = Bytes(random_.between(0, 400));
      call("tenant limit changed",
           [&] { planner_.tenant_limit_changed(now_, tenant, limit, out_); });
    } else if (dice < 85) {
      const SpaceId space(static_cast<std::uint32_t>(random_.below(3)));
      const Bytes foreign(random_.one_in(2) ? 0 : random_.below(1500));
      call("memory measured", [&] { planner_.memory_measured(now_, space, foreign, out_); });
    } else if (dice < 90) {
      const InstanceId instance = any_instance();
      host_.lost(instance);
      lost_[instance.value()] = true;
      call("instance lost", [&] { planner_.instance_lost(now_, instance, out_); });
    } else {
      for (std::uint32_t i = 0; i < lost_.size(); ++i) {
        if (!lost_[i]) continue;
        lost_[i] = false;
        call("instance back", [&] { planner_.instance_back(now_, InstanceId(i), out_); });
      }
    }
  }

  void submit() {
    Request request{.tenant = TenantId(static_cast<std::uint32_t>(random_.below(3))),
                    .service_class = kAllServiceClasses[static_cast<std::size_t>(random_.below(3))],
                    .tag = random_.next()};
    if (random_.one_in(8)) {
      request.space = SpaceId(static_cast<std::uint32_t>(random_.below(3)));
      request.bytes = Bytes(random_.between(1, random_.one_in(10) ? 3000 : 200));
    } else {
      request.model = ModelId(static_cast<std::uint32_t>(random_.below(5)));
      request.prompt = Tokens(random_.between(1, random_.one_in(12) ? 120 : 30));
      request.max_new = Tokens(random_.between(1, random_.one_in(12) ? 150 : 24));
      // A few families of prompts, each a walk down its own tree.
      std::uint64_t hash = static_cast<std::uint64_t>(random_.below(4)) + 1;
      for (std::int64_t end = 4; end <= request.prompt.count() && !random_.one_in(8); end += 4) {
        hash = Random(hash * 4 + static_cast<std::uint64_t>(random_.one_in(6))).next();
        request.prefix.push_back(hash);
      }
    }
    if (random_.one_in(4)) request.give_up = Duration(random_.below(40'000'000));
    if (random_.one_in(10)) request.deadlines.ttft = Duration(random_.below(60'000'000));
    if (random_.one_in(10)) request.deadlines.completion = Duration(random_.below(60'000'000));
    if (random_.one_in(50)) request.tenant = TenantId(7);
    if (random_.one_in(50)) request.model = ModelId(9);
    if (random_.one_in(50)) request.prompt = 0_tok;
    if (random_.one_in(50)) request.max_new = Tokens::max();
    what_ = "submit";
    out_.clear();
    ++submitted_;
    const RequestId id = planner_.submit(now_, request, out_);
    host_.submitted(id, request, out_);
  }

  void step(InstanceId instance) {
    what_ = "next step";
    out_.clear();
    const bool planned = planner_.next_step(now_, instance, out_, step_);
    host_.heard(out_);
    wake_at_ = out_.wake_at;
    if (planned) host_.begin(step_);
  }

  void report(InstanceId instance) {
    if (!random_.one_in(15)) return done(instance);
    std::optional<Bytes> missing;
    if (random_.one_in(2)) missing = Bytes(random_.below(100));
    const StepReport failed = host_.failed(instance, missing);
    call("failed step", [&] { planner_.report(now_, failed, out_); });
  }
  void done(InstanceId instance) {
    const StepReport report = host_.done(instance, &random_);
    call("report", [&] { planner_.report(now_, report, out_); });
  }

  Config config_;
  Planner planner_;
  Host host_;
  Random random_;
  std::vector<bool> lost_;
  Time now_{};
  Actions out_;
  Step step_;
  std::optional<Time> wake_at_;
  std::uint64_t submitted_ = 0;
  std::string what_;
};

class RandomRuns : public ::testing::TestWithParam<Variant> {};

TEST_P(RandomRuns, EveryRequestEndsOnceAndEveryByteReturns) {
  const char* asked = std::getenv("MAIS_SEED");
  const std::uint64_t first = asked != nullptr ? std::strtoull(asked, nullptr, 10) : 1;
  constexpr int kRuns = 5;
  for (std::uint64_t seed = first; seed < first + (asked != nullptr ? 1 : kRuns); ++seed) {
    SCOPED_TRACE("MAIS_SEED=" + std::to_string(seed));
    std::cout << "seed " << seed << '\n';
    Trial run(GetParam(), seed);
    if (!run.events(kEvents / kRuns) || !run.drain()) return;
    EXPECT_GT(run.host().count(ActionKind::finished), 50U);
    EXPECT_GT(run.host().count(ActionKind::granted), 10U);
    if (HasFailure()) return;
  }
}

// Requests are overdue soon, so that much goes before its turn.
Policy impatient() {
  Policy policy = Policy::projected();
  policy.overdue_after = 1.5;
  policy.overdue_share = 0.6;
  return policy;
}

Policy refusing() {
  Policy policy = Policy::projected();
  policy.refuse_hopeless = true;
  return policy;
}

INSTANTIATE_TEST_SUITE_P(
    Policies, RandomRuns,
    ::testing::Values(
        Variant{"no_evict", Policy::no_evict(), false},
        Variant{"no_evict_prefixes", Policy::no_evict(), true},
        Variant{"optimistic", Policy::optimistic(), false},
        Variant{"optimistic_prefixes", Policy::optimistic(), true},
        Variant{"projected", Policy::projected(), false},
        Variant{"projected_prefixes", Policy::projected(), true},
        Variant{"deadline", Policy{.order = OrderPolicy::deadline, .refuse_hopeless = false}, true},
        Variant{"shortest", Policy{.order = OrderPolicy::shortest}, false},
        Variant{"impatient", impatient(), false}, Variant{"impatient_prefixes", impatient(), true},
        Variant{"refusing", refusing(), true}),
    [](const auto& variant) { return std::string(variant.param.name); });

}  // namespace
}  // namespace mais::core
