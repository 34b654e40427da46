#include "graph/order_model.hpp"

#include <algorithm>
#include <bit>

#include "graph/index.hpp"

namespace mais::graph {

namespace {

void fill_touches(OrderModel& model) {
  for (OrderModel::Step& step : model.steps) step.touches.clear();
  for (std::size_t i = 0; i < model.items.size(); ++i) {
    const OrderModel::Item& item = model.items[i];
    const auto id = static_cast<std::int32_t>(i);
    for (const std::int32_t v : item.openers)
      model.steps[at(v)].touches.push_back({id, true, false});
    for (const std::int32_t v : item.closers) {
      auto& touches = model.steps[at(v)].touches;
      if (!touches.empty() && touches.back().item == id) {
        touches.back().closes = true;
      } else {
        touches.push_back({id, false, true});
      }
    }
  }
}

Levels initial_levels(const OrderModel& model) {
  Levels start{};
  for (const OrderModel::Item& item : model.items) {
    if (item.open) start[item.space] += item.size;
  }
  return start;
}

}  // namespace

OrderModel model_of(const OperatorGraph& graph) {
  OrderModel model;
  model.spaces = graph.spaces().size();
  for (std::size_t s = 0; s < model.spaces; ++s) model.weight[s] = graph.spaces()[s].weight;
  for (const Storage& storage : graph.storages()) {
    OrderModel::Item item{storage.size.count(),
                          static_cast<std::uint8_t>(storage.space.value()),
                          !storage.producer,
                          !storage.keep,
                          {},
                          {}};
    if (storage.producer) {
      item.openers.push_back(static_cast<std::int32_t>(storage.producer->value()));
      item.closers = item.openers;
    }
    for (const OpId reader : storage.readers) {
      item.closers.push_back(static_cast<std::int32_t>(reader.value()));
    }
    // A view written by the producer itself makes it a reader too.
    std::sort(item.closers.begin(), item.closers.end());
    item.closers.erase(std::unique(item.closers.begin(), item.closers.end()), item.closers.end());
    model.items.push_back(std::move(item));
  }
  model.steps.resize(graph.operators().size());
  for (std::uint32_t v = 0; v < model.steps.size(); ++v) {
    OrderModel::Step& step = model.steps[v];
    const Operator& op = graph.operators()[v];
    for (const OpId u : graph.before(OpId(v))) {
      step.before.push_back(static_cast<std::int32_t>(u.value()));
    }
    for (const OpId u : graph.after(OpId(v))) {
      step.after.push_back(static_cast<std::int32_t>(u.value()));
    }
    for (const InPlace& pair : op.in_place) {
      step.reuses.push_back({static_cast<std::int32_t>(graph.storage_of(pair.input).value()),
                             static_cast<std::int32_t>(graph.storage_of(pair.output).value())});
    }
    for (const Workspace& work : op.workspace) {
      // Workspace is aligned like everything else in its space.
      const std::int64_t unit = graph.spaces()[work.space.value()].alignment.count();
      step.workspace.emplace_back(static_cast<std::uint8_t>(work.space.value()),
                                  (work.size.count() + unit - 1) / unit * unit);
    }
  }
  fill_touches(model);
  model.start = initial_levels(model);
  return model;
}

OrderModel reversed(const OrderModel& model) {
  OrderModel back = model;
  for (OrderModel::Item& item : back.items) {
    std::swap(item.openers, item.closers);
    const bool open = item.open;
    item.open = !item.closable;
    item.closable = !open;
  }
  for (OrderModel::Step& step : back.steps) {
    std::swap(step.before, step.after);
    for (OrderModel::Reuse& reuse : step.reuses) std::swap(reuse.dying, reuse.born);
  }
  fill_touches(back);
  back.start = initial_levels(back);
  return back;
}

OrderModel window_of(const OrderModel& model, const std::vector<std::int32_t>& order,
                     std::size_t begin, std::size_t end) {
  OrderRun run(model);
  for (std::size_t i = 0; i < begin; ++i) run.run(order[i]);
  constexpr std::int32_t kBefore = -2;
  constexpr std::int32_t kLater = -1;
  std::vector<std::int32_t> place(model.steps.size(), kLater);
  for (std::size_t i = 0; i < end; ++i) {
    place[at(order[i])] = i < begin ? kBefore : static_cast<std::int32_t>(i - begin);
  }
  OrderModel cut;
  cut.spaces = model.spaces;
  cut.weight = model.weight;
  cut.start = run.in_use();
  cut.steps.resize(end - begin);
  std::vector<std::int32_t> item_place(model.items.size(), kLater);
  const auto item_of = [&](std::int32_t id) {
    if (item_place[at(id)] != kLater) return item_place[at(id)];
    const OrderModel::Item& item = model.items[at(id)];
    OrderModel::Item part{item.size, item.space, item.open, item.closable, {}, {}};
    for (const std::int32_t v : item.openers) {
      if (place[at(v)] == kBefore) part.open = true;
      if (place[at(v)] >= 0) part.openers.push_back(place[at(v)]);
    }
    for (const std::int32_t v : item.closers) {
      if (place[at(v)] == kLater) part.closable = false;
      if (place[at(v)] >= 0) part.closers.push_back(place[at(v)]);
    }
    std::sort(part.openers.begin(), part.openers.end());
    std::sort(part.closers.begin(), part.closers.end());
    item_place[at(id)] = static_cast<std::int32_t>(cut.items.size());
    cut.items.push_back(std::move(part));
    return item_place[at(id)];
  };
  for (std::size_t i = begin; i < end; ++i) {
    const OrderModel::Step& step = model.steps[at(order[i])];
    OrderModel::Step& part = cut.steps[i - begin];
    for (const std::int32_t u : step.before) {
      if (place[at(u)] >= 0) part.before.push_back(place[at(u)]);
    }
    for (const std::int32_t u : step.after) {
      if (place[at(u)] >= 0) part.after.push_back(place[at(u)]);
    }
    for (const OrderModel::Touch& touch : step.touches) item_of(touch.item);
    for (const OrderModel::Reuse& reuse : step.reuses) {
      part.reuses.push_back({item_of(reuse.dying), item_of(reuse.born)});
    }
    part.workspace = step.workspace;
  }
  fill_touches(cut);
  return cut;
}

OrderRun::OrderRun(const OrderModel& model)
    : model_(model),
      in_use_(model.start),
      open_(model.items.size()),
      closers_left_(model.items.size()),
      closers_xor_(model.items.size()) {
  for (std::size_t i = 0; i < model.items.size(); ++i) {
    open_[i] = model.items[i].open;
    closers_left_[i] = static_cast<std::int32_t>(model.items[i].closers.size());
    for (const std::int32_t v : model.items[i].closers) closers_xor_[i] ^= v;
  }
}

namespace {

// What a step does to the levels, where `opens` and `closes` tell which of its touches open and
// close an item now.
template <class Opens, class Closes>
OrderRun::Effect effect_of(const OrderModel& model, const OrderModel::Step& step,
                           const Levels& in_use, Opens opens, Closes closes) {
  OrderRun::Effect effect{in_use, {}};
  Levels freed{};
  for (const OrderModel::Touch& touch : step.touches) {
    const OrderModel::Item& item = model.items[at(touch.item)];
    if (opens(touch)) effect.during[item.space] += item.size;
    if (closes(touch)) freed[item.space] += item.size;
  }
  for (std::size_t s = 0; s < model.spaces; ++s) effect.after[s] = effect.during[s] - freed[s];
  for (const auto& [space, bytes] : step.workspace) effect.during[space] += bytes;
  std::uint64_t taken = 0;  // pairs that apply; there are at most kMostInPlace
  for (std::size_t r = 0; r < step.reuses.size(); ++r) {
    const OrderModel::Reuse& reuse = step.reuses[r];
    bool dies = false;
    bool born = false;
    for (const OrderModel::Touch& touch : step.touches) {
      dies = dies || (touch.item == reuse.dying && closes(touch));
      born = born || (touch.item == reuse.born && opens(touch));
    }
    for (std::size_t q = 0; q < r && dies; ++q) {  // given away or filled already
      const OrderModel::Reuse& earlier = step.reuses[q];
      const bool applied = (taken >> q & 1U) != 0;
      if (applied && (earlier.dying == reuse.dying || earlier.born == reuse.born)) dies = false;
    }
    if (dies && born) {
      taken |= std::uint64_t{1} << r;
      const OrderModel::Item& item = model.items[at(reuse.born)];
      effect.during[item.space] -= item.size;
    }
  }
  return effect;
}

}  // namespace

OrderRun::Effect OrderRun::effect(std::int32_t v) const {
  const OrderModel::Step& step = model_.steps[at(v)];
  const auto opens = [&](const OrderModel::Touch& touch) {
    return touch.opens && !open_[at(touch.item)];
  };
  const auto closes = [&](const OrderModel::Touch& touch) {
    return touch.closes && closers_left_[at(touch.item)] == 1 &&
           model_.items[at(touch.item)].closable;
  };
  return effect_of(model_, step, in_use_, opens, closes);
}

OrderRun::Effect effect_after(const OrderModel& model, const std::vector<std::uint64_t>& done,
                              const Levels& in_use, std::int32_t v) {
  const OrderModel::Step& step = model.steps[at(v)];
  const auto is_done = [&done](std::int32_t u) {
    return (done[at(u) / 64] >> (at(u) % 64) & 1U) != 0;
  };
  const auto opens = [&](const OrderModel::Touch& touch) {
    const OrderModel::Item& item = model.items[at(touch.item)];
    return touch.opens && !item.open &&
           std::none_of(item.openers.begin(), item.openers.end(), is_done);
  };
  const auto closes = [&](const OrderModel::Touch& touch) {
    const OrderModel::Item& item = model.items[at(touch.item)];
    return touch.closes && item.closable &&
           std::all_of(item.closers.begin(), item.closers.end(),
                       [&](std::int32_t u) { return u == v || is_done(u); });
  };
  return effect_of(model, step, in_use, opens, closes);
}

Levels OrderRun::run(std::int32_t v) {
  const Effect now = effect(v);
  for (const OrderModel::Touch& touch : model_.steps[at(v)].touches) {
    if (touch.opens) open_[at(touch.item)] = 1;
    if (touch.closes) {
      --closers_left_[at(touch.item)];
      closers_xor_[at(touch.item)] ^= v;
    }
  }
  in_use_ = now.after;
  return now.during;
}

std::int32_t OrderRun::last_closer(std::int32_t item) const {
  return closers_left_[at(item)] == 1 ? closers_xor_[at(item)] : -1;
}

Peak peak_of(const OrderModel& model, const std::vector<std::int32_t>& order) {
  OrderRun run(model);
  Peak peak{model.level(model.start), 0};
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::int64_t level = model.level(run.run(order[i]));
    if (level > peak.level) peak = {level, i};
  }
  return peak;
}

