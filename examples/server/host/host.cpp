#include "host.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <random>
#include <unordered_map>
#include <utility>

#include "prefix_hash.hpp"
#include "ticket.hpp"
#include "worker.hpp"

namespace server {

class Host::State {
 public:
  State(std::vector<std::unique_ptr<Engine>> engines, mais::Scheduler scheduler,
        mais::Config config, HostOptions options)
      : scheduler_(std::move(scheduler)), config_(std::move(config)), options_(std::move(options)) {
    if (options_.prefix_key == 0) {
      std::random_device device;
      options_.prefix_key = std::uint64_t{device()} << 32 | device() | 1;
    }
    for (auto& engine : engines) {
      const mais::InstanceId instance(static_cast<std::uint32_t>(workers_.size()));
      workers_.push_back(std::make_unique<Worker>(std::move(engine), instance));
    }
    for (auto& worker : workers_) {
      worker->start({.scheduler = scheduler_,
                     .find = [this](std::uint64_t tag) { return find(tag); },
                     .reclaim = [this] { reclaim(); },
                     .reclaimed = [this] { return mais::Bytes(reclaimed_); },
                     .log = [this](const std::string& line) { log(line); }});
    }
  }

  ~State() { stop(); }

  void stop() {
    scheduler_.shutdown();
    for (auto& worker : workers_) worker->join();
  }

  mais::Result<mais::RequestId> submit(Job job, Callbacks callbacks) {
    const auto model = job.request.model;
    const auto at = std::find_if(config_.instances.begin(), config_.instances.end(),
                                 [&](const auto& instance) { return instance.model == model; });
    if (!model || at == config_.instances.end()) {
      return mais::fail(mais::ErrorCode::invalid_argument, "there is no such model");
    }
    Worker& worker = *workers_[static_cast<std::size_t>(at - config_.instances.begin())];
    const EngineInfo& info = worker.engine().info();
    if (job.prompt.empty()) {
      return mais::fail(mais::ErrorCode::invalid_argument, "a prompt has at least one token");
    }
    for (const Token token : job.prompt) {
      if (token >= 0 && token < info.vocabulary) continue;
      return mais::fail(mais::ErrorCode::invalid_argument,
                        "token " + std::to_string(token) + " is not in the vocabulary of " +
                            info.model.name + ", which has " + std::to_string(info.vocabulary));
    }
    mais::Request request = job.request;
    request.prompt = mais::Tokens(static_cast<std::int64_t>(job.prompt.size()));
    if (info.model.batching != mais::Batching::iteration) {
      request.max_new = mais::Tokens(0);
    } else if (info.shares_pages) {
      request.prefix = prefix_hashes(job.prompt, config_.prefix_block.count(), options_.prefix_key);
    }
    auto ticket = std::make_shared<Ticket>(std::move(job), std::move(callbacks));
    {
      const std::scoped_lock lock(mutex_);
      request.tag = ++last_tag_;
      tickets_.emplace(request.tag, ticket);
    }
    return scheduler_.submit(request,
                             [this, &worker, tag = request.tag](const mais::RequestEnd& end) {
                               const auto ended = take(tag);
                               if (!ended) return;
                               if (ended->ran) worker.forget(end.request);
                               ended->end(end);
                             });
  }

  std::shared_ptr<Ticket> find(std::uint64_t tag) {
    const std::scoped_lock lock(mutex_);
    const auto found = tickets_.find(tag);
    if (found == tickets_.end()) return nullptr;
    found->second->ran = true;
    return found->second;
  }
  std::shared_ptr<Ticket> take(std::uint64_t tag) {
    const std::scoped_lock lock(mutex_);
    auto node = tickets_.extract(tag);
    return node.empty() ? nullptr : std::move(node.mapped());
  }

  void reclaim() {
    for (auto& worker : workers_) reclaimed_ += worker->trim(scheduler_).count();
  }
  void log(const std::string& line) const {
    if (options_.log) options_.log(line);
  }

  mais::Scheduler scheduler_;
  mais::Config config_;
  HostOptions options_;
  std::vector<std::unique_ptr<Worker>> workers_;

 private:
  std::atomic<std::int64_t> reclaimed_{0};  // bytes
  std::mutex mutex_;                        // guards what follows
  std::unordered_map<std::uint64_t, std::shared_ptr<Ticket>> tickets_;
  std::uint64_t last_tag_ = 0;
};

mais::Result<std::unique_ptr<Host>> Host::start(std::vector<std::unique_ptr<Engine>> engines,
                                                mais::Config config, HostOptions options) {
  if (engines.size() != config.instances.size()) {
    return mais::fail(mais::ErrorCode::invalid_argument,
                      "there are " + std::to_string(engines.size()) + " engines and " +
                          std::to_string(config.instances.size()) + " instances");
  }
  for (auto& engine : engines) {
    if (auto loaded = engine->load(); !loaded) {
      return tl::unexpected<mais::Error>(std::move(loaded.error()));
    }
    const EngineInfo& info = engine->info();
    if (options.log) {
      options.log(info.model.name + ": " + info.weights_from + ", " +
                  std::to_string(info.model.weights.count()) + " bytes; " + info.remarks);
    }
  }
  auto scheduler = mais::Scheduler::create(config, options.scheduler);
  if (!scheduler) return tl::unexpected<mais::Error>(std::move(scheduler.error()));
  return std::unique_ptr<Host>(new Host(std::make_unique<State>(
      std::move(engines), std::move(*scheduler), std::move(config), std::move(options))));
}

Host::Host(std::unique_ptr<State> state) : state_(std::move(state)) {}
Host::~Host() = default;

mais::Result<mais::RequestId> Host::submit(Job job, Callbacks callbacks) {
  return state_->submit(std::move(job), std::move(callbacks));
}
void Host::cancel(mais::RequestId request) {
  state_->scheduler_.cancel(request);
}
void Host::stop() {
  state_->stop();
}
mais::Scheduler& Host::scheduler() {
  return state_->scheduler_;
}
std::size_t Host::engine_count() const {
  return state_->workers_.size();
}
const EngineInfo& Host::info(std::size_t engine) const {
  return state_->workers_.at(engine)->engine().info();
}
EngineMemory Host::memory(std::size_t engine) const {
  return state_->workers_.at(engine)->engine().memory();
}
HostCounts Host::counts() const {
  HostCounts sum;
  for (const auto& worker : state_->workers_) {
    const HostCounts one = worker->counts();
    sum.steps += one.steps;
    sum.failed_steps += one.failed_steps;
    sum.saved_steps += one.saved_steps;
    sum.broken_steps += one.broken_steps;
    sum.pages_out += one.pages_out;
    sum.pages_in += one.pages_in;
  }
  return sum;
}

}  // namespace server
