#include "mais/graph/budget.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <tuple>

#include "mais/graph/order.hpp"

namespace mais::graph {

namespace {

// The graph as a builder sees it, and an order by position in `operators`.
struct Draft {
  std::vector<Space> spaces;
  std::vector<Tensor> tensors;
  std::vector<Operator> operators;
  std::vector<OpId> order;
};

Result<OperatorGraph> build(const Draft& draft) {
  GraphBuilder builder;
  for (const Space& space : draft.spaces) builder.space(space);
  for (const Tensor& tensor : draft.tensors) builder.tensor(tensor);
  for (const Operator& op : draft.operators) builder.op(op);
  return builder.build();
}

// A storage idle at the peak, between two of its uses.
struct Choice {
  Remedy remedy;
  StorageId storage;
  std::size_t last_use;  // step before the peak
  std::size_t next_use;  // step after it
  Bytes freed;
  Duration exposed;
};

class Editor {
 public:
  Editor(const OperatorGraph& graph, std::vector<OpId> order, const BudgetOptions& options)
      : options_(options), originals_(graph.tensors().size()), graph_(graph) {
    draft_ = {graph.spaces(), graph.tensors(), graph.operators(), std::move(order)};
  }

  Result<BudgetPlan> run(Bytes budget) {
    Result<Usage> usage = measure(graph_, draft_.order);
    if (!usage) return tl::unexpected<Error>(usage.error());
    Bytes closest = usage->peak_level;
    while (usage->peak_level > budget) {
      const bool stop = options_.control.stop && options_.control.stop();
      if (options_.control.progress) {
        options_.control.progress(
            {usage->peak_level, budget, static_cast<std::int64_t>(edits_.size())});
      }
      if (stop || edits_.size() >= static_cast<std::size_t>(options_.max_edits) ||
          !improve(*usage)) {
        return tl::unexpected<Error>(
            Error{ErrorCode::over_capacity,
                  "no recompute or offload brings the peak to " + std::to_string(budget.count()) +
                      "; the closest reached is " + std::to_string(closest.count()) + ", with " +
                      std::to_string(edits_.size()) + " edits",
                  budget.count(), closest.count()});
      }
      usage = measure(graph_, draft_.order);
      closest = std::min(closest, usage->peak_level);
    }
    BudgetPlan plan{graph_, draft_.order, usage->peak_level, edits_, Duration(0)};
    for (const Edit& edit : edits_) plan.exposed += edit.exposed;
    return plan;
  }

 private:
  // Applies the cheapest edit that helps at the first peak.
  bool improve(const Usage& usage) {
    const auto top = std::find(usage.level.begin(), usage.level.end(), usage.peak_level);
    if (top == usage.level.end()) return false;  // the peak is what is there before the first step
    const auto peak = static_cast<std::size_t>(top - usage.level.begin());
    for (const Choice& choice : choices(peak)) {
      if (tried_.count(
              {choice.storage.value(), choice.next_use, static_cast<int>(choice.remedy)})) {
        continue;
      }
      const Draft before = draft_;
      const OperatorGraph graph_before = graph_;
      const TensorId root = graph_.storages()[choice.storage.value()].root;
      apply(choice);
      Result<OperatorGraph> edited = build(draft_);
      if (edited) {
        const Result<Usage> now = measure(*edited, draft_.order);
        const auto peaks = [](const Usage& u, Bytes level) {
          return std::count_if(u.level.begin(), u.level.end(), [&](Bytes l) { return l >= level; });
        };
        if (now && now->peak_level <= usage.peak_level &&
            peaks(*now, usage.peak_level) < peaks(usage, usage.peak_level)) {
          graph_ = *std::move(edited);
          tried_.clear();
          edits_.push_back({choice.remedy, original(root), choice.freed, choice.exposed});
          return true;
        }
      }
      draft_ = before;
      sources_.resize(draft_.tensors.size() - originals_);
      graph_ = graph_before;
      tried_.insert({choice.storage.value(), choice.next_use, static_cast<int>(choice.remedy)});
    }
    return false;
  }

