#include "mais/probe/nvml.hpp"

#include <algorithm>

#include "mais/probe/cuda_driver.hpp"
#include "mais/probe/topology.hpp"
#include "probe/nvml_abi.hpp"
#include "probe/shared_library.hpp"

namespace mais::probing {

namespace abi = nvml_abi;

struct Nvml::Library {
  SharedLibrary library;
  std::string version;
  bool initialised = false;
  abi::Init shutdown = nullptr;

  // Demanded.
  abi::ErrorString error_string = nullptr;
  abi::Count count = nullptr;
  abi::HandleByIndex by_index = nullptr;
  abi::Text uuid = nullptr, name = nullptr;
  abi::GetPci pci = nullptr;
  abi::GetMemory memory = nullptr;
  // Null in older drivers; what they tell is then left out.
  abi::TwoNumbers mig_mode = nullptr, ecc_mode = nullptr;
  abi::Number mig_count = nullptr, power = nullptr, power_limit = nullptr;
  abi::Number pcie_generation = nullptr, pcie_width = nullptr;
  abi::MigByIndex mig_by_index = nullptr;
  abi::Processes processes = nullptr;
  abi::EccErrors ecc_errors = nullptr;
  abi::LinkNumber link_state = nullptr, link_version = nullptr;
  abi::LinkPci link_pci = nullptr;
  abi::LinkKind link_kind = nullptr;

  // Handles of what was read, in the order of the reading.
  mutable std::vector<abi::Device> handles;

