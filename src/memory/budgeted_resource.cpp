#include "mais/memory/budgeted_resource.hpp"

#include <bit>
#include <new>
#include <utility>

namespace mais::memory {

namespace {

// Set while a callback runs in this thread, so that its own allocations do not call it again.
thread_local bool in_callback = false;

// Zero bytes count as one; more than a count can hold counts as the most, which never fits.
Bytes charge_for(std::size_t bytes) noexcept {
  if (bytes > static_cast<std::size_t>(Bytes::max().count())) return Bytes::max();
  return Bytes(bytes == 0 ? 1 : static_cast<std::int64_t>(bytes));
}

}  // namespace

BudgetedResource::BudgetedResource(SharedLedger::Gate gate, BudgetedResourceOptions options,
                                   std::pmr::memory_resource* upstream)
    : gate_(std::move(gate)), options_(std::move(options)), upstream_(upstream) {
  MAIS_EXPECTS(upstream_ != nullptr, "a budgeted resource needs an upstream");
}

BudgetedResource::~BudgetedResource() {
  MAIS_EXPECTS(current_.load() == 0,
               "a budgeted resource is destroyed while memory is still allocated through it");
}

void* BudgetedResource::try_allocate(std::size_t bytes, std::size_t alignment) noexcept {
  MAIS_EXPECTS(std::has_single_bit(alignment), "an alignment is a power of two");
  const Bytes charge = charge_for(bytes);
  AllocationFailure failure{.asked = charge};
  while (true) {
    if (void* const pointer = attempt(charge, bytes, alignment, failure.cause)) return pointer;
    if (!wants_retry(failure)) break;
    ++failure.attempt;
    retries_.fetch_add(1, std::memory_order_relaxed);
  }
  auto& ended = failure.cause == AllocationFailure::Cause::budget ? refusals_ : upstream_failures_;
  ended.fetch_add(1, std::memory_order_relaxed);
  return nullptr;
}

void* BudgetedResource::attempt(Bytes charge, std::size_t bytes, std::size_t alignment,
                                AllocationFailure::Cause& cause) noexcept {
  cause = AllocationFailure::Cause::budget;
  if (!gate_.try_charge(charge)) return nullptr;
  try {
    if (void* const pointer = upstream_->allocate(bytes, alignment)) {
      count_allocation(charge);
      return pointer;
    }
  } catch (...) {  // whatever it says, there is no memory
  }
  cause = AllocationFailure::Cause::upstream;
  gate_.give_back(charge);
  return nullptr;
}

bool BudgetedResource::wants_retry(const AllocationFailure& failure) noexcept {
  if (!options_.on_failure || in_callback || failure.attempt >= options_.max_retries) return false;
  in_callback = true;
  bool again = false;
  try {
    again = options_.on_failure(failure);
  } catch (...) {  // as promised: no
  }
  in_callback = false;
  return again;
}

void BudgetedResource::count_allocation(Bytes charge) noexcept {
  allocations_.fetch_add(1, std::memory_order_relaxed);
  const std::int64_t now =
      current_.fetch_add(charge.count(), std::memory_order_relaxed) + charge.count();
  std::int64_t peak = peak_.load(std::memory_order_relaxed);
  while (now > peak && !peak_.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
}

void* BudgetedResource::do_allocate(std::size_t bytes, std::size_t alignment) {
  void* const pointer = try_allocate(bytes, alignment);
  if (pointer == nullptr) throw std::bad_alloc();
  return pointer;
}

void BudgetedResource::do_deallocate(void* pointer, std::size_t bytes, std::size_t alignment) {
  if (pointer == nullptr) return;
  const Bytes charge = charge_for(bytes);
  upstream_->deallocate(pointer, bytes, alignment);
  current_.fetch_sub(charge.count(), std::memory_order_relaxed);
  gate_.give_back(charge);
}

BudgetedResource::Counters BudgetedResource::counters() const noexcept {
  return {.current = Bytes(current_.load()),
          .peak = Bytes(peak_.load()),
          .allocations = allocations_.load(),
          .refusals = refusals_.load(),
          .upstream_failures = upstream_failures_.load(),
          .retries = retries_.load()};
}

}  // namespace mais::memory