  std::vector<Choice> choices(std::size_t peak) const {
    std::vector<std::size_t> step(draft_.order.size());
    for (std::size_t i = 0; i < step.size(); ++i) step[draft_.order[i].value()] = i;
    std::vector<Duration> until(step.size() + 1, Duration(0));
    for (std::size_t i = 0; i < step.size(); ++i) {
      until[i + 1] = until[i] + graph_.operators()[draft_.order[i].value()].time;
    }
    std::vector<int> tensors(graph_.storages().size());
    for (std::uint32_t t = 0; t < graph_.tensors().size(); ++t) {
      ++tensors[graph_.storage_of(TensorId(t)).value()];
    }
    std::vector<Choice> found;
    for (std::uint32_t s = 0; s < graph_.storages().size(); ++s) {
      const Storage& storage = graph_.storages()[s];
      if (graph_.spaces()[storage.space.value()].weight == 0 || storage.size == Bytes(0)) continue;
      if (storage.keep || tensors[s] != 1) continue;  // views would need copies of their own
      std::optional<std::size_t> last;
      std::optional<std::size_t> next;
      bool used_at_peak = false;
      const auto use = [&](OpId v) {
        const std::size_t at = step[v.value()];
        used_at_peak = used_at_peak || at == peak;
        if (at < peak) last = std::max(last.value_or(0), at);
        if (at > peak) next = std::min(next.value_or(at), at);
      };
      if (storage.producer) use(*storage.producer);
      for (const OpId reader : storage.readers) use(reader);
      if (used_at_peak || !last || !next || !storage.producer) continue;
      if (options_.offload && options_.offload->rate.value > 0 &&
          options_.offload->to != storage.space) {
        const Duration transfer = storage.size / options_.offload->rate;
        const Duration hidden = until[*next] - until[*last + 1];
        const Duration exposed = std::max(Duration(0), transfer + transfer - hidden);
        found.push_back({Remedy::offload, StorageId(s), *last, *next, storage.size, exposed});
      }
      if (options_.recompute && repeatable(*storage.producer)) {
        found.push_back({Remedy::recompute, StorageId(s), *last, *next, storage.size,
                         graph_.operators()[storage.producer->value()].time});
      }
    }
    std::stable_sort(found.begin(), found.end(), [](const Choice& a, const Choice& b) {
      const double x =
          static_cast<double>(a.exposed.count()) * static_cast<double>(b.freed.count());
      const double y =
          static_cast<double>(b.exposed.count()) * static_cast<double>(a.freed.count());
      return x != y ? x < y : a.freed > b.freed;
    });
    return found;
  }

  bool repeatable(OpId op) const {  // one output, written to a storage of its own
    return graph_.operators()[op.value()].outputs.size() == 1;
  }

  void apply(const Choice& choice) {
    const Storage& storage = graph_.storages()[choice.storage.value()];
    const TensorId old = storage.root;
    Tensor again = graph_.tensors()[old.value()];
    again.name += "'";
    draft_.tensors.push_back(again);
    sources_.push_back(old);
    const auto copy = TensorId(static_cast<std::uint32_t>(draft_.tensors.size() - 1));
    // Later readers take the copy.
    for (std::size_t i = choice.next_use; i < draft_.order.size(); ++i) {
      Operator& op = draft_.operators[draft_.order[i].value()];
      std::replace(op.inputs.begin(), op.inputs.end(), old, copy);
      for (InPlace& pair : op.in_place) {
        if (pair.input == old) pair.input = copy;
      }
    }
    std::vector<OpId> order(draft_.order);
    if (choice.remedy == Remedy::recompute) {
      Operator op = graph_.operators()[storage.producer->value()];
      op.name += " again";
      op.outputs = {copy};
      op.in_place.clear();
      op.after.push_back(order[choice.next_use - 1]);
      const OpId id = add(std::move(op));
      order.insert(order.begin() + static_cast<std::ptrdiff_t>(choice.next_use), id);
    } else {
      Tensor away = graph_.tensors()[old.value()];
      away.name += " away";
      away.space = options_.offload->to;
      draft_.tensors.push_back(away);
      sources_.push_back(old);
      const auto moved = TensorId(static_cast<std::uint32_t>(draft_.tensors.size() - 1));
      const OpId out = add({.name = again.name + " out", .inputs = {old}, .outputs = {moved}});
      const OpId back = add({.name = again.name + " back",
                             .inputs = {moved},
                             .outputs = {copy},
                             .after = {order[choice.next_use - 1]}});
      order.insert(order.begin() + static_cast<std::ptrdiff_t>(choice.next_use), back);
      order.insert(order.begin() + static_cast<std::ptrdiff_t>(choice.last_use) + 1, out);
    }
    draft_.order = std::move(order);
  }

  OpId add(Operator op) {
    draft_.operators.push_back(std::move(op));
    return OpId(static_cast<std::uint32_t>(draft_.operators.size() - 1));
  }

  // The tensor of the original graph that a copy stands for.
  TensorId original(TensorId tensor) const {
    while (tensor.value() >= originals_) tensor = sources_[tensor.value() - originals_];
    return tensor;
  }

  const BudgetOptions& options_;
  std::size_t originals_;
  OperatorGraph graph_;
  Draft draft_;
  std::vector<Edit> edits_;
  std::vector<TensorId> sources_;
  std::set<std::tuple<std::uint32_t, std::size_t, int>> tried_;
};

}  // namespace

Result<BudgetPlan> fit_budget(const OperatorGraph& graph, const std::vector<OpId>& order,
                              Bytes budget, const BudgetOptions& options) {
  return Editor(graph, order, options).run(budget);
}

}  // namespace mais::graph
