#include "split_search.hpp"

#include <algorithm>
#include <limits>

namespace mais::core {

namespace {

constexpr std::int32_t kNobody = -1;

// A partial placement: what it took so far. Seconds are of one pass; what serves `groups` passes a
// round is counted that often.
struct Label {
  double chain = 0;  // all parts one after the other
  double busy = 0, host_busy = 0, link = 0;  // of the stage at hand, of the host, of its link
  double traffic = 0;   // of the host's memory
  double finished = 0;  // the busiest of the stages and links before
  double links = 0;     // all copies
  std::int64_t device = 0, buffer = 0, host = 0;  // bytes; 0 on the device: it is not used yet
  std::int64_t spent = 0;                         // of the stages before, with what was left over
  int at = -1;                                    // executor that the activations are at
  bool in_host = false;                           // something is computed there
  int table_at = -1;                              // executor whose space has the embedding
  std::int32_t node = kNobody;
  double score = 0;

  std::int64_t device_all() const { return device + 2 * buffer; }
};

// How a label came to be: a step back.
struct Node {
  std::int32_t before;
  LayerPlace place;
};

// What bytes and seconds are worth in the relaxed problem.
struct Prices {
  double computing = 1, copying = 0;  // of a second
  double device = 0, host = 0;        // seconds for each byte
};

class Search {
 public:
  Search(const SplitCosts& costs, int groups, int width, bool resident_only)
      : costs_(costs),
        sites_(costs.sites()),
        rounds_(groups),
        width_(static_cast<std::size_t>(std::max(1, width))),
        stages_(sites_.groups.size()),
        layers_(costs.layers()),
        resident_only_(resident_only) {
    look_ahead();
  }

  Candidates run(std::size_t want) {
    Prices prices = find_prices();
    Candidates found = run(prices, want);
    if (found.best.empty() && !found.complete && sites_.host) {
      // The host is short too: what it would take is worth as much.
      prices.host = std::max(prices.device, 1e-18) / sites_.ranks();
      prices.device = std::max(prices.device, 1e-18);
      found = run(prices, want);
    }
    return found;
  }

 private:
  bool allowed(const Option& option) const {
    return !resident_only_ || option.mode == LayerMode::resident;
  }

  // Of the layers from each on: the least time, and the least bytes anywhere.
  void look_ahead() {
    time_left_.assign(layers_ + 1, 0);
    bytes_left_.assign(layers_ + 1, 0);
    for (std::size_t i = layers_; i-- > 0;) {
      double time = std::numeric_limits<double>::max();
      double bytes = std::numeric_limits<double>::max();
      for (std::size_t d = 0; d < stages_; ++d) {
        for (const Option& option : costs_.of(i, static_cast<int>(d))) {
          if (!allowed(option)) continue;
          time = std::min(time, option.chain());
          bytes = std::min(bytes, static_cast<double>(option.device_bytes) * sites_.ranks() +
                                      static_cast<double>(option.host_bytes));
        }
      }
      time_left_[i] = time_left_[i + 1] + time;
      bytes_left_[i] = bytes_left_[i + 1] + bytes;
    }
    // A tied output may be there already.
    if (layers_ > 1) shared_ = static_cast<double>(costs_.shared_in_host()) * sites_.ranks();
    capacity_after_.assign(stages_ + 1, 0);
    for (std::size_t d = stages_; d-- > 0;) {
      capacity_after_[d] = capacity_after_[d + 1] + sites_.groups[d].capacity;
    }
  }

  // --- prices: the relaxed problem's, where layers go anywhere and bytes divide ------------------

  struct Relaxed {
    double cost = 0;
    double bytes = 0;
  };

  Relaxed relax(const Prices& prices) const {
    Relaxed sum;
    for (std::size_t i = 0; i < layers_; ++i) {
      double best = std::numeric_limits<double>::max(), bytes = 0;
      for (std::size_t d = 0; d < stages_; ++d) {
        if (d > 0 && alike_[d]) continue;
        for (const Option& option : costs_.of(i, static_cast<int>(d))) {
          if (!allowed(option)) continue;
          const double cost = prices.computing * option.chain() + prices.copying * option.copy +
                              prices.device * static_cast<double>(option.device_bytes);
          if (cost < best) best = cost, bytes = static_cast<double>(option.device_bytes);
        }
      }
      sum.cost += best, sum.bytes += bytes;
    }
    return sum;
  }

