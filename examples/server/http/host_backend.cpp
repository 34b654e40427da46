#include "host_backend.hpp"

#include <algorithm>

#include "gauge_text.hpp"

namespace server {

std::string HostBackend::metrics() {
  using Kind = GaugeText::Kind;
  std::size_t waiting = 0, running = 0;
  std::int64_t used = 0, limit = 0;
  std::uint64_t preemptions = 0, recomputed = 0, refusals = 0;
  GaugeText text;
  text.metric("server_state_used_bytes", Kind::gauge, "KV cache that sequences hold.");
  for (std::size_t i = 0; i < host_->engine_count(); ++i) {
    const auto load = host_->scheduler().load(mais::InstanceId(static_cast<std::uint32_t>(i)));
    waiting += load.waiting;
    running += load.running;
    used += load.state_used.count();
    limit += load.state_limit.count();
    preemptions += load.preemptions;
    recomputed += load.recomputed_tokens;
    const EngineMemory memory = host_->memory(i);
    refusals += memory.state.refusals + memory.workspace.refusals;
    text.value("model", host_->info(i).model.name, load.state_used.count());
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
  text.metric("server_requests_waiting", Kind::gauge, "Requests in the queue.")
      .value(waiting)
      .metric("server_requests_running", Kind::gauge, "Requests with a place on an engine.")
      .value(running)
      .metric("server_kv_utilization", Kind::gauge, "Part of the KV cache in use, 0 to 1.")
      .value(limit > 0 ? static_cast<double>(used) / static_cast<double>(limit) : 0.0)
      .metric("server_preemptions_total", Kind::counter, "Sequences that lost their place.")
      .value(preemptions)
      .metric("server_recomputed_tokens_total", Kind::counter, "Tokens computed again.")
      .value(recomputed)
      .metric("server_steps_total", Kind::counter, "Steps of all engines.")
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
  return std::move(text).text();
}

}  // namespace server
