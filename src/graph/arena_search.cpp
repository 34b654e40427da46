#include "graph/arena_search.hpp"

#include <algorithm>
#include <limits>

#include "graph/index.hpp"

namespace mais::graph {

namespace {

constexpr std::int64_t kUnplaced = -1;
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// `alignment` is a power of two.
std::int64_t aligned(std::int64_t offset, std::int64_t alignment) {
  return (offset + alignment - 1) & -alignment;
}
constexpr std::int64_t kChoiceScale = 1'000'000;
constexpr std::size_t kRemembered = std::size_t{1} << 18;

std::uint64_t mix(std::uint64_t x) {  // the finaliser of splitmix64
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31U);
}

}  // namespace

SkylineSearch::SkylineSearch(const Sections& sections)
    : cut_(sections), members_(at(sections.count)), starts_(at(sections.count)) {
  const auto n = static_cast<std::int32_t>(cut_.spans.size());
  for (std::int32_t i = 0; i < n; ++i) {
    const Span& span = cut_.spans[at(i)];
    if (span.size == 0) continue;
    for (std::int32_t s = span.first; s < span.last; ++s) members_[at(s)].push_back(i);
    starts_[at(span.first)].push_back(i);
  }
  overlaps_.resize(at(n));
  for (std::int32_t i = 0; i < n; ++i) {
    const Span& span = cut_.spans[at(i)];
    if (span.size == 0) continue;
    for (const std::int32_t other : members_[at(span.first)]) {
      if (other != i) overlaps_[at(i)].push_back(other);
    }
    for (std::int32_t s = span.first + 1; s < span.last; ++s) {
      for (const std::int32_t other : members_[at(s)]) {
        if (cut_.spans[at(other)].first == s) overlaps_[at(i)].push_back(other);
      }
    }
  }
  size_.resize(at(n));
  for (std::int32_t i = 0; i < n; ++i) size_[at(i)] = cut_.spans[at(i)].size;
  failures_.resize(kRemembered);
  dirty_.resize(at(sections.count));
  choices_.resize(at(sections.count));
  weight_.resize(at(sections.count));
}

void SkylineSearch::reset() {
  const auto n = static_cast<std::int32_t>(cut_.spans.size());
  floor_.assign(at(cut_.count), 0);
  rest_ = cut_.load;
  crossing_.assign(at(cut_.count), 0);
  support_.assign(at(n), 0);
  bound_.assign(at(n), 0);
  offset_.assign(at(n), kUnplaced);
  for (std::int32_t i = 0; i < n; ++i) {
    const Span& span = cut_.spans[at(i)];
    if (span.size == 0) {
      offset_[at(i)] = 0;
      bound_[at(i)] = kNever;
      continue;
    }
    for (std::int32_t s = span.first; s + 1 < span.last; ++s) ++crossing_[at(s)];
  }
  changes_.clear();
  placed_.clear();
  candidates_.clear();
}

void SkylineSearch::set(std::int64_t& where, std::int64_t value) {
  changes_.push_back({&where, where});
  where = value;
}

void SkylineSearch::undo(std::size_t changes, std::size_t placed) {
  while (changes_.size() > changes) {
    *changes_.back().where = changes_.back().before;
    changes_.pop_back();
  }
  while (placed_.size() > placed) {
    const std::int32_t buffer = placed_.back();
    placed_.pop_back();
    offset_[at(buffer)] = kUnplaced;
    const Span& span = cut_.spans[at(buffer)];
    for (std::int32_t s = span.first; s < span.last; ++s) rest_[at(s)] += span.size;
    for (std::int32_t s = span.first; s + 1 < span.last; ++s) ++crossing_[at(s)];
  }
}

bool SkylineSearch::raise_floor(std::int32_t section, std::int64_t floor) {
  if (rest_[at(section)] == 0) {
    set(floor_[at(section)], floor);
    return floor <= capacity_;
  }
  sum_ -= section_key(section);
  set(floor_[at(section)], floor);
  sum_ += section_key(section);
  if (floor + rest_[at(section)] <= capacity_) return true;
  ++weight_[at(section)];
  return false;
}