namespace {

// Ancestors (or descendants) of every step, the step included, one row of bits each.
class Closure {
 public:
  Closure(const OrderModel& model, const std::vector<std::int32_t>& order, bool ancestors)
      : words_((model.steps.size() + 63) / 64), rows_(model.steps.size() * words_) {
    const auto visit = [&](std::int32_t v) {
      std::uint64_t* row = &rows_[at(v) * words_];
      row[at(v) / 64] |= std::uint64_t{1} << (at(v) % 64);
      const OrderModel::Step& step = model.steps[at(v)];
      for (const std::int32_t u : ancestors ? step.before : step.after) {
        const std::uint64_t* other = &rows_[at(u) * words_];
        for (std::size_t w = 0; w < words_; ++w) row[w] |= other[w];
      }
    };
    if (ancestors) {
      for (const std::int32_t v : order) visit(v);
    } else {
      for (std::size_t i = order.size(); i-- > 0;) visit(order[i]);
    }
  }
  const std::uint64_t* row(std::int32_t v) const { return &rows_[at(v) * words_]; }
  std::size_t words() const { return words_; }

 private:
  std::size_t words_;
  std::vector<std::uint64_t> rows_;
};

}  // namespace

std::int64_t step_bound(const OrderModel& model, const std::vector<std::int32_t>& order,
                        bool closure) {
  Levels always{};  // open from start to end
  for (const OrderModel::Item& item : model.items) {
    if (item.open && !item.closable) always[item.space] += item.size;
  }
  std::vector<Levels> alive(model.steps.size(), always);
  for (std::size_t v = 0; v < model.steps.size(); ++v) {
    for (const OrderModel::Touch& touch : model.steps[v].touches) {
      const OrderModel::Item& item = model.items[at(touch.item)];
      if (item.open && !item.closable) continue;
      alive[v][item.space] += item.size;
    }
    for (const auto& [space, bytes] : model.steps[v].workspace) alive[v][space] += bytes;
  }
  if (closure && !order.empty()) {
    // Between an opener that is done and a closer that is not, an item is alive.
    const Closure up(model, order, true);
    const Closure down(model, order, false);
    std::vector<std::uint64_t> between(up.words());
    for (const OrderModel::Item& item : model.items) {
      if (item.open && !item.closable) continue;
      std::fill(between.begin(), between.end(), item.open ? ~std::uint64_t{0} : 0);
      for (const std::int32_t v : item.openers) {
        for (std::size_t w = 0; w < between.size(); ++w) between[w] |= down.row(v)[w];
      }
      if (item.closable) {
        std::vector<std::uint64_t> open_until(between.size());
        for (const std::int32_t v : item.closers) {
          for (std::size_t w = 0; w < between.size(); ++w) open_until[w] |= up.row(v)[w];
        }
        for (std::size_t w = 0; w < between.size(); ++w) between[w] &= open_until[w];
      }
      for (const auto* list : {&item.openers, &item.closers}) {  // counted as touches
        for (const std::int32_t v : *list) {
          between[at(v) / 64] &= ~(std::uint64_t{1} << (at(v) % 64));
        }
      }
      for (std::size_t w = 0; w < between.size(); ++w) {
        for (std::uint64_t bits = between[w]; bits != 0; bits &= bits - 1) {
          const std::size_t v = 64 * w + static_cast<std::size_t>(std::countr_zero(bits));
          if (v < alive.size()) alive[v][item.space] += item.size;
        }
      }
    }
  }
  std::int64_t bound = model.level(model.start);
  for (std::size_t v = 0; v < model.steps.size(); ++v) {
    Levels least = alive[v];
    for (const OrderModel::Reuse& reuse : model.steps[v].reuses) {  // each may save its bytes
      const OrderModel::Item& item = model.items[at(reuse.born)];
      least[item.space] -= item.size;
    }
    bound = std::max(bound, model.level(least));
  }
  return bound;
}

