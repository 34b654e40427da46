// Addresses of the process, reserved and without memory; given back when this goes.
#pragma once

#include <cstddef>

#include "mais/result.hpp"
#include "memory/host_calls.hpp"

namespace mais::memory {

class AddressRange {
 public:
  // `alignment` is a power of two, at least a page.
  static Result<AddressRange> reserve(const HostCalls& calls, std::size_t size,
                                      std::size_t alignment);
  AddressRange(AddressRange&& other) noexcept;
  AddressRange& operator=(AddressRange&&) = delete;
  ~AddressRange();

  std::byte* begin() const noexcept { return begin_; }

  // Memory behind [offset, offset + size), zeroed, readable and writable.
  Result<void> open(std::size_t offset, std::size_t size);
  // And none behind it again: locks, policies and advice go with it.
  Result<void> close(std::size_t offset, std::size_t size);

 private:
  AddressRange(const HostCalls& calls, std::byte* begin, std::size_t size) noexcept
      : calls_(&calls), begin_(begin), size_(size) {}
  const HostCalls* calls_;
  std::byte* begin_;
  std::size_t size_;
};

// The error of a call that said `number`: "mlock of 4096 B: Cannot allocate memory".
Error system_error(ErrorCode code, const char* call, std::size_t bytes, int number);

// What decides where pages of a slab come from and what they are.
struct PagePolicy {
  bool huge = false;
  int bind_mode = -1;  // of mbind; -1: not bound
  int node = 0;
  bool populate = false;
};
Result<void> apply(const HostCalls& calls, const PagePolicy& policy, std::byte* begin,
                   std::size_t size);

std::size_t page_size() noexcept;

}  // namespace mais::memory
