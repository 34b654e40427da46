// Exact search for a plan within a capacity, by building the skyline from below.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "graph/sections.hpp"

namespace mais::graph {

enum class SearchEnd : std::uint8_t { found, impossible, out_of_nodes };

// Decides whether the buffers fit below `capacity` (granules).
//
// Invariant: buffers are placed in rising order of offset, each resting on the ground or on another
// (every plan can be pushed down into that form). The state is the skyline: the lowest offset still
// open in each section. A node takes the section with the lowest skyline; in a plan either one of
// the unplaced buffers there lies exactly on it, or the section stays empty up to the next possible
// resting place. Both are tried, so each plan in pushed-down form is met exactly once. A section
// whose skyline and unplaced bytes pass the capacity ends the branch. Where no unplaced buffer
// crosses between two sections, both sides are solved on their own. States that failed are
// remembered by a 128-bit hash of skyline and unplaced buffers, for all value orders of one
// capacity.
class SkylineSearch {
 public:
  // How a node picks among the sections whose skyline is lowest.
  enum class Pick : std::uint8_t {
    fullest,     // most unplaced bytes
    fail_first,  // fewest choices for each time the section ended a branch (dom/wdeg)
  };

  explicit SkylineSearch(const Sections& sections);

  // Forgets the failures of another capacity (granules).
  void set_capacity(std::int64_t capacity);

  // Tries buffers of a smaller rank first, for up to `nodes` nodes.
  SearchEnd run(const std::vector<std::int32_t>& rank, Pick pick, std::int64_t nodes,
                const std::function<bool()>& stop);

  const std::vector<std::int64_t>& offsets() const { return offset_; }
  std::int64_t nodes() const { return total_nodes_; }

 private:
  struct Change {
    std::int64_t* where;
    std::int64_t before;
  };
  struct Key {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    bool operator==(const Key&) const = default;
    Key& operator+=(const Key& other) {
      high += other.high;
      low += other.low;
      return *this;
    }
    Key& operator-=(const Key& other) {
      high -= other.high;
      low -= other.low;
      return *this;
    }
  };

  void reset();
  bool spent();  // counts a node: a placement or a section closed; true when they are used up
  bool solve(std::int32_t first, std::int32_t last, const Key& outside);
  bool solve_parts(std::int32_t first, std::int32_t last, const Key& outside);
  bool place(std::int32_t buffer, std::int64_t offset, bool& covered);
  std::int64_t next_support(std::int32_t buffer, std::int32_t section, std::int64_t floor,
                            std::int64_t most) const;
  bool raise_bound(std::int32_t buffer, std::int64_t bound);
  bool settle_floors(bool fits);
  bool lift_above(std::int32_t first, std::int64_t top, std::int64_t latest);
  bool close_up_to(std::int32_t section, std::int64_t floor);
  bool raise_floor(std::int32_t section, std::int64_t floor);
  void set(std::int64_t& where, std::int64_t value);
  void undo(std::size_t changes, std::size_t placed);
  std::int32_t lowest_section(std::int32_t first, std::int32_t last);
  void count_choices(std::int32_t first, std::int32_t last, std::int64_t lowest);
  Key part_sum(std::int32_t first, std::int32_t last) const;
  Key section_key(std::int32_t section) const;
  Key buffer_key(std::int32_t buffer) const;
  bool known_failure(const Key& key) const;
  void remember_failure(const Key& key);

  const Sections& cut_;
  std::int64_t capacity_ = 0;
  Pick pick_ = Pick::fullest;
  std::vector<std::vector<std::int32_t>> members_;  // of each section
  std::vector<std::vector<std::int32_t>> starts_;
  std::vector<std::vector<std::int32_t>> overlaps_;  // of each buffer
  std::vector<std::int64_t> floor_;                  // the skyline
  std::vector<std::int64_t> rest_;                   // unplaced granules of each section
  std::vector<std::int64_t> crossing_;  // unplaced buffers in both sections s and s + 1
  std::vector<std::int64_t> support_;   // of each buffer: the highest top below it, aligned
  std::vector<std::int64_t> bound_;     // of each buffer: it lies at or above; >= its floors
  std::vector<std::int64_t> offset_;    // -1: unplaced
  std::vector<std::int64_t> size_;
  std::vector<std::int32_t> rank_;
  std::vector<Change> changes_;
  std::vector<std::int32_t> placed_;
  std::vector<std::int32_t> candidates_;  // of all nodes on the path, as a stack
  Key sum_;  // of the whole state; a part's is sum_ - what lies outside it
  std::vector<Key> failures_;
  std::vector<char> dirty_;
  std::vector<std::int64_t> choices_;
  std::vector<std::int64_t> weight_;  // of each section: branches it ended, lately
  std::vector<std::int32_t> dirty_sections_;
  std::int64_t nodes_left_ = 0;
  std::int64_t total_nodes_ = 0;
  bool aborted_ = false;
  const std::function<bool()>* stop_ = nullptr;
};

}  // namespace mais::graph
