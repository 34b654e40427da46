// A machine for tests of the shell: 1 GiB that leases come from, and beside it a device that runs
// one small decoder. A clock that a test turns by hand.
#pragma once

#include <atomic>
#include <stdexcept>
#include <utility>

#include "mais/scheduler.hpp"

namespace mais {

inline constexpr SpaceId kPool{0};
inline constexpr ModelId kModel{0};
inline constexpr InstanceId kInstance{0};

inline Config small_machine() {
  Config config;
  config.machine.spaces = {{.name = "pool", .capacity = 1_GiB}, {.name = "gpu", .capacity = 1_GiB}};
  config.machine.devices = {{.name = "gpu", .space = SpaceId(1), .compute = FlopsPerSecond{1e12}}};
  config.machine.spaces[1].bandwidth = BytesPerSecond{1e11};
  config.models = {{.name = "decoder",
                    .weights = 16_MiB,
                    .state = {{.name = "kv", .per_token = 1_KiB / 1_tok}},
                    .cost = {.flops_per_token = 1e6, .weights_read = 16_MiB}}};
  config.instances = {{.name = "decoder", .model = kModel, .device = DeviceId(0), .state = 64_MiB}};
  config.tenants = {{.name = "a"}, {.name = "b"}};
  return config;
}

inline Scheduler make_scheduler(Config config = small_machine(), SchedulerOptions options = {}) {
  auto scheduler = Scheduler::create(std::move(config), std::move(options));
  if (!scheduler) throw std::runtime_error(scheduler.error().message);
  return std::move(*scheduler);
}

class ManualClock {
 public:
  Time now() const { return Time(Duration(nanoseconds_.load())); }
  void advance(Duration by) { nanoseconds_ += by.count(); }
  SchedulerOptions options() {
    return {.clock = [this] { return now(); }};
  }

 private:
  std::atomic<Duration::rep> nanoseconds_{0};
};

}  // namespace mais
