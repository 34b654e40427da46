// Which folders hold the memory cgroups of this process: its own first, then every ancestor that
// can be seen from here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mais/probe/host_memory.hpp"
#include "probe/host_text.hpp"

namespace mais::probing {

struct CgroupFolders {
  CgroupTree tree = CgroupTree::none;
  std::vector<std::string> folders;
  // The process's own cgroup is not below the mount (a container without a cgroup namespace), so
  // what the mount shows stands for it.
  bool own_hidden = false;
};

CgroupFolders cgroup_folders(const std::vector<Membership>& memberships,
                             const std::vector<CgroupMount>& mounts);

}  // namespace mais::probing
