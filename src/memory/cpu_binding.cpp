#include "memory/cpu_binding.hpp"

#include <cerrno>
#include <cstring>
#include <sched.h>

#include "mais/probe/file_tree.hpp"
#include "probe/host_text.hpp"

namespace mais::memory {

std::string bind_to_node(int node) {
  const std::string not_bound =
      "a worker is not bound to the CPUs of NUMA node " + std::to_string(node) + ": ";
  const std::string path = "/sys/devices/system/node/node" + std::to_string(node) + "/cpulist";
  probing::SystemFiles files;
  const auto text = files.text_of(path);
  if (!text) return not_bound + "there is no " + path;
  const Result<std::vector<int>> cpus = probing::parse_index_list(*text, path);
  if (!cpus) return not_bound + cpus.error().message;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : *cpus) {
    if (cpu < CPU_SETSIZE) CPU_SET(static_cast<std::size_t>(cpu), &set);
  }
  if (CPU_COUNT(&set) == 0) return not_bound + "it has no CPUs";
  if (::sched_setaffinity(0, sizeof set, &set) != 0) return not_bound + std::strerror(errno);
  return {};
}

}  // namespace mais::memory
