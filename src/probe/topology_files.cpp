#include <algorithm>

#include "mais/probe/gpu.hpp"
#include "mais/probe/topology.hpp"
#include "probe/host_text.hpp"
#include "probe/text_lines.hpp"

namespace mais::probing {

namespace {

// A small file that holds one number, perhaps hexadecimal or with a unit "K" or "M".
std::optional<std::int64_t> number_in(FileTree& files, const std::string& path) {
  const std::optional<std::string> text = files.text_of(path);
  if (!text) return std::nullopt;
  std::string_view word = trimmed(*text);
  std::int64_t value = 0, unit = 1;
  if (word.starts_with("0x")) {
    word.remove_prefix(2);
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, 16);
    if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
    return value;
  }
  if (word.ends_with('K') || word.ends_with('M')) {
    unit = word.ends_with('K') ? 1024 : 1024 * 1024;
    word.remove_suffix(1);
  }
  if (!to_number(word, value)) return std::nullopt;
  return detail::saturating_multiply(value, unit);
}

std::vector<int> list_in(FileTree& files, const std::string& path) {
  const std::optional<std::string> text = files.text_of(path);
  if (!text) return {};
  return parse_index_list(*text, path).value_or(std::vector<int>());
}

void add_nodes(FileTree& files, Topology& topology) {
  const std::string root = "/sys/devices/system/node";
  for (const std::string& name : files.list(root)) {
    NumaNode node;
    if (!name.starts_with("node") || !to_number(std::string_view(name).substr(4), node.node)) {
      continue;
    }
    const std::string folder = root + "/" + name;
    const std::optional<std::string> text = files.text_of(folder + "/meminfo");
    if (!text) continue;
    const auto memory = parse_meminfo(*text, folder + "/meminfo");
    if (!memory) continue;
    node.size = memory->bytes("MemTotal");
    node.cpus = list_in(files, folder + "/cpulist");
    node.memory_only = node.cpus.empty();
    // ACPI HMAT as the kernel shows it: megabytes per second, and nanoseconds.
    const std::string hmat = folder + "/access0/initiators";
    if (const auto rate = number_in(files, hmat + "/read_bandwidth"); rate && *rate > 0) {
      node.bandwidth =
          firmware_rate({static_cast<double>(*rate) * 1e6}, "ACPI HMAT, by the kernel");
    } else {
      node.bandwidth = unknown_rate("the firmware does not say");
    }
    if (const auto latency = number_in(files, hmat + "/read_latency"); latency && *latency > 0) {
      node.latency = Duration(std::min<std::int64_t>(*latency, 1'000'000'000));
    }
    topology.nodes.push_back(std::move(node));
  }
  std::sort(topology.nodes.begin(), topology.nodes.end(),
            [](const NumaNode& a, const NumaNode& b) { return a.node < b.node; });
}

void keep_what_is_allowed(FileTree& files, Topology& topology) {
  const std::optional<std::string> text = files.text_of("/proc/self/status");
  const auto status = text ? parse_process_status(*text, "/proc/self/status")
                           : Result<ProcessStatus>(ProcessStatus{});
  if (!status || status->allowed_nodes.empty()) return;
  for (NumaNode& node : topology.nodes) {
    node.allowed =
        std::binary_search(status->allowed_nodes.begin(), status->allowed_nodes.end(), node.node);
  }
}

void count_processors(FileTree& files, Topology& topology) {
  const std::string root = "/sys/devices/system/cpu";
  std::vector<std::pair<std::int64_t, std::int64_t>> cores;
  std::vector<std::int64_t> packages;
  for (const int cpu : list_in(files, root + "/online")) {
    ++topology.processing_units;
    const std::string folder = root + "/cpu" + std::to_string(cpu);
    const std::int64_t package =
        number_in(files, folder + "/topology/physical_package_id").value_or(0);
    cores.emplace_back(package, number_in(files, folder + "/topology/core_id").value_or(cpu));
    packages.push_back(package);
    if (topology.processing_units > 1) continue;
    for (int index = 0; index < 8; ++index) {
      const auto size = number_in(files, folder + "/cache/index" + std::to_string(index) + "/size");
      if (size) topology.last_level_cache = std::max(topology.last_level_cache, Bytes(*size));
    }
  }
  const auto distinct = [](auto list) {
    std::sort(list.begin(), list.end());
    return static_cast<std::size_t>(std::unique(list.begin(), list.end()) - list.begin());
  };
  topology.cores = distinct(cores);
  topology.packages = distinct(packages);
}

// "16.0 GT/s PCIe" and a width, as a rate.
BytesPerSecond link_of(FileTree& files, const std::string& folder) {
  const std::optional<std::string> speed = files.text_of(folder + "/max_link_speed");
  const auto width = number_in(files, folder + "/max_link_width");
  if (!speed || !width || *width < 1 || *width > 32) return {};
  std::string_view rest = trimmed(*speed);
  double transfers = 0;
  if (!to_number(take_word(rest), transfers)) return {};
  constexpr double kByGeneration[] = {2.5, 5, 8, 16, 32, 64, 128};
  for (int generation = 1; generation <= 7; ++generation) {
    if (transfers == kByGeneration[generation - 1]) {
      return pcie_peak(generation, static_cast<int>(*width));
    }
  }
  return {};
}

void add_gpus(FileTree& files, Topology& topology) {
  const std::string root = "/sys/bus/pci/devices";
  for (const std::string& name : files.list(root)) {
    const std::string folder = root + "/" + name;
    const std::optional<std::string> pci = canonical_pci(name);
    const auto kind = number_in(files, folder + "/class");
    constexpr std::int64_t kDisplay = 0x03;
    if (!pci || !kind || *kind >> 16 != kDisplay) continue;
    PciGpu gpu;
    gpu.pci = *pci;
    gpu.vendor = static_cast<std::uint16_t>(number_in(files, folder + "/vendor").value_or(0));
    gpu.device = static_cast<std::uint16_t>(number_in(files, folder + "/device").value_or(0));
    const auto node = number_in(files, folder + "/numa_node");
    if (node && *node >= 0) gpu.numa_nodes.push_back(static_cast<int>(*node));
    gpu.link = link_of(files, folder);
    topology.gpus.push_back(std::move(gpu));
  }
}

}  // namespace

Result<Topology> read_topology_files(FileTree& files) {
  Topology topology;
  topology.status = {"/sys", true, "NUMA nodes, processors and PCI devices as files"};
  add_nodes(files, topology);
  if (topology.nodes.empty()) {
    return fail(ErrorCode::unavailable,
                "/sys/devices/system/node shows no NUMA node: /sys is not mounted, or the kernel "
                "has no NUMA support");
  }
  keep_what_is_allowed(files, topology);
  count_processors(files, topology);
  add_gpus(files, topology);
  return topology;
}

}  // namespace mais::probing
