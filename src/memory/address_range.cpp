#include "memory/address_range.hpp"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <unistd.h>
#include <utility>
#include <vector>

#include <linux/mempolicy.h>
#include <sys/syscall.h>

#include "mais/units.hpp"

namespace mais::memory {

namespace {

constexpr int kReserved = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE, Linux 5.14

ErrorCode code_of(int number) noexcept {
  return number == ENOMEM || number == EAGAIN || number == EFAULT ? ErrorCode::over_capacity
                                                                  : ErrorCode::unavailable;
}

}  // namespace

int HostCalls::bind_pages(void* begin, std::size_t size, int mode, const unsigned long* nodes,
                          unsigned long most_nodes) {
  return static_cast<int>(::syscall(SYS_mbind, begin, size, mode, nodes, most_nodes, 0U));
}

const HostCalls& HostCalls::system() noexcept {
  static const HostCalls calls;
  return calls;
}

Error system_error(ErrorCode code, const char* call, std::size_t bytes, int number) {
  return {code, std::string(call) + " of " + std::to_string(bytes) + " B: " + std::strerror(number),
          static_cast<std::int64_t>(bytes), std::nullopt};
}

std::size_t page_size() noexcept {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

Result<AddressRange> AddressRange::reserve(const HostCalls& calls, std::size_t size,
                                           std::size_t alignment) {
  // As much more as the alignment may cost; what stands over is given back.
  const std::size_t slack = alignment - page_size();
  std::size_t asked = 0;
  if (__builtin_add_overflow(size, slack, &asked)) {
    return tl::unexpected(system_error(ErrorCode::over_capacity, "mmap", size, ENOMEM));
  }
  void* const mapped = calls.map(nullptr, asked, PROT_NONE, kReserved, -1, 0);
  if (mapped == MAP_FAILED) {
    return tl::unexpected(system_error(code_of(errno), "mmap", asked, errno));
  }
  auto* const first = static_cast<std::byte*>(mapped);
  const std::size_t before =
      (alignment - reinterpret_cast<std::uintptr_t>(first) % alignment) % alignment;
  if (before > 0) calls.unmap(first, before);
  if (slack > before) calls.unmap(first + before + size, slack - before);
  return AddressRange(calls, first + before, size);
}

AddressRange::AddressRange(AddressRange&& other) noexcept
    : calls_(other.calls_), begin_(std::exchange(other.begin_, nullptr)), size_(other.size_) {}

AddressRange::~AddressRange() {
  if (begin_ != nullptr) calls_->unmap(begin_, size_);
}

Result<void> AddressRange::open(std::size_t offset, std::size_t size) {
  if (calls_->protect(begin_ + offset, size, PROT_READ | PROT_WRITE) == 0) return {};
  return tl::unexpected(system_error(code_of(errno), "mprotect", size, errno));
}

// A new mapping over the old one does in one step what no other call does: the pages go, and what
// the kernel keeps count of for the process goes with them.
Result<void> AddressRange::close(std::size_t offset, std::size_t size) {
  void* const again = calls_->map(begin_ + offset, size, PROT_NONE, kReserved | MAP_FIXED, -1, 0);
  if (again != MAP_FAILED) return {};
  return tl::unexpected(system_error(code_of(errno), "mmap", size, errno));
}

Result<void> apply(const HostCalls& calls, const PagePolicy& policy, std::byte* begin,
                   std::size_t size) {
  if (policy.bind_mode >= 0) {
    constexpr std::size_t kBits = 8 * sizeof(unsigned long);
    const auto node = static_cast<std::size_t>(policy.node);
    std::vector<unsigned long> nodes(node / kBits + 1, 0);
    nodes.back() = 1UL << (node % kBits);
    // The kernel counts one bit more than there are.
    if (calls.bind(begin, size, policy.bind_mode, nodes.data(), nodes.size() * kBits + 1) != 0) {
      return tl::unexpected(system_error(code_of(errno), "mbind", size, errno));
    }
  }
  if (policy.huge && calls.advise(begin, size, MADV_HUGEPAGE) != 0) {
    return tl::unexpected(system_error(code_of(errno), "madvise(MADV_HUGEPAGE)", size, errno));
  }
  if (!policy.populate || calls.advise(begin, size, kPopulateWrite) == 0) return {};
  if (errno != EINVAL) {
    return tl::unexpected(
        system_error(code_of(errno), "madvise(MADV_POPULATE_WRITE)", size, errno));
  }
  // A kernel before that call: a write to each page does the same, and cannot fail with an error.
  for (std::size_t at = 0; at < size; at += page_size()) {
    *reinterpret_cast<volatile std::byte*>(begin + at) = std::byte{0};
  }
  return {};
}

}  // namespace mais::memory