// `covered` tells whether an unplaced buffer overlaps this one, so will lie above it.
bool SkylineSearch::place(std::int32_t buffer, std::int64_t offset, bool& covered) {
  const Span& span = cut_.spans[at(buffer)];
  const std::int64_t top = offset + span.size;
  offset_[at(buffer)] = offset;
  placed_.push_back(buffer);
  sum_ -= buffer_key(buffer);
  set(bound_[at(buffer)], kNever);
  for (std::int32_t s = span.first; s < span.last; ++s) {
    rest_[at(s)] -= span.size;
    if (rest_[at(s)] == 0) sum_ -= section_key(s);
  }
  for (std::int32_t s = span.first; s + 1 < span.last; ++s) --crossing_[at(s)];
  bool fits = true;
  for (std::int32_t s = span.first; s < span.last; ++s) fits &= raise_floor(s, top);
  covered = false;
  for (const std::int32_t other : overlaps_[at(buffer)]) {
    if (offset_[at(other)] != kUnplaced) continue;
    covered = true;
    const Span& above = cut_.spans[at(other)];
    const std::int64_t rest = aligned(top, above.alignment);
    if (rest > support_[at(other)]) {
      sum_ -= buffer_key(other);
      set(support_[at(other)], rest);
      sum_ += buffer_key(other);
      fits &= raise_bound(other, rest);
    }
  }
  return settle_floors(fits);
}

// No plan below this node has `buffer` below `bound`.
bool SkylineSearch::raise_bound(std::int32_t buffer, std::int64_t bound) {
  const std::int64_t before = bound_[at(buffer)];
  if (bound <= before) return true;
  set(bound_[at(buffer)], bound);
  const Span& span = cut_.spans[at(buffer)];
  for (std::int32_t s = span.first; s < span.last; ++s) {
    // Only where the buffer may have been the lowest.
    if (dirty_[at(s)] || before > capacity_ - rest_[at(s)] || floor_[at(s)] >= bound) continue;
    dirty_[at(s)] = 1;
    dirty_sections_.push_back(s);
  }
  return bound + span.size <= capacity_;
}

// Draws what follows in each section whose bounds changed, from the lowest bound of its unplaced
// buffers, who has it, and the next:
//  - the section is empty up to the lowest;
//  - all but those at the lowest bound must fit above the next bound;
//  - if only one buffer can still come first there, it does, and lies no higher than the slack of
//    the section allows; whatever overlaps it and does not fit below it lies above it.
bool SkylineSearch::settle_floors(bool fits) {
  for (std::size_t k = 0; k < dirty_sections_.size(); ++k) {
    const std::int32_t s = dirty_sections_[k];
    dirty_[at(s)] = 0;
    if (!fits || rest_[at(s)] == 0) continue;
    std::int64_t lowest = kNever;
    std::int64_t next = kNever;
    std::int64_t lowest_size = 0;
    std::int32_t first = -1;
    bool several = false;
    for (const std::int32_t i : members_[at(s)]) {
      const std::int64_t bound = bound_[at(i)];  // of a placed buffer: kNever
      if (bound < lowest) {
        next = lowest;
        lowest = bound;
        first = i;
        lowest_size = size_[at(i)];
        several = false;
      } else if (bound == lowest) {
        lowest_size += size_[at(i)];
        several = true;
      } else if (bound < next) {
        next = bound;
      }
    }
    if (lowest > floor_[at(s)] && !raise_floor(s, lowest)) {
      fits = false;
      continue;
    }
    if (next == kNever) continue;
    if (next + rest_[at(s)] - lowest_size > capacity_) {
      ++weight_[at(s)];
      fits = false;
      continue;
    }
    const std::int64_t latest = capacity_ - rest_[at(s)];
    if (!several && next > latest && !lift_above(first, lowest + lowest_size, latest)) {
      ++weight_[at(s)];
      fits = false;
    }
  }
  dirty_sections_.clear();
  return fits;
}

// What overlaps `first` and does not fit below `latest` lies at or above `top`.
bool SkylineSearch::lift_above(std::int32_t first, std::int64_t top, std::int64_t latest) {
  for (const std::int32_t j : overlaps_[at(first)]) {
    const std::int64_t bound = bound_[at(j)];
    if (bound >= top || bound + size_[at(j)] <= latest) continue;
    if (!raise_bound(j, aligned(top, cut_.spans[at(j)].alignment))) return false;
  }
  return true;
}

