// Host memory: normal or huge pages, on the NUMA node that was asked for.
#pragma once

#include <memory>

#include "mais/memory/memory_source.hpp"

namespace mais::memory {

struct HostCalls;  // the system's calls, which tests replace (src/memory/host_calls.hpp)

struct HostOptions {
  enum class Pages : std::uint8_t {
    normal,
    huge,  // transparent huge pages: the kernel is asked for them, and gives normal ones if it must
  };
  Pages pages = Pages::normal;
  // The node that pages come from. `preferred`: others, when it is full. `only`: the kernel would
  // rather end the process than take another's.
  enum class Binding : std::uint8_t { preferred, only };
  std::optional<int> numa_node{};
  Binding binding = Binding::preferred;
  // Every page is there when commit returns, so that nobody waits for it later. Without it, the
  // kernel finds pages as they are touched, and a machine that has promised too much ends a
  // process.
  bool populate = false;
};

// A commit of a slab is one to four system calls; a decommit is one.
class HostSource final : public MemorySource {
 public:
  // What cannot be had (a node that is not there, a kernel or a container that lets nobody bind
  // memory, huge pages switched off) is left out, and notes() says so.
  explicit HostSource(HostOptions options = {});
  HostSource(HostOptions options, const HostCalls& calls);

  std::string name() const override;
  Bytes granularity() const override;
  Reach reach() const override;
  std::vector<std::string> notes() const override { return notes_; }

 private:
  Result<std::unique_ptr<Backing>> open(std::size_t slab_size, std::size_t slab_count) override;

  HostOptions options_;
  const HostCalls& calls_;
  Bytes granularity_{};
  std::vector<std::string> notes_;
};

}  // namespace mais::memory
