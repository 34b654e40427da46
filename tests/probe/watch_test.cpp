#include "mais/probe/watch.hpp"

#include <gmock/gmock.h>

#include "mais/core/ledger.hpp"
#include "mais/core/planner.hpp"
#include "monitor_events.hpp"

namespace mais::probing {
namespace {

using namespace mais::literals;
using namespace monitor_event;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Machine machine() {
  Machine result;
  result.spaces = {{.name = "host", .kind = SpaceKind::host, .capacity = 100_GiB},
                   {.name = "gpu0", .capacity = 40_GiB},
                   {.name = "gpu1", .capacity = 40_GiB}};
  result.devices = {{.name = "gpu0", .space = SpaceId(1)}, {.name = "gpu1", .space = SpaceId(2)}};
  return result;
}

MonitorReading calm() {
  MonitorReading reading;
  reading.spaces = {SpaceReading{80_GiB, {}}, SpaceReading{40_GiB, {}}, SpaceReading{30_GiB, {}}};
  reading.devices = {DeviceReading{}, DeviceReading{}};
  reading.stalled = 0.0;
  return reading;
}

Time at(Duration since) {
  return Time(since);
}

TEST(Watch, TellsEverySpaceOnceAndThenOnlyChanges) {
  Watch watch(machine());
  const auto first = of_kind<MemoryChanged>(watch.take(at(0s), calm(), {}));
  ASSERT_THAT(first, SizeIs(3));
  EXPECT_EQ(first[0].foreign, 20_GiB);
  EXPECT_EQ(first[1].foreign, 0_B);
  EXPECT_EQ(first[2].used, 10_GiB);
  EXPECT_THAT(watch.take(at(1s), calm(), {}), IsEmpty());
  MonitorReading moved = calm();
  moved.spaces[1]->free -= 15_MiB;
  EXPECT_THAT(watch.take(at(2s), moved, {}), IsEmpty());
  moved.spaces[1]->free -= 1_MiB;
  const auto told = of_kind<MemoryChanged>(watch.take(at(3s), moved, {}));
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told[0].space, SpaceId(1));
  EXPECT_EQ(told[0].foreign, 16_MiB);
}

TEST(Watch, WhatTheLedgerGrantedIsNotForeign) {
  Watch watch(machine());
  MonitorReading reading = calm();
  reading.spaces[1] = SpaceReading{28_GiB, {}};  // 12 used
  const auto events = of_kind<MemoryChanged>(watch.take(at(0s), reading, {0_B, 10_GiB}));
  ASSERT_THAT(events, SizeIs(3));
  EXPECT_EQ(events[1].foreign, 2_GiB);
}

TEST(Watch, PressureRisesAndFallsWithHysteresis) {
  Watch watch(machine(), {.stalled_high = 0.10, .stalled_low = 0.02});
  watch.take(at(0s), calm(), {});
  MonitorReading reading = calm();
  std::vector<bool> told;
  int second = 0;
  for (const double stalled : {0.05, 0.11, 0.09, 0.11, 0.03, 0.02, 0.09, 0.30}) {
    reading.stalled = stalled;
    for (const auto& event : of_kind<PressureChanged>(watch.take(at(++second * 1s), reading, {}))) {
      EXPECT_FALSE(event.space);
      told.push_back(event.high);
    }
  }
  EXPECT_THAT(told, ElementsAre(true, false, true));
}

TEST(Watch, AStallThatTheKernelReportsIsPressureAtOnce) {
  Watch watch(machine());
  watch.take(at(0s), calm(), {});
  MonitorReading reading = calm();
  reading.stall_reported = true;
  EXPECT_THAT(of_kind<PressureChanged>(watch.take(at(1s), reading, {})), SizeIs(1));
}

TEST(Watch, ASpaceIsTightUntilEnoughOfItIsFreeAgain) {
  Watch watch(machine(), {.free_high = 0.05, .free_low = 0.10});
  watch.take(at(0s), calm(), {});
  MonitorReading reading = calm();
  std::vector<bool> told;
  int second = 0;
  for (const Bytes free : {3_GiB, 1_GiB, 3_GiB, 1_GiB, 5_GiB}) {
    reading.spaces[1]->free = free;
    for (const auto& event : of_kind<PressureChanged>(watch.take(at(++second * 1s), reading, {}))) {
      EXPECT_EQ(event.space, SpaceId(1));
      told.push_back(event.high);
    }
  }
  EXPECT_THAT(told, ElementsAre(true, false));
}

TEST(Watch, LimitsThatMoveComeAndGoAreTold) {
  Watch watch(machine());
  MonitorReading reading = calm();
  reading.limits = {{BoundKind::cgroup_max, "/a", 8_GiB}};
  EXPECT_THAT(of_kind<LimitChanged>(watch.take(at(0s), reading, {})), IsEmpty());
  reading.limits = {{BoundKind::cgroup_max, "/a", 4_GiB}, {BoundKind::cgroup_high, "/a", 3_GiB}};
  auto events = of_kind<LimitChanged>(watch.take(at(1s), reading, {}));
  ASSERT_THAT(events, SizeIs(2));
  EXPECT_EQ(events[0].before, 8_GiB);
  EXPECT_EQ(events[0].now, 4_GiB);
  EXPECT_EQ(events[1].before, std::nullopt);
  reading.limits.clear();
  events = of_kind<LimitChanged>(watch.take(at(2s), reading, {}));
  ASSERT_THAT(events, SizeIs(2));
  EXPECT_EQ(events[1].now, std::nullopt);
}

TEST(Watch, DevicesAreLostUnhealthyAndBack) {
  Watch watch(machine());
  MonitorReading reading = calm();
  watch.take(at(0s), reading, {});
  reading.devices[1] = DeviceReading{GpuHealth::lost, "off the bus"};
  reading.spaces[2].reset();
  auto events = watch.take(at(1s), reading, {});
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(to_string(events[0], watch.machine()), "gpu1 is lost: off the bus");
  EXPECT_THAT(watch.take(at(2s), reading, {}), IsEmpty());
  reading.devices[1] = DeviceReading{GpuHealth::unhealthy, "1 error"};
  events = watch.take(at(3s), reading, {});
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(to_string(events[0], watch.machine()), "gpu1 is unhealthy again: 1 error");
}

TEST(Watch, DriftIsTheResidueThatGrows) {
  Watch watch(machine(), {.drift = {.smoothing = 5s, .alarm = 1_GiB}});
  watch.take(at(0s), calm(), {0_B, 10_GiB});
  MonitorReading reading = calm();
  reading.spaces[1]->free = 28_GiB;  // another process takes 2 GiB beside the 10 granted
  std::vector<DriftChanged> told;
  for (int second = 1; second < 30; ++second) {
    for (const auto& event :
         of_kind<DriftChanged>(watch.take(at(second * 1s), reading, {0_B, 10_GiB}))) {
      told.push_back(event);
    }
  }
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told[0].space, SpaceId(1));
  EXPECT_TRUE(told[0].alarm);
  EXPECT_EQ(told[0].reading.residue, 2_GiB);
}

