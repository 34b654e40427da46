// Which of llama.cpp's sequences holds which request's state.
//
// The planner speaks of pages, llama.cpp of sequences of cells: a sequence of n tokens takes n
// cells wherever there are some, and gives them back as a whole. A page is a claim on as many cells
// as it has tokens. The host says when a request has lost its pages or is over (Engine::forget),
// before somebody else is given them; so cells in use never exceed those of the pages that are
// given out, and a step that the planner forms finds its cells.
//
// A preempted request whose pages nobody took yet keeps its sequence. There may be more of those
// than there are sequences to spare, so that the one that has not been in a step for longest may
// have to go; should it not have been preempted, its state is computed again.
//
// A value; names no library.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "mais/result.hpp"
#include "mais/units.hpp"

namespace llama_server {

using Sequence = std::int32_t;

class SequenceTable {
 public:
  // `sequences`: that llama.cpp has, at least as many as a step has entries.
  explicit SequenceTable(std::int32_t sequences) : requests_(static_cast<std::size_t>(sequences)) {
    for (Sequence sequence = sequences; sequence-- > 0;) free_.push_back(sequence);
  }

  // The request is in step number `step` (rising, from 1). To be said of every entry of a step
  // before any place(). O(1).
  void enter(mais::RequestId request, std::uint64_t step) { held_[request].last_step = step; }

  // The sequence of a request that has entered; one that is newly placed has no state. Appends to
  // `gone` the sequence that it takes from another. O(1), or O(sequences) where all are taken.
  Sequence place(mais::RequestId request, std::vector<Sequence>& gone) {
    Held& held = held_.at(request);
    if (!held.sequence) {
      if (free_.empty()) release(longest_away(held.last_step), gone);
      held.sequence = free_.back();
      free_.pop_back();
      requests_[static_cast<std::size_t>(*held.sequence)] = request;
    }
    return *held.sequence;
  }

  // The sequence that a request has, if it has one. O(1).
  std::optional<Sequence> find(mais::RequestId request) const {
    const auto found = held_.find(request);
    return found == held_.end() ? std::nullopt : found->second.sequence;
  }

  // It has ended, or lost its pages; appends its sequence, if it has one, to `gone`. O(1).
  void release(mais::RequestId request, std::vector<Sequence>& gone) {
    const auto found = held_.find(request);
    if (found == held_.end()) return;
    if (const auto sequence = found->second.sequence) {
      gone.push_back(*sequence);
      free_.push_back(*sequence);
      requests_[static_cast<std::size_t>(*sequence)].reset();
    }
    held_.erase(found);
  }

  std::size_t placed() const { return requests_.size() - free_.size(); }

 private:
  struct Held {
    std::optional<Sequence> sequence{};
    std::uint64_t last_step = 0;
  };

  mais::RequestId longest_away(std::uint64_t step) const {
    std::optional<mais::RequestId> found;
    for (const auto& request : requests_) {
      if (!request || held_.at(*request).last_step >= step) continue;
      step = held_.at(*request).last_step;
      found = request;
    }
    MAIS_EXPECTS(found, "a step has more entries than there are sequences");
    return *found;
  }

  std::vector<std::optional<mais::RequestId>> requests_;  // of each sequence
  std::vector<Sequence> free_;
  std::unordered_map<mais::RequestId, Held> held_;
};

}  // namespace llama_server
