#include "shell/doorbell.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>

namespace mais::shell {

Doorbell::Sleeper::Sleeper(Doorbell& bell) : bell_(bell) {
  const std::lock_guard lock(bell_.mutex_);
  previous_ = bell_.last_;
  (previous_ != nullptr ? previous_->next_ : bell_.first_) = this;
  bell_.last_ = this;
  bell_.sleepers_.fetch_add(1, std::memory_order_seq_cst);
}

Doorbell::Sleeper::~Sleeper() {
  leave();
}

void Doorbell::Sleeper::sleep(std::optional<Duration> at_most) {
  // A far end would overflow the clock it is added to; waking up early is allowed.
  constexpr Duration kLongest = std::chrono::hours(1);
  std::unique_lock lock(bell_.mutex_);
  if (!rung_) wake_.wait_for(lock, std::min(at_most.value_or(kLongest), kLongest));
  bell_.answer_locked(*this);
}

void Doorbell::Sleeper::ring() noexcept {
  const std::lock_guard lock(bell_.mutex_);
  bell_.ring_locked(*this);
}

bool Doorbell::Sleeper::leave() noexcept {
  const std::lock_guard lock(bell_.mutex_);
  if (!registered_) return false;
  registered_ = false;
  (previous_ != nullptr ? previous_->next_ : bell_.first_) = next_;
  (next_ != nullptr ? next_->previous_ : bell_.last_) = previous_;
  bell_.sleepers_.fetch_sub(1, std::memory_order_seq_cst);
  const bool unanswered = rung_;
  bell_.answer_locked(*this);
  return unanswered;
}

bool Doorbell::ring_one() noexcept {
  if (sleepers_.load(std::memory_order_seq_cst) == 0) return false;
  const std::lock_guard lock(mutex_);
  if (first_ != nullptr && rung_ == 0) ring_locked(*first_);
  return first_ != nullptr;
}

void Doorbell::ring_all() noexcept {
  if (sleepers_.load(std::memory_order_seq_cst) == 0) return;
  const std::lock_guard lock(mutex_);
  for (Sleeper* sleeper = first_; sleeper != nullptr; sleeper = sleeper->next_) {
    ring_locked(*sleeper);
  }
}

void Doorbell::ring_locked(Sleeper& sleeper) noexcept {
  if (!sleeper.registered_ || sleeper.rung_) return;
  sleeper.rung_ = true;
  ++rung_;
  sleeper.wake_.notify_one();
}

void Doorbell::answer_locked(Sleeper& sleeper) noexcept {
  if (!sleeper.rung_) return;
  sleeper.rung_ = false;
  --rung_;
}

}  // namespace mais::shell
