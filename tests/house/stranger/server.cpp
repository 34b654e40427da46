// A stranger's program. It links the library, and is written carelessly on purpose: with our
// warnings it would not compile.
#include <cstdio>

#include "mais/config.hpp"
#include "mais/scheduler.hpp"

using namespace mais::literals;

int main() {
  mais::Config config;
  config.machine.spaces = {{.name = "gpu0", .capacity = 1_GiB}};
  auto scheduler = mais::Scheduler::create(config);
  if (!scheduler) return 1;

  int granted = 0;
  for (int i = 0; i < 3; ++i) {
    const auto lease = scheduler->acquire({.space = mais::SpaceId(0), .bytes = 700_MiB});
    granted += lease.has_value();
    for (int i = 0; i < 1; ++i) std::puts("one at a time");  // -Wshadow
  }
  return granted == 3 ? 0 : 1;
}
