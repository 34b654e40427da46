// Static memory plan: every buffer gets an offset in one arena, so that no two buffers that live at
// the same time share a byte and the arena is as low as possible (dynamic storage allocation).
//
//     bytes ^   +--------+
//           |   |   2    |  +-----+        buffer 2 rests on 0 and 1
//           | +-+---+----+--+  3  |
//           | |  0  |   1   +-----+
//           +-+-----+-------+-----+--> steps
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "mais/graph/search_control.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::graph {

// Lives in steps [lower, upper).
struct Buffer {
  std::int64_t lower = 0;
  std::int64_t upper = 0;
  Bytes size{};
  Bytes alignment{1};  // the offset is a multiple of it; a power of two
};

struct ArenaProblem {
  std::vector<Buffer> buffers{};
  std::optional<Bytes> capacity{};  // set: any plan within it will do. Unset: as low as possible.
};

struct ArenaOptions {
  std::int64_t max_nodes = 3'000'000;     // of exact search; 200,000 to 500,000 a second
  std::int64_t max_rounds = 100'000;      // of annealing, when the proof does not come; 0: none
  std::int64_t max_placements = 400'000;  // of buffers, in all windows and rounds of annealing
  std::uint64_t seed = 1;                 // of the improvement; the same seed gives the same plan
  SearchControl control{};
};

struct ArenaPlan {
  std::vector<Bytes> offsets;  // of each buffer, in the order of the problem
  Bytes height;                // one past the highest byte used
  Bytes lower_bound;           // proven: no plan is lower
  bool optimal() const noexcept { return height == lower_bound; }
};

// The largest sum of sizes alive in one step, each size rounded up to the alignment that all
// buffers share. No arena is lower. O(n log n).
Result<Bytes> load_bound(const std::vector<Buffer>& buffers);

// Plans one arena. With a capacity it returns the first plan found within it; without, it works
// from the load bound upwards until it meets it, proves what it has, or is stopped.
//
// Greedy placements (first fit over an index of free ranges, several orders; O(n log^2 n) each)
// give the first plan; then windows of time around what stands highest are placed anew; up to a few
// thousand buffers an exact depth-first search follows; annealing of the greedy order comes last.
// The same problem and options give the same
// plan, unless `control.stop` cuts in.
//
// Errors: invalid_argument (a buffer with upper <= lower, a negative size, an alignment that is not
// a power of two, a total beyond 2^62); over_capacity when the load bound or a finished search
// shows that the capacity cannot hold the buffers, and when the limits ended the search before a
// plan within it was found (the message says which). `asked` then has the best height known.
Result<ArenaPlan> plan_arena(const ArenaProblem& problem, const ArenaOptions& options = {});

// Recounts a plan the plain way, sharing nothing with the solver: one fault for every buffer that
// is misplaced (negative or misaligned offset, above the capacity or the stated height) and for
// every pair that shares a byte and a step, up to 100. Empty: the plan is valid. O(n^2) in the
// worst case, O(n x the buffers alive at once) in practice.
std::vector<Fault> validate(const ArenaProblem& problem, const ArenaPlan& plan);

}  // namespace mais::graph
