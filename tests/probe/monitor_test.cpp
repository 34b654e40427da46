#include "mais/probe/monitor.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>

#include "mais/probe/probe.hpp"
#include "monitor_events.hpp"
#include "recorded_machine.hpp"

namespace mais::probing {
namespace {

using namespace mais::literals;
using namespace monitor_event;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

#ifdef MAIS_LONG_TESTS
constexpr int kSteps = 100'000;
#else
constexpr int kSteps = 2'000;
#endif

const char* const kLimit = "/sys/fs/cgroup/kubepods/pod1/memory.max";
const char* const kUse = "/sys/fs/cgroup/kubepods/pod1/memory.current";

// A recorded machine below a root of its own, where a test can change its files.
class Box {
 public:
  explicit Box(const std::string& record) {
    unpack(load_record(record), root);
    ProbeOptions options;
    options.root = root.path();
    options.cuda_library.reset();
    options.nvml_library.reset();
    auto seen = inspect(options);
    EXPECT_TRUE(seen) << seen.error().message;
    report = *std::move(seen);
    watcher.sampler.root = root.path();
    watcher.sampler.nvml_library.reset();
  }
  TemporaryFolder root;
  MachineReport report;
  WatcherOptions watcher;
};

TEST(Watcher, AFreshMachineIsAllFree) {
  Box box("host/cgroup_v2.record");
  Watcher watcher(box.report, box.watcher);
  const SpaceId host(0);
  EXPECT_FALSE(watcher.latest(host).known);
  const auto events = of_kind<MemoryChanged>(watcher.step(Time(1s)));
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0].foreign, 0_B);
  const SpaceSample sample = watcher.latest(host);
  EXPECT_TRUE(sample.known);
  EXPECT_EQ(sample.at, Time(1s));
  EXPECT_EQ(sample.free, 3_GiB);
  EXPECT_THAT(watcher.step(Time(2s)), IsEmpty());
}

TEST(Watcher, AContainerThatShrinksIsToldWithItsLimit) {
  Box box("host/cgroup_v2.record");
  Watcher watcher(box.report, box.watcher);
  watcher.step(Time(0s));
  box.root.write(kLimit, "7516192768\n");  // 7 GiB: one less
  const auto events = watcher.step(Time(1s));
  const auto limits = of_kind<LimitChanged>(events);
  ASSERT_THAT(limits, SizeIs(1));
  EXPECT_EQ(limits[0].before, 8_GiB);
  EXPECT_EQ(limits[0].now, 7_GiB);
  EXPECT_THAT(to_string(events[0], watcher.machine()),
              HasSubstr("cgroup limit of /sys/fs/cgroup/kubepods/pod1: from 8.00 GiB to 7.00 GiB"));
  const auto memory = of_kind<MemoryChanged>(events);
  ASSERT_THAT(memory, SizeIs(1));
  EXPECT_EQ(memory[0].free, 2_GiB);
  EXPECT_EQ(memory[0].foreign, 1_GiB);
}

TEST(Watcher, GrantsAreSubtractedAndOthersAreNot) {
  Box box("host/cgroup_v2.record");
  Bytes granted{};
  box.watcher.granted = [&](SpaceId) { return granted; };
  // This process holds nothing yet, then takes 512 MiB that were granted, and somebody takes 256.
  const auto status = [&](const char* resident) {
    box.root.write("/proc/self/status", std::string("VmRSS: ") + resident + " kB\n");
  };
  status("0");
  Watcher watcher(box.report, box.watcher);
  watcher.step(Time(0s));
  granted = 512_MiB;
  status("524288");
  box.root.write(kUse, std::to_string((6_GiB + 768_MiB).count()) + "\n");
  const auto memory = of_kind<MemoryChanged>(watcher.step(Time(1s)));
  ASSERT_THAT(memory, SizeIs(1));
  EXPECT_EQ(memory[0].foreign, 256_MiB);
  EXPECT_EQ(watcher.latest(SpaceId(0)).used, 768_MiB);
}

TEST(Watcher, StallsArePressure) {
  Box box("host/cgroup_v2_high.record");
  Watcher watcher(box.report, box.watcher);
  // The record's own cgroup has waited 12.5 % of the last 10 s.
  const auto first = of_kind<PressureChanged>(watcher.step(Time(0s)));
  ASSERT_THAT(first, SizeIs(1));
  EXPECT_TRUE(first[0].high);
  EXPECT_EQ(watcher.pressure_file(), "/sys/fs/cgroup/kubepods/pod1/main/memory.pressure");
}

