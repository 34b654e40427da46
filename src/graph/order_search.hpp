// Exact search for the order of lowest peak: best first over downsets, the sets of done steps that
// are closed under precedence.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <unordered_map>
#include <vector>

#include "graph/order_model.hpp"

namespace mais::graph {

// The memory in use after a set of steps does not depend on their order, so a state is a downset
// and its key the lowest peak of reaching it; states are expanded by rising key. Three rules keep
// them few, each sound by exchange because memory is submodular in the downset:
//  - a ready step, or chain of steps each made ready by the one before, that ends with no more
//    memory than it began with and does not raise the key, is done at once;
//  - a state at the end of a valley (valley.hpp) replaces all others reached from its beginning;
//  - a downset met again with no lower key is dropped.
class DownsetSearch {
 public:
  // Looks for a peak below `best`; `bound` is a proven lower bound.
  DownsetSearch(const OrderModel& model, std::int64_t bound, std::int64_t best);

  // Goes on for up to `states` more states. True when settled: either order() holds an optimal
  // order with a peak below `best`, or there is none below.
  bool run(std::int64_t states, const std::function<bool()>& stop);

  // The lowest peak any order below `best` could have; `best` when there is none.
  std::int64_t bound() const { return bound_; }
  const std::vector<std::int32_t>& order() const { return order_; }  // empty: none found
  std::int64_t states() const { return static_cast<std::int64_t>(nodes_.size()); }

 private:
  struct Node {
    Levels in_use{};
    std::int64_t key = 0;
    std::size_t moves = 0;  // begin in moves_; ends where the next node's begin
    std::size_t ready = 0;  // likewise in ready_
    std::int32_t parent = -1;
    std::int32_t done = 0;
    std::int32_t replaced_by = -1;  // all that is reached from here goes through that node
    bool valley = false;            // is such a node
    bool tried = false;             // to become one
  };
  struct Scratch {  // the state under construction
    std::vector<std::uint64_t> bits;
    std::vector<std::int32_t> ready;
    std::vector<std::int32_t> moves;
    Levels in_use{};
    std::int64_t key = 0;
    std::uint64_t hash = 0;
  };
  struct Open {
    std::int64_t key;
    std::int32_t done;
    std::int32_t node;
    bool operator<(const Open& other) const {  // the top is the largest
      if (key != other.key) return key > other.key;
      if (done != other.done) return done < other.done;
      return node < other.node;
    }
  };

  bool is_done(std::int32_t step) const;
  OrderRun::Effect effect(std::int32_t step) const;
  bool not_above(const Levels& a, const Levels& b) const;
  void apply(std::int32_t step, const OrderRun::Effect& effect);
  void undo(std::int32_t step, const Levels& in_use, std::size_t ready);
  void settle();
  bool follow_chain(std::int32_t step, const Levels& lowest, int depth);
  void load(std::int32_t node);
  std::int32_t add_node(std::int32_t parent);
  bool dead(std::int32_t node);
  bool commit(std::int32_t node);
  void expand(std::int32_t node);
  void finish(std::int32_t node);

  const OrderModel& model_;
  std::int64_t bound_;
  std::int64_t best_;
  std::size_t words_;
  Scratch at_;
  std::vector<Node> nodes_;
  std::vector<std::uint64_t> bits_;  // of all nodes
  std::vector<std::int32_t> moves_;
  std::vector<std::int32_t> ready_;
  std::vector<std::uint64_t> hashes_;
  std::vector<std::uint64_t> step_hash_;
  std::vector<std::int32_t> stamp_;
  std::unordered_multimap<std::uint64_t, std::int32_t> seen_;
  std::priority_queue<Open> open_;
  std::vector<std::int32_t> order_;
};

}  // namespace mais::graph
