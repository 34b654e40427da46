#include "graph/order_portfolio.hpp"

#include <algorithm>
#include <functional>
#include <queue>
#include <tuple>

#include "graph/index.hpp"

namespace mais::graph {

namespace {

std::vector<std::int32_t> waiting_of(const OrderModel& model) {
  std::vector<std::int32_t> waiting(model.steps.size());
  for (std::size_t v = 0; v < waiting.size(); ++v) {
    waiting[v] = static_cast<std::int32_t>(model.steps[v].before.size());
  }
  return waiting;
}

// The total over spaces that count, so that ties between spaces do not stall a greedy order.
std::int64_t weighted(const OrderModel& model, const Levels& bytes) {
  std::int64_t sum = 0;
  for (std::size_t s = 0; s < model.spaces; ++s) {
    sum = mais::detail::saturating_add(
        sum, mais::detail::saturating_multiply(model.weight[s], bytes[s]));
  }
  return sum;
}

struct Cost {
  std::int64_t first = 0;
  std::int64_t second = 0;
  auto operator<=>(const Cost&) const = default;
};

// List scheduling by a cost that changes only when a storage gets its last reader left: a heap
// whose entries are checked again when they come up.
template <class CostOf>
StepOrder list_schedule(const OrderModel& model, CostOf cost_of) {
  using Entry = std::tuple<Cost, std::int32_t, std::int32_t>;  // cost, recency, step
  OrderRun run(model);
  std::vector<std::int32_t> waiting = waiting_of(model);
  std::vector<char> done(model.steps.size());
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> heap;
  std::int32_t clock = 0;
  const auto cost = [&](std::int32_t v) {
    const OrderRun::Effect effect = run.effect(v);
    const std::int64_t now = weighted(model, run.in_use());
    return cost_of(weighted(model, effect.during) - now, weighted(model, effect.after) - now);
  };
  const auto offer = [&](std::int32_t v) { heap.emplace(cost(v), -clock, v); };
  for (std::size_t v = 0; v < waiting.size(); ++v) {
    if (waiting[v] == 0) offer(static_cast<std::int32_t>(v));
  }
  StepOrder order;
  order.reserve(model.steps.size());
  while (!heap.empty()) {
    const auto [recorded, recency, v] = heap.top();
    heap.pop();
    if (done[at(v)]) continue;
    const Cost now = cost(v);
    if (recorded < now) {
      heap.emplace(now, recency, v);
      continue;
    }
    ++clock;
    done[at(v)] = 1;
    run.run(v);
    order.push_back(v);
    for (const std::int32_t u : model.steps[at(v)].after) {
      if (--waiting[at(u)] == 0) offer(u);
    }
    for (const OrderModel::Touch& touch : model.steps[at(v)].touches) {
      const std::int32_t last = run.last_closer(touch.item);
      if (last >= 0 && !done[at(last)] && waiting[at(last)] == 0) offer(last);
    }
  }
  return order;
}

}  // namespace

StepOrder given_order(const OrderModel& model) {
  std::vector<std::int32_t> waiting = waiting_of(model);
  std::priority_queue<std::int32_t, std::vector<std::int32_t>, std::greater<>> ready;
  for (std::size_t v = 0; v < waiting.size(); ++v) {
    if (waiting[v] == 0) ready.push(static_cast<std::int32_t>(v));
  }
  StepOrder order;
  order.reserve(waiting.size());
  while (!ready.empty()) {
    const std::int32_t v = ready.top();
    ready.pop();
    order.push_back(v);
    for (const std::int32_t u : model.steps[at(v)].after) {
      if (--waiting[at(u)] == 0) ready.push(u);
    }
  }
  return order;
}

StepOrder depth_first_order(const OrderModel& model) {
  std::vector<std::int32_t> waiting = waiting_of(model);
  std::vector<std::int32_t> stack;
  for (std::size_t v = waiting.size(); v-- > 0;) {
    if (waiting[v] == 0) stack.push_back(static_cast<std::int32_t>(v));
  }
  StepOrder order;
  order.reserve(waiting.size());
  while (!stack.empty()) {
    const std::int32_t v = stack.back();
    stack.pop_back();
    order.push_back(v);
    const auto& after = model.steps[at(v)].after;
    for (std::size_t i = after.size(); i-- > 0;) {
      if (--waiting[at(after[i])] == 0) stack.push_back(after[i]);
    }
  }
  return order;
}

StepOrder post_order(const OrderModel& model) {
  std::vector<char> seen(model.steps.size());
  StepOrder order;
  order.reserve(model.steps.size());
  struct Frame {
    std::int32_t step;
    std::size_t next;
  };
  std::vector<Frame> stack;
  for (std::size_t sink = 0; sink < model.steps.size(); ++sink) {
    if (!model.steps[sink].after.empty()) continue;
    stack.push_back({static_cast<std::int32_t>(sink), 0});
    seen[sink] = 1;
    while (!stack.empty()) {
      Frame& frame = stack.back();
      const auto& before = model.steps[at(frame.step)].before;
      if (frame.next == before.size()) {
        order.push_back(frame.step);
        stack.pop_back();
        continue;
      }
      const std::int32_t u = before[frame.next++];
      if (seen[at(u)]) continue;
      seen[at(u)] = 1;
      stack.push_back({u, 0});
    }
  }
  return order;
}

StepOrder least_growth_order(const OrderModel& model) {
  return list_schedule(model, [](std::int64_t during, std::int64_t after) {
    return Cost{after, during};
  });
}

StepOrder least_peak_order(const OrderModel& model) {
  return list_schedule(model, [](std::int64_t during, std::int64_t after) {
    return Cost{during, after};
  });
}

}  // namespace mais::graph