TEST(Watcher, ASourceThatGoesAwayLeavesNoStaleFigure) {
  Box box("host/no_cgroup.record");
  Watcher watcher(box.report, box.watcher);
  watcher.step(Time(0s));
  EXPECT_TRUE(watcher.latest(SpaceId(0)).known);
  box.root.write("/proc/meminfo", "nonsense\n");
  watcher.step(Time(1s));
  EXPECT_FALSE(watcher.latest(SpaceId(0)).known);
}

// Readers beside the writer never see halves of two samples.
TEST(Watcher, LatestIsOneSample) {
  Box box("host/cgroup_v2.record");
  Watcher watcher(box.report, box.watcher);
  watcher.step(Time(0s));
  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  std::atomic<std::int64_t> reads{0};
  const Bytes capacity = box.report.machine.spaces[0].capacity;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!done.load(std::memory_order_relaxed)) {
        const SpaceSample sample = watcher.latest(SpaceId(0));
        ASSERT_TRUE(sample.known);
        ASSERT_EQ(sample.free + sample.used, capacity);
        // The writer uses 64 KiB more with every millisecond.
        const Bytes used = 64_KiB * (sample.at.time_since_epoch() / 1ms);
        ASSERT_EQ(sample.used, std::min(used, capacity));
        reads.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  for (int i = 1; i < kSteps; ++i) {
    box.root.write(kUse, std::to_string((6_GiB + i * 64_KiB).count()));
    watcher.step(Time(i * 1ms));
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_GT(reads, 0);
}

// What a monitor's thread told, for a test to wait for.
class Told {
 public:
  void add(const MonitorEvent& event) {
    const std::scoped_lock lock(mutex_);
    events_.push_back(event);
    changed_.notify_all();
  }
  template <class Kind>
  std::optional<Kind> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 60s, [&] { return of_kind<Kind>(events_).size() >= count; });
    const auto list = of_kind<Kind>(events_);
    return list.size() < count ? std::nullopt : std::optional<Kind>(list[count - 1]);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<MonitorEvent> events_;
};

TEST(Monitor, HasItsFirstSampleAtOnceAndMayBeMoved) {
  Box box("host/cgroup_v2.record");
  MonitorOptions options;
  options.watcher = box.watcher;
  options.interval = 1h;
  auto monitor = Monitor::start(box.report, std::move(options));
  ASSERT_TRUE(monitor) << monitor.error().message;
  EXPECT_EQ(monitor->latest(SpaceId(0)).free, 3_GiB);  // the first sample is there at once
  EXPECT_GE(monitor->cost().samples, 1u);
  EXPECT_THAT(monitor->pressure_source(), HasSubstr("averages of "));
  const Monitor moved = std::move(*monitor);
  EXPECT_GE(moved.cost().longest, Duration(1));
  EXPECT_EQ(moved.latest(SpaceId(0)).free, 3_GiB);
}

TEST(Monitor, SeesAChangedFileWhileItRuns) {
  Box box("host/no_cgroup.record");
  Told told;
  MonitorOptions options;
  options.watcher = box.watcher;
  options.interval = 1ms;
  options.on_event = [&](const MonitorEvent& event) { told.add(event); };
  const auto monitor = Monitor::start(box.report, std::move(options));
  ASSERT_TRUE(monitor);
  ASSERT_TRUE(told.wait_for<MemoryChanged>(1));
  box.root.write("/proc/pressure/memory", "some avg10=55.00 avg60=0.00 avg300=0.00 total=0\n");
  const auto pressure = told.wait_for<PressureChanged>(1);
  ASSERT_TRUE(pressure);
  EXPECT_TRUE(pressure->high);
}

TEST(Monitor, AnIntervalOfZeroIsRefused) {
  const auto monitor = Monitor::start({}, {.interval = 0s});
  ASSERT_FALSE(monitor);
  EXPECT_EQ(monitor.error().code, ErrorCode::invalid_argument);
}

// The machine that this runs on, with the kernel's trigger where it may be had.
TEST(Monitor, WatchesTheRealMachine) {
  const auto report = inspect();
  ASSERT_TRUE(report) << report.error().message;
  const auto monitor = Monitor::start(*report, {.interval = 1s});
  ASSERT_TRUE(monitor) << monitor.error().message;
  const SpaceSample sample = monitor->latest(SpaceId(0));
  EXPECT_TRUE(sample.known);
  EXPECT_GT(sample.free, 0_B);
  EXPECT_FALSE(monitor->pressure_source().empty());
}

TEST(MonitorDeathTest, ASpaceThatIsNotWatchedIsMisuse) {
  Box box("host/no_cgroup.record");
  Watcher watcher(box.report, box.watcher);
  EXPECT_DEATH(watcher.latest(SpaceId(9)), "no space of that number is watched");
}

}  // namespace
}  // namespace mais::probing
