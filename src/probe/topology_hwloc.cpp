// The topology by way of hwloc. Only this file names it.
#include <algorithm>
#include <cstring>
#include <hwloc.h>
#include <map>
#include <memory>
#include <set>

#include <hwloc/distances.h>
#include <hwloc/memattrs.h>

#include "mais/probe/topology.hpp"
#include "probe/topology_xml_check.hpp"

namespace mais::probing {

bool has_hwloc() noexcept {
  return true;
}

namespace {

struct Destroy {
  void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};
using Handle = std::unique_ptr<hwloc_topology, Destroy>;

std::string version_text() {
  const unsigned version = hwloc_get_api_version();
  return std::to_string(version >> 16) + "." + std::to_string(version >> 8 & 0xff) + "." +
         std::to_string(version & 0xff);
}

Result<Handle> new_topology() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) {
    return fail(ErrorCode::unavailable, "hwloc cannot be initialised");
  }
  Handle topology(raw);
  // I/O objects are off by default. Everything else may be merged away: only PUs, nodes and the
  // devices are looked at.
  hwloc_topology_set_io_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
  hwloc_topology_set_flags(raw, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  return topology;
}

std::vector<int> indices_of(hwloc_const_bitmap_t set) {
  std::vector<int> indices;
  if (set == nullptr || hwloc_bitmap_weight(set) < 0) return indices;
  for (int i = hwloc_bitmap_first(set); i >= 0; i = hwloc_bitmap_next(set, i)) indices.push_back(i);
  return indices;
}

std::string pci_of(hwloc_obj_t object) {
  const auto& pci = object->attr->pcidev;
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%04x:%02x:%02x.%x", pci.domain, pci.bus, pci.dev, pci.func);
  return buffer;
}

// The best value that any set of CPUs gets from the node, for bandwidth; the least, for latency.
std::optional<hwloc_uint64_t> attribute_of(hwloc_topology_t topology, hwloc_obj_t node,
                                           std::initializer_list<hwloc_memattr_id_t> attributes) {
  for (const hwloc_memattr_id_t attribute : attributes) {
    hwloc_location best{};
    hwloc_uint64_t value = 0;
    if (hwloc_memattr_get_best_initiator(topology, attribute, node, 0, &best, &value) == 0 &&
        value > 0) {
      return value;
    }
  }
  return std::nullopt;
}

NumaNode node_of(hwloc_topology_t topology, hwloc_obj_t object) {
  NumaNode node;
  node.node = static_cast<int>(object->os_index);
  node.size = Bytes(static_cast<std::int64_t>(
      std::min<hwloc_uint64_t>(object->attr->numanode.local_memory, detail::kCountMax)));
  hwloc_const_bitmap_t allowed = hwloc_topology_get_allowed_nodeset(topology);
  node.allowed = allowed == nullptr || hwloc_bitmap_isset(allowed, object->os_index) != 0;
  hwloc_bitmap_t cpus = hwloc_bitmap_alloc();
  hwloc_bitmap_and(cpus, object->cpuset, hwloc_topology_get_allowed_cpuset(topology));
  node.cpus = indices_of(cpus);
  hwloc_bitmap_free(cpus);
  if (object->subtype != nullptr) node.subtype = object->subtype;
  // GPU memory of coherent machines: hwloc marks the node and names the GPU.
  if (const char* gpu = hwloc_obj_get_info_by_name(object, "PCIBusID")) {
    node.gpu = canonical_pci(gpu);
  }
  if (const auto value = attribute_of(
          topology, object, {HWLOC_MEMATTR_ID_READ_BANDWIDTH, HWLOC_MEMATTR_ID_BANDWIDTH})) {
    node.bandwidth = firmware_rate({static_cast<double>(*value) * 1e6}, "ACPI HMAT, by hwloc");
  } else {
    node.bandwidth = unknown_rate("the firmware does not say");
  }
  if (const auto value = attribute_of(topology, object,
                                      {HWLOC_MEMATTR_ID_READ_LATENCY, HWLOC_MEMATTR_ID_LATENCY})) {
    node.latency =
        Duration(static_cast<std::int64_t>(std::min<hwloc_uint64_t>(*value, 1'000'000'000)));
  }
  return node;
}

// Memory-only nodes (GPU memory, expanders, high-bandwidth memory) are attached to an object that
// has CPUs, beside the ordinary node of those CPUs, which hwloc lists first.
void mark_memory_only(hwloc_topology_t topology, Topology& result) {
  const hwloc_obj_t first = hwloc_get_obj_by_type(topology, HWLOC_OBJ_NUMANODE, 0);
  for (hwloc_obj_t object = first; object != nullptr; object = object->next_cousin) {
    for (hwloc_obj_t earlier = first; earlier != object; earlier = earlier->next_cousin) {
      if (!hwloc_bitmap_isequal(earlier->cpuset, object->cpuset)) continue;
      for (NumaNode& node : result.nodes) {
        if (node.node == static_cast<int>(object->os_index)) node.memory_only = true;
      }
    }
  }
}

void add_gpus(hwloc_topology_t topology, Topology& result) {
  for (hwloc_obj_t object = hwloc_get_next_pcidev(topology, nullptr); object != nullptr;
       object = hwloc_get_next_pcidev(topology, object)) {
    constexpr unsigned kDisplay = 0x03;
    const auto& pci = object->attr->pcidev;
    if (pci.class_id >> 8 != kDisplay) continue;
    PciGpu gpu;
    gpu.pci = pci_of(object);
    gpu.vendor = pci.vendor_id;
    gpu.device = pci.device_id;
    if (object->name != nullptr) gpu.name = object->name;
    if (const char* product = hwloc_obj_get_info_by_name(object, "PCIDevice")) gpu.name = product;
    if (pci.linkspeed > 0) gpu.link = {static_cast<double>(pci.linkspeed) * 1e9};
    if (const hwloc_obj_t parent = hwloc_get_non_io_ancestor_obj(topology, object)) {
      gpu.numa_nodes = indices_of(parent->nodeset);
    }
    // Next to every node is next to none.
    if (gpu.numa_nodes.size() == result.nodes.size() && result.nodes.size() > 1) {
      gpu.numa_nodes.clear();
    }
    for (hwloc_obj_t device = object->io_first_child; device != nullptr;
         device = device->next_sibling) {
      if (device->type == HWLOC_OBJ_OS_DEVICE && device->name != nullptr) {
        gpu.names.emplace_back(device->name);
      }
    }
    result.gpus.push_back(std::move(gpu));
  }
}

std::optional<std::string> gpu_of(hwloc_obj_t object) {
  for (; object != nullptr; object = object->parent) {
    if (object->type == HWLOC_OBJ_PCI_DEVICE) return pci_of(object);
  }
  return std::nullopt;
}

// hwloc gives the NVLink rates between GPUs, and over switches, as a matrix in MB/s.
void add_gpu_links(hwloc_topology_t topology, Topology& result) {
  unsigned count = 1;
  hwloc_distances_s* matrix = nullptr;
  if (hwloc_distances_get_by_name(topology, "NVLinkBandwidth", &count, &matrix, 0) != 0 ||
      count == 0 || matrix == nullptr) {
    return;
  }
  // Two names of one GPU in the matrix are one end: the larger figure counts.
  std::map<std::pair<std::string, std::string>, double> best;
  for (unsigned i = 0; i < matrix->nbobjs; ++i) {
    for (unsigned j = 0; j < matrix->nbobjs; ++j) {
      const double megabytes = static_cast<double>(matrix->values[i * matrix->nbobjs + j]);
      const auto from = gpu_of(matrix->objs[i]), to = gpu_of(matrix->objs[j]);
      if (!from || !to || *from == *to || megabytes <= 0) continue;
      double& rate = best[{*from, *to}];
      rate = std::max(rate, megabytes * 1e6);
    }
  }
  for (const auto& [ends, rate] : best) {
    const auto known = [&](const std::string& pci) {
      return std::any_of(result.gpus.begin(), result.gpus.end(),
                         [&](const PciGpu& gpu) { return gpu.pci == pci; });
    };
    if (known(ends.first) && known(ends.second)) {
      result.gpu_links.push_back({ends.first, ends.second, {rate}});
    }
  }
  hwloc_distances_release(topology, matrix);
}

Topology describe(hwloc_topology_t topology, std::string detail) {
  Topology result;
  result.status = {"hwloc", true, std::move(detail)};
  for (hwloc_obj_t object = hwloc_get_obj_by_type(topology, HWLOC_OBJ_NUMANODE, 0);
       object != nullptr; object = object->next_cousin) {
    result.nodes.push_back(node_of(topology, object));
  }
  mark_memory_only(topology, result);
  std::sort(result.nodes.begin(), result.nodes.end(),
            [](const NumaNode& a, const NumaNode& b) { return a.node < b.node; });
  const auto count = [&](hwloc_obj_type_t type) {
    return static_cast<std::size_t>(std::max(0, hwloc_get_nbobjs_by_type(topology, type)));
  };
  result.packages = count(HWLOC_OBJ_PACKAGE);
  result.cores = count(HWLOC_OBJ_CORE);
  result.processing_units = count(HWLOC_OBJ_PU);
  for (const hwloc_obj_type_t type : {HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L3CACHE, HWLOC_OBJ_L4CACHE}) {
    for (hwloc_obj_t object = hwloc_get_obj_by_type(topology, type, 0); object != nullptr;
         object = object->next_cousin) {
      const auto size = std::min<hwloc_uint64_t>(object->attr->cache.size, std::uint64_t{1} << 40);
      result.last_level_cache =
          std::max(result.last_level_cache, Bytes(static_cast<std::int64_t>(size)));
    }
  }
  add_gpus(topology, result);
  add_gpu_links(topology, result);
  return result;
}

// A record goes into bug reports: names and serial numbers of the machine stay out of it.
std::string without_identity(std::string_view xml) {
  std::string kept;
  while (!xml.empty()) {
    const std::size_t end = xml.find('\n');
    const std::string_view line = xml.substr(0, end);
    bool identifies = false;
    for (const char* info : {"HostName", "DMI", "ProcessName", "LinuxCgroup", "OSVersion"}) {
      identifies |= line.find(std::string("<info name=\"") + info) != std::string_view::npos;
    }
    if (!identifies) kept.append(line).append("\n");
    xml.remove_prefix(end == std::string_view::npos ? xml.size() : end + 1);
  }
  return kept;
}

}  // namespace

Result<Topology> read_topology(std::string* xml) {
  auto topology = new_topology();
  if (!topology) return tl::unexpected<Error>(topology.error());
  // These load GPU runtimes, some of which create a context on every GPU.
  for (const char* component : {"cuda", "nvml", "opencl", "rsmi", "levelzero", "gl"}) {
    hwloc_topology_set_components(topology->get(), HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST,
                                  component);
  }
  if (hwloc_topology_load(topology->get()) != 0) {
    return fail(ErrorCode::unavailable, "hwloc cannot read the topology of this machine");
  }
  if (xml != nullptr) {
    char* text = nullptr;
    int length = 0;
    if (hwloc_topology_export_xmlbuffer(topology->get(), &text, &length, 0) == 0) {
      *xml = without_identity(std::string_view(text));
      hwloc_free_xmlbuffer(topology->get(), text);
    }
  }
  return describe(topology->get(), "version " + version_text());
}

Result<Topology> read_topology_xml(std::string_view xml) {
  if (auto fault = check_topology_xml(xml, "hwloc-xml")) return tl::unexpected<Error>(*fault);
  auto topology = new_topology();
  if (!topology) return tl::unexpected<Error>(topology.error());
  // hwloc wants the length with the final zero.
  const std::string text(xml);
  if (text.size() >= (std::size_t{1} << 30) ||
      hwloc_topology_set_xmlbuffer(topology->get(), text.c_str(),
                                   static_cast<int>(text.size() + 1)) != 0 ||
      hwloc_topology_load(topology->get()) != 0) {
    return fail(ErrorCode::parse_error,
                "hwloc-xml: hwloc " + version_text() +
                    " does not take this as a topology; lstopo --of xml writes one");
  }
  return describe(topology->get(), "from XML");
}

}  // namespace mais::probing
