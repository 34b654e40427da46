// One request from submission to its end, as the planner's parts see it, and the table of all.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "mais/core/action.hpp"
#include "mais/core/ledger.hpp"
#include "mais/core/queue.hpp"
#include "mais/core/view.hpp"

namespace mais::core {

inline constexpr std::uint32_t kNoIndex = std::numeric_limits<std::uint32_t>::max();
inline constexpr Time kNever = Time::max();
inline constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();
inline constexpr std::int64_t kNoDue = kForever;  // nanoseconds: nothing is promised

inline double seconds_until(std::int64_t due, std::int64_t now) {
  return due == kNoDue ? 1e12 : static_cast<double>(due - now) * 1e-9;
}

struct Sequence {
  RequestId id{};
  std::uint64_t tag = 0;
  ModelId model{};
  TenantId tenant{};
  ServiceClass service_class = ServiceClass::streaming;
  RequestPhase phase = RequestPhase::ended;
  InstanceId instance{};
  QueueHandle handle{};  // while waiting

  Time arrival{};
  Time first_due = kNever;  // of the first token
  Time completion_due = kNever;
  std::optional<Duration> tpot{};  // mean time per output token after the first
  Time first_token{};
  Time expires = kNever;

  std::int64_t prompt = 0;
  std::int64_t max_new = 0;
  std::int64_t generated = 0;
  std::int64_t computed = 0;   // tokens of state in the pool
  std::int64_t reached = 0;    // the most of it that was ever computed: below it is recomputation
  std::int64_t uncharged = 0;  // service received and not yet told to the queue's fair shares

  std::uint32_t running = kNoIndex;  // place in its batcher's running set
  std::vector<std::uint32_t> pages;  // block table: shared pages first
  std::vector<std::uint32_t> nodes;  // of the prefix cache, that hold the shared pages
  std::vector<BlockHash> prefix;
  std::uint32_t shared_blocks = 0;   // of the prefix; those after them are named by nobody else
  std::uint32_t swapped = kNoIndex;  // node of the host tier that is kept for it
  Time ready{};                      // when the last of its pages has its content, predicted
  std::int64_t charged = 0;          // bytes of state charged to its tenant

  std::uint32_t preemptions = 0;
  std::uint32_t without_progress = 0;  // preemptions since it last emitted a token
  std::uint32_t failures = 0;          // steps that ran out of memory with it alone
  bool late = false;                   // can no longer be good
  bool overdue = false;                // waited too long: gives way to nobody any more
  bool gives_way() const noexcept { return late && !overdue; }
  bool in_step = false;
  bool stops = false;      // its host said that it ended by itself
  std::uint32_t told = 0;  // pages that the host knows of

  Bytes leased{};  // a lease, or one that waits
  SpaceId space{};
  ReservationId reservation{};
  bool lease = false;
};

// All requests that have not ended, by id in O(1): an id carries its slot.
class SequenceTable {
 public:
  explicit SequenceTable(std::uint64_t most) : most_(most) {}

  // The id that the next request gets, whether it is kept or refused.
  RequestId next_id() {
    ++serial_;
    const std::uint32_t slot =
        free_.empty() ? static_cast<std::uint32_t>(sequences_.size()) : free_.back();
    return RequestId{serial_ << kSlotBits | slot};
  }
  StepId next_step() { return StepId{++steps_}; }
  bool full() const noexcept { return size_ >= most_; }
  std::size_t size() const noexcept { return size_; }

  // Keeps the request of the id that next_id() gave last.
  Sequence& add(RequestId id) {
    const std::uint32_t slot = slot_of(id);
    if (slot == sequences_.size()) {
      sequences_.emplace_back();
    } else {
      free_.pop_back();
    }
    ++size_;
    Sequence& sequence = sequences_[slot];
    sequence.id = id;
    return sequence;
  }
  void remove(Sequence& sequence) {
    const std::uint32_t slot = slot_of(sequence.id);
    // The next tenant of the slot finds the vectors' room, so that nothing allocates.
    Sequence blank;
    blank.pages.swap(sequence.pages);
    blank.nodes.swap(sequence.nodes);
    blank.prefix.swap(sequence.prefix);
    blank.pages.clear();
    blank.nodes.clear();
    blank.prefix.clear();
    sequence = std::move(blank);
    free_.push_back(slot);
    --size_;
  }

  Sequence* find(RequestId id) noexcept {
    const std::uint32_t slot = slot_of(id);
    if (slot >= sequences_.size() || sequences_[slot].id != id || id == RequestId{}) return nullptr;
    return &sequences_[slot];
  }
  Sequence& at(std::uint32_t slot) noexcept { return sequences_[slot]; }
  const Sequence& at(std::uint32_t slot) const noexcept { return sequences_[slot]; }
  Sequence& operator[](RequestId id) noexcept { return sequences_[slot_of(id)]; }
  const Sequence& operator[](RequestId id) const noexcept { return sequences_[slot_of(id)]; }

  template <class Visit>
  void for_each(Visit visit) const {
    for (const Sequence& sequence : sequences_) {
      if (sequence.id != RequestId{}) visit(sequence);
    }
  }

  static constexpr std::uint32_t slot_of(RequestId id) noexcept {
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(id) & ((1U << kSlotBits) - 1));
  }

  static constexpr unsigned kSlotBits = 24;

 private:
  std::vector<Sequence> sequences_;
  std::vector<std::uint32_t> free_;
  std::uint64_t serial_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t most_;
  std::size_t size_ = 0;
};

// What every part of the planner works on during one call.
struct Context {
  Ledger& ledger;
  SequenceTable& sequences;
  Time now;
  Actions& out;
};

}  // namespace mais::core
