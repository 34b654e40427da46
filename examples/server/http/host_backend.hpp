// Serves from a host: the scheduler decides.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend.hpp"
#include "host.hpp"
#include "model_set.hpp"
#include "scheduler_metrics.hpp"

namespace server {

struct HostBackendOptions {
  mais::Config config{};  // tenants, queue, policy; the rest comes from the models
  HostOptions host{};
  std::optional<mais::Duration> give_up{};  // of requests that say none
  // Whose load a gateway sees; none: that of all.
  std::optional<mais::ModelId> gateway_model{};
};

class HostBackend final : public Backend {
 public:
  // Takes the engines of `models`, which outlive this, and starts a host for them; the errors of
  // configured() and Host::start().
  static mais::Result<std::unique_ptr<HostBackend>> start(ModelSet& models,
                                                          HostBackendOptions options);

  const std::vector<ServedModel>& models() const override { return models_.served(); }
  mais::Result<mais::RequestId> submit(Job job, Callbacks callbacks) override {
    if (!job.request.give_up) job.request.give_up = give_up_;
    return host_->submit(std::move(job), std::move(callbacks));
  }
  void cancel(mais::RequestId request) override { host_->cancel(request); }
  std::string metrics() override;

  Host& host() { return *host_; }

 private:
  HostBackend(ModelSet& models, std::unique_ptr<Host> host,
              std::unique_ptr<SchedulerMetrics> metrics, std::optional<mais::Duration> give_up)
      : models_(models), host_(std::move(host)), metrics_(std::move(metrics)), give_up_(give_up) {}

  ModelSet& models_;
  std::unique_ptr<Host> host_;
  std::unique_ptr<SchedulerMetrics> metrics_;  // reads the host
  const std::optional<mais::Duration> give_up_;
};

}  // namespace server
