#include "host_backend.hpp"

#include "gauge_text.hpp"

namespace server {

mais::Result<std::unique_ptr<HostBackend>> HostBackend::start(ModelSet& models,
                                                              HostBackendOptions options) {
  auto config = configured(models.infos(), models.host_options(), std::move(options.config));
  if (!config) return tl::unexpected<mais::Error>(std::move(config.error()));
  auto metrics = SchedulerMetrics::create(options.gateway_model);
  if (!metrics) return tl::unexpected<mais::Error>(std::move(metrics.error()));
  (*metrics)->join(options.host.scheduler);
  auto host = Host::start(models.take_engines(), std::move(*config), std::move(options.host));
  if (!host) return tl::unexpected<mais::Error>(std::move(host.error()));
  (*metrics)->watch((*host)->scheduler());
  return std::unique_ptr<HostBackend>(
      new HostBackend(models, std::move(*host), std::move(*metrics), options.give_up));
}

// What engines hold for real stands beside what the scheduler counts.
std::string HostBackend::metrics() {
  using Kind = GaugeText::Kind;
  GaugeText text;
  std::uint64_t refusals = 0;
  for (std::size_t i = 0; i < host_->engine_count(); ++i) {
    const EngineMemory memory = host_->memory(i);
    refusals += memory.state.refusals + memory.workspace.refusals;
  }
  struct Part {
    const char* name;
    EngineMemory::Use EngineMemory::*use;
  };
  constexpr Part kParts[] = {{"weights", &EngineMemory::weights},
                             {"state", &EngineMemory::state},
                             {"workspace", &EngineMemory::workspace}};
  const auto accounts = [&](mais::Bytes EngineMemory::Use::*figure) {
    for (std::size_t i = 0; i < host_->engine_count(); ++i) {
      const EngineMemory memory = host_->memory(i);
      for (const Part& part : kParts) {
        text.value("account", host_->info(i).model.name + " " + part.name,
                   (memory.*part.use.*figure).count());
      }
    }
  };
  text.metric("server_account_used_bytes", Kind::gauge, "Bytes that an engine holds.");
  accounts(&EngineMemory::Use::used);
  text.metric("server_account_peak_bytes", Kind::gauge, "The most that it held at once.");
  accounts(&EngineMemory::Use::peak);
  const HostCounts counts = host_->counts();
  text.metric("server_steps_total", Kind::counter, "Steps of all engines.")
      .value(counts.steps)
      .metric("server_failed_steps_total", Kind::counter,
              "Steps that found no memory, not even after others gave back what they did not use.")
      .value(counts.failed_steps)
      .metric("server_reclaims_total", Kind::counter,
              "Steps that ran after others gave back what they did not use.")
      .value(counts.saved_steps)
      .metric("server_allocation_refusals_total", Kind::counter,
              "Allocations that the budget refused, reclaims included.")
      .value(refusals);
  models_.tell_memory(text);
  return metrics_->text() + std::move(text).text();
}

}  // namespace server