  Prices find_prices() {
    alike_.assign(stages_, false);
    for (std::size_t d = 1; d < stages_; ++d) {
      const Group &a = sites_.groups[d], &b = sites_.groups[d - 1];
      alike_[d] = a.compute == b.compute && a.bandwidth == b.bandwidth &&
                  a.copy_rate == b.copy_rate && a.copy_latency == b.copy_latency &&
                  a.ring_rate == b.ring_rate && a.ring_latency == b.ring_latency;
    }
    double capacity = 0;
    for (const Group& group : sites_.groups) {
      capacity += std::max(0.0, static_cast<double>(group.capacity - costs_.workspace()));
    }
    Prices best;
    double best_value = -1;
    for (const double computing : {1.0, 0.9, 0.75, 0.6, 0.5, 0.4, 0.25, 0.1}) {
      Prices prices{.computing = computing,
                    .copying = (1 - computing) / static_cast<double>(stages_)};
      if (relax(prices).bytes > capacity) {
        double low = 0, high = 1e6;  // seconds for each byte: enough for anybody
        for (int i = 0; i < 60; ++i) {
          prices.device = i == 0 ? high : low > 0 ? (low + high) / 2 : high / 4;
          (relax(prices).bytes > capacity ? low : high) = prices.device;
        }
        prices.device = high;
      }
      const double value = relax(prices).cost - prices.device * capacity;
      if (value > best_value) best_value = value, best = prices;
    }
    return best;
  }

  // --- the dynamic programme --------------------------------------------------------------------

  Candidates run(const Prices& prices, std::size_t want) {
    prices_ = prices;
    complete_ = true;
    nodes_.clear();
    std::vector<std::vector<Label>> now(stages_), next(stages_);
    now[0].push_back({.chain = costs_.overhead()});
    for (std::size_t i = 0; i < layers_; ++i) {
      for (std::vector<Label>& labels : next) labels.clear();
      for (std::size_t d = 0; d < stages_; ++d) {
        if (d > 0) {
          for (const Label& label : now[d - 1]) now[d].push_back(finish(label, d - 1));
          keep_best(now[d], i, d);
        }
        for (const Label& label : now[d]) extend(label, i, d, next[d]);
      }
      std::swap(now, next);
      for (std::size_t d = 0; d < stages_; ++d) keep_best(now[d], i + 1, d);
    }
    return collect(now, want);
  }

  Label finish(const Label& label, std::size_t stage) const {
    Label next = label;
    next.finished = std::max({label.finished, rounds_ * label.busy, rounds_ * label.link});
    next.spent += sites_.groups[stage].capacity;
    next.busy = next.link = 0;
    next.device = next.buffer = 0;
    return next;
  }

  void extend(const Label& label, std::size_t layer, std::size_t stage, std::vector<Label>& into) {
    const int host = sites_.host_executor();
    const int here = static_cast<int>(stage);
    const bool last = layer + 1 == layers_ && layers_ > 1;
    for (const Option& option : costs_.of(layer, here)) {
      if (!allowed(option)) continue;
      const double hop = label.at < 0 ? 0 : costs_.hop(label.at, option.executor);
      if (hop < 0) continue;
      Label next = label;
      next.at = option.executor;
      if (layer == 0 && costs_.shared_in_host() > 0) next.table_at = option.executor;
      if (option.executor == here) {
        if (label.device == 0) next.device += costs_.workspace();
        next.device += option.device_bytes;
        next.buffer = std::max(next.buffer, option.buffer);
      }
      const bool computes_there =
          option.mode == LayerMode::host || option.mode == LayerMode::experts_host;
      if (computes_there && !label.in_host) next.host += costs_.workspace();
      next.in_host = label.in_host || computes_there;
      next.host += option.host_bytes;
      if (last && label.table_at >= 0) {
        const bool stored_in_host =
            option.mode == LayerMode::host || option.mode == LayerMode::streamed;
        if (stored_in_host && label.table_at == host) next.host -= costs_.shared_in_host();
        if (!stored_in_host && label.table_at == here) next.device -= costs_.shared_on_device();
      }
      next.chain += hop + option.chain();
      next.busy += option.busy();
      next.host_busy += option.host_seconds();
      next.link += option.copy;
      next.links += option.copy;
      if (sites_.host_bandwidth > 0) {
        next.traffic += (option.copied + option.host_read) / sites_.host_bandwidth;
      }
      if (next.device_all() > sites_.groups[stage].capacity || next.host > sites_.host_capacity) {
        continue;
      }
      next.node = static_cast<std::int32_t>(nodes_.size());
      next.score = score(next, layer + 1, stage);
      if (!can_end(next, layer + 1, stage)) continue;
      nodes_.push_back({label.node, {option.mode, here}});
      into.push_back(next);
    }
  }

