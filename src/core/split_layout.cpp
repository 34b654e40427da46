#include "split_layout.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <string>

#include "pass_timeline.hpp"

namespace mais::core {

namespace {

constexpr std::size_t kModes = 5;

bool same(const WorkTime& a, const WorkTime& b) {
  return a.compute == b.compute && a.memory == b.memory && a.wire == b.wire;
}

bool same(const std::vector<Option>& a, const std::vector<Option>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Option& x, const Option& y) {
    return x.mode == y.mode && x.device_bytes == y.device_bytes && x.buffer == y.buffer &&
           x.host_bytes == y.host_bytes && same(x.dense, y.dense) && same(x.experts, y.experts);
  });
}

class Arrangement {
 public:
  Arrangement(const SplitCosts& costs, std::vector<LayerPlace> places, int groups, int& trials)
      : costs_(costs), groups_(groups), places_(std::move(places)), trials_(trials) {
    const std::size_t layers = places_.size();
    kind_.resize(layers);
    for (std::size_t i = 0; i < layers; ++i) {
      kind_[i] = i;
      // Ends of a tied table are not like any other layer.
      if (costs.shared_in_host() > 0 && (i == 0 || i + 1 == layers)) continue;
      for (std::size_t j = i > 64 ? i - 64 : 0; j < i; ++j) {
        if (same(costs.of(i, places_[i].stage), costs.of(j, places_[i].stage))) {
          kind_[i] = kind_[j];
          break;
        }
      }
    }
    step_s_ = step_seconds(costs_, places_, groups_);
  }

  Layout run() {
    if (std::any_of(places_.begin(), places_.end(),
                    [&](const LayerPlace& place) { return place.mode != places_.front().mode; })) {
      const std::vector<LayerPlace> found = places_;
      spread();
      for (const double phase : {0.0, 0.5, 1.0}) spread_by_time(found, phase);
      exchange();
    }
    return {std::move(places_), step_s_};
  }

 private:
  // Of the layers of a kind on a stage, each next one gets the mode that is furthest behind its
  // share. What the host computes stays together: every change of place costs a hop.
  void spread() {
    std::map<std::pair<int, std::size_t>, std::vector<std::size_t>> alike;
    for (std::size_t i = 0; i < places_.size(); ++i) {
      if (places_[i].mode == LayerMode::host) continue;
      alike[{places_[i].stage, kind_[i]}].push_back(i);
    }
    std::vector<LayerPlace> even = places_;
    for (const auto& [key, layers] : alike) {
      std::array<double, kModes> wanted{}, given{};
      for (const std::size_t i : layers) ++wanted[static_cast<std::size_t>(places_[i].mode)];
      const auto all = static_cast<double>(layers.size());
      for (std::size_t k = 0; k < layers.size(); ++k) {
        std::size_t best = 0;
        double most = -all - 1;
        for (std::size_t mode = 0; mode < kModes; ++mode) {
          if (given[mode] >= wanted[mode]) continue;
          const double behind = wanted[mode] * (static_cast<double>(k) + 1) / all - given[mode];
          if (behind > most) most = behind, best = mode;
        }
        ++given[best];
        even[layers[k]].mode = static_cast<LayerMode>(best);
      }
    }
    take_if_as_fast(std::move(even));
  }

  void take_if_as_fast(std::vector<LayerPlace> places) {
    const double step_s = step_seconds(costs_, places, groups_);
    if (step_s > step_s_ * (1 + 1e-12)) return;
    step_s_ = step_s;
    places_ = std::move(places);
  }

  // A copied layer whenever so much time has passed on the stage that its copies are even, counted
  // from `phase` of that on; the other layers keep their order. Where the host computes too, layers
  // are of very different lengths, and copies hide behind its long ones.
  void spread_by_time(const std::vector<LayerPlace>& from, double phase) {
    const auto copied = [](LayerMode mode) {
      return mode == LayerMode::streamed || mode == LayerMode::experts_streamed;
    };
    struct Stage {
      double time = 0, copies = 0, since = 0;
    };
    std::map<int, Stage> stages;
    // Modes that are left for a kind on a stage, and the layers that are.
    std::map<std::pair<int, std::size_t>, std::array<std::vector<LayerMode>, 2>> left;
    for (std::size_t i = from.size(); i-- > 0;) {
      Stage& stage = stages[from[i].stage];
      stage.time += costs_.find(i, from[i])->chain();
      stage.copies += copied(from[i].mode);
      left[{from[i].stage, kind_[i]}][copied(from[i].mode)].push_back(from[i].mode);
    }
    for (auto& [number, stage] : stages)
      stage.since = phase * stage.time / std::max(1.0, stage.copies);
    std::vector<LayerPlace> places = from;
    for (std::size_t i = 0; i < places.size(); ++i) {
      Stage& stage = stages[places[i].stage];
      auto& [plain, copies] = left[{places[i].stage, kind_[i]}];
      const bool due = stage.since * stage.copies >= stage.time * (1 - 1e-9);
      std::vector<LayerMode>& modes = plain.empty() || (due && !copies.empty()) ? copies : plain;
      places[i].mode = modes.back();
      modes.pop_back();
      stage.since += costs_.find(i, places[i])->chain();
      if (copied(places[i].mode)) stage.since -= stage.time / stage.copies;
    }
    take_if_as_fast(std::move(places));
  }