Config config() {
  Config result;
  result.machine = machine();
  result.models = {{.name = "m", .weights = 1_GiB, .state = {{.per_token = 1_KiB / 1_tok}}}};
  result.instances = {{.name = "a", .device = DeviceId(0), .state = 20_GiB},
                      {.name = "b", .device = DeviceId(1), .state = 20_GiB},
                      {.name = "c", .device = DeviceId(1), .state = 1_GiB}};
  return result;
}

TEST(PlannerEvents, ALostDeviceIsEveryInstanceOnIt) {
  const DeviceChanged lost{DeviceId(1), GpuHealth::lost, false, ""};
  const auto events = planner_events(lost, config());
  ASSERT_THAT(events, SizeIs(2));
  EXPECT_EQ(std::get<core::event::InstanceLost>(events[0]).instance, InstanceId(1));
  EXPECT_EQ(std::get<core::event::InstanceLost>(events[1]).instance, InstanceId(2));
  const auto back = planner_events(DeviceChanged{DeviceId(1), GpuHealth::good, true, ""}, config());
  ASSERT_THAT(back, SizeIs(2));
  EXPECT_EQ(std::get<core::event::InstanceBack>(back[1]).instance, InstanceId(2));
  EXPECT_THAT(planner_events(DeviceChanged{DeviceId(1), GpuHealth::unhealthy, false, ""}, config()),
              IsEmpty());
}

// The whole way: what others take of a GPU, the planner no longer leases out.
TEST(PlannerEvents, MeasuredMemoryIsNotLeasedOut) {
  Config leases;
  leases.machine = machine();
  auto planner = core::Planner::create(leases);
  ASSERT_TRUE(planner) << planner.error().message;
  Watch watch(leases.machine);
  MonitorReading reading = calm();
  reading.spaces[1]->free = 10_GiB;
  core::Actions actions;
  core::Step step;
  for (const MonitorEvent& event : watch.take(at(0s), reading, {})) {
    for (const core::Event& told : planner_events(event, leases)) {
      planner->handle(at(0s), told, actions, step);
    }
  }
  actions.clear();
  planner->submit(at(1s), {.space = SpaceId(1), .bytes = 20_GiB}, actions);
  for (const core::Action& action : actions.list) {
    EXPECT_NE(action.kind, core::ActionKind::granted);
  }
  actions.clear();
  planner->submit(at(1s), {.space = SpaceId(0), .bytes = 20_GiB}, actions);
  bool granted = false;
  for (const core::Action& action : actions.list) {
    granted |= action.kind == core::ActionKind::granted;
  }
  EXPECT_TRUE(granted);
}

TEST(GrantedBy, SumsTheRootsOfEachSpace) {
  core::Ledger ledger;
  const SpaceId host = ledger.add_space("host", 10_GiB), gpu = ledger.add_space("gpu", 20_GiB);
  ASSERT_TRUE(ledger.try_reserve(ledger.root(gpu), 3_GiB));
  ASSERT_TRUE(ledger.try_reserve(ledger.root(host), 1_GiB));
  EXPECT_THAT(granted_by(ledger.snapshot(), 3), ElementsAre(1_GiB, 3_GiB, 0_B));
}

}  // namespace
}  // namespace mais::probing
