// What looking at a machine costs: a whole probe, one sample of the monitor, and reading the latest
// sample from the planner's side.
#include <benchmark/benchmark.h>

#include "mais/probe/monitor.hpp"
#include "mais/probe/probe.hpp"

namespace mais::probing {
namespace {

// Asked for: at most 150 ms where there is no GPU.
void Probe(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(probe());
}
BENCHMARK(Probe)->Unit(benchmark::kMillisecond)->UseRealTime();

// Asked for: at most 300 microseconds on average.
void MonitorSample(benchmark::State& state) {
  const auto report = inspect();
  if (!report) return state.SkipWithError(report.error().message.c_str());
  Watcher watcher(*report);
  Time now{};
  for (auto _ : state) {
    now += Duration(1'000'000);
    benchmark::DoNotOptimize(watcher.step(now));
  }
}
BENCHMARK(MonitorSample)->Unit(benchmark::kMicrosecond)->UseRealTime();

// Of which the files of the host.
void HostSample(benchmark::State& state) {
  SystemFiles files("/", true);
  HostMemoryReader reader(files);
  for (auto _ : state) benchmark::DoNotOptimize(reader.sample());
}
BENCHMARK(HostSample)->Unit(benchmark::kMicrosecond)->UseRealTime();

// Asked for: at most 20 ns. With a monitor that samples all the time beside it.
void LatestSample(benchmark::State& state) {
  const auto report = inspect();
  if (!report) return state.SkipWithError(report.error().message.c_str());
  const auto monitor = Monitor::start(*report, {.interval = Duration(1'000'000)});
  for (auto _ : state) benchmark::DoNotOptimize(monitor->latest(SpaceId(0)));
}
BENCHMARK(LatestSample);

}  // namespace
}  // namespace mais::probing

BENCHMARK_MAIN();
