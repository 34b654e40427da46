#include "probe/cgroup_folders.hpp"

#include <algorithm>

namespace mais::probing {

namespace {

const Membership* membership_of(const std::vector<Membership>& list, bool v2) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const Membership& entry) {
    const auto& c = entry.controllers;
    return v2 ? c.empty() : std::find(c.begin(), c.end(), "memory") != c.end();
  });
  return found == list.end() ? nullptr : &*found;
}

const CgroupMount* mount_of(const std::vector<CgroupMount>& list, bool v2) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const CgroupMount& mount) {
    return v2 ? mount.v2 : mount.memory;
  });
  return found == list.end() ? nullptr : &*found;
}

}  // namespace

CgroupFolders cgroup_folders(const std::vector<Membership>& memberships,
                             const std::vector<CgroupMount>& mounts) {
  CgroupFolders result;
  // A controller is in one tree only, so a v1 line with memory says that v2 does not control it.
  const Membership* member = membership_of(memberships, false);
  const CgroupMount* mount = mount_of(mounts, false);
  const CgroupMount* const v2_mount = mount_of(mounts, true);
  if (member != nullptr && mount != nullptr) {
    result.tree = v2_mount != nullptr ? CgroupTree::hybrid : CgroupTree::v1;
  } else {
    member = membership_of(memberships, true);
    mount = v2_mount;
    if (member == nullptr || mount == nullptr) return result;
    result.tree = CgroupTree::v2;
  }

  const std::string root = mount->root == "/" ? "" : mount->root;
  std::string_view below = member->path;
  const bool inside = below.starts_with(root) &&
                      (below.size() == root.size() || below[root.size()] == '/') &&
                      below.find("/..") == std::string_view::npos;
  result.own_hidden = !inside;
  below.remove_prefix(inside ? root.size() : below.size());
  while (below.ends_with('/')) below.remove_suffix(1);
  const std::string point = mount->point == "/" ? "" : mount->point;
  while (!below.empty()) {
    result.folders.push_back(point + std::string(below));
    below = below.substr(0, below.find_last_of('/'));
  }
  result.folders.push_back(point.empty() ? "/" : point);
  return result;
}

}  // namespace mais::probing