  bool try_instead(std::vector<LayerPlace> places) {
    --trials_;
    const double step_s = step_seconds(costs_, places, groups_);
    if (step_s >= step_s_) return false;
    step_s_ = step_s;
    places_ = std::move(places);
    return true;
  }

  // Layers of a stage change modes, near ones first.
  void exchange() {
    const std::size_t layers = places_.size();
    for (bool better = true; better && trials_ > 0;) {
      better = false;
      for (std::size_t gap = 1; gap < layers && gap <= 8; ++gap) {
        for (std::size_t i = 0; i + gap < layers && trials_ > 0; ++i) {
          const std::size_t j = i + gap;
          if (places_[i].mode == places_[j].mode || places_[i].stage != places_[j].stage) continue;
          std::vector<LayerPlace> places = places_;
          std::swap(places[i].mode, places[j].mode);
          if (kind_[i] == kind_[j] || fits(costs_, places))
            better |= try_instead(std::move(places));
        }
      }
    }
  }

  const SplitCosts& costs_;
  int groups_;
  std::vector<LayerPlace> places_;
  std::vector<std::size_t> kind_;  // the first layer that is alike
  double step_s_ = 0;
  int& trials_;
};

}  // namespace

bool fits(const SplitCosts& costs, const std::vector<LayerPlace>& places) {
  const Sites& sites = costs.sites();
  struct Use {
    std::int64_t bytes = 0, buffer = 0;
  };
  std::vector<Use> stages(sites.groups.size());
  std::int64_t host = 0;
  bool host_computes = false;
  const LayerPlace& first = places.front();
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Option* option = costs.find(i, places[i]);
    if (option == nullptr) return false;
    const LayerMode mode = places[i].mode;
    Use& use = stages[static_cast<std::size_t>(places[i].stage)];
    host += option->host_bytes;
    host_computes |= mode == LayerMode::host || mode == LayerMode::experts_host;
    if (option->on_device()) {
      if (use.bytes == 0) use.bytes += costs.workspace();
      use.bytes += option->device_bytes;
      use.buffer = std::max(use.buffer, option->buffer);
    }
    if (i == 0 || i + 1 < places.size() || costs.shared_in_host() == 0) continue;
    const bool in_host = mode == LayerMode::host || mode == LayerMode::streamed;
    if (in_host && first.mode == LayerMode::host) host -= costs.shared_in_host();
    if (!in_host && first.mode != LayerMode::host && first.stage == places[i].stage) {
      use.bytes -= costs.shared_on_device();
    }
  }
  if (host_computes) host += costs.workspace();
  for (std::size_t d = 0; d < stages.size(); ++d) {
    if (stages[d].bytes + 2 * stages[d].buffer > sites.groups[d].capacity) return false;
  }
  return host <= sites.host_capacity;
}

Layout lay_out(const SplitCosts& costs, const std::vector<LayerPlace>& places, int groups,
               int& trials) {
  return Arrangement(costs, places, groups, trials).run();
}

Bound bound_of(const SplitCosts& costs, const std::vector<LayerPlace>& places, int groups,
               double step_s, const Machine& machine) {
  const Sites& sites = costs.sites();
  const auto device_name = [&](std::size_t executor) {
    if (executor == sites.groups.size()) return sites.host_device;
    std::string names;
    for (const DeviceId device : sites.groups[executor].devices) {
      names += (names.empty() ? "" : ", ") + machine.devices[device.value()].name;
    }
    return names;
  };
  Bound bound;
  const auto consider = [&](BoundKind kind, double seconds, const std::string& where) {
    const double share = step_s > 0 ? std::min(1.0, groups * seconds / step_s) : 0;
    if (share > bound.share) bound = {kind, where, share};
  };
  std::vector<WorkTime> work(sites.groups.size() + 1);
  std::vector<double> copies(sites.groups.size(), 0);
  double traffic = 0, wire = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto stage = static_cast<std::size_t>(places[i].stage);
    const Option& option = *costs.find(i, places[i]);
    const bool there = option.mode == LayerMode::host;
    work[there ? sites.groups.size() : stage] += option.dense;
    work[there || option.mode == LayerMode::experts_host ? sites.groups.size() : stage] +=
        option.experts;
    copies[stage] += option.copy;
    traffic += option.copied + option.host_read;
  }
  for (std::size_t x = 0; x < work.size(); ++x) {
    consider(BoundKind::memory, work[x].memory, device_name(x));
    consider(BoundKind::compute, work[x].compute, device_name(x));
    if (work[x].wire > 0) consider(BoundKind::link, work[x].wire, "between " + device_name(x));
  }
  for (const PassPart& part : parts_of(costs, places)) {
    if (part.executor < 0) wire += part.work.wire;
  }
  consider(BoundKind::link, wire, "between stages");
  const auto name_of = [&](SpaceId space) { return machine.spaces[space.value()].name; };
  if (!sites.host) return bound;
  for (std::size_t d = 0; d < copies.size(); ++d) {
    const Device& first = machine.devices[sites.groups[d].devices.front().value()];
    consider(BoundKind::link, copies[d], name_of(*sites.host) + " -> " + name_of(first.space));
  }
  if (sites.host_bandwidth > 0) {
    consider(BoundKind::memory, traffic / sites.host_bandwidth,
             sites.host_device.empty() ? name_of(*sites.host) : sites.host_device);
  }
  return bound;
}

}  // namespace mais::core
