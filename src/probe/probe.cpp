#include "mais/probe/probe.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>

#include <sys/statvfs.h>

#include "mais/probe/bandwidth.hpp"
#include "mais/probe/cuda_driver.hpp"
#include "mais/probe/nvml.hpp"
#include "probe/text_lines.hpp"

namespace mais::probing {

namespace {

void read_topology_into(Readings& readings, FileTree& files, bool by_hwloc, std::string* xml) {
  std::string why;
  if (by_hwloc) {
    auto topology = read_topology(xml);
    if (topology) {
      readings.topology = *std::move(topology);
      return;
    }
    why = "; " + topology.error().message;
  }
  auto topology = read_topology_files(files);
  if (topology) {
    readings.topology = *std::move(topology);
    readings.topology.status.detail += why;
  } else {
    readings.topology.status = {"topology", false, topology.error().message + why};
  }
}

// The driver stays loaded for measuring.
std::unique_ptr<CudaDriver> read_gpus(Readings& readings, const ProbeOptions& options) {
  readings.cuda.status = {"CUDA driver", false, "not looked for"};
  readings.nvml.status = {"NVML", false, "not looked for"};
  if (options.nvml_library) {
    if (const auto nvml = Nvml::load(*options.nvml_library)) {
      readings.nvml = nvml->read();
    } else {
      readings.nvml.status.detail = nvml.error().message;
    }
  }
  if (!options.cuda_library) return nullptr;
  auto loaded = CudaDriver::load(*options.cuda_library);
  if (!loaded) {
    readings.cuda.status.detail = loaded.error().message;
    return nullptr;
  }
  auto driver = std::make_unique<CudaDriver>(*std::move(loaded));
  auto reading = driver->read();
  if (!reading) {
    readings.cuda.status.detail = reading.error().message;
    return nullptr;
  }
  readings.cuda = *std::move(reading);
  if (!options.contexts) return driver;
  for (CudaDevice& device : readings.cuda.devices) {
    const NvmlDevice* const known = same_device(device, readings.nvml);
    if ((known != nullptr && known->memory) || device.integrated) continue;
    if (const auto memory = driver->memory(device.ordinal)) device.memory = *memory;
  }
  return driver;
}

std::optional<Error> read_offload(Readings& readings, const std::string& folder) {
  struct statvfs room {};
  if (::statvfs(folder.c_str(), &room) != 0) {
    return Error{ErrorCode::io_error, folder + ": is no folder that can be looked at", {}, {}};
  }
  const auto bytes = [&](auto blocks) {
    return detail::saturating_multiply(static_cast<std::int64_t>(blocks),
                                       static_cast<std::int64_t>(room.f_frsize));
  };
  readings.offload =
      OffloadFolder{folder, Bytes(bytes(room.f_blocks)), Bytes(bytes(room.f_bavail))};
  return std::nullopt;
}

std::optional<Error> load_measurements(Readings& readings, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;  // nothing was measured yet
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  auto measured = parse_measurements(text, path);
  if (!measured) return measured.error();
  readings.measured = *std::move(measured);
  return std::nullopt;
}

std::optional<Error> save_measurements(const Readings& readings, const std::string& path) {
  std::ofstream file(path, std::ios::binary);
  file << to_text(readings.measured);
  file.close();
  if (!file) return Error{ErrorCode::io_error, path + ": cannot be written", {}, {}};
  return std::nullopt;
}

Result<Readings> read_from(FileTree& files, const ProbeOptions& options, std::string* xml) {
  Readings readings;
  auto host = read_host_memory(files);
  if (!host) return tl::unexpected<Error>(host.error());
  readings.host = *std::move(host);
  read_topology_into(readings, files, options.root == "/", xml);
  const std::unique_ptr<CudaDriver> cuda = read_gpus(readings, options);
  if (options.offload) {
    if (auto error = read_offload(readings, *options.offload)) return tl::unexpected<Error>(*error);
  }
  if (options.measurements) {
    if (auto error = load_measurements(readings, *options.measurements)) {
      return tl::unexpected<Error>(*error);
    }
  }
  if (options.measure) {
    std::vector<Measurement> fresh =
        measure_all(readings, options.contexts ? cuda.get() : nullptr, {}, readings.host.doubts);
    // What was measured earlier and not now stays.
    for (Measurement& old : readings.measured) {
      const bool again = std::any_of(fresh.begin(), fresh.end(),
                                     [&](const Measurement& m) { return m.place == old.place; });
      if (!again) fresh.push_back(std::move(old));
    }
    readings.measured = std::move(fresh);
    if (options.measurements) {
      if (auto error = save_measurements(readings, *options.measurements)) {
        return tl::unexpected<Error>(*error);
      }
    }
  }
  return readings;
}

}  // namespace

Result<Readings> read_machine(const ProbeOptions& options) {
  SystemFiles files(options.root);
  return read_from(files, options, nullptr);
}

Result<MachineReport> inspect(const ProbeOptions& options) {
  const auto readings = read_machine(options);
  if (!readings) return tl::unexpected<Error>(readings.error());
  return assemble(*readings, options.configured);
}

Result<MachineRecord> record_machine(const ProbeOptions& options) {
  SystemFiles system(options.root);
  RecordingFiles files(system);
  MachineRecord record;
  auto readings = read_from(files, options, &record.hwloc_xml);
  if (!readings) return tl::unexpected<Error>(readings.error());
  static_cast<void>(read_topology_files(files));  // for who reads the record without hwloc
  record.files = files.files();
  // The command's name and the groups of the user are nobody's business.
  if (const auto status = record.files.find("/proc/self/status"); status != record.files.end()) {
    std::string kept;
    LineWalk lines(status->second);
    for (std::string_view line; lines.next(line);) {
      const std::string_view name = line.substr(0, line.find(':'));
      for (const char* wanted :
           {"VmSize", "VmLck", "VmRSS", "VmData", "CapEff", "Mems_allowed_list"}) {
        if (name == wanted) kept.append(line).append("\n");
      }
    }
    status->second = std::move(kept);
  }
  // Of the mounts only those of cgroups are looked at.
  if (const auto mounts = record.files.find("/proc/self/mountinfo"); mounts != record.files.end()) {
    std::string kept;
    LineWalk lines(mounts->second);
    for (std::string_view line; lines.next(line);) {
      if (line.find(" - cgroup") != std::string_view::npos) kept.append(line).append("\n");
    }
    mounts->second = std::move(kept);
  }
  record.cuda = std::move(readings->cuda);
  record.nvml = std::move(readings->nvml);
  record.measured = std::move(readings->measured);
  return record;
}

Result<Readings> readings_of(const MachineRecord& record) {
  RecordedFiles files(record.files);
  Readings readings;
  auto host = read_host_memory(files);
  if (!host) return tl::unexpected<Error>(host.error());
  readings.host = *std::move(host);
  std::string why;
  if (!record.hwloc_xml.empty() && has_hwloc()) {
    auto topology = read_topology_xml(record.hwloc_xml);
    if (!topology) return tl::unexpected<Error>(topology.error());
    readings.topology = *std::move(topology);
  } else {
    read_topology_into(readings, files, false, nullptr);
  }
  readings.cuda = record.cuda;
  readings.nvml = record.nvml;
  readings.measured = record.measured;
  return readings;
}

}  // namespace mais::probing

namespace mais {

Result<Machine> probe(const probing::ProbeOptions& options) {
  auto report = probing::inspect(options);
  if (!report) return tl::unexpected<Error>(report.error());
  return std::move(report->machine);
}

}  // namespace mais