// Nothing in `section` lies below `floor`.
bool SkylineSearch::close_up_to(std::int32_t section, std::int64_t floor) {
  bool fits = raise_floor(section, floor);
  for (const std::int32_t i : members_[at(section)]) {
    if (offset_[at(i)] == kUnplaced) fits &= raise_bound(i, floor);
  }
  return settle_floors(fits);
}

std::int32_t SkylineSearch::lowest_section(std::int32_t first, std::int32_t last) {
  std::int64_t lowest = std::numeric_limits<std::int64_t>::max();
  for (std::int32_t s = first; s < last; ++s) {
    if (rest_[at(s)] > 0) lowest = std::min(lowest, floor_[at(s)]);
  }
  if (pick_ == Pick::fail_first) count_choices(first, last, lowest);
  std::int32_t best = -1;
  std::int64_t best_score = 0;
  std::int64_t best_rest = 0;
  for (std::int32_t s = first; s < last; ++s) {
    const std::int64_t rest = rest_[at(s)];
    if (rest == 0 || floor_[at(s)] != lowest) continue;
    std::int64_t score = 0;
    if (pick_ == Pick::fail_first) {
      const std::int64_t choices = choices_[at(s)] + (lowest + rest < capacity_ ? 1 : 0);
      score = choices * kChoiceScale / (10 + weight_[at(s)]);
    }
    if (best < 0 || score < best_score || (score == best_score && rest > best_rest)) {
      best = s;
      best_score = score;
      best_rest = rest;
    }
  }
  return best;
}

// How many unplaced buffers could lie on the lowest skyline, for each section of the part.
void SkylineSearch::count_choices(std::int32_t first, std::int32_t last, std::int64_t lowest) {
  std::fill(choices_.begin() + first, choices_.begin() + last, 0);
  for (std::int32_t s = first; s < last; ++s) {
    if (floor_[at(s)] != lowest || rest_[at(s)] == 0) continue;
    for (const std::int32_t i : s == first ? members_[at(s)] : starts_[at(s)]) {
      if (support_[at(i)] != lowest || bound_[at(i)] != lowest || offset_[at(i)] != kUnplaced) {
        continue;
      }
      const Span& span = cut_.spans[at(i)];
      for (std::int32_t t = span.first; t < span.last; ++t) ++choices_[at(t)];
    }
  }
}

// What the unplaced buffers and open sections of a part add to the running sum.
SkylineSearch::Key SkylineSearch::part_sum(std::int32_t first, std::int32_t last) const {
  Key sum;
  for (std::int32_t s = first; s < last; ++s) {
    if (rest_[at(s)] == 0) continue;
    sum += section_key(s);
    for (const std::int32_t i : s == first ? members_[at(s)] : starts_[at(s)]) {
      if (offset_[at(i)] == kUnplaced) sum += buffer_key(i);
    }
  }
  return sum;
}

SkylineSearch::Key SkylineSearch::section_key(std::int32_t section) const {
  const std::uint64_t h = mix(static_cast<std::uint64_t>(section) << 40U ^
                              static_cast<std::uint64_t>(floor_[at(section)]));
  return {h, h * 0xd1342543de82ef95U ^ h >> 29U};
}

SkylineSearch::Key SkylineSearch::buffer_key(std::int32_t buffer) const {
  const std::uint64_t h = mix(~(static_cast<std::uint64_t>(buffer) << 40U) ^
                              static_cast<std::uint64_t>(support_[at(buffer)]));
  return {h, h * 0xd1342543de82ef95U ^ h >> 29U};
}

bool SkylineSearch::known_failure(const Key& key) const {
  return failures_[key.low % kRemembered] == key;
}

void SkylineSearch::remember_failure(const Key& key) {
  failures_[key.low % kRemembered] = key;
}

// The lowest top, at or above `floor`, of an unplaced buffer that could carry `buffer` and is not
// in `section`; `most` if none is below it.
std::int64_t SkylineSearch::next_support(std::int32_t buffer, std::int32_t section,
                                         std::int64_t floor, std::int64_t most) const {
  for (const std::int32_t i : overlaps_[at(buffer)]) {
    if (offset_[at(i)] != kUnplaced) continue;
    const Span& span = cut_.spans[at(i)];
    if (span.first <= section && section < span.last) continue;
    most = std::min(most, std::max(support_[at(i)], floor) + span.size);
  }
  return most;
}

