#include "shell/observation_feed.hpp"

#include <mutex>
#include <span>
#include <utility>

#include "mais/result.hpp"

namespace mais::shell {

ObservationFeed::ObservationFeed(std::vector<std::shared_ptr<Observer>> observers,
                                 const ObserverOptions& options)
    : observers_(std::move(observers)), capacity_(options.capacity), when_full_(options.when_full) {
  MAIS_EXPECTS(capacity_ >= 1, "the queue of observations holds one or more");
  for (const auto& observer : observers_) {
    MAIS_EXPECTS(observer != nullptr, "an observer is null");
  }
}

Observation& ObservationFeed::next_slot() {
  if (waiting_count_ == waiting_.size()) waiting_.emplace_back();
  return waiting_[waiting_count_];
}

void ObservationFeed::fill(Observation& slot, std::span<const core::Action> actions,
                           std::optional<Time> wake_at, const core::Step* step) {
  slot.actions.assign(actions.begin(), actions.end());
  slot.wake_at = wake_at;
  if (step != nullptr) {
    slot.step = *step;
    return;
  }
  slot.step.id = {};
  slot.step.instance = {};
  slot.step.entries.clear();
  slot.step.blocks.clear();
  slot.step.moves.clear();
  slot.step.padded = {};
  slot.step.workspace = {};
  slot.step.predicted = {};
}

bool ObservationFeed::deliver() noexcept {
  std::unique_lock lock(mutex_);
  if (delivering_ || waiting_count_ == 0) return false;
  deliver_some(lock);
  return waiting_count_ != 0;
}

void ObservationFeed::deliver_some(std::unique_lock<Mutex>& lock) noexcept {
  delivering_ = true;
  deliverer_ = std::this_thread::get_id();
  for (std::size_t done = 0; waiting_count_ != 0 && done < capacity_;) {
    underway_.swap(waiting_);
    const std::size_t count = std::exchange(waiting_count_, 0);
    if (when_full_ == WhenFull::wait) changed_.notify_all();
    lock.unlock();
    for (std::size_t i = 0; i < count; ++i) {
      for (const auto& observer : observers_) observer->observe(underway_[i]);
    }
    done += count;
    lock.lock();
  }
  delivering_ = false;
  deliverer_ = {};
  changed_.notify_all();
}

bool ObservationFeed::has_room() const {
  if (when_full_ == WhenFull::drop) return true;
  const std::lock_guard lock(mutex_);
  return !full();
}

void ObservationFeed::await_room() {
  std::unique_lock lock(mutex_);
  while (full()) {
    if (delivering_) {
      changed_.wait(lock);
    } else {
      deliver_some(lock);
    }
  }
}

void ObservationFeed::wait_until_idle() {
  std::unique_lock lock(mutex_);
  while (delivering_ || waiting_count_ != 0) {
    if (delivering_) {
      changed_.wait(lock);
    } else {
      deliver_some(lock);
    }
  }
}

bool ObservationFeed::is_delivering() const {
  const std::lock_guard lock(mutex_);
  return delivering_ && deliverer_ == std::this_thread::get_id();
}

}  // namespace mais::shell
