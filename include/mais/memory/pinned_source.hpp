// Host memory whose pages stay where they are: what devices copy to and from without staging, and
// what is never swapped out.
//
// Pinned memory is taken from everybody on the machine, so a source keeps to a limit: by default
// RLIMIT_MEMLOCK less what the process has locked when the source is made, whether or not the
// process may exceed it (CAP_IPC_LOCK), and for the pages that a CUDA driver pins too, which the
// kernel does not count. A commit beyond it is refused with what would help.
#pragma once

#include <memory>
#include <mutex>

#include "mais/memory/cuda_memory.hpp"
#include "mais/memory/host_source.hpp"

namespace mais::memory {

struct PinnedOptions {
  // As in HostOptions: pages are there and stay when commit returns in any case.
  HostOptions::Pages pages = HostOptions::Pages::normal;
  std::optional<int> numa_node{};
  HostOptions::Binding binding = HostOptions::Binding::preferred;
  // The most that may be pinned through this source at once, instead of RLIMIT_MEMLOCK.
  std::optional<Bytes> limit{};
  // Pins by this device's driver, so that every CUDA device copies at full speed; without it by
  // mlock, which keeps pages in memory and which no device knows of. Each slab is registered by
  // itself: a copy should not cross from one into the next.
  std::shared_ptr<CudaDevice> device{};
};

class PinnedSource final : public MemorySource {
 public:
  explicit PinnedSource(PinnedOptions options = {});
  PinnedSource(PinnedOptions options, const HostCalls& calls);

  std::string name() const override;
  Bytes granularity() const override { return host_.granularity(); }
  Reach reach() const override;
  std::vector<std::string> notes() const override { return host_.notes(); }

  Bytes limit() const noexcept { return limit_; }
  Bytes pinned() const;  // now, through this source

 private:
  class Slabs;
  Result<std::unique_ptr<Backing>> open(std::size_t slab_size, std::size_t slab_count) override;
  Result<void> pin(std::byte* begin, std::size_t size);
  Result<void> unpin(std::byte* begin, std::size_t size);

  std::shared_ptr<CudaDevice> device_;
  const HostCalls& calls_;
  HostSource host_;
  const bool limit_was_given_;
  const Bytes limit_;
  mutable std::mutex mutex_;
  Bytes pinned_{};  // guarded by mutex_
};

}  // namespace mais::memory
