// The same engines without the library, for comparison: every request is admitted when it comes,
// runs in the next step of its engine, and takes memory as it grows. When an allocation fails, the
// youngest request of the step fails, and the others are tried again.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "backend.hpp"
#include "engine.hpp"
#include "model_set.hpp"
#include "ticket.hpp"

namespace server {

class PlainBackend final : public Backend {
 public:
  // Loads the engines; the models outlive it. What Engine::load() says.
  static mais::Result<std::unique_ptr<PlainBackend>> start(ModelSet& models);
  ~PlainBackend() override;

  const std::vector<ServedModel>& models() const override { return models_.served(); }
  mais::Result<mais::RequestId> submit(Job job, Callbacks callbacks) override;
  void cancel(mais::RequestId request) override;
  std::string metrics() override;
  // Ends what has not ended as cancelled.
  void stop();

 private:
  struct Running {
    mais::RequestId id{};
    std::shared_ptr<Ticket> ticket;
    std::int64_t computed = 0;  // tokens
    std::int64_t left = 0;      // tokens to generate
  };
  struct Loop {
    std::unique_ptr<Engine> engine;
    std::shared_ptr<const Tokenizer> tokenizer;
    std::thread thread;
    std::vector<Running> arrived;  // guarded by mutex_
    std::vector<Running> running;  // of the thread, like what follows
    std::vector<std::uint32_t> free_pages;
  };

  explicit PlainBackend(ModelSet& models) : models_(models) {}
  void work(Loop& loop);
  void step(Loop& loop);
  StepResult::Outcome try_step(Loop& loop, StepResult& result);
  void end(Loop& loop, std::size_t index, mais::EndKind kind);
  bool is_cancelled(mais::RequestId request);

  ModelSet& models_;
  std::vector<std::unique_ptr<Loop>> loops_;
  std::atomic<std::uint64_t> failures_{0}, failed_requests_{0}, steps_{0};
  std::atomic<std::int64_t> running_{0};
  std::mutex mutex_;  // guards what follows
  std::condition_variable came_;
  std::unordered_map<std::uint64_t, bool> cancelled_;  // of every request that has not ended
  std::uint64_t last_id_ = 0;
  bool over_ = false;
};

}  // namespace server
