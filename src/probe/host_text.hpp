// The texts of /proc, /sys and cgroup trees as values. Each parser takes any bytes and gives a
// value or one parse_error, "origin:line: what is there; what would be right".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mais/probe/host_memory.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::probing {

// Names and numbers, in the order of the text. The names point into the text.
struct Counters {
  std::vector<std::pair<std::string_view, std::int64_t>> list;

  // The value of a name; O(list).
  std::optional<std::int64_t> find(std::string_view name) const;
  Bytes bytes(std::string_view name) const { return Bytes(find(name).value_or(0)); }
};

// /proc/meminfo ("MemTotal:  16 kB") and a node's meminfo ("Node 0 MemTotal: 16 kB"). kB become
// bytes, numbers without a unit stay. Demands MemTotal and MemFree.
Result<Counters> parse_meminfo(std::string_view text, std::string_view origin);
// memory.stat, memory.events: "name value" lines.
Result<Counters> parse_counters(std::string_view text, std::string_view origin);
// One number, or "max" for none. Numbers from 2^62 are how v1 says that there is no limit.
Result<std::optional<Bytes>> parse_limit(std::string_view text, std::string_view origin);
// PSI: "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", and "full ..." where it is known.
Result<Pressure> parse_pressure(std::string_view text, std::string_view origin);
// "0-3,8": a list of indices below 65,536, rising.
Result<std::vector<int>> parse_index_list(std::string_view text, std::string_view origin);

// One line of /proc/self/cgroup.
struct Membership {
  std::vector<std::string> controllers;  // none in the v2 tree
  std::string path;
};
Result<std::vector<Membership>> parse_membership(std::string_view text, std::string_view origin);

// A mounted cgroup tree, out of /proc/self/mountinfo.
struct CgroupMount {
  bool v2 = false;
  bool memory = false;  // of v1: has the memory controller
  std::string root;     // the cgroup that the mount point shows
  std::string point;
};
Result<std::vector<CgroupMount>> parse_mounts(std::string_view text, std::string_view origin);

// /proc/self/limits: the soft limits that concern memory; none: unlimited.
struct ProcessLimits {
  std::optional<Bytes> locked, address, data;
};
Result<ProcessLimits> parse_process_limits(std::string_view text, std::string_view origin);

// /proc/self/status.
struct ProcessStatus {
  Bytes address, data, resident, locked;
  std::vector<int> allowed_nodes;  // empty: not said
  bool may_lock_all = false;       // CAP_IPC_LOCK is in effect
};
Result<ProcessStatus> parse_process_status(std::string_view text, std::string_view origin);

}  // namespace mais::probing
