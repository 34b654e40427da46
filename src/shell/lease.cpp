#include "mais/lease.hpp"

#include "mais/result.hpp"
#include "shell/lease_returns.hpp"

namespace mais {

namespace shell {

void LeaseReturns::push(LeaseSlot* slot) noexcept {
  slot->next = first_.load(std::memory_order_relaxed);
  while (!first_.compare_exchange_weak(slot->next, slot, std::memory_order_seq_cst,
                                       std::memory_order_relaxed)) {
  }
  bell_.ring_one();
}

}  // namespace shell

namespace {

const shell::LeaseSlot& held_slot(const shell::LeaseSlot* slot) {
  MAIS_EXPECTS(slot != nullptr, "the lease holds nothing: it was released or moved from");
  return *slot;
}

}  // namespace

Bytes Lease::bytes() const {
  return held_slot(slot_).bytes;
}

SpaceId Lease::space() const {
  return held_slot(slot_).space;
}

RequestId Lease::request() const {
  return held_slot(slot_).request;
}

void Lease::release() noexcept {
  if (slot_ == nullptr) return;
  returns_->push(std::exchange(slot_, nullptr));
  returns_.reset();
}

}  // namespace mais
