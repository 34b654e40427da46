// What the host has free for this process, and which limit says so.
//
// The answer is the smallest of everything that applies: what the kernel calls available, what the
// allowed NUMA nodes have, the limit of the process's own memory cgroup and of every ancestor (v1,
// v2 and hybrid trees), and the process's own resource limits. Sizes are bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mais/probe/file_tree.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::probing {

enum class CgroupTree : std::uint8_t {
  none,    // memory is not controlled
  v1,      // memory.limit_in_bytes, memory.usage_in_bytes
  v2,      // memory.max, memory.high, memory.current
  hybrid,  // v1 controls memory, a v2 tree stands beside it
};

// A memory cgroup that the process is in, by itself or because a child of it is.
struct CgroupLevel {
  std::string folder{};          // where its files are
  std::optional<Bytes> max{};    // none: no limit
  std::optional<Bytes> high{};   // above it the kernel throttles; v2 only
  Bytes current{};               // with page cache and kernel memory
  Bytes reclaimable{};           // clean page cache in it
  std::uint64_t times_high = 0;  // memory.events, v2 only: throttled, at the limit, killed
  std::uint64_t times_max = 0;
  std::uint64_t times_oom_kill = 0;
};

struct NodeMemory {
  int node = 0;
  Bytes total{};
  Bytes free{};
  Bytes available{};  // free + clean page cache
};

struct HugePages {
  Bytes size{};
  std::int64_t total = 0;  // pages
  std::int64_t free = 0;
};

// Pressure stall information: the part of the time, 0 to 1, in which some task, or all, waited for
// memory.
struct Pressure {
  double some_10s = 0, some_60s = 0;
  double full_10s = 0, full_60s = 0;
  Duration some_total{};  // since the start
};

struct HostMemory {
  Bytes total{};
  Bytes free{};
  Bytes available{};  // what the kernel estimates can be had without swapping
  std::vector<NodeMemory> nodes{};
  std::vector<int> allowed_nodes{};  // for this process; empty: not known, so all
  CgroupTree tree = CgroupTree::none;
  std::vector<CgroupLevel> cgroups{};   // the process's own first, then its ancestors
  std::optional<Bytes> hidden_limit{};  // of an ancestor outside the container (v1)
  std::optional<Pressure> pressure{};   // of the own cgroup where it has it, else the system
  std::string pressure_file{};          // where it was read
  std::vector<HugePages> huge_pages{};
  std::optional<Bytes> locked_limit{};  // RLIMIT_MEMLOCK; none: no limit
  bool may_lock_all = false;            // CAP_IPC_LOCK: that limit does not apply
  Bytes locked{};
  std::optional<Bytes> address_limit{};  // RLIMIT_AS
  std::optional<Bytes> data_limit{};     // RLIMIT_DATA
  Bytes address_used{}, data_used{}, resident{};
  std::vector<std::string> doubts{};  // what was there and could not be read, in sentences
};

// Reads everything. Fails only when there is no readable /proc/meminfo; whatever else is missing or
// malformed stands in `doubts`, and the figures it would have given are left out.
Result<HostMemory> read_host_memory(FileTree& files);

// The same for a monitor: finds the files once. O(cgroup levels + nodes). One user at a time.
class HostMemoryReader {
 public:
  explicit HostMemoryReader(FileTree& files);
  // Everything. Errors as read_host_memory().
  Result<HostMemory> read();
  // What moves by itself; resource limits and huge pages, which somebody sets, are those of the
  // last read() or of every 64th sample.
  Result<HostMemory> sample();

 private:
  FileTree& files_;
  bool found_ = false;
  CgroupTree tree_ = CgroupTree::none;
  std::vector<std::string> folders_;  // of the cgroups
  std::vector<std::pair<int, std::string>> node_files_;
  std::vector<std::string> doubts_;
  std::string membership_;
  std::string text_;
  HostMemory settings_;  // limits and huge pages as read last
  unsigned samples_ = 0;

  Result<HostMemory> read(bool everything);
  void find_files();
  void read_level(const std::string& folder, HostMemory& host);
  void read_nodes(HostMemory& host);
  void read_limits(HostMemory& host);
  void read_status(HostMemory& host);
  void read_pressure(HostMemory& host);
  void read_huge_pages(HostMemory& host);
};

enum class BoundKind : std::uint8_t {
  available,      // MemAvailable of the system
  allowed_nodes,  // what the NUMA nodes have that the process may use
  cgroup_max,
  cgroup_high,
  hidden_cgroup,  // an ancestor outside the container
  address_space,  // RLIMIT_AS
  data_segment,   // RLIMIT_DATA
};

std::string_view to_string(BoundKind kind) noexcept;
std::string_view to_string(CgroupTree tree) noexcept;

// One limit that applies: headroom = limit - used + reclaimable, at least 0.
struct Bound {
  BoundKind kind = BoundKind::available;
  std::string where{};  // the cgroup's folder, or what it is about
  Bytes limit{};
  Bytes used{};
  Bytes reclaimable{};
  Bytes headroom{};
};

struct HostBudget {
  Bytes bytes{};                // the smallest headroom
  std::vector<Bound> bounds{};  // smallest headroom first, so that the first one binds
};

// What this process may still take. Memory of NUMA nodes that belong to a device (coherent GPUs) is
// left out: name them. O(levels + nodes).
HostBudget host_budget(const HostMemory& host, std::span<const int> device_nodes = {});

// What may still be locked, for pinned buffers: at most the budget. None: no limit of its own.
std::optional<Bytes> lockable(const HostMemory& host);

}  // namespace mais::probing
