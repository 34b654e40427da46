#include "mais/graph/arena.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <string>

#include "graph/arena_search.hpp"
#include "graph/first_fit.hpp"
#include "graph/most_bytes.hpp"
#include "graph/random.hpp"
#include "graph/sections.hpp"
#include "graph/window_repair.hpp"

namespace mais::graph {

namespace {

constexpr std::size_t kExactBuffers = 4000;      // beyond it a node of the search costs too much
constexpr std::int64_t kExactCells = 4'000'000;  // likewise, buffers x sections they span
constexpr std::int64_t kQuick = 10'000;  // buffers; from here on the first good order will do

std::optional<Error> fault_in(const std::vector<Buffer>& buffers) {
  std::int64_t total = 0;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const Buffer& buffer = buffers[i];
    const auto error = [&](const std::string& what) {
      return Error{
          ErrorCode::invalid_argument, "buffer " + std::to_string(i) + ": " + what, {}, {}};
    };
    if (buffer.upper <= buffer.lower) {
      return error("it lives in steps [" + std::to_string(buffer.lower) + ", " +
                   std::to_string(buffer.upper) + "), which is empty; upper must be above lower");
    }
    if (buffer.size < Bytes(0)) {
      return error("its size is " + std::to_string(buffer.size.count()) +
                   " bytes; it must be 0 or more");
    }
    const std::int64_t alignment = buffer.alignment.count();
    if (alignment <= 0 || !std::has_single_bit(static_cast<std::uint64_t>(alignment))) {
      return error("its alignment is " + std::to_string(alignment) + "; it must be a power of two");
    }
    total = mais::detail::saturating_add(total, buffer.size.count());
    total = mais::detail::saturating_add(total, alignment);
    if (total > kMostBytes) return error("the sizes up to here add up to more than 2^62 bytes");
  }
  return std::nullopt;
}

std::vector<std::int32_t> ranks_of(const std::vector<std::int32_t>& order) {
  std::vector<std::int32_t> rank(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    rank[static_cast<std::size_t>(order[i])] = static_cast<std::int32_t>(i);
  }
  return rank;
}

// Long lives first come first: they are near the best where many buffers are nested, as in
// training, and leave few gaps, so they are the fastest to place.
const std::vector<std::vector<Rank>>& greedy_orders() {
  static const std::vector<std::vector<Rank>> orders = {
      {Rank::load, Rank::width, Rank::area},
      {Rank::width, Rank::size},
      {Rank::width, Rank::area, Rank::load},
      {Rank::first, Rank::width},
      {Rank::size, Rank::first},
      {Rank::area},
      {Rank::load, Rank::area, Rank::width},
      {Rank::load, Rank::size},
  };
  return orders;
}

// One run of plan_arena. Heights are in granules.
class Planner {
 public:
  Planner(const Sections& cut, std::int64_t target, bool minimise, const ArenaOptions& options)
      : cut_(cut),
        target_(target),
        minimise_(minimise),
        options_(options),
        bound_(cut.bound),
        random_(options.seed) {}

  void run() {
    place_greedily();
    if (!done()) repair();
    if (!done() && small_enough()) search();
    if (!done()) anneal();
  }

  const Placement& best() const { return best_; }
  std::int64_t bound() const { return bound_; }
  bool impossible() const { return bound_ > target_ && !minimise_; }

 private:
  bool done() const {
    return best_.height <= std::max(target_, bound_) || stopped_ || impossible();
  }

  bool small_enough() const {
    std::int64_t cells = 0;
    for (const Span& span : cut_.spans) cells += span.last - span.first;
    return cut_.spans.size() <= kExactBuffers && cells <= kExactCells;
  }

  bool stop() {
    if (options_.control.progress) {
      options_.control.progress(
          {Bytes(best_.height * cut_.granule), Bytes(bound_ * cut_.granule), nodes_ + rounds_});
    }
    stopped_ = stopped_ || (options_.control.stop && options_.control.stop());
    return stopped_;
  }

  void keep(Placement placement) {
    if (placement.height < best_.height) best_ = std::move(placement);
  }

  void place_greedily() {
    FreeIndex index(cut_.count);
    for (const std::vector<Rank>& keys : greedy_orders()) {
      orders_.push_back(ranked_order(cut_, keys));
      const Placement placement = first_fit(cut_, orders_.back(), index);
      if (placement.height < best_.height) best_order_ = orders_.back();
      keep(placement);
      if (done() || stop()) return;
      // A later order of a large problem costs more than the last per cent is worth.
      if (static_cast<std::int64_t>(cut_.spans.size()) >= kQuick &&
          (best_.height - bound_) * 200 <= bound_) {
        return;
      }
    }
  }

