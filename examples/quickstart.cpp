// A host in thirty lines: six threads of two tenants share one GPU, and never go over.
#include <cstdio>
#include <thread>
#include <vector>

#include "mais/scheduler.hpp"

using namespace mais::literals;

int main() {
  mais::Config config;
  config.machine.spaces = {{.name = "gpu0", .capacity = 1_GiB}};
  config.tenants = {{.name = "search", .weight = 3}, {.name = "chat", .limit = 512_MiB}};
  auto scheduler = mais::Scheduler::create(config);
  if (!scheduler) return std::puts(scheduler.error().message.c_str()), 1;

  std::vector<std::jthread> workers;
  for (std::uint32_t i = 0; i < 6; ++i) {
    workers.emplace_back([&scheduler, tenant = mais::TenantId(i % 2)] {
      for (int job = 0; job < 5; ++job) {
        // Waits for its turn. The bytes go back when the lease goes, at the end of the scope.
        const auto lease = scheduler->acquire(
            {.tenant = tenant, .give_up = 30s, .space = mais::SpaceId(0), .bytes = 400_MiB});
        if (!lease) return void(std::puts(mais::to_string(lease.error()).c_str()));
        std::this_thread::sleep_for(5ms);  // here the host runs its model
      }
    });
  }
  workers.clear();  // joins

  // What can never fit is refused at once, with the numbers.
  const auto huge = scheduler->try_acquire({.space = mais::SpaceId(0), .bytes = 2_GiB});
  if (!huge) std::puts(mais::to_string(huge.error()).c_str());
  std::puts(to_string(scheduler->snapshot().ledger).c_str());
}
