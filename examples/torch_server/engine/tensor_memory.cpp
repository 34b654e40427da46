#include "tensor_memory.hpp"

#include <new>

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

namespace torch_server {

namespace {

thread_local std::pmr::memory_resource* current = nullptr;
thread_local std::optional<std::size_t> last_refused;

// Before each allocation stands whom it goes back to.
struct Header {
  std::pmr::memory_resource* resource;
  std::size_t bytes;
};
constexpr std::size_t kAlignment = 64;  // that LibTorch promises to its kernels
constexpr std::size_t kHeader = kAlignment;
static_assert(sizeof(Header) <= kHeader);

std::size_t whole_bytes(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment + kHeader;
}

void give_back(void* data) {
  if (data == nullptr) return;
  auto* base = static_cast<std::byte*>(data) - kHeader;
  const Header header = *reinterpret_cast<Header*>(base);
  header.resource->deallocate(base, header.bytes, kAlignment);
}

class BudgetAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) const override {
    const c10::Device cpu(c10::DeviceType::CPU);
    if (bytes == 0) return {nullptr, nullptr, &give_back, cpu};
    std::pmr::memory_resource* resource =
        current != nullptr ? current : std::pmr::new_delete_resource();
    const std::size_t whole = whole_bytes(bytes);
    std::byte* base = nullptr;
    try {
      base = static_cast<std::byte*>(resource->allocate(whole, kAlignment));
    } catch (const std::bad_alloc&) {
      last_refused = whole;
      throw;
    }
    new (base) Header{resource, whole};
    void* data = base + kHeader;
    return {data, data, &give_back, cpu};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
};

void install() {
  static BudgetAllocator allocator;
  static const bool installed = [] {
    c10::SetCPUAllocator(&allocator, 1);
    return true;
  }();
  static_cast<void>(installed);
}

}  // namespace

TensorScope::TensorScope(std::pmr::memory_resource& resource)
    : outer_(current), outer_refused_(last_refused) {
  install();
  current = &resource;
  last_refused.reset();
}

TensorScope::~TensorScope() {
  current = outer_;
  last_refused = outer_refused_;
}

std::optional<std::size_t> TensorScope::refused() const {
  return last_refused;
}

std::int64_t tensor_bytes(std::int64_t floats) {
  return static_cast<std::int64_t>(whole_bytes(static_cast<std::size_t>(floats) * sizeof(float)));
}

}  // namespace torch_server
