#include "mais/memory/host_source.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include <linux/mempolicy.h>

#include "memory/address_range.hpp"

namespace mais::memory {

namespace {

constexpr const char* kHugePages = "/sys/kernel/mm/transparent_hugepage/";

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Bytes of a transparent huge page; nothing where the kernel gives none to who asks.
std::optional<std::size_t> huge_page_size() {
  const std::string enabled = first_line(std::string(kHugePages) + "enabled");
  if (enabled.empty() || enabled.find("[never]") != std::string::npos) return std::nullopt;
  const unsigned long long size =
      std::strtoull(first_line(std::string(kHugePages) + "hpage_pmd_size").c_str(), nullptr, 10);
  // A power of two, or it is not what we think it is.
  if (size < page_size() || (size & (size - 1)) != 0) return std::nullopt;
  return static_cast<std::size_t>(size);
}

PagePolicy policy_of(const HostOptions& options) {
  PagePolicy policy;
  policy.huge = options.pages == HostOptions::Pages::huge;
  policy.populate = options.populate;
  if (options.numa_node) {
    policy.node = *options.numa_node;
    policy.bind_mode = options.binding == HostOptions::Binding::only ? MPOL_BIND : MPOL_PREFERRED;
  }
  return policy;
}

class HostBacking final : public Backing {
 public:
  HostBacking(AddressRange range, const HostCalls& calls, const PagePolicy& policy,
              std::size_t slab_size)
      : range_(std::move(range)), calls_(calls), policy_(policy), slab_size_(slab_size) {}

  std::byte* base() const noexcept override { return range_.begin(); }

  Result<std::byte*> commit(std::size_t slab) override {
    const std::size_t offset = slab * slab_size_;
    std::byte* const begin = range_.begin() + offset;
    Result<void> done = range_.open(offset, slab_size_);
    if (done) done = apply(calls_, policy_, begin, slab_size_);
    if (done) return begin;
    // The slab is not in use: should even this fail, its pages are untouched or unused.
    static_cast<void>(range_.close(offset, slab_size_));
    return tl::unexpected(std::move(done.error()));
  }
  Result<void> decommit(std::size_t slab) override {
    return range_.close(slab * slab_size_, slab_size_);
  }

 private:
  AddressRange range_;
  const HostCalls& calls_;
  const PagePolicy policy_;
  const std::size_t slab_size_;
};

}  // namespace

HostSource::HostSource(HostOptions options) : HostSource(options, HostCalls::system()) {}

HostSource::HostSource(HostOptions options, const HostCalls& calls)
    : options_(options), calls_(calls), granularity_(static_cast<std::int64_t>(page_size())) {
  if (options_.pages == HostOptions::Pages::huge) {
    if (const auto size = huge_page_size()) {
      granularity_ = Bytes(static_cast<std::int64_t>(*size));
    } else {
      options_.pages = HostOptions::Pages::normal;
      notes_.push_back(std::string("huge pages are off in this system: see ") + kHugePages +
                       "enabled");
    }
  }
  if (!options_.numa_node) return;
  // The kernel is asked once, with a page of no use, whether it binds to that node.
  PagePolicy policy = policy_of(options_);
  policy.huge = policy.populate = false;
  std::string why;
  if (*options_.numa_node < 0 || *options_.numa_node > 4095) {
    why = "there is no such node";
  } else if (auto range = AddressRange::reserve(calls_, page_size(), page_size()); !range) {
    why = range.error().message;
  } else if (auto bound = apply(calls_, policy, range->begin(), page_size()); !bound) {
    why = bound.error().message +
          " (no such node, a kernel without NUMA, or a container whose seccomp profile forbids "
          "mbind)";
  }
  if (why.empty()) return;
  notes_.push_back("memory is not bound to NUMA node " + std::to_string(*options_.numa_node) +
                   ": " + why);
  options_.numa_node.reset();
}

std::string HostSource::name() const {
  std::string name = "host memory";
  if (options_.pages == HostOptions::Pages::huge) name += ", huge pages";
  if (options_.numa_node) name += ", NUMA node " + std::to_string(*options_.numa_node);
  return name;
}

Bytes HostSource::granularity() const {
  return granularity_;
}

Reach HostSource::reach() const {
  return {.numa_node = options_.numa_node};
}

Result<std::unique_ptr<Backing>> HostSource::open(std::size_t slab_size, std::size_t slab_count) {
  auto range = AddressRange::reserve(calls_, slab_size * slab_count,
                                     static_cast<std::size_t>(granularity_.count()));
  if (!range) return tl::unexpected(std::move(range.error()));
  return std::make_unique<HostBacking>(*std::move(range), calls_, policy_of(options_), slab_size);
}

}  // namespace mais::memory