bool SkylineSearch::spent() {
  if (--nodes_left_ < 0 || (++total_nodes_ % 2048 == 0 && (*stop_)())) aborted_ = true;
  return aborted_;
}

bool SkylineSearch::solve(std::int32_t first, std::int32_t last, const Key& outside) {
  if (spent()) return false;
  const Key entry = sum_;
  Key state = sum_;
  state -= outside;
  if (known_failure(state)) return false;
  const std::size_t changes = changes_.size();
  const std::size_t placed = placed_.size();
  const std::size_t stack = candidates_.size();
  const auto failed = [&] {
    undo(changes, placed);
    sum_ = entry;
    candidates_.resize(stack);
    if (!aborted_) remember_failure(state);
    return false;
  };
  while (true) {
    const std::int32_t section = lowest_section(first, last);
    if (section < 0) return true;
    const std::int64_t floor = floor_[at(section)];
    std::int64_t next = std::numeric_limits<std::int64_t>::max();  // resting place above the floor
    for (const std::int32_t i : members_[at(section)]) {
      if (offset_[at(i)] != kUnplaced) continue;
      if (support_[at(i)] > floor) {
        next = std::min(next, bound_[at(i)]);
        continue;
      }
      if (support_[at(i)] < floor) continue;  // would float
      if (bound_[at(i)] == floor) candidates_.push_back(i);
    }
    const std::size_t count = candidates_.size();
    std::sort(candidates_.begin() + static_cast<std::ptrdiff_t>(stack), candidates_.end(),
              [this](std::int32_t a, std::int32_t b) { return rank_[at(a)] < rank_[at(b)]; });
    const Key sum_here = sum_;
    const std::size_t changes_here = changes_.size();
    const std::size_t placed_here = placed_.size();
    for (std::size_t c = stack; c < count; ++c) {
      const std::int32_t candidate = candidates_[c];
      bool covered = false;
      const bool fits = place(candidate, floor, covered);
      if (fits && solve_parts(first, last, outside)) {
        candidates_.resize(stack);
        return true;
      }
      undo(changes_here, placed_here);
      sum_ = sum_here;
      // What lies on top of everything is never in the way: moving it would not help the others.
      if (aborted_ || !covered) return failed();
    }
    candidates_.resize(stack);
    for (const std::int32_t i : members_[at(section)]) {
      if (offset_[at(i)] == kUnplaced && support_[at(i)] <= floor) {
        next = std::min(next, std::max(bound_[at(i)], next_support(i, section, floor, next)));
      }
    }
    if (spent() || next > capacity_ || !close_up_to(section, next)) return failed();
  }
}

bool SkylineSearch::solve_parts(std::int32_t first, std::int32_t last, const Key& outside) {
  std::int32_t begin = first;
  for (std::int32_t s = first; s < last; ++s) {
    if (s + 1 < last && crossing_[at(s)] > 0) continue;
    if (begin < s || rest_[at(s)] > 0) {
      const bool whole = begin == first && s + 1 == last;
      Key around = outside;
      if (!whole) {
        around = sum_;
        around -= part_sum(begin, s + 1);
      }
      if (!solve(begin, s + 1, around)) return false;
    }
    begin = s + 1;
  }
  return true;
}

void SkylineSearch::set_capacity(std::int64_t capacity) {
  if (capacity == capacity_) return;
  capacity_ = capacity;
  std::fill(failures_.begin(), failures_.end(), Key{});
}

SearchEnd SkylineSearch::run(const std::vector<std::int32_t>& rank, Pick pick, std::int64_t nodes,
                             const std::function<bool()>& stop) {
  if (cut_.bound > capacity_) return SearchEnd::impossible;
  reset();
  rank_ = rank;
  pick_ = pick;
  for (std::int64_t& weight : weight_) weight -= weight / 4;  // what failed lately counts most
  nodes_left_ = nodes;
  aborted_ = false;
  stop_ = &stop;
  sum_ = part_sum(0, cut_.count);
  const bool found = solve_parts(0, cut_.count, Key{});
  if (found) return SearchEnd::found;
  return aborted_ ? SearchEnd::out_of_nodes : SearchEnd::impossible;
}

}  // namespace mais::graph
