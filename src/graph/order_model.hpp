// What ordering needs of a graph, in a form closed under reversal and under cutting out a window.
//
// A storage is alive when one of its openers is done and not all of its closers are. Forwards the
// producer opens, and producer and readers close; on the reversed graph it is the other way round.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "mais/graph/operator_graph.hpp"

namespace mais::graph {

using Levels = std::array<std::int64_t, kMostSpaces>;  // bytes in each space

struct OrderModel {
  struct Item {  // a storage
    std::int64_t size = 0;
    std::uint8_t space = 0;
    bool open = false;     // alive at the start
    bool closable = true;  // dies when all closers are done
    std::vector<std::int32_t> openers;
    std::vector<std::int32_t> closers;
  };
  struct Touch {
    std::int32_t item = 0;
    bool opens = false;
    bool closes = false;
  };
  struct Reuse {  // in place: when `dying` closes and `born` opens in one step, they share
    std::int32_t dying = 0;
    std::int32_t born = 0;
  };
  struct Step {
    std::vector<std::int32_t> before;
    std::vector<std::int32_t> after;
    std::vector<Touch> touches;
    std::vector<Reuse> reuses;
    std::vector<std::pair<std::uint8_t, std::int64_t>> workspace;
  };

  std::size_t spaces = 1;
  Levels weight{};
  Levels start{};  // in use before the first step
  std::vector<Item> items;
  std::vector<Step> steps;

  std::int64_t level(const Levels& bytes) const {
    std::int64_t most = 0;
    for (std::size_t s = 0; s < spaces; ++s) {
      most = std::max(most, mais::detail::saturating_multiply(weight[s], bytes[s]));
    }
    return most;
  }
};

OrderModel model_of(const OperatorGraph& graph);
OrderModel reversed(const OrderModel& model);

// The steps order[begin, end) after those before them, on their own; step i of the window is
// order[begin + i].
OrderModel window_of(const OrderModel& model, const std::vector<std::int32_t>& order,
                     std::size_t begin, std::size_t end);

// Runs a model step by step. O(touches) a step.
class OrderRun {
 public:
  explicit OrderRun(const OrderModel& model);

  struct Effect {
    Levels during{};
    Levels after{};
  };
  Effect effect(std::int32_t step) const;
  // Returns the bytes in use while the step runs.
  Levels run(std::int32_t step);
  const Levels& in_use() const { return in_use_; }
  // The only closer of the item that is not done, if one is left.
  std::int32_t last_closer(std::int32_t item) const;

 private:
  const OrderModel& model_;
  Levels in_use_;
  std::vector<std::uint8_t> open_;
  std::vector<std::int32_t> closers_left_;
  std::vector<std::int32_t> closers_xor_;
};

// As OrderRun::effect, after the steps whose bits are set in `done`, with `in_use` bytes.
OrderRun::Effect effect_after(const OrderModel& model, const std::vector<std::uint64_t>& done,
                              const Levels& in_use, std::int32_t step);

// The largest level, and the first step that reaches it.
struct Peak {
  std::int64_t level = 0;
  std::size_t step = 0;
};
Peak peak_of(const OrderModel& model, const std::vector<std::int32_t>& order);

// No order has a lower peak: for each step, what is surely alive while it runs. With `closure` what
// must lie between an ancestor and a descendant counts too: O(V E / 64), else O(V + E).
// `order` is any order of the model.
std::int64_t step_bound(const OrderModel& model, const std::vector<std::int32_t>& order,
                        bool closure);

// The same for one step alone, with what lies between its ancestors and descendants: O(V + E).
std::int64_t step_bound_at(const OrderModel& model, std::int32_t step);

}  // namespace mais::graph