  ~Library() {
    if (initialised) shutdown();
  }
  std::string said(const char* call, abi::Status status) const {
    const char* const text = error_string == nullptr ? nullptr : error_string(status);
    return std::string(call) + ": " + (text == nullptr ? std::to_string(status) : text);
  }
  void read_fixed(abi::Device device, NvmlDevice& into) const;
  void read_links(abi::Device device, NvmlDevice& into) const;
  void read_changing(abi::Device device, NvmlDevice& into) const;
};

namespace {

// NVML's own numbering of NVLink versions (1.0, 2.0, 2.2, 3.0, 3.1, 4.0, 5.0) as generations.
int generation_of(unsigned version) {
  constexpr int kGenerations[] = {0, 1, 2, 2, 3, 3, 4, 5};
  return version < std::size(kGenerations) ? kGenerations[version] : 0;
}

Bytes bytes_of(unsigned long long count) {
  constexpr auto kMost = static_cast<unsigned long long>(mais::detail::kCountMax);
  return Bytes(static_cast<std::int64_t>(std::min(count, kMost)));
}

std::string text_of(abi::Text function, abi::Device device) {
  char buffer[128] = {};
  return function(device, buffer, sizeof buffer - 1) == abi::kSuccess ? buffer : "";
}

std::string pci_text(const abi::PciInfo& info) {
  const std::string_view raw(info.bus_id, std::find(info.bus_id, std::end(info.bus_id), '\0'));
  return canonical_pci(raw).value_or("");
}

template <class Number>
std::optional<double> watts(Number function, abi::Device device) {
  unsigned milliwatts = 0;
  if (function == nullptr || function(device, &milliwatts) != abi::kSuccess) return std::nullopt;
  return milliwatts * 1e-3;
}

}  // namespace

void Nvml::Library::read_fixed(abi::Device device, NvmlDevice& into) const {
  into.uuid = canonical_uuid(text_of(uuid, device));
  into.name = text_of(name, device);
  abi::PciInfo info{};
  if (pci(device, &info) == abi::kSuccess) into.pci = pci_text(info);
  unsigned current = 0, pending = 0;
  if (mig_mode != nullptr && mig_mode(device, &current, &pending) == abi::kSuccess) {
    into.mig_parent = current != 0;
  }
  if (ecc_mode != nullptr && ecc_mode(device, &current, &pending) == abi::kSuccess) {
    into.ecc = current != 0;
  }
  unsigned value = 0;
  if (pcie_generation != nullptr && pcie_generation(device, &value) == abi::kSuccess) {
    into.pcie_generation = static_cast<int>(value);
  }
  if (pcie_width != nullptr && pcie_width(device, &value) == abi::kSuccess) {
    into.pcie_width = static_cast<int>(value);
  }
}

void Nvml::Library::read_links(abi::Device device, NvmlDevice& into) const {
  if (link_state == nullptr || link_version == nullptr || link_pci == nullptr) return;
  for (unsigned link = 0; link < abi::kMaxNvLinks; ++link) {
    unsigned active = 0, generation = 0;
    const abi::Status status = link_state(device, link, &active);
    if (status != abi::kSuccess && link == 0) return;  // no NVLink at all
    if (status != abi::kSuccess || active == 0) continue;
    if (link_version(device, link, &generation) != abi::kSuccess) continue;
    abi::PciInfo remote{};
    if (link_pci(device, link, &remote) != abi::kSuccess) continue;
    NvLink& entry = into.nvlinks.emplace_back();
    entry.version = generation_of(generation);
    entry.remote = pci_text(remote);
    int kind = 0;
    if (link_kind != nullptr && link_kind(device, link, &kind) == abi::kSuccess) {
      entry.to_switch = kind == abi::kRemoteIsSwitch;
    }
  }
}

void Nvml::Library::read_changing(abi::Device device, NvmlDevice& into) const {
  into.memory.reset();
  into.processes.clear();
  abi::Memory now{};
  const abi::Status answered = memory(device, &now);
  if (answered == abi::kSuccess) {
    into.memory = FreeAndTotal{bytes_of(now.free), bytes_of(now.total)};
  }
  // Integrated GPUs have no memory to tell of; that is no illness.
  const bool lost =
      answered != abi::kSuccess && answered != abi::kNotSupported && answered != abi::kNoPermission;
  if (lost) {
    into.health = GpuHealth::lost;
    into.trouble = said("nvmlDeviceGetMemoryInfo", answered);
    return;
  }
  into.health = GpuHealth::good;
  into.trouble.clear();

  if (processes != nullptr) {
    constexpr unsigned kMost = 256;
    abi::ProcessInfo list[kMost];
    unsigned found = kMost;
    if (processes(device, &found, list) == abi::kSuccess) {
      for (unsigned i = 0; i < std::min(found, kMost); ++i) {
        GpuProcess process{.pid = list[i].pid};
        if (list[i].used != abi::kNotAvailable) process.used = bytes_of(list[i].used);
        into.processes.push_back(process);
      }
    }
  }
  into.power_watts = watts(power, device);
  into.power_limit_watts = watts(power_limit, device);
  unsigned long long errors = 0;
  if (ecc_errors != nullptr &&
      ecc_errors(device, abi::kUncorrected, abi::kSinceLoaded, &errors) == abi::kSuccess) {
    into.uncorrected_errors = errors;
    if (errors > 0) {
      into.health = GpuHealth::unhealthy;
      into.trouble =
          std::to_string(errors) + " uncorrected memory errors since the driver was loaded";
    }
  }
}

Nvml::Nvml(std::unique_ptr<Library> library) noexcept : library_(std::move(library)) {}
Nvml::Nvml(Nvml&&) noexcept = default;
Nvml& Nvml::operator=(Nvml&&) noexcept = default;
Nvml::~Nvml() = default;

Result<Nvml> Nvml::load(const std::string& name) {
  if (!has_cuda()) {
    return fail(
        ErrorCode::unavailable,
        "this library was built without CUDA, and NVML goes with it (option MAIS_WITH_CUDA)");
  }
  auto nvml = std::make_unique<Library>();
  nvml->library = SharedLibrary(name);
  if (!nvml->library) {
    return fail(ErrorCode::unavailable, "no NVML: " + nvml->library.why_not());
  }
  const char* missing = nullptr;
  const auto demand = [&](const char* symbol, auto& function) {
    if (!nvml->library.find(symbol, function) && missing == nullptr) missing = symbol;
  };
  abi::Init init = nullptr;
  abi::DriverVersion driver_version = nullptr;
  demand("nvmlInit_v2", init);
  demand("nvmlShutdown", nvml->shutdown);
  demand("nvmlErrorString", nvml->error_string);
  demand("nvmlSystemGetDriverVersion", driver_version);
  demand("nvmlDeviceGetCount_v2", nvml->count);
  demand("nvmlDeviceGetHandleByIndex_v2", nvml->by_index);
  demand("nvmlDeviceGetUUID", nvml->uuid);
  demand("nvmlDeviceGetName", nvml->name);
  demand("nvmlDeviceGetPciInfo_v3", nvml->pci);
  demand("nvmlDeviceGetMemoryInfo", nvml->memory);
  if (missing != nullptr) {
    return fail(ErrorCode::unavailable, name + " has no " + missing + ": the driver is too old");
  }
  const SharedLibrary& library = nvml->library;
  library.find("nvmlDeviceGetMigMode", nvml->mig_mode);
  library.find("nvmlDeviceGetEccMode", nvml->ecc_mode);
  library.find("nvmlDeviceGetMaxMigDeviceCount", nvml->mig_count);
  library.find("nvmlDeviceGetMigDeviceHandleByIndex", nvml->mig_by_index);
  library.find("nvmlDeviceGetPowerUsage", nvml->power);
  library.find("nvmlDeviceGetEnforcedPowerLimit", nvml->power_limit);
  library.find("nvmlDeviceGetMaxPcieLinkGeneration", nvml->pcie_generation);
  library.find("nvmlDeviceGetMaxPcieLinkWidth", nvml->pcie_width);
  library.find("nvmlDeviceGetTotalEccErrors", nvml->ecc_errors);
  library.find("nvmlDeviceGetNvLinkState", nvml->link_state);
  library.find("nvmlDeviceGetNvLinkVersion", nvml->link_version);
  library.find("nvmlDeviceGetNvLinkRemotePciInfo_v2", nvml->link_pci);
  library.find("nvmlDeviceGetNvLinkRemoteDeviceType", nvml->link_kind);
  // The two have the same form.
  if (!library.find("nvmlDeviceGetComputeRunningProcesses_v3", nvml->processes)) {
    library.find("nvmlDeviceGetComputeRunningProcesses_v2", nvml->processes);
  }

  const abi::Status status = init();
  if (status == abi::kDriverNotLoaded) {
    return fail(ErrorCode::unavailable,
                "NVML is there, but the NVIDIA kernel driver is not loaded");
  }
  if (status != abi::kSuccess) {
    return fail(ErrorCode::unavailable, nvml->said("nvmlInit", status));
  }
  nvml->initialised = true;
  char version[96] = {};
  if (driver_version(version, sizeof version - 1) == abi::kSuccess) nvml->version = version;
  return Nvml(std::move(nvml));
}

NvmlReading Nvml::read() const {
  const Library& nvml = *library_;
  NvmlReading reading;
  reading.status = {"NVML", true, "driver " + (nvml.version.empty() ? "unknown" : nvml.version)};
  nvml.handles.clear();
  unsigned count = 0;
  if (const abi::Status status = nvml.count(&count); status != abi::kSuccess) {
    reading.status = {"NVML", false, nvml.said("nvmlDeviceGetCount", status)};
    return reading;
  }
  const auto add = [&](abi::Device device) -> NvmlDevice& {
    NvmlDevice& entry = reading.devices.emplace_back();
    nvml.handles.push_back(device);
    nvml.read_fixed(device, entry);
    nvml.read_changing(device, entry);
    return entry;
  };
  for (unsigned index = 0; index < count; ++index) {
    abi::Device device = nullptr;
    if (const abi::Status status = nvml.by_index(index, &device); status != abi::kSuccess) {
      // Without a handle its identity is unknown: say that one is lost.
      NvmlDevice& entry = reading.devices.emplace_back();
      nvml.handles.push_back(nullptr);
      entry.health = GpuHealth::lost;
      entry.trouble = nvml.said("nvmlDeviceGetHandleByIndex", status);
      continue;
    }
    NvmlDevice& whole = add(device);
    nvml.read_links(device, whole);
    unsigned slices = 0;
    if (!whole.mig_parent || nvml.mig_count == nullptr || nvml.mig_by_index == nullptr ||
        nvml.mig_count(device, &slices) != abi::kSuccess) {
      continue;
    }
    const std::string pci = whole.pci;
    for (unsigned slice = 0; slice < slices; ++slice) {
      abi::Device part = nullptr;
      if (nvml.mig_by_index(device, slice, &part) != abi::kSuccess) continue;
      NvmlDevice& entry = add(part);
      entry.mig = true;
      entry.mig_parent = false;
      entry.pci = pci;
    }
  }
  return reading;
}

void Nvml::refresh(NvmlReading& reading) const {
  MAIS_EXPECTS(reading.devices.size() == library_->handles.size(),
               "the reading is not the last one of this NVML");
  for (std::size_t i = 0; i < reading.devices.size(); ++i) {
    if (library_->handles[i] == nullptr) continue;
    library_->read_changing(library_->handles[i], reading.devices[i]);
  }
}

}  // namespace mais::probing
