#include <algorithm>

#include "mais/probe/host_memory.hpp"

namespace mais::probing {

std::string_view to_string(BoundKind kind) noexcept {
  switch (kind) {
    case BoundKind::available:
      return "MemAvailable of the system";
    case BoundKind::allowed_nodes:
      return "free memory of the allowed NUMA nodes";
    case BoundKind::cgroup_max:
      return "cgroup limit";
    case BoundKind::cgroup_high:
      return "cgroup high mark";
    case BoundKind::hidden_cgroup:
      return "limit of a cgroup outside the container";
    case BoundKind::address_space:
      return "RLIMIT_AS";
    case BoundKind::data_segment:
      return "RLIMIT_DATA";
  }
  return "unknown";
}

namespace {

bool has(std::span<const int> list, int node) {
  return std::find(list.begin(), list.end(), node) != list.end();
}

Bound bound(BoundKind kind, std::string where, Bytes limit, Bytes used, Bytes reclaimable) {
  // More cannot come back than is used.
  reclaimable = std::min(reclaimable, used);
  return {kind, std::move(where), limit,
          used, reclaimable,      std::max(Bytes(0), limit - used + reclaimable)};
}

}  // namespace

HostBudget host_budget(const HostMemory& host, std::span<const int> device_nodes) {
  HostBudget budget;
  std::vector<Bound>& bounds = budget.bounds;

  // What the kernel counts includes the memory of devices that are NUMA nodes.
  Bytes foreign_total{}, foreign_available{}, foreign_free{};
  Bytes total{}, available{}, free{};
  std::size_t allowed = 0;
  for (const NodeMemory& node : host.nodes) {
    if (has(device_nodes, node.node)) {
      foreign_total += node.total;
      foreign_available += node.available;
      foreign_free += node.free;
    } else if (host.allowed_nodes.empty() || has(host.allowed_nodes, node.node)) {
      total += node.total;
      available += node.available;
      free += node.free;
      ++allowed;
    }
  }
  const auto system = [&](Bytes value, Bytes foreign) {
    return std::max(Bytes(0), value - foreign);
  };
  const Bytes used = system(host.total, foreign_total) - system(host.free, foreign_free);
  bounds.push_back(
      bound(BoundKind::available, "", system(host.total, foreign_total), used,
            system(host.available, foreign_available) - system(host.free, foreign_free)));
  if (allowed > 0) {
    bounds.push_back(bound(BoundKind::allowed_nodes, "", total, total - free, available - free));
  }

  for (const CgroupLevel& level : host.cgroups) {
    if (level.max) {
      bounds.push_back(
          bound(BoundKind::cgroup_max, level.folder, *level.max, level.current, level.reclaimable));
    }
    if (level.high) {
      bounds.push_back(bound(BoundKind::cgroup_high, level.folder, *level.high, level.current,
                             level.reclaimable));
    }
  }
  // A limit above what can be seen: at least what the own cgroup uses is charged to it.
  const auto as_tight = [&](const CgroupLevel& level) {
    return level.max && *level.max <= *host.hidden_limit;
  };
  if (host.hidden_limit && !host.cgroups.empty() &&
      std::none_of(host.cgroups.begin(), host.cgroups.end(), as_tight)) {
    const CgroupLevel& own = host.cgroups.front();
    bounds.push_back(bound(BoundKind::hidden_cgroup, own.folder + "/memory.stat",
                           *host.hidden_limit, own.current, own.reclaimable));
  }
  if (host.address_limit) {
    bounds.push_back(
        bound(BoundKind::address_space, "", *host.address_limit, host.address_used, Bytes(0)));
  }
  if (host.data_limit) {
    bounds.push_back(
        bound(BoundKind::data_segment, "", *host.data_limit, host.data_used, Bytes(0)));
  }

  std::stable_sort(bounds.begin(), bounds.end(),
                   [](const Bound& a, const Bound& b) { return a.headroom < b.headroom; });
  budget.bytes = bounds.front().headroom;
  return budget;
}

std::optional<Bytes> lockable(const HostMemory& host) {
  if (!host.locked_limit || host.may_lock_all) return std::nullopt;
  return std::max(Bytes(0), *host.locked_limit - host.locked);
}

}  // namespace mais::probing
