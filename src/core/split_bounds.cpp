#include "split_bounds.hpp"

#include <algorithm>
#include <limits>

namespace mais::core {

namespace {

constexpr std::size_t kMostSteps = 64;
constexpr double kInfinite = std::numeric_limits<double>::infinity();

double per_byte(double rate) {
  return rate > 0 ? 1 / rate : 0;
}

double weighted(const Taken& weights, const Taken& taken) {
  return weights.chain * taken.chain + weights.copies * taken.copies +
         weights.traffic * taken.traffic + weights.busy * taken.busy +
         weights.host_busy * taken.host_busy;
}

}  // namespace

SplitBounds::SplitBounds(const SplitCosts& costs, int groups, bool resident_only)
    : resident_only_(resident_only) {
  const Sites& sites = costs.sites();
  const std::size_t layers = costs.layers();
  least_bytes_.assign(layers + 1, 0);
  buffers_ = {0};
  for (std::size_t i = 0; i < layers; ++i) {
    for (std::size_t d = 0; d < sites.groups.size(); ++d) {
      for (const Option& option : costs.of(i, static_cast<int>(d))) {
        buffers_.push_back(option.buffer);
      }
    }
  }
  std::sort(buffers_.begin(), buffers_.end());
  buffers_.erase(std::unique(buffers_.begin(), buffers_.end()), buffers_.end());
  neediest_.assign(layers + 1, std::vector<double>(buffers_.size(), 0));
  resident_bytes_.assign(layers + 1, 0);
  least_buffer_.assign(layers + 1, kInfinite);
  for (std::size_t i = layers; i-- > 0;) {
    double least = kInfinite, resident = 0, buffer = kInfinite;
    std::vector<double> needs(buffers_.size(), kInfinite);
    for (std::size_t d = 0; d < sites.groups.size(); ++d) {
      for (const Option& option : costs.of(i, static_cast<int>(d))) {
        if (resident_only && option.mode != LayerMode::resident) continue;
        const double bytes = costs.least_bytes(i, option);
        least = std::min(least, bytes);
        for (std::size_t b = 0; b < buffers_.size(); ++b) {
          const auto more =
              static_cast<double>(std::max<std::int64_t>(0, option.buffer - buffers_[b]));
          needs[b] = std::min(needs[b], bytes + 2 * more);
        }
        if (option.mode == LayerMode::resident) {
          resident = bytes;  // on any stage
        } else {
          buffer = std::min(buffer, static_cast<double>(option.buffer));
        }
      }
    }
    least_bytes_[i] = least_bytes_[i + 1] + least;
    for (std::size_t b = 0; b < buffers_.size(); ++b) {
      neediest_[i][b] = std::max(neediest_[i + 1][b], needs[b]);
    }
    resident_bytes_[i] = resident_bytes_[i + 1] + resident;
    least_buffer_[i] = std::min(least_buffer_[i + 1], buffer);
  }
  const bool copies = !resident_only && sites.groups.front().copy_rate > 0;
  const bool traffic = !resident_only && sites.host_bandwidth > 0;
  const auto stages = static_cast<double>(sites.groups.size());
  constexpr int kParts = 6;
  for (int b = 0; b <= (copies ? kParts : 0); ++b) {
    for (int c = 0; c <= (traffic ? kParts - b : 0); ++c) {
      if (b > 0 && c > 0 && (b % 2 == 1 || c % 2 == 1)) continue;  // inside, a coarser grid
      means_.push_back(mean_of(costs, {.chain = (kParts - b - c) / double{kParts},
                                       .copies = b / double{kParts} * groups / stages,
                                       .traffic = c / double{kParts} * groups}));
    }
  }
  of_stages_.resize(sites.groups.size() + 1);
  if (groups == 1) return;
  const bool host = !resident_only && !sites.host_device.empty();
  for (std::size_t left = 1; left <= sites.groups.size(); ++left) {
    for (int b = 0; b <= (host ? 4 : 0); ++b) {
      of_stages_[left].push_back(
          mean_of(costs, {.busy = (4 - b) / 4.0 * groups / static_cast<double>(left),
                          .host_busy = b / 4.0 * groups}));
    }
  }
}

SplitBounds::Mean SplitBounds::mean_of(const SplitCosts& costs, const Taken& weights) const {
  const std::size_t layers = costs.layers();
  Mean mean{.weights = weights, .rests = std::vector<Rest>(layers + 1)};
  for (std::size_t i = layers; i-- > 0;) {
    Rest& rest = mean.rests[i];
    const Rest& after = mean.rests[i + 1];
    double base = 0;
    std::vector<Step> steps = steps_of(costs, i, weights, base);
    rest.seconds = after.seconds + base;
    double before = 0;
    for (const Step& step : after.steps) {
      steps.push_back({step.bytes - before, 0, step.rate});
      before = step.bytes;
    }
    std::stable_sort(steps.begin(), steps.end(),
                     [](const Step& a, const Step& b) { return a.rate > b.rate; });
    // Steps that are as steep become one; where there are too many, so do like ones, as steep as
    // the steepest: the bound stays one.
    for (const double alike : {1e-12, 1e-3, 1e-2, 0.1, 1.0}) {
      rest.steps.clear();
      double bytes = 0, saved = 0;
      for (const Step& step : steps) {
        const bool joins = !rest.steps.empty() && rest.steps.back().rate * (1 - alike) <= step.rate;
        const double rate = joins ? rest.steps.back().rate : step.rate;
        bytes += step.bytes;
        saved += step.bytes * rate;
        if (!joins) rest.steps.emplace_back();
        rest.steps.back() = {bytes, saved, rate};
      }
      if (rest.steps.size() <= kMostSteps) break;
    }
  }
  return mean;
}

std::vector<SplitBounds::Step> SplitBounds::steps_of(const SplitCosts& costs, std::size_t layer,
                                                     const Taken& weights, double& base) const {
  struct Choice {
    double bytes, seconds;
  };
  std::vector<Choice> choices;
  const double per_host_byte = per_byte(costs.sites().host_bandwidth);
  for (std::size_t d = 0; d < costs.sites().groups.size(); ++d) {
    for (const Option& option : costs.of(layer, static_cast<int>(d))) {
      if (resident_only_ && option.mode != LayerMode::resident) continue;
      choices.push_back(
          {costs.least_bytes(layer, option),
           weighted(weights, {.chain = option.chain(),
                              .copies = option.copy,
                              .traffic = (option.copied + option.host_read) * per_host_byte,
                              .busy = option.busy(),
                              .host_busy = option.host_seconds()})});
    }
  }
  std::sort(choices.begin(), choices.end(), [](const Choice& a, const Choice& b) {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.seconds < b.seconds;
  });
  // The lower convex hull, from the fewest bytes on.
  std::vector<Choice> hull;
  for (const Choice& choice : choices) {
    if (!hull.empty() && choice.seconds >= hull.back().seconds) continue;
    while (hull.size() > 1) {
      const Choice &a = hull[hull.size() - 2], &b = hull.back();
      if ((a.seconds - b.seconds) * (choice.bytes - b.bytes) >
          (b.seconds - choice.seconds) * (b.bytes - a.bytes)) {
        break;
      }
      hull.pop_back();
    }
    hull.push_back(choice);
  }
  base = hull.empty() ? kInfinite : hull.front().seconds;
  std::vector<Step> steps;
  for (std::size_t k = 1; k < hull.size(); ++k) {
    const double bytes = hull[k].bytes - hull[k - 1].bytes;
    steps.push_back({bytes, 0, (hull[k - 1].seconds - hull[k].seconds) / bytes});
  }
  return steps;
}

double SplitBounds::at_least(const Mean& mean, std::size_t layer, const Taken& taken, double room) {
  const Rest& rest = mean.rests[layer];
  const double seconds = weighted(mean.weights, taken) + rest.seconds;
  if (rest.steps.empty()) return seconds;
  // The step that the room ends in.
  const auto step = std::lower_bound(rest.steps.begin(), rest.steps.end(), room,
                                     [](const Step& a, double bytes) { return a.bytes < bytes; });
  if (step == rest.steps.end()) return seconds - rest.steps.back().saved;
  return seconds - (step->saved - (step->bytes - room) * step->rate);
}

double SplitBounds::seconds(std::size_t layer, const Taken& taken, std::int64_t left,
                            std::int64_t buffer, int stages) const {
  const auto all = static_cast<double>(left), there = static_cast<double>(buffer);
  double room = all - least_bytes_[layer];
  // One that cannot be resident needs buffers.
  if (all < resident_bytes_[layer]) room -= 2 * std::max(0.0, least_buffer_[layer] - there);
  const auto size = std::lower_bound(buffers_.begin(), buffers_.end(), buffer);
  if (!(room >= 0) || all < neediest_[layer][static_cast<std::size_t>(size - buffers_.begin())]) {
    return kInfinite;
  }
  double most = 0;
  for (const Mean& mean : means_) most = std::max(most, at_least(mean, layer, taken, room));
  for (const Mean& mean : of_stages_[static_cast<std::size_t>(stages)]) {
    most = std::max(most, at_least(mean, layer, taken, room));
  }
  return most;
}

}  // namespace mais::core
