// Engines that serve requests: one scheduler, one worker thread for each engine, tokens as they
// come.
//
//   auto host = Host::start(std::move(engines), config);
//   host->generate({.request = {.model = ModelId(0), .max_new = 64_tok}, .prompt = tokens},
//                  {.on_token = ..., .on_end = ...});
//
// Every request ends exactly once, and its caller hears of it by on_end, after which it hears
// nothing. Callbacks of one request run one at a time, in worker threads or in threads that are
// inside some member; they must be quick, must not throw, and may call any member but stop().
//
// Threads: every member from any thread; stop() and destruction are for the owner.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine.hpp"
#include "mais/config.hpp"
#include "mais/request.hpp"
#include "mais/result.hpp"
#include "mais/scheduler.hpp"

namespace server {

struct HostOptions {
  std::uint64_t prefix_key = 0;  // see prefix_hash.hpp; 0: taken at random
  // Lines for a log, from any thread; none: nobody reads them.
  std::function<void(const std::string&)> log{};
  mais::SchedulerOptions scheduler{};
};

// What became of a request.
struct Ended {
  mais::RequestEnd end{};
  std::int64_t prompt = 0;     // tokens
  std::int64_t generated = 0;  // tokens given to on_token
  bool stopped = false;        // by the end of text or by on_token, and not by max_new
};

struct Callbacks {
  // A token of a generation, in order. False: enough, end it here. The end of text is not given.
  std::function<bool(Token)> on_token{};
  // The result of an embedding.
  std::function<void(std::span<const float>)> on_embedding{};
  std::function<void(const Ended&)> on_end{};
};

struct Job {
  // `model` is set; prompt, prefix and tag are filled in. The planner lowers max_new to what the
  // longest context leaves.
  mais::Request request{};
  std::vector<Token> prompt{};
  Sampling sampling{};
};

// Counts since the start, of all engines.
struct HostCounts {
  std::uint64_t steps = 0;
  std::uint64_t failed_steps = 0;  // that found no memory
  std::uint64_t saved_steps = 0;   // that found memory after others gave back what they did not use
  std::uint64_t broken_steps = 0;  // after which an engine was loaded anew
  std::uint64_t pages_out = 0;     // copied to the host tier
  std::uint64_t pages_in = 0;      // and back
};

class Host {
 public:
  // Loads every engine and starts; `config` has one instance for each, in their order (see
  // host_config.hpp). What load() or Scheduler::create() say.
  static mais::Result<std::unique_ptr<Host>> start(std::vector<std::unique_ptr<Engine>> engines,
                                                   mais::Config config, HostOptions options = {});
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host();

  // For models of either kind. invalid_argument: no such model, no token, or one that is not in the
  // vocabulary; then nothing is called back. Else on_end may be called before this returns.
  mais::Result<mais::RequestId> submit(Job job, Callbacks callbacks);
  void cancel(mais::RequestId request);

  // Ends every request that has not ended as cancelled, and joins the workers.
  void stop();

  mais::Scheduler& scheduler();
  std::size_t engine_count() const;
  const EngineInfo& info(std::size_t engine) const;
  EngineMemory memory(std::size_t engine) const;
  HostCounts counts() const;

 private:
  class State;
  explicit Host(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace server
