#include <algorithm>

#include "mais/probe/bandwidth.hpp"
#include "mais/probe/cuda_driver.hpp"
#include "mais/probe/report.hpp"
#include "probe/wording.hpp"

namespace mais::probing {

namespace {

constexpr Bytes kLeastArray = Bytes(64 << 20);

}  // namespace

std::vector<Measurement> measure_all(const Readings& readings, const CudaDriver* cuda,
                                     const BandwidthOptions& options,
                                     std::vector<std::string>& problems) {
  std::vector<Measurement> all;
  const auto keep = [&](Result<Measurement> result) {
    if (result) {
      all.push_back(*std::move(result));
    } else {
      problems.push_back(result.error().message);
    }
  };
  const MachineReport report = assemble(readings);
  const Bytes array =
      options.array.value_or(std::max(kLeastArray, readings.topology.last_level_cache * 4));
  for (const NumaNode& node : readings.topology.nodes) {
    const std::string place = "host" + std::to_string(node.node);
    const auto space =
        std::find_if(report.spaces.begin(), report.spaces.end(),
                     [&](const SpaceReport& candidate) { return candidate.name == place; });
    if (space == report.spaces.end() || node.cpus.empty()) continue;
    if (array * 3 > space->usable) {
      problems.push_back(place + ": three arrays of " + size_text(array) + " do not fit into the " +
                         size_text(space->usable) + " that are usable");
      continue;
    }
    keep(measure_node(node, place, array, options.runs));
  }
  if (readings.offload) {
    const Bytes size = std::min(options.file, readings.offload->available / 4);
    keep(measure_disk(readings.offload->path, std::max(size, Bytes(4 << 20)),
                      std::min(options.runs, 5)));
  }
  if (cuda == nullptr) return all;

  const std::string how =
      "pinned copies of " + size_text(options.copy) + ", " + std::to_string(options.runs) + " runs";
  for (const CudaDevice& device : readings.cuda.devices) {
    if (device.integrated) continue;
    const std::string gpu = "gpu" + std::to_string(device.ordinal);
    const auto times = cuda->time_copies(device.ordinal, options.copy, options.runs);
    if (!times) {
      problems.push_back(gpu + ": " + times.error().message);
      continue;
    }
    all.push_back({gpu, measured_rate(times->inside, "copies within it"), {}});
    for (const SpaceReport& space : report.spaces) {
      if (space.kind != SpaceKind::host) continue;
      all.push_back(
          {space.name + " > " + gpu, measured_rate(times->to_device, how), times->latency});
      all.push_back({gpu + " > " + space.name, measured_rate(times->to_host, how), times->latency});
    }
    for (const int peer : device.peers) {
      const std::string way = gpu + " > gpu" + std::to_string(peer);
      const auto rates = cuda->time_peer_copies(device.ordinal, peer, options.copy, options.runs);
      if (!rates) {
        problems.push_back(way + ": " + rates.error().message);
      } else {
        all.push_back({way, measured_rate(*rates, how), {}});
      }
    }
  }
  return all;
}

}  // namespace mais::probing