  bool can_end(const Label& label, std::size_t layer, std::size_t stage) const {
    const double left =
        sites_.ranks() * static_cast<double>(capacity_after_[stage] - label.device_all()) +
        (sites_.host ? static_cast<double>(sites_.host_capacity - label.host) : 0);
    return bytes_left_[layer] - shared_ <= left;
  }

  double score(const Label& label, std::size_t layer, std::size_t stage) const {
    double time = label.chain + time_left_[layer];
    if (rounds_ > 1) {
      const double stages = static_cast<double>(stages_ - stage);
      time = std::max({time, label.finished, rounds_ * label.busy, rounds_ * label.host_busy,
                       rounds_ * (label.busy + time_left_[layer]) / stages});
    }
    return prices_.computing * time + prices_.copying * rounds_ * label.links +
           prices_.device * static_cast<double>(label.spent + label.device_all()) +
           prices_.host * static_cast<double>(label.host);
  }

  // a is no worse than b in anything that can matter later.
  bool covers(const Label& a, const Label& b) const {
    if (a.at != b.at || a.table_at != b.table_at) return false;
    if (a.chain > b.chain || a.link > b.link || a.traffic > b.traffic || a.finished > b.finished ||
        a.device > b.device || a.device_all() > b.device_all() || a.host > b.host) {
      return false;
    }
    // Who computes in the host has its workspace there already.
    if (b.in_host && !a.in_host && a.host + costs_.workspace() > b.host) return false;
    return rounds_ == 1 || (a.busy <= b.busy && a.host_busy <= b.host_busy);
  }

  void keep_best(std::vector<Label>& labels, std::size_t layer, std::size_t stage) {
    for (Label& label : labels) label.score = score(label, layer, stage);
    std::sort(labels.begin(), labels.end(), [](const Label& a, const Label& b) {
      return a.score != b.score ? a.score < b.score : a.node < b.node;
    });
    std::size_t kept = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      bool covered = false;
      for (std::size_t k = 0; k < kept && !covered; ++k) covered = covers(labels[k], labels[i]);
      if (covered) continue;
      if (kept == width_) {
        complete_ = false;
        break;
      }
      if (kept != i) labels[kept] = labels[i];
      ++kept;
    }
    labels.resize(kept);
  }

  Candidates collect(const std::vector<std::vector<Label>>& ends, std::size_t want) const {
    std::vector<std::pair<double, std::int32_t>> order;
    for (std::size_t d = 0; d < stages_; ++d) {
      for (const Label& end : ends[d]) {
        const Label label = finish(end, d);
        order.emplace_back(
            std::max({label.chain, label.finished, rounds_ > 1 ? rounds_ * label.host_busy : 0.0,
                      rounds_ * label.traffic}),
            label.node);
      }
    }
    std::sort(order.begin(), order.end());
    Candidates found;
    found.complete = complete_;
    for (const auto& [seconds, end] : order) {
      if (found.best.size() == want) break;
      Candidate candidate{.places = std::vector<LayerPlace>(layers_), .seconds = seconds};
      std::size_t layer = layers_;
      for (std::int32_t node = end; node != kNobody;) {
        const Node& step = nodes_[static_cast<std::size_t>(node)];
        candidate.places[--layer] = step.place;
        node = step.before;
      }
      found.best.push_back(std::move(candidate));
    }
    return found;
  }

  const SplitCosts& costs_;
  const Sites& sites_;
  double rounds_;
  std::size_t width_, stages_, layers_;
  bool resident_only_;
  std::vector<double> time_left_, bytes_left_;
  std::vector<std::int64_t> capacity_after_;
  std::vector<char> alike_;
  double shared_ = 0;
  Prices prices_;
  std::vector<Node> nodes_;
  bool complete_ = true;
};

}  // namespace

Candidates search_splits(const SplitCosts& costs, int groups, int width, std::size_t want,
                         bool resident_only) {
  return Search(costs, groups, width, resident_only).run(want);
}

}  // namespace mais::core
