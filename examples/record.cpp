// A small server that writes down what its scheduler does: record FILE [seconds]
//
// Four threads of two tenants send requests to a made-up decoder; a worker runs its steps and waits
// as long as they are predicted to take; beside it, jobs take leases. Look at the journal with
// `replay --journal FILE`.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "mais/journal.hpp"
#include "mais/scheduler.hpp"

using namespace mais::literals;

namespace {

mais::Config machine() {
  mais::Config config;
  config.machine = {
      .name = "made-up GPU",
      .spaces = {{.name = "gpu0", .capacity = 4_GiB, .bandwidth = mais::BytesPerSecond{200e9}}},
      .devices = {{.name = "gpu0", .compute = mais::FlopsPerSecond{20e12}}},
      .links = {}};
  config.models = {{.name = "decoder",
                    .weights = 1_GiB,
                    .state = {{.name = "kv", .per_token = 64_KiB / 1_tok}},
                    .cost = {.flops_per_token = 2e9, .weights_read = 1_GiB, .overhead = 1ms}}};
  config.instances = {{.name = "decoder", .state = 1_GiB}};
  config.tenants = {{.name = "chat", .weight = 2}, {.name = "search"}};
  return config;
}

void send_requests(mais::Scheduler& scheduler, std::uint32_t number, const std::stop_token& stop) {
  std::minstd_rand random(number + 1);
  const auto upto = [&](std::uint32_t most) {
    return static_cast<std::int64_t>(1 + random() % most);
  };
  while (!stop.stop_requested()) {
    scheduler.submit({.model = mais::ModelId(0),
                      .tenant = mais::TenantId(number % 2),
                      .prompt = mais::Tokens(upto(2000)),
                      .max_new = mais::Tokens(upto(200)),
                      .deadlines = {.ttft = 500ms, .tpot = 50ms},
                      .give_up = 2s},
                     {});
    const auto lease = scheduler.acquire({.tenant = mais::TenantId(number % 2),
                                          .space = mais::SpaceId(0),
                                          .bytes = 1_MiB * upto(1500)},
                                         stop, scheduler.now() + 100ms);
    std::this_thread::sleep_for(std::chrono::milliseconds(upto(300)));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) return std::fputs("usage: record FILE [seconds]\n", stderr), 2;
  const double seconds = argc == 3 ? std::atof(argv[2]) : 2;
  auto journal = mais::Journal::create(argv[1], {.replace = true});
  if (!journal) return std::fprintf(stderr, "record: %s\n", journal.error().message.c_str()), 1;
  auto scheduler = mais::Scheduler::create(machine(), {.observers = {*journal}});
  if (!scheduler) return std::fprintf(stderr, "record: %s\n", scheduler.error().message.c_str()), 1;
  {
    std::jthread worker([&](const std::stop_token& stop) {
      mais::core::Step step;
      while (scheduler->next_step(mais::InstanceId(0), step, stop)) {
        std::this_thread::sleep_for(step.predicted);  // here the engine runs
        scheduler->report({.step = step.id, .took = step.predicted});
      }
    });
    std::vector<std::jthread> clients;
    for (std::uint32_t i = 0; i < 4; ++i) {
      clients.emplace_back(
          [&, i](const std::stop_token& stop) { send_requests(*scheduler, i, stop); });
    }
    std::this_thread::sleep_for(mais::from_seconds(seconds));
    for (auto& client : clients) client.request_stop();
    clients.clear();
    scheduler->drain({}, scheduler->now() + 5s);  // lets the rest end
    scheduler->shutdown();
  }
  if (const auto closed = (*journal)->close(); !closed) {
    return std::fprintf(stderr, "record: %s\n", closed.error().message.c_str()), 1;
  }
  const auto status = (*journal)->status();
  std::printf("%s: %llu observations, %llu bytes\n", argv[1],
              static_cast<unsigned long long>(status.records),
              static_cast<unsigned long long>(status.bytes));
}
