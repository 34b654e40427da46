#include "live_view.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <deque>
#include <iostream>
#include <mutex>
#include <thread>
#include <unistd.h>

#include "mais/probe/monitor.hpp"

namespace inspect {

namespace {

using namespace mais;
using namespace mais::probing;

std::atomic<bool> interrupted{false};

extern "C" void note_interrupt(int) {
  interrupted.store(true);
}

constexpr std::size_t kShownEvents = 8;
constexpr int kBar = 30;

// The last events, as lines.
class EventLog {
 public:
  explicit EventLog(const Machine& machine) : machine_(machine) {}
  void add(const MonitorEvent& event, double seconds) {
    char time[32];
    std::snprintf(time, sizeof time, "%8.1f s  ", seconds);
    const std::scoped_lock lock(mutex_);
    lines_.push_back(time + to_string(event, machine_));
    if (lines_.size() > kShownEvents) lines_.pop_front();
  }
  std::vector<std::string> lines() const {
    const std::scoped_lock lock(mutex_);
    return {lines_.begin(), lines_.end()};
  }

 private:
  const Machine& machine_;
  mutable std::mutex mutex_;
  std::deque<std::string> lines_;
};

std::string gib(Bytes bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%8.2f", static_cast<double>(bytes.count()) / (1 << 30));
  return text;
}

std::string bar(Bytes part, Bytes whole) {
  const double share =
      whole > Bytes(0) ? static_cast<double>(part.count()) / static_cast<double>(whole.count()) : 0;
  const int filled = std::clamp(static_cast<int>(share * kBar + 0.5), 0, kBar);
  return "[" + std::string(static_cast<std::size_t>(filled), '#') +
         std::string(static_cast<std::size_t>(kBar - filled), '.') + "]";
}

std::vector<std::string> view(const MachineReport& report, const Monitor& monitor,
                              const EventLog& events) {
  std::vector<std::string> lines;
  lines.push_back("space       usable GiB  free GiB  in use                            others GiB");
  for (std::size_t i = 0; i < report.machine.spaces.size(); ++i) {
    const Space& space = report.machine.spaces[i];
    const SpaceSample sample = monitor.latest(SpaceId(static_cast<std::uint32_t>(i)));
    std::string line = space.name;
    line.resize(std::max<std::size_t>(line.size() + 1, 12), ' ');
    line += "  " + gib(space.capacity) + "  ";
    line += sample.known ? gib(sample.free) + "  " + bar(sample.used, space.capacity) + "  " +
                               gib(sample.foreign)
                         : "  not watched";
    lines.push_back(line);
  }
  const MonitorCost cost = monitor.cost();
  char text[160];
  const double mean =
      cost.samples > 0 ? to_seconds(cost.total) / static_cast<double>(cost.samples) : 0;
  std::snprintf(text, sizeof text, "%llu samples, %.0f us each, %.0f us at most; pressure by ",
                static_cast<unsigned long long>(cost.samples), mean * 1e6,
                to_seconds(cost.longest) * 1e6);
  lines.push_back("");
  lines.push_back(text + monitor.pressure_source());
  lines.push_back("Events (Ctrl-C ends)");
  for (const std::string& event : events.lines()) lines.push_back("  " + event);
  return lines;
}

}  // namespace

int show_live(const MachineReport& report, const Options& options) {
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  EventLog events(report.machine);
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [start] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  MonitorOptions how;
  how.interval = std::min(from_seconds(options.interval), Duration(100'000'000));
  how.watcher.sampler.root = options.probe.root;
  how.on_event = [&](const MonitorEvent& event) { events.add(event, seconds()); };
  const Result<Monitor> monitor = Monitor::start(report, std::move(how));
  if (!monitor) {
    std::cerr << "inspect: " << monitor.error().message << '\n';
    return 1;
  }

  std::signal(SIGINT, note_interrupt);
  std::signal(SIGTERM, note_interrupt);
  std::size_t shown = 0;
  for (int round = 0; !interrupted && (!options.times || round < *options.times); ++round) {
    const std::vector<std::string> lines = view(report, *monitor, events);
    std::string text;
    // Back to the first line, then each line cleared to its end; more than were there stay below.
    if (terminal && shown > 0) text += "\x1b[" + std::to_string(shown) + "A";
    for (const std::string& line : lines) text += line + (terminal ? "\x1b[K\n" : "\n");
    if (terminal) text += "\x1b[J";
    shown = lines.size();
    std::cout << text << std::flush;
    if (options.times && round + 1 == *options.times) break;
    const double until = seconds() + options.interval;
    while (!interrupted && seconds() < until) {
      std::this_thread::sleep_for(
          std::chrono::duration<double>(std::min(0.05, std::max(0.0, until - seconds()))));
    }
  }
  return 0;
}

}  // namespace inspect
