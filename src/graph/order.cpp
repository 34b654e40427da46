#include "mais/graph/order.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "graph/order_beam.hpp"
#include "graph/order_model.hpp"
#include "graph/order_portfolio.hpp"
#include "graph/order_search.hpp"

namespace mais::graph {

namespace {

constexpr std::size_t kClosureSteps = 20'000;  // beyond it the closure takes too much memory
constexpr std::size_t kManySteps = 50'000;     // beyond it only the cheapest fast orders

class Ordering {
 public:
  Ordering(const OperatorGraph& graph, const OrderOptions& options)
      : model_(model_of(graph)), options_(options) {}

  OrderPlan run() {
    const std::size_t n = model_.steps.size();
    keep(given_order(model_));
    bound_ = step_bound(model_, best_order_, n <= kClosureSteps);
    try_portfolio();
    if (n > kClosureSteps) raise_bound_at_peak();
    if (n <= kManySteps && !done()) search();
    if (!done()) reorder_windows();
    if (n <= kManySteps && !done()) follow_beams();
    OrderPlan plan;
    plan.order.reserve(best_order_.size());
    for (const std::int32_t v : best_order_) {
      plan.order.emplace_back(static_cast<std::uint32_t>(v));
    }
    plan.peak = Bytes(best_);
    plan.lower_bound = Bytes(bound_);
    return plan;
  }

 private:
  bool done() const { return best_ <= bound_ || stopped_; }

  bool stop() {
    if (options_.control.progress) {
      options_.control.progress({Bytes(best_), Bytes(std::min(bound_, best_)), states_});
    }
    stopped_ = stopped_ || (options_.control.stop && options_.control.stop());
    return stopped_;
  }

  void keep(StepOrder order) {
    if (order.size() != model_.steps.size()) return;  // a search that found none
    const Peak peak = peak_of(model_, order);
    if (peak.level < best_) {
      best_ = peak.level;
      best_order_ = std::move(order);
    }
  }

  // Where the closure of the graph is too large: the bound of the steps where the best order peaks.
  void raise_bound_at_peak() {
    const Peak peak = peak_of(model_, best_order_);
    if (best_order_.empty()) return;
    bound_ = std::max(bound_, step_bound_at(model_, best_order_[peak.step]));
    if (peak.step > 0) {
      bound_ = std::max(bound_, step_bound_at(model_, best_order_[peak.step - 1]));
    }
  }

  void try_portfolio() {
    keep(depth_first_order(model_));
    if (done() || stop()) return;
    if (model_.steps.size() > kManySteps) {
      keep(least_growth_order(model_));
      return;
    }
    keep(post_order(model_));
    for (const auto order : {least_growth_order, least_peak_order}) keep(order(model_));
    const OrderModel back = reversed(model_);
    for (const auto order :
         {given_order, depth_first_order, post_order, least_growth_order, least_peak_order}) {
      if (done() || stop()) return;
      StepOrder found = order(back);
      std::reverse(found.begin(), found.end());
      keep(std::move(found));
    }
  }

  // Forwards and on the reversed graph by turns, since one of them is often much the easier.
  void search() {
    // A state of a larger graph takes more time and memory.
    const std::int64_t thousands =
        std::max<std::int64_t>(1, static_cast<std::int64_t>(model_.steps.size()) / 1000);
    const std::int64_t most = options_.max_states / (thousands * thousands);
    if (most == 0) return;
    const OrderModel back = reversed(model_);
    DownsetSearch ahead(model_, bound_, best_);
    DownsetSearch behind(back, bound_, best_);
    std::int64_t budget = 2000;
    while (!stopped_ && states_ < most) {
      for (DownsetSearch* each : {&ahead, &behind}) {
        const std::int64_t before = each->states();
        const bool settled = each->run(budget, [this, each] {
          bound_ = std::max(bound_, std::min(each->bound(), best_));
          return stop();
        });
        states_ += each->states() - before + 1;
        bound_ = std::max(bound_, std::min(each->bound(), best_));
        if (!each->order().empty()) {
          StepOrder order = each->order();
          if (each == &behind) std::reverse(order.begin(), order.end());
          keep(std::move(order));
        }
        if (settled) {
          bound_ = best_;
          return;
        }
      }
      budget *= 2;
    }
  }

  // Beams that double in width, forwards and on the reversed graph, in a part of the states.
  void follow_beams() {
    const auto n = static_cast<std::int64_t>(model_.steps.size());
    const OrderModel back = reversed(model_);
    const std::int64_t thousands = std::max<std::int64_t>(1, n / 1000);
    std::int64_t left = options_.max_states / (thousands * thousands);
    for (std::int64_t width = 4; 2 * width * n <= left && !done(); width *= 2) {
      left -= 2 * width * n;
      states_ += 2 * width * n;
      const auto stopped = [this] { return stop(); };
      keep(beam_order(model_, static_cast<std::size_t>(width), best_, stopped));
      StepOrder order = beam_order(back, static_cast<std::size_t>(width), best_, stopped);
      std::reverse(order.begin(), order.end());
      keep(std::move(order));
    }
  }

  // Solves a window of steps around the peak exactly, as long as that lowers it.
  void reorder_windows() {
    std::size_t radius = 24;
    for (int window = 0; window < options_.max_windows && !done() && !stop(); ++window) {
      const Peak peak = peak_of(model_, best_order_);
      const std::size_t begin = peak.step - std::min(radius, peak.step);
      const std::size_t end = std::min(best_order_.size(), peak.step + radius);
      const OrderModel part = window_of(model_, best_order_, begin, end);
      DownsetSearch exact(part, 0, best_);
      exact.run(5000, [this] { return stop(); });
      states_ += exact.states();
      if (exact.order().empty()) {
        if (begin == 0 && end == best_order_.size()) return;
        radius = radius * 3 / 2;
        if (radius > 400) return;
        continue;
      }
      StepOrder order = best_order_;
      for (std::size_t i = 0; i < exact.order().size(); ++i) {
        order[begin + i] = best_order_[begin + static_cast<std::size_t>(exact.order()[i])];
      }
      const std::int64_t before = best_;
      keep(std::move(order));
      // Another peak of the same height elsewhere: go on there, with the order kept as it is.
      if (best_ == before) return;
    }
  }

  OrderModel model_;
  const OrderOptions& options_;
  StepOrder best_order_;
  std::int64_t best_ = std::numeric_limits<std::int64_t>::max();
  std::int64_t bound_ = 0;
  std::int64_t states_ = 0;
  bool stopped_ = false;
};

}  // namespace

OrderPlan plan_order(const OperatorGraph& graph, const OrderOptions& options) {
  return Ordering(graph, options).run();
}

}  // namespace mais::graph