  void repair() {
    if (options_.max_rounds == 0) return;
    WindowRepair windows(cut_, options_.seed);
    windows.run(best_, std::max(target_, bound_), options_.max_placements / 2,
                [this] { return stop(); });
  }

  // The greedy orders first, then random blends of them: restarts beat the heavy tail of a
  // depth-first search (Gomes, Selman, Crato: heavy-tailed distributions in combinatorial search).
  std::vector<std::int32_t> next_rank() {
    // Here large sizes first come first: they leave the search the fewest choices.
    constexpr std::array<std::size_t, 8> kTurns = {4, 5, 1, 0, 2, 6, 7, 3};
    while (ranks_.size() < orders_.size())
      ranks_.push_back(ranks_of(orders_[kTurns[ranks_.size()]]));
    const std::size_t run = runs_++;
    if (run < ranks_.size()) return ranks_[run];
    const auto n = static_cast<std::int64_t>(cut_.spans.size());
    const std::int64_t weights[3] = {random_.below(5), random_.below(5), random_.below(5)};
    const std::int64_t noise = random_.below(4) * n / 8 + 1;
    std::vector<std::int64_t> score(cut_.spans.size());
    for (std::size_t i = 0; i < score.size(); ++i) {
      for (std::size_t k = 0; k < 3; ++k) score[i] += weights[k] * ranks_[k][i];
      score[i] += random_.below(noise);
    }
    std::vector<std::int32_t> order(score.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return score[static_cast<std::size_t>(a)] < score[static_cast<std::size_t>(b)];
    });
    return ranks_of(order);
  }

  // 1 1 2 1 1 2 4 ...: optimal restarts for an unknown run time (Luby, Sinclair, Zuckerman 1993),
  // in rounds of the greedy orders.
  static std::int64_t luby(std::int64_t i) {
    while (true) {
      std::int64_t power = 1;
      while (power - 1 < i) power *= 2;
      if (power - 1 == i) return power / 2;
      i -= power / 2 - 1;
    }
  }

  // Restarts at one capacity until it is settled or `nodes` are spent.
  SearchEnd decide(SkylineSearch& exact, std::int64_t capacity, std::int64_t nodes) {
    exact.set_capacity(capacity);
    const std::function<bool()> stop = [this, &exact] {
      nodes_ = exact.nodes();
      return this->stop();
    };
    SearchEnd end = SearchEnd::out_of_nodes;
    const auto n = static_cast<std::int64_t>(cut_.spans.size());
    for (std::int64_t spent = 0; spent < nodes && end == SearchEnd::out_of_nodes && !stopped_;) {
      const auto pick =
          runs_ % 2 == 0 ? SkylineSearch::Pick::fullest : SkylineSearch::Pick::fail_first;
      const std::int64_t limit = 2 * n * luby(static_cast<std::int64_t>(runs_ / 8 % 1024) + 1);
      const std::int64_t before = exact.nodes();
      end = exact.run(next_rank(), pick, limit, stop);
      spent += exact.nodes() - before;
      nodes_ = exact.nodes();
    }
    if (end == SearchEnd::found) {
      Placement found{exact.offsets(), 0};
      for (std::size_t i = 0; i < cut_.spans.size(); ++i) {
        found.height = std::max(found.height, found.offsets[i] + cut_.spans[i].size);
      }
      keep(std::move(found));
    } else if (end == SearchEnd::impossible) {
      bound_ = std::max(bound_, capacity + 1);
    }
    return end;
  }

  void search() {
    SkylineSearch exact(cut_);
    if (!minimise_) {
      decide(exact, target_, options_.max_nodes);
      return;
    }
    // Capacities between the bound and the best plan, with a budget that doubles: every success
    // lowers the top of the open range, every proof raises its bottom.
    std::int64_t budget = 10 * static_cast<std::int64_t>(cut_.spans.size());
    while (!done() && exact.nodes() < options_.max_nodes) {
      for (const std::int64_t part : {7, 6, 4, 2, 1, 0}) {
        if (done() || exact.nodes() >= options_.max_nodes) return;
        const std::int64_t open = best_.height - 1 - bound_;
        if (part > 0 && open * part / 8 == 0) continue;
        decide(exact, bound_ + open * part / 8, budget);
      }
      budget *= 2;
    }
  }

