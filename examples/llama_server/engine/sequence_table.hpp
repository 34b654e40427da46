// Which of llama.cpp's sequences holds which request's state.
//
// The planner speaks of pages, llama.cpp of sequences of cells: a sequence of n tokens takes n
// cells wherever there are some, and gives them back as a whole. Nobody says of a preempted request
// that its state is gone; whoever needs its pages is given them. So a page is a claim on as many
// cells as it has tokens: whoever held it before has lost its state, all of it. With that, cells in
// use never exceed those of the pages that are given out, and a step that the planner forms finds
// its cells.
//
// A value; names no library.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "mais/result.hpp"
#include "mais/units.hpp"

namespace llama_server {

using Sequence = std::int32_t;

class SequenceTable {
 public:
  // `sequences`: that llama.cpp has, at least as many as a step has entries.
  SequenceTable(std::int32_t sequences, std::size_t pages)
      : owners_(pages), requests_(static_cast<std::size_t>(sequences)) {
    for (Sequence sequence = sequences; sequence-- > 0;) free_.push_back(sequence);
  }

  // In step number `step` (rising, from 1) the request has these pages, in this order; its table
  // begins anew if it restarts. Appends to `gone` the sequences whose state must go. To be called
  // for every entry of a step before any place(). O(pages that are new).
  void claim(mais::RequestId request, std::span<const std::uint32_t> pages, bool restarts,
             std::uint64_t step, std::vector<Sequence>& gone) {
    const auto found = held_.find(request);
    if (found != held_.end() && (restarts || found->second.pages.size() > pages.size())) {
      release(request, gone);
    }
    Held& held = held_[request];
    held.last_step = step;
    for (std::size_t i = held.pages.size(); i < pages.size(); ++i) {
      const std::uint32_t page = pages[i];
      MAIS_EXPECTS(page < owners_.size(), "a page that the pool does not have");
      if (owners_[page] && *owners_[page] != request) release(*owners_[page], gone);
      owners_[page] = request;
      held.pages.push_back(page);
    }
  }

  // The sequence of a request that has claimed its pages in this step; one that is newly placed has
  // no state. Where all are taken, the one that has not been in a step for longest is `gone`: its
  // request was most probably preempted, and if not its state has to be computed again. O(1), or
  // O(sequences) where all are taken.
  Sequence place(mais::RequestId request, std::vector<Sequence>& gone) {
    const auto found = held_.find(request);
    MAIS_EXPECTS(found != held_.end(), "another entry of the step took pages of this one");
    Held& held = found->second;
    if (!held.sequence) {
      if (free_.empty()) release(longest_away(held.last_step), gone);
      held.sequence = free_.back();
      free_.pop_back();
      requests_[static_cast<std::size_t>(*held.sequence)] = request;
    }
    return *held.sequence;
  }

  // It has ended, or lost its pages. O(its pages).
  void release(mais::RequestId request, std::vector<Sequence>& gone) {
    const auto found = held_.find(request);
    if (found == held_.end()) return;
    for (const std::uint32_t page : found->second.pages) owners_[page].reset();
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
    std::vector<std::uint32_t> pages{};
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

  std::vector<std::optional<mais::RequestId>> owners_;    // of each page
  std::vector<std::optional<mais::RequestId>> requests_;  // of each sequence
  std::vector<Sequence> free_;
  std::unordered_map<mais::RequestId, Held> held_;
};

}  // namespace llama_server
