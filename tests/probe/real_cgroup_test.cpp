// Under a real memory cgroup: what is reported follows the limit that the kernel enforces. Needs to
// be allowed to make one; skips with the reason otherwise. Run by hand as root, or in CI as root.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <gmock/gmock.h>
#include <sys/wait.h>

#include "mais/probe/host_memory.hpp"
#include "probe/cgroup_folders.hpp"
#include "recorded_machine.hpp"

namespace mais::probing {
namespace {

using namespace mais::literals;

// A memory cgroup below the test's own, gone with this. Empty when it cannot be had, with `why`.
class OwnCgroup {
 public:
  OwnCgroup() {
    SystemFiles files;
    const auto memberships =
        parse_membership(files.text_of("/proc/self/cgroup").value_or(""), "/proc/self/cgroup");
    const auto mounts =
        parse_mounts(files.text_of("/proc/self/mountinfo").value_or(""), "/proc/self/mountinfo");
    if (!memberships || !mounts) {
      why = "the cgroups of this process cannot be read";
      return;
    }
    const CgroupFolders found = cgroup_folders(*memberships, *mounts);
    if (found.folders.empty()) {
      why = "memory is not controlled by cgroups here";
      return;
    }
    v2 = found.tree == CgroupTree::v2;
    const std::string name =
        found.folders.front() + "/mais-probe-test-" + std::to_string(::getpid());
    std::error_code error;
    if (!std::filesystem::create_directory(name, error)) {
      why = name + " cannot be made: " + error.message();
      return;
    }
    folder = name;
    if (!std::filesystem::exists(folder + limit_file())) {
      why = "the memory controller is not handed down to " + folder;
      std::filesystem::remove(folder, error);
      folder.clear();
    }
  }
  OwnCgroup(const OwnCgroup&) = delete;
  OwnCgroup& operator=(const OwnCgroup&) = delete;
  ~OwnCgroup() {
    if (!folder.empty()) ::rmdir(folder.c_str());
  }

  std::string limit_file() const { return v2 ? "/memory.max" : "/memory.limit_in_bytes"; }
  bool set_limit(Bytes limit) const { return put(limit_file(), std::to_string(limit.count())); }
  bool put(const std::string& file, const std::string& text) const {
    std::ofstream out(folder + file);
    out << text << std::flush;
    return static_cast<bool>(out);
  }

  std::string folder, why;
  bool v2 = false;
};

constexpr Bytes kLimit = 256_MiB, kLower = 128_MiB, kTaken = 40_MiB;

// What the child finds, as its exit status; 0: all as it should be.
int inside(const OwnCgroup& cgroup) {
  if (!cgroup.put("/cgroup.procs", std::to_string(::getpid()))) return 10;
  SystemFiles files("/", true);
  HostMemoryReader reader(files);
  const auto look = [&]() -> HostBudget {
    const auto host = reader.read();
    return host ? host_budget(*host) : HostBudget{};
  };
  const auto binds = [&](const HostBudget& budget) {
    return !budget.bounds.empty() && budget.bounds.front().kind == BoundKind::cgroup_max &&
           budget.bounds.front().where == cgroup.folder;
  };
  HostBudget budget = look();
  if (!binds(budget)) return 11;
  if (budget.bounds.front().limit != kLimit || budget.bytes > kLimit) return 12;
  const Bytes before = budget.bytes;
  if (before < kLimit - 32_MiB) return 13;

  // What this process takes is no longer there, within what the kernel accounts in batches.
  const auto size = static_cast<std::size_t>(kTaken.count());
  const std::unique_ptr<char[]> taken(new char[size]);
  std::memset(taken.get(), 1, size);
  budget = look();
  const Bytes missing = before - budget.bytes;
  if (missing < kTaken - 8_MiB || missing > kTaken + 8_MiB) return 14;

  if (!cgroup.set_limit(kLower)) return 15;
  budget = look();
  if (!binds(budget) || budget.bounds.front().limit != kLower) return 16;
  if (budget.bytes > kLower - kTaken + 8_MiB) return 17;
  // Read again after writing, so that the compiler keeps the memory.
  return taken[size / 2] == 1 ? 0 : 18;
}

TEST(RealCgroup, TheBudgetFollowsTheLimit) {
  const OwnCgroup cgroup;
  if (cgroup.folder.empty()) GTEST_SKIP() << cgroup.why;
  if (!cgroup.set_limit(kLimit)) GTEST_SKIP() << "no limit may be set on " << cgroup.folder;
  {
    SystemFiles files;
    const auto host = read_host_memory(files);
    ASSERT_TRUE(host);
    if (host_budget(*host).bytes < kLimit * 2) GTEST_SKIP() << "too little memory is free";
  }
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(inside(cgroup));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0) << "see inside()";
}

}  // namespace
}  // namespace mais::probing
