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
  if (bell_.ring_one() || unattended_.load(std::memory_order_seq_cst) == 0) return;
  if (const auto server = server_.lock()) server->serve();
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
  // Nothing of this lease is touched afterwards: a callback may end its life.
  const auto returns = std::move(returns_);
  returns->push(std::exchange(slot_, nullptr));
}

}  // namespace mais