std::int64_t step_bound_at(const OrderModel& model, std::int32_t step) {
  // Bit 1: the step or an ancestor. Bit 2: the step or a descendant.
  std::vector<std::uint8_t> side(model.steps.size(), 0);
  std::vector<std::int32_t> stack;
  for (const std::uint8_t bit : {std::uint8_t{1}, std::uint8_t{2}}) {
    side[at(step)] |= bit;
    stack.push_back(step);
    while (!stack.empty()) {
      const OrderModel::Step& top = model.steps[at(stack.back())];
      stack.pop_back();
      for (const std::int32_t u : bit == 1 ? top.before : top.after) {
        if ((side[at(u)] & bit) != 0) continue;
        side[at(u)] |= bit;
        stack.push_back(u);
      }
    }
  }
  const auto any = [&](const std::vector<std::int32_t>& list, std::uint8_t bit) {
    return std::any_of(list.begin(), list.end(),
                       [&](std::int32_t v) { return (side[at(v)] & bit) != 0; });
  };
  Levels least{};
  for (const OrderModel::Item& item : model.items) {
    if ((item.open || any(item.openers, 1)) && (!item.closable || any(item.closers, 2))) {
      least[item.space] += item.size;
    }
  }
  for (const auto& [space, bytes] : model.steps[at(step)].workspace) least[space] += bytes;
  for (const OrderModel::Reuse& reuse : model.steps[at(step)].reuses) {
    const OrderModel::Item& item = model.items[at(reuse.born)];
    least[item.space] -= item.size;
  }
  return model.level(least);
}

}  // namespace mais::graph
