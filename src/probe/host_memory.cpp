#include "mais/probe/host_memory.hpp"

#include <algorithm>
#include <charconv>

#include "probe/cgroup_folders.hpp"
#include "probe/host_text.hpp"
#include "probe/text_lines.hpp"

namespace mais::probing {

namespace {

// Page cache that can be dropped at once: on the file lists, and neither dirty nor being written.
// Shared memory and locked files are on other lists.
Bytes clean_cache(const Counters& c, std::string_view active, std::string_view inactive,
                  std::string_view dirty, std::string_view writeback) {
  return std::max(Bytes(0),
                  c.bytes(active) + c.bytes(inactive) - c.bytes(dirty) - c.bytes(writeback));
}

}  // namespace

std::string_view to_string(CgroupTree tree) noexcept {
  switch (tree) {
    case CgroupTree::none:
      return "none";
    case CgroupTree::v1:
      return "v1";
    case CgroupTree::v2:
      return "v2";
    case CgroupTree::hybrid:
      return "hybrid";
  }
  return "unknown";
}

HostMemoryReader::HostMemoryReader(FileTree& files) : files_(files) {}

void HostMemoryReader::find_files() {
  doubts_.clear();
  folders_.clear();
  node_files_.clear();
  tree_ = CgroupTree::none;
  found_ = true;
  for (const std::string& name : files_.list("/sys/devices/system/node")) {
    int node = 0;
    if (!name.starts_with("node") || !to_number(std::string_view(name).substr(4), node)) continue;
    node_files_.emplace_back(node, "/sys/devices/system/node/" + name + "/meminfo");
  }
  std::sort(node_files_.begin(), node_files_.end());

  const std::string_view self = "/proc/self/cgroup", info = "/proc/self/mountinfo";
  std::string mountinfo;
  if (!files_.read(self, membership_) || !files_.read(info, mountinfo)) return;
  const auto memberships = parse_membership(membership_, self);
  const auto mounts = parse_mounts(mountinfo, info);
  if (!memberships) doubts_.push_back(memberships.error().message);
  if (!mounts) doubts_.push_back(mounts.error().message);
  if (!memberships || !mounts) return;
  CgroupFolders found = cgroup_folders(*memberships, *mounts);
  tree_ = found.tree;
  folders_ = std::move(found.folders);
  if (found.own_hidden) {
    doubts_.push_back("the cgroup of this process is not below " + folders_.back() +
                      ": what is mounted there stands for it");
  }
}

void HostMemoryReader::read_level(const std::string& folder, HostMemory& host) {
  const bool v2 = tree_ == CgroupTree::v2;
  const bool own = &folder == &folders_.front();
  CgroupLevel level;
  level.folder = folder;
  const auto limit = [&](const char* name) -> std::optional<Bytes> {
    const std::string path = folder + name;
    if (!files_.read(path, text_)) return std::nullopt;
    const auto parsed = parse_limit(text_, path);
    if (!parsed) host.doubts.push_back(parsed.error().message);
    return parsed.value_or(std::nullopt);
  };
  // Before 2022 a v1 cgroup could choose not to be counted with its ancestors.
  if (!v2 && !own && files_.read(folder + "/memory.use_hierarchy", text_) &&
      trimmed(text_) == "0") {
    return;
  }
  level.max = limit(v2 ? "/memory.max" : "/memory.limit_in_bytes");
  if (v2) level.high = limit("/memory.high");
  if (!own && !level.max && !level.high) return;

  const std::string usage = folder + (v2 ? "/memory.current" : "/memory.usage_in_bytes");
  if (!files_.read(usage, text_)) {
    if (level.max || level.high) host.doubts.push_back(usage + ": cannot be read");
    return;
  }
  const auto current = parse_limit(text_, usage);
  if (!current || !*current) {
    host.doubts.push_back(current ? usage + ": is no amount" : current.error().message);
    return;
  }
  level.current = **current;

  const std::string stat = folder + "/memory.stat";
  if (files_.read(stat, text_)) {
    const auto counters = parse_counters(text_, stat);
    if (counters) {
      level.reclaimable = v2 ? clean_cache(*counters, "active_file", "inactive_file", "file_dirty",
                                           "file_writeback")
                             : clean_cache(*counters, "total_active_file", "total_inactive_file",
                                           "total_dirty", "total_writeback");
      const std::optional<std::int64_t> most = counters->find("hierarchical_memory_limit");
      if (own && most && *most < (std::int64_t{1} << 62)) host.hidden_limit = Bytes(*most);
    } else {
      host.doubts.push_back(counters.error().message);
    }
  }
  const std::string events = folder + "/memory.events";
  if (v2 && files_.read(events, text_)) {
    if (const auto counters = parse_counters(text_, events)) {
      level.times_high = static_cast<std::uint64_t>(counters->find("high").value_or(0));
      level.times_max = static_cast<std::uint64_t>(counters->find("max").value_or(0));
      level.times_oom_kill = static_cast<std::uint64_t>(counters->find("oom_kill").value_or(0));
    } else {
      host.doubts.push_back(counters.error().message);
    }
  }
  host.cgroups.push_back(std::move(level));
}

void HostMemoryReader::read_nodes(HostMemory& host) {
  for (const auto& [node, path] : node_files_) {
    if (!files_.read(path, text_)) continue;  // went offline
    const auto counters = parse_meminfo(text_, path);
    if (!counters) {
      host.doubts.push_back(counters.error().message);
      continue;
    }
    NodeMemory memory{
        .node = node, .total = counters->bytes("MemTotal"), .free = counters->bytes("MemFree")};
    memory.available = memory.free + clean_cache(*counters, "Active(file)", "Inactive(file)",
                                                 "Dirty", "Writeback");
    memory.available = std::min(memory.available, memory.total);
    if (memory.total > Bytes(0)) host.nodes.push_back(memory);
  }
}

void HostMemoryReader::read_limits(HostMemory& host) {
  if (const char* path = "/proc/self/limits"; files_.read(path, text_)) {
    if (const auto limits = parse_process_limits(text_, path)) {
      host.locked_limit = limits->locked;
      host.address_limit = limits->address;
      host.data_limit = limits->data;
    } else {
      host.doubts.push_back(limits.error().message);
    }
  }
}

void HostMemoryReader::read_status(HostMemory& host) {
  if (const char* path = "/proc/self/status"; files_.read(path, text_)) {
    if (auto status = parse_process_status(text_, path)) {
      host.allowed_nodes = std::move(status->allowed_nodes);
      host.address_used = status->address;
      host.data_used = status->data;
      host.resident = status->resident;
      host.locked = status->locked;
      host.may_lock_all = status->may_lock_all;
    } else {
      host.doubts.push_back(status.error().message);
    }
  }
}

void HostMemoryReader::read_pressure(HostMemory& host) {
  std::string own;
  if (tree_ == CgroupTree::v2) own = folders_.front() + "/memory.pressure";
  for (const std::string& path : {own, std::string("/proc/pressure/memory")}) {
    if (path.empty() || !files_.read(path, text_)) continue;
    const auto pressure = parse_pressure(text_, path);
    if (!pressure) {
      host.doubts.push_back(pressure.error().message);
      continue;
    }
    host.pressure = *pressure;
    host.pressure_file = path;
    return;
  }
}

void HostMemoryReader::read_huge_pages(HostMemory& host) {
  const std::string folder = "/sys/kernel/mm/hugepages";
  for (const std::string& name : files_.list(folder)) {
    // hugepages-2048kB
    std::string_view size = name;
    std::int64_t kilobytes = 0;
    if (!size.starts_with("hugepages-") || !size.ends_with("kB")) continue;
    size = size.substr(10, size.size() - 12);
    if (!to_number(size, kilobytes)) continue;
    HugePages pages{.size = Bytes(1024) * kilobytes};
    const auto count = [&](const char* file) {
      std::int64_t value = 0;
      if (files_.read(folder + "/" + name + file, text_)) to_number(trimmed(text_), value);
      return value;
    };
    pages.total = count("/nr_hugepages");
    pages.free = count("/free_hugepages");
    if (pages.total > 0) host.huge_pages.push_back(pages);
  }
}

Result<HostMemory> HostMemoryReader::read() {
  return read(true);
}

Result<HostMemory> HostMemoryReader::sample() {
  constexpr unsigned kEvery = 64;
  return read(samples_++ % kEvery == 0);
}

Result<HostMemory> HostMemoryReader::read(bool everything) {
  const char* const path = "/proc/meminfo";
  if (!files_.read(path, text_)) {
    return fail(ErrorCode::unavailable,
                "/proc/meminfo cannot be read: this is no Linux system, or /proc is not mounted");
  }
  const auto counters = parse_meminfo(text_, path);
  if (!counters) return tl::unexpected<Error>(counters.error());
  HostMemory host;
  host.total = counters->bytes("MemTotal");
  host.free = counters->bytes("MemFree");
  if (counters->find("MemAvailable")) {
    host.available = counters->bytes("MemAvailable");
  } else {  // before Linux 3.14
    host.available =
        host.free + clean_cache(*counters, "Active(file)", "Inactive(file)", "Dirty", "Writeback");
  }

  // A process may be moved to another cgroup while it runs.
  std::string membership;
  if (found_ && files_.read("/proc/self/cgroup", membership) && membership != membership_) {
    found_ = false;
  }
  if (!found_) find_files();
  host.doubts = doubts_;
  host.tree = tree_;
  for (const std::string& folder : folders_) read_level(folder, host);
  read_nodes(host);
  read_status(host);
  read_pressure(host);
  if (everything) {
    settings_ = HostMemory{};
    read_limits(settings_);
    read_huge_pages(settings_);
  }
  host.locked_limit = settings_.locked_limit;
  host.address_limit = settings_.address_limit;
  host.data_limit = settings_.data_limit;
  host.huge_pages = settings_.huge_pages;
  host.doubts.insert(host.doubts.end(), settings_.doubts.begin(), settings_.doubts.end());
  return host;
}

Result<HostMemory> read_host_memory(FileTree& files) {
  return HostMemoryReader(files).read();
}

}  // namespace mais::probing
