// What a scheduler does, as one line for each thing that happens: key=value pairs for people and
// for programs, through spdlog.
//
//   auto scheduler = Scheduler::create(
//       config, {.observers =
//       {std::make_shared<adapters::SpdlogObserver>(spdlog::default_logger())}});
//
//   event=refused t=12.034567 request=4194305 tag=7 reason=can_never_fit asked=2147483648 ...
//
// docs/logging.md lists the events and their keys. Each kind of event has a bound of lines for each
// second of the scheduler's clock; what is beyond it is counted, and said in one line when the next
// second begins (or at the end): `event=suppressed of=accepted count=1234`. Target mais::spdlog.
#pragma once

#include <cstdint>
#include <memory>

#include "mais/observer.hpp"

namespace spdlog {
class logger;
}

namespace mais::adapters {

struct SpdlogOptions {
  std::uint32_t lines_per_second = 10;  // of each kind of event; 0: only how many there were
  bool steps = false;                   // also steps and their reports, at level debug
};

// Levels: refused, expired, preempted, requeued, instance_lost, failed steps: warn; suppressed:
// warn; steps and reports: debug; all others: info.
class SpdlogObserver final : public Observer {
 public:
  explicit SpdlogObserver(std::shared_ptr<spdlog::logger> logger, SpdlogOptions options = {});
  ~SpdlogObserver() override;  // says what was suppressed last

  void begin(const Config& config) override;
  void observe(const Observation& seen) override;

 private:
  class Lines;
  std::unique_ptr<Lines> lines_;
};

}  // namespace mais::adapters
