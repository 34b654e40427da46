#include "split_search.hpp"

#include <algorithm>
#include <limits>
#include <tuple>

#include "split_bounds.hpp"

namespace mais::core {

namespace {

constexpr std::int32_t kRoot = -1;

// A partial placement: what it took so far.
struct Label {
  Taken taken;          // of one pass; what serves `groups` of them in a round counts that often
  double link = 0;      // of the stage at hand
  double finished = 0;  // the busiest of the stages and links before
  std::int64_t device = 0, buffer = 0, host = 0;  // bytes; 0 on the device: it is not used yet
  int at = -1;                                    // executor that the activations are at
  bool in_host = false;                           // something is computed there
  int table_at = -1;                              // executor whose space has the embedding
  std::int32_t node = kRoot;
  double score = 0;  // the least that a round can take in the end

  std::int64_t device_all() const { return device + 2 * buffer; }
};

// How a label came to be: a step back.
struct Node {
  std::int32_t before;
  LayerPlace place;
};

class Search {
 public:
  Search(const SplitCosts& costs, const SearchOptions& options)
      : costs_(costs),
        sites_(costs.sites()),
        rounds_(options.groups),
        width_(static_cast<std::size_t>(std::max(1, options.width))),
        stages_(sites_.groups.size()),
        layers_(costs.layers()),
        limit_(options.limit),
        resident_only_(options.resident_only),
        bounds_(costs, options.groups, options.resident_only) {
    look_ahead();
  }

  Candidates run(std::size_t want) {
    nodes_.clear();
    std::vector<std::vector<Label>> now(stages_), next(stages_);
    now[0].emplace_back().taken.chain = costs_.overhead();
    const double floor = score(now[0][0], 0, 0);
    if (!(floor < limit_)) return {};
    grain_ = std::max(floor * 1e-9, 1e-18);
    for (std::size_t i = 0; i < layers_; ++i) {
      for (std::vector<Label>& labels : next) labels.clear();
      for (std::size_t d = 0; d < stages_; ++d) {
        if (d > 0) {
          for (const Label& label : now[d - 1]) now[d].push_back(finish(label, d - 1, i));
          keep_best(now[d]);
        }
        for (const Label& label : now[d]) extend(label, i, d, next[d]);
      }
      std::swap(now, next);
      for (std::vector<Label>& labels : now) keep_best(labels);
    }
    return collect(now, want);
  }

 private:
  bool allowed(const Option& option) const {
    return !resident_only_ || option.mode == LayerMode::resident;
  }

  // Of the layers from each on, the least bytes anywhere.
  void look_ahead() {
    bytes_left_.assign(layers_ + 1, 0);
    for (std::size_t i = layers_; i-- > 0;) {
      double bytes = std::numeric_limits<double>::max();
      for (std::size_t d = 0; d < stages_; ++d) {
        for (const Option& option : costs_.of(i, static_cast<int>(d))) {
          if (!allowed(option)) continue;
          bytes = std::min(bytes, static_cast<double>(option.device_bytes) * sites_.ranks() +
                                      static_cast<double>(option.host_bytes));
        }
      }
      bytes_left_[i] = bytes_left_[i + 1] + bytes;
    }
    // A tied output may be there already.
    if (layers_ > 1) shared_ = static_cast<double>(costs_.shared_in_host()) * sites_.ranks();
    capacity_after_.assign(stages_ + 1, 0);
    for (std::size_t d = stages_; d-- > 0;) {
      capacity_after_[d] = capacity_after_[d + 1] + sites_.groups[d].capacity;
    }
  }

  // The label when it turns to the next stage.
  Label finish(const Label& label, std::size_t stage, std::size_t layer) const {
    Label next = label;
    next.finished = std::max({label.finished, rounds_ * label.taken.busy, rounds_ * label.link});
    next.taken.busy = next.link = 0;
    next.device = next.buffer = 0;
    if (stage + 1 < stages_) next.score = score(next, layer, stage + 1);
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
      if (option.on_device()) {
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
      next.link += option.copy;
      next.taken.copies += option.copy;
      next.taken.chain += hop + option.chain();
      next.taken.busy += option.busy();
      next.taken.host_busy += option.host_seconds();
      if (layer == 0) {
        (option.executor == here ? next.taken.busy : next.taken.host_busy) += costs_.overhead();
      }
      if (sites_.host_bandwidth > 0) {
        next.taken.traffic += (option.copied + option.host_read) / sites_.host_bandwidth;
      }
      if (next.device_all() > sites_.groups[stage].capacity || next.host > sites_.host_capacity) {
        continue;
      }
      next.node = static_cast<std::int32_t>(nodes_.size());
      next.score = score(next, layer + 1, stage);
      if (!(next.score < limit_) || !can_end(next, layer + 1, stage)) continue;
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
    return std::max(
        {bounds_.seconds(layer, label.taken, capacity_after_[stage] - label.device_all(),
                         label.buffer, static_cast<int>(stages_ - stage)),
         label.finished, rounds_ * label.link, rounds_ * label.taken.busy,
         rounds_ * label.taken.host_busy});
  }

  // a is no worse than b in anything that can matter later.
  bool covers(const Label& a, const Label& b) const {
    if (a.at != b.at || a.table_at != b.table_at) return false;
    if (a.taken.chain > b.taken.chain || a.link > b.link || a.taken.traffic > b.taken.traffic ||
        a.finished > b.finished || a.device > b.device || a.device_all() > b.device_all() ||
        a.host > b.host) {
      return false;
    }
    // Who computes in the host has its workspace there already.
    if (b.in_host && !a.in_host && a.host + costs_.workspace() > b.host) return false;
    return rounds_ == 1 || (a.taken.busy <= b.taken.busy && a.taken.host_busy <= b.taken.host_busy);
  }

  // The fastest first; of those that are alike but for rounding, what leaves more on the devices.
  void sort(std::vector<Label>& labels) const {
    const auto rounded = [&](const Label& label) {
      return detail::saturating_count(label.score / grain_);  // of what cannot end: infinite
    };
    std::sort(labels.begin(), labels.end(), [&](const Label& a, const Label& b) {
      return std::tuple(rounded(a), a.host, a.node) < std::tuple(rounded(b), b.host, b.node);
    });
  }

  void keep_best(std::vector<Label>& labels) {
    sort(labels);
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
    std::vector<Label> order;
    for (std::size_t d = 0; d < stages_; ++d) {
      for (const Label& end : ends[d]) {
        Label label = finish(end, d, layers_);
        label.score = std::max({label.taken.chain, label.finished, rounds_ * label.taken.host_busy,
                                rounds_ * label.taken.traffic});
        order.push_back(label);
      }
    }
    sort(order);
    Candidates found;
    found.complete = complete_;
    for (const Label& label : order) {
      if (found.best.size() == want) break;
      Candidate candidate{.places = std::vector<LayerPlace>(layers_), .seconds = label.score};
      std::size_t layer = layers_;
      for (std::int32_t node = label.node; node != kRoot;) {
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
  double limit_;
  double grain_ = 1;  // seconds that are no difference
  bool resident_only_;
  std::vector<double> bytes_left_;
  std::vector<std::int64_t> capacity_after_;
  double shared_ = 0;
  SplitBounds bounds_;
  std::vector<Node> nodes_;
  bool complete_ = true;
};

}  // namespace

Candidates search_splits(const SplitCosts& costs, const SearchOptions& options) {
  return Search(costs, options).run(options.want);
}

}  // namespace mais::core