  // Threshold annealing of the greedy order: what stands at the top is promoted.
  void anneal() {
    FreeIndex index(cut_.count);
    std::vector<std::int32_t> order = best_order_;
    Placement current = first_fit(cut_, order, index);
    const auto n = static_cast<std::int64_t>(order.size());
    const std::int64_t rounds = std::min(options_.max_rounds, options_.max_placements / (n + 1));
    for (rounds_ = 0; rounds_ < rounds && !done() && !stop(); ++rounds_) {
      std::vector<std::int32_t> next = promote_top(order, current);
      Placement placement = first_fit(cut_, next, index);
      const std::int64_t slack = (current.height - bound_) * (rounds - rounds_) / (8 * rounds);
      if (placement.height <= current.height + slack) {
        order = std::move(next);
        current = placement;
      }
      keep(std::move(placement));
    }
  }

  // The buffers that end above the middle of the excess, moved towards the front by a random jump.
  std::vector<std::int32_t> promote_top(const std::vector<std::int32_t>& order,
                                        const Placement& current) {
    const std::int64_t line = bound_ + (current.height - bound_) * random_.below(8) / 8;
    std::vector<std::int64_t> key(order.size());
    const auto n = static_cast<std::int64_t>(order.size());
    const std::int64_t jump = 1 + random_.below(n);
    for (std::int64_t position = 0; position < n; ++position) {
      const auto i = static_cast<std::size_t>(order[static_cast<std::size_t>(position)]);
      const bool high = current.offsets[i] + cut_.spans[i].size > line;
      key[i] = position - (high ? jump : 0);
    }
    std::vector<std::int32_t> next = order;
    std::stable_sort(next.begin(), next.end(), [&](std::int32_t a, std::int32_t b) {
      return key[static_cast<std::size_t>(a)] < key[static_cast<std::size_t>(b)];
    });
    return next;
  }

  const Sections& cut_;
  std::int64_t target_;
  bool minimise_;
  const ArenaOptions& options_;
  std::int64_t bound_;
  Random random_;
  Placement best_;
  std::vector<std::int32_t> best_order_;
  std::vector<std::vector<std::int32_t>> orders_;
  std::vector<std::vector<std::int32_t>> ranks_;
  std::size_t runs_ = 0;
  std::int64_t nodes_ = 0;
  std::int64_t rounds_ = 0;
  bool stopped_ = false;
};

Error no_room(std::string message, Bytes asked, Bytes capacity) {
  return Error{ErrorCode::over_capacity, std::move(message), asked.count(), capacity.count()};
}

}  // namespace

Result<Bytes> load_bound(const std::vector<Buffer>& buffers) {
  if (std::optional<Error> fault = fault_in(buffers)) return tl::unexpected<Error>(*fault);
  const Sections cut = cut_into_sections(buffers);
  return Bytes(cut.bound * cut.granule);
}

Result<ArenaPlan> plan_arena(const ArenaProblem& problem, const ArenaOptions& options) {
  if (std::optional<Error> fault = fault_in(problem.buffers)) return tl::unexpected<Error>(*fault);
  const Sections cut = cut_into_sections(problem.buffers);
  const Bytes bound(cut.bound * cut.granule);
  if (problem.capacity && *problem.capacity < bound) {
    return tl::unexpected<Error>(no_room(
        "the buffers alive in one step need " + std::to_string(bound.count()) +
            " bytes, more than the capacity of " + std::to_string(problem.capacity->count()) +
            "; another execution order, recompute or offload can lower that",
        bound, *problem.capacity));
  }
  const std::int64_t target =
      problem.capacity ? problem.capacity->count() / cut.granule : cut.bound;
  Planner planner(cut, target, !problem.capacity.has_value(), options);
  planner.run();

  ArenaPlan plan;
  plan.height = Bytes(planner.best().height * cut.granule);
  plan.lower_bound = Bytes(planner.bound() * cut.granule);
  if (problem.capacity && plan.height > *problem.capacity) {
    return tl::unexpected<Error>(
        no_room(planner.impossible()
                    ? "no plan fits into " + std::to_string(problem.capacity->count()) +
                          " bytes: every placement was searched; the best known plan needs " +
                          std::to_string(plan.height.count())
                    : "no plan within " + std::to_string(problem.capacity->count()) +
                          " bytes was found before the search ended, and none was ruled out; the "
                          "best has " +
                          std::to_string(plan.height.count()) + " bytes; allow more nodes or time",
                plan.height, *problem.capacity));
  }
  plan.offsets.reserve(problem.buffers.size());
  for (const std::int64_t offset : planner.best().offsets) {
    plan.offsets.emplace_back(offset * cut.granule);
  }
  return plan;
}

}  // namespace mais::graph
