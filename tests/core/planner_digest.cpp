// Runs the planner through a fixed course of pseudo-random events and prints a digest of every
// action and step. The same on every compiler and optimisation level: planner_digest.cmake
// compares.
#include <cstdio>
#include <vector>

#include "mais/core/planner.hpp"

namespace {

using namespace mais;
using namespace mais::literals;

class Digest {  // FNV-1a, 64 bit
 public:
  void add(std::uint64_t value) {
    for (int byte = 0; byte < 8; ++byte) {
      hash_ = (hash_ ^ (value >> (8 * byte) & 0xff)) * 0x100000001b3ULL;
    }
  }
  std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325ULL;
};

class Random {  // xorshift64 (Marsaglia, JSS 2003)
 public:
  std::uint64_t below(std::uint64_t bound) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ % bound;
  }

 private:
  std::uint64_t state_ = 88172645463325252ULL;
};

Config config_of(const Policy& policy) {
  Config config;
  config.machine.spaces = {{.name = "gpu0", .capacity = 24_GiB, .bandwidth = BytesPerSecond{240e9}},
                           {.name = "host", .kind = SpaceKind::host, .capacity = 64_GiB}};
  config.machine.devices = {{.name = "gpu0", .compute = FlopsPerSecond{73e12}}};
  config.machine.links = {
      {.from = SpaceId(0), .to = SpaceId(1), .bandwidth = BytesPerSecond{25e9}},
      {.from = SpaceId(1), .to = SpaceId(0), .bandwidth = BytesPerSecond{25e9}}};
  config.models = {{.name = "8b",
                    .weights = 16_GiB,
                    .state = {{.name = "kv", .per_token = 128_KiB / 1_tok}},
                    .cost = {.flops_per_token = 2 * 8.03e9,
                             .attention_flops_per_pair = 4.0 * 32 * 4096,
                             .weights_read = 16_GiB,
                             .state_read = 128_KiB / 1_tok,
                             .overhead = 1ms}}};
  config.instances = {{.name = "8b", .state = 2_GiB, .host_tier = SpaceId(1), .host_state = 8_GiB}};
  config.tenants = {{.name = "a", .weight = 3}, {.name = "b", .guarantee = 256_MiB}};
  config.policy = policy;
  config.prefix_block = 64_tok;
  return config;
}

Request random_request(Random& random) {
  Request request{.model = ModelId(0),
                  .tenant = TenantId(static_cast<std::uint32_t>(random.below(2))),
                  .service_class = static_cast<ServiceClass>(random.below(3)),
                  .prompt = Tokens(static_cast<std::int64_t>(1 + random.below(2000))),
                  .max_new = Tokens(static_cast<std::int64_t>(1 + random.below(300)))};
  if (random.below(4) != 0) {
    request.deadlines = {.ttft = std::chrono::milliseconds(500 + random.below(8000)),
                         .tpot = 150ms};
  }
  const std::uint64_t family = random.below(8);
  for (std::int64_t end = 64; end <= request.prompt.count(); end += 64) {
    request.prefix.push_back(family << 32 | static_cast<std::uint64_t>(end));
  }
  return request;
}

void run(const Policy& policy, Digest& digest) {
  auto planner = core::Planner::create(config_of(policy));
  if (!planner) std::puts(planner.error().message.c_str());
  Random random;
  core::Actions out;
  core::Step step;
  std::vector<RequestId> asked;
  Time now{};
  std::optional<core::StepReport> report;
  for (int event = 0; event < 30'000; ++event) {
    now += std::chrono::microseconds(random.below(20'000));
    const std::uint64_t what = random.below(100);
    if (what < 12) {
      asked.push_back(planner->submit(now, random_request(random), out));
    } else if (what < 13 && !asked.empty()) {
      planner->cancel(now, asked[random.below(asked.size())], out);
    } else if (what < 14) {
      planner->limit_changed(now, InstanceId(0),
                             Bytes(static_cast<std::int64_t>((1 + random.below(4)) << 29)), out);
    } else if (report) {
      if (random.below(200) == 0) report->outcome = core::StepReport::Outcome::allocation_failed;
      planner->report(now, *report, out);
      report.reset();
    } else if (planner->next_step(now, InstanceId(0), out, step)) {
      digest.add(static_cast<std::uint64_t>(step.id));
      digest.add(static_cast<std::uint64_t>(step.predicted.count()));
      report = core::StepReport{.step = step.id};
      report->took = step.predicted * static_cast<std::int64_t>(80 + random.below(41)) / 100;
      for (const core::StepEntry& entry : step.entries) {
        digest.add(static_cast<std::uint64_t>(entry.request));
        digest.add(static_cast<std::uint64_t>(entry.context.count() << 32 | entry.tokens.count()));
        if (entry.emits && random.below(60) == 0) report->finished.push_back(entry.request);
      }
      for (const std::uint32_t block : step.blocks) digest.add(block);
      for (const core::StateMove& move : step.moves) digest.add(move.block);
    }
    for (const core::Action& action : out.list) {
      digest.add(static_cast<std::uint64_t>(action.kind));
      digest.add(static_cast<std::uint64_t>(action.request));
      digest.add(static_cast<std::uint64_t>(action.bytes.count()));
      digest.add(static_cast<std::uint64_t>(action.refusal.reason));
    }
    out.clear();
  }
}

}  // namespace

int main() {
  for (const Policy& policy : {Policy::no_evict(), Policy::optimistic(), Policy::projected()}) {
    Digest digest;
    run(policy, digest);
    std::printf("%s %016llx\n", std::string(to_string(policy.memory)).c_str(),
                static_cast<unsigned long long>(digest.value()));
  }
}
