// The thread of one engine: takes steps from the scheduler, runs them, tells what came out.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "engine.hpp"
#include "host.hpp"
#include "mais/scheduler.hpp"
#include "ticket.hpp"

namespace server {

class Worker {
 public:
  // What workers share.
  struct Shared {
    mais::Scheduler& scheduler;
    // The ticket with a tag, which ran from now on; null when it ended. The end of one that ran is
    // told by forget().
    std::function<std::shared_ptr<Ticket>(std::uint64_t tag)> find;
    // Lets every engine give back pages that nobody uses.
    std::function<void()> reclaim;
    std::function<mais::Bytes()> reclaimed;  // by it since the start, whoever called
    std::function<void(const std::string&)> log;
  };

  Worker(std::unique_ptr<Engine> engine, mais::InstanceId instance);

  void start(Shared shared);
  // The scheduler was shut down: waits for the thread to end.
  void join();

  const Engine& engine() const { return *engine_; }
  Engine& engine() { return *engine_; }
  HostCounts counts() const;
  // Gives back pages of the pool that the scheduler does not use. From any thread but one that runs
  // a step: between steps of this worker.
  mais::Bytes trim(mais::Scheduler& scheduler);
  // A request that ran here has ended: the engine hears of it before its next step. From any
  // thread.
  void forget(mais::RequestId request);

 private:
  void work();
  void tell_ended();
  void restart(const mais::core::StepEntry& entry, Ticket& ticket);
  void take_pages(const mais::core::StepEntry& entry, Ticket& ticket);
  void prepare();
  StepResult::Outcome try_step();
  struct Copied {
    std::int64_t pages = 0;
    mais::Duration took{};
  };
  void tell_copied(mais::core::StateMove::Kind kind, Copied& copied);
  void run_step();
  void give_results(std::vector<mais::RequestId>& finished);
  void start_anew();

  std::unique_ptr<Engine> engine_;
  const std::shared_ptr<const Tokenizer> tokenizer_;
  mais::InstanceId instance_;
  std::optional<Shared> shared_;
  std::mutex mutex_;  // held while the engine runs or is trimmed
  std::thread thread_;

  // Of the step under way; kept for their room.
  mais::core::Step step_;
  std::vector<std::shared_ptr<Ticket>> tickets_;
  std::vector<SequenceView> views_;
  StepResult result_;
  std::vector<mais::core::StateMove> owed_;  // moves that are still to be made
  Copied copied_out_, copied_in_;
  // Whose a page of the pool was when a step last named it, and which of its pages.
  struct Holder {
    mais::RequestId request{};
    std::size_t index = 0;
  };
  std::vector<std::optional<Holder>> holders_;  // of engines that share no pages

  std::mutex ended_mutex_;  // guards what follows
  std::vector<mais::RequestId> ended_;

  std::atomic<std::uint64_t> steps_{0}, failed_{0}, saved_{0}, broken_{0};
  std::atomic<std::uint64_t> pages_out_{0}, pages_in_{0};
};

}  // namespace server
