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

namespace server {

class HostBackend final : public Backend {
 public:
  // `give_up`: of every request. The models outlive it.
  HostBackend(ModelSet& models, std::unique_ptr<Host> host, std::optional<mais::Duration> give_up)
      : models_(models), host_(std::move(host)), give_up_(give_up) {}

  const std::vector<ServedModel>& models() const override { return models_.served(); }
  mais::Result<mais::RequestId> submit(Job job, Callbacks callbacks) override {
    if (!job.request.give_up) job.request.give_up = give_up_;
    return host_->submit(std::move(job), std::move(callbacks));
  }
  void cancel(mais::RequestId request) override { host_->cancel(request); }
  std::string metrics() override;

  Host& host() { return *host_; }

 private:
  ModelSet& models_;
  std::unique_ptr<Host> host_;
  const std::optional<mais::Duration> give_up_;
};

}  // namespace server
