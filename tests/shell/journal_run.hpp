// A short life of a scheduler that watches itself, for tests of what was written down.
#pragma once

#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>

#include "mais/journal.hpp"
#include "mais/reexecution.hpp"
#include "mais/scheduler.hpp"
#include "shell/small_machine.hpp"

namespace mais {

// A machine with everything that decides: a host tier, shared prefixes, a model that batches
// requests, tenants with guarantees and limits.
inline Config eventful_machine(const Policy& policy) {
  Config config = small_machine();
  config.machine.spaces.push_back(
      {.name = "host", .kind = SpaceKind::host, .capacity = 1_GiB, .numa_node = 0});
  config.machine.links = {
      {.from = SpaceId(1), .to = SpaceId(2), .bandwidth = BytesPerSecond{2e9}, .latency = 10us},
      {.from = SpaceId(2), .to = SpaceId(1), .bandwidth = BytesPerSecond{2e9}}};
  config.instances[0].state = 1_MiB;  // of 1 KiB a token
  config.instances[0].host_tier = SpaceId(2);
  config.instances[0].host_state = 2_MiB;
  config.models.push_back({.name = "encoder",
                           .batching = Batching::request,
                           .weights = 1_MiB,
                           .workspace = {.per_token = 1_KiB / 1_tok},
                           .cost = {.flops_per_token = 1e6},
                           .shape_buckets = {64_tok, 256_tok}});
  config.instances.push_back({.name = "encoder", .model = ModelId(1), .workspace = 1_MiB});
  config.tenants = {{.name = "a", .weight = 3, .guarantee = 256_KiB},
                    {.name = "b", .limit = 700_MiB}};
  config.policy = policy;
  config.prefix_block = 16_tok;
  return config;
}

inline Request eventful_request(std::mt19937_64& random) {
  Request request{.model = ModelId(random() % 5 == 0 ? 1 : 0),
                  .tenant = TenantId(static_cast<std::uint32_t>(random() % 2)),
                  .service_class = static_cast<ServiceClass>(random() % 3),
                  .prompt = Tokens(1 + static_cast<std::int64_t>(random() % 250)),
                  .max_new = Tokens(1 + static_cast<std::int64_t>(random() % 60)),
                  .tag = random()};
  if (random() % 2 == 0) request.deadlines.ttft = std::chrono::milliseconds(random() % 400);
  if (random() % 8 == 0) request.give_up = std::chrono::microseconds(random() % 5000);
  for (std::int64_t end = 16; end <= request.prompt.count(); end += 16) {
    request.prefix.push_back(random() % 3 << 32 | static_cast<std::uint64_t>(end));
  }
  return request;
}

// One thread's part: `rounds` of whatever a host may do. The first thread runs the steps.
inline void live(Scheduler& scheduler, std::uint64_t seed, int rounds, bool works) {
  std::mt19937_64 random(seed);
  std::vector<Lease> leases;
  for (int i = 0; i < rounds; ++i) {
    const RequestId id = scheduler.submit(eventful_request(random), {});
    if (random() % 6 == 0) scheduler.cancel(id);
    const Request lease{.tenant = TenantId(static_cast<std::uint32_t>(random() % 2)),
                        .space = kPool,
                        .bytes = 1_MiB * (1 + random() % 600)};
    if (auto got = scheduler.try_acquire(lease)) leases.push_back(std::move(*got));
    scheduler.acquire_async(lease, [](const auto&) {});
    if (random() % 2 == 0) leases.clear();
    if (random() % 40 == 0) scheduler.memory_measured(kPool, 1_MiB * (random() % 300));
    if (!works) continue;
    if (random() % 60 == 0) scheduler.limit_changed(kInstance, 1_KiB * (512 + random() % 512));
    if (random() % 60 == 0) {
      scheduler.moves_measured(kInstance, core::StateMove::Kind::in,
                               static_cast<std::int64_t>(random() % 9), Duration(random() % 1000));
    }
    if (random() % 90 == 0) scheduler.instance_lost(kInstance);
    if (random() % 10 == 0) scheduler.instance_back(kInstance);
    for (std::uint32_t instance = 0; instance < 2; ++instance) {
      core::Step step;
      if (!scheduler.try_next_step(InstanceId(instance), step)) continue;
      core::StepReport report{.step = step.id};
      if (random() % 2 == 0) report.took = step.predicted * static_cast<int>(1 + random() % 3) / 2;
      if (random() % 50 == 0) report.outcome = core::StepReport::Outcome::allocation_failed;
      for (const core::StepEntry& entry : step.entries) {
        if (entry.emits && random() % 20 == 0) report.finished.push_back(entry.request);
      }
      scheduler.report(report);
    }
  }
}

inline Result<JournalReader> reader_of(std::string bytes) {
  return JournalReader::read(std::make_unique<std::istringstream>(std::move(bytes)), "memory");
}

}  // namespace mais
