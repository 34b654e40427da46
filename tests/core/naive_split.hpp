// Splits the plain way: every placement of a small model is tried, its bytes are added up, and its
// passes go through a simulation of events: resources with queues, copies through two buffers.
// Shares no code with the library's.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "mais/core/split.hpp"

namespace mais::core {

class NaiveSplit {
 public:
  NaiveSplit(const LayeredModel& model, const Machine& machine, const SplitOptions& options)
      : model_(model), machine_(machine), options_(options) {
    for (std::size_t i = 0; i < machine.devices.size(); ++i) {
      const auto id = static_cast<std::uint32_t>(i);
      if (machine.devices[i].kind == DeviceKind::gpu) gpus_.push_back(DeviceId(id));
      if (machine.devices[i].kind == DeviceKind::cpu) cpu_ = DeviceId(id);
    }
    for (std::size_t i = 0; i < machine.spaces.size(); ++i) {
      if (machine.spaces[i].kind == SpaceKind::host) host_ = SpaceId(static_cast<std::uint32_t>(i));
    }
  }

  // The fastest of all placements; none fits: nothing.
  std::optional<double> best_step() {
    std::optional<double> best;
    std::vector<std::vector<DeviceId>> orders{gpus_};
    orders.push_back(gpus_);
    std::stable_sort(orders[1].begin(), orders[1].end(), [&](DeviceId a, DeviceId b) {
      return space(a).bandwidth.value > space(b).bandwidth.value;
    });
    for (const auto& order : orders) {
      for (std::size_t ranks = 1; ranks <= order.size(); ++ranks) {
        if (order.size() % ranks != 0) continue;
        Split split;
        split.tensor_parallel = static_cast<int>(ranks);
        for (std::size_t i = 0; i < order.size(); i += ranks) {
          split.stages.emplace_back(order.begin() + static_cast<std::ptrdiff_t>(i),
                                    order.begin() + static_cast<std::ptrdiff_t>(i + ranks));
        }
        split.host = host_;
        each_placement(split, 0, [&] {
          if (!fits(split)) return;
          const auto stages = static_cast<std::int64_t>(split.stages.size());
          for (const std::int64_t groups : {std::int64_t{1}, std::min(stages, options_.parallel)}) {
            split.groups = static_cast<int>(groups);
            const std::optional<double> seconds = step(split);
            if (seconds && (!best || *seconds < *best)) best = seconds;
          }
        });
      }
    }
    return best;
  }

  // Seconds between two tokens of each sequence in rounds 9 to 16; none: it cannot run.
  std::optional<double> step(const Split& split) {
    const std::int64_t sequences = (options_.parallel + split.groups - 1) / split.groups;
    const auto pass = stops_of(split, sequences, options_.context.count() - 1, 1);
    if (!pass) return std::nullopt;
    double traffic = 0;
    for (const Stop& stop : *pass) traffic += stop.host_bytes;
    const std::vector<double> ends = simulate(*pass, split.groups, 16);
    const double host = host_ ? machine_.spaces[host_->value()].bandwidth.value : 0;
    return std::max((ends[15] - ends[7]) / 8, host > 0 ? traffic * split.groups / host : 0);
  }

  // Seconds until the first token of a prompt that is alone, its chunks one behind the other.
  double first_token(const Split& split) {
    const double as_it_is = first_token_of(split);
    if (!options_.prompts_on_device) return as_it_is;
    Split copied = split;
    for (std::size_t i = 0; i < copied.layers.size(); ++i) {
      const ModelLayer& layer = model_.layers[i];
      LayerPlace& place = copied.layers[i];
      const bool whole_here = layer.table.bytes > Bytes(0) || layer.aside > Bytes(0);
      const bool empty = weights(layer, 1) + layer.experts.bytes.count() == 0;
      if (!prompts(split, place.stage)) continue;
      if (place.mode == LayerMode::host && !whole_here && !empty) place.mode = LayerMode::streamed;
      if (place.mode == LayerMode::experts_host) place.mode = LayerMode::experts_streamed;
    }
    return std::min(as_it_is, first_token_of(copied));
  }
  double first_token_of(const Split& split) {
    std::map<std::uint32_t, double> free;
    std::map<int, double> link;
    std::map<int, std::vector<double>> used;
    double end = 0;
    const std::int64_t prompt = std::min(options_.prompt, options_.context).count();
    for (std::int64_t done = 0; done < prompt; done += options_.chunk.count()) {
      const auto stops = stops_of(split, 1, done, std::min(options_.chunk.count(), prompt - done));
      end = 0;
      for (const Stop& stop : *stops) {
        double begin = end;
        if (stop.resource) begin = std::max(begin, free[*stop.resource]);
        if (stop.copy)
          begin = std::max(begin, copied(stop, end, link[stop.stage], used[stop.stage]));
        end = begin + stop.seconds;
        if (stop.resource) free[*stop.resource] = end;
        if (stop.copy) used[stop.stage].push_back(end);
      }
    }
    return end;
  }

  // Whether every space holds what lies there.
  bool fits(const Split& split) const {
    const auto held = held_by(split);
    return std::all_of(held.begin(), held.end(), [&](const auto& entry) {
      const auto [at, bytes] = entry;
      return bytes == 0 ||
             (at < machine_.spaces.size() && bytes <= machine_.spaces[at].capacity.count());
    });
  }

  // Bytes in each space, counted device by device.
  std::map<std::uint32_t, std::int64_t> held_by(const Split& split) const {
    std::map<std::uint32_t, std::int64_t> bytes, largest;
    std::map<std::uint32_t, bool> computes, table;
    const int ranks = split.tensor_parallel;
    for (std::size_t i = 0; i < model_.layers.size(); ++i) {
      const ModelLayer& layer = model_.layers[i];
      const LayerMode mode = split.layers[i].mode;
      const bool output = model_.tied && i > 0 && i + 1 == model_.layers.size();
      const std::uint32_t host = host_ ? host_->value() : 1000;
      const bool whole_away = mode == LayerMode::host || mode == LayerMode::streamed;
      const bool whole_here = layer.table.bytes > Bytes(0) || layer.aside > Bytes(0);
      if (mode != LayerMode::resident) bytes[host] += layer.experts.bytes.count();
      if (whole_away) {
        bytes[host] += layer.table.bytes.count() + layer.aside.count();
        for (const CutBytes& part : layer.weights) bytes[host] += part.bytes.count();
        if (output && table[host]) bytes[host] -= model_.layers[0].table.bytes.count();
      }
      if (mode == LayerMode::host) bytes[host] += state(layer);
      if (mode == LayerMode::host || mode == LayerMode::experts_host) computes[host] = true;
      if (mode == LayerMode::host && i == 0) table[host] = true;
      if (mode == LayerMode::host && (whole_here || !prompts(split, split.layers[i].stage)))
        continue;
      for (const DeviceId device : split.stages[static_cast<std::size_t>(split.layers[i].stage)]) {
        const std::uint32_t here = machine_.devices[device.value()].space.value();
        const std::int64_t read = weights(layer, ranks);
        const std::int64_t experts = cut(layer.experts, ranks);
        if (mode == LayerMode::host) {
          if (read + experts == 0) continue;
          largest[here] = std::max(largest[here], read + experts);
          computes[here] = true;
          continue;
        }
        if (mode == LayerMode::experts_host && prompts(split, split.layers[i].stage)) {
          largest[here] = std::max(largest[here], experts);
        }
        bytes[here] += cut({Bytes(state(layer)), layer.state_units}, ranks);
        if (mode == LayerMode::streamed) largest[here] = std::max(largest[here], read + experts);
        if (mode == LayerMode::experts_streamed) largest[here] = std::max(largest[here], experts);
        if (!whole_away) bytes[here] += read + cut(layer.table, ranks) + layer.aside.count();
        if (mode == LayerMode::resident) bytes[here] += experts;
        if (output && !whole_away && table[here]) bytes[here] -= cut(model_.layers[0].table, ranks);
        if (i == 0 && !whole_away) table[here] = true;
        computes[here] = true;
      }
    }
    const std::int64_t tokens = options_.context.count() * options_.parallel;
    const std::int64_t step = std::max(options_.parallel, std::min(options_.chunk.count(), tokens));
    for (const auto& [at, does] : computes) {
      bytes[at] +=
          does ? model_.workspace.bytes(Tokens(step), options_.parallel, Tokens(tokens)).count()
               : 0;
    }
    for (const auto& [at, buffer] : largest) bytes[at] += 2 * buffer;
    return bytes;
  }

 private:
  // Where a pass stays for some seconds.
  struct Stop {
    std::optional<std::uint32_t> resource{};  // space of who computes; none: on the way
    double seconds = 0;
    bool host = false;
    std::optional<double> copy{};  // seconds, before it
    int stage = 0;                 // whose link copies
    bool at_once = false;          // the copy can begin when the pass comes here
    double host_bytes = 0;
  };

  // When the copy for a stop has ended: one at a time, into the buffer of the second last.
  static double copied(const Stop& stop, double now, double& link,
                       const std::vector<double>& used) {
    if (used.size() > 1) link = std::max(link, used[used.size() - 2]);
    if (stop.at_once) link = std::max(link, now);
    return link += *stop.copy;
  }

  // Ends of the last group's rounds.
  std::vector<double> simulate(const std::vector<Stop>& pass, int groups,
                               std::size_t rounds) const {
    struct Resource {
      bool held = false;
      std::vector<int> queue{};
    };
    std::map<std::uint32_t, Resource> resources;
    std::map<int, double> link;
    std::map<int, std::vector<double>> used;
    std::vector<std::size_t> at(static_cast<std::size_t>(groups), 0);
    std::vector<bool> holds(static_cast<std::size_t>(groups), false);
    // Time, who, and whether a stop ends (else it is come to).
    std::set<std::tuple<double, int, bool>> events;
    for (int g = 0; g < groups; ++g) events.insert({0, g, false});
    std::vector<double> ends;
    const auto begin = [&](int g, double now) {
      const Stop& stop = pass[at[static_cast<std::size_t>(g)]];
      double start = now;
      if (stop.copy) start = std::max(now, copied(stop, now, link[stop.stage], used[stop.stage]));
      if (stop.copy) used[stop.stage].push_back(start + stop.seconds);
      events.insert({start + stop.seconds, g, true});
    };
    while (ends.size() < rounds) {
      const auto [now, g, over] = *events.begin();
      events.erase(events.begin());
      std::size_t& place = at[static_cast<std::size_t>(g)];
      const Stop& stop = pass[place];
      if (!over) {
        if (!stop.resource || holds[static_cast<std::size_t>(g)]) {
          begin(g, now);
          continue;
        }
        Resource& resource = resources[*stop.resource];
        if (resource.held) {
          resource.queue.push_back(g);
          continue;
        }
        resource.held = true;
        begin(g, now);
        continue;
      }
      if (stop.resource) {
        // A stage is kept until the pass has left it for good, the host until it goes elsewhere.
        bool again = false;
        for (std::size_t k = place + 1; k < pass.size(); ++k) {
          if (stop.host && k > place + 1) break;
          again |= pass[k].resource == stop.resource;
        }
        Resource& resource = resources[*stop.resource];
        if (!again) {
          if (resource.queue.empty()) {
            resource.held = false;
          } else {
            const int next = resource.queue.front();
            resource.queue.erase(resource.queue.begin());
            begin(next, now);
          }
        }
      }
      if (++place == pass.size()) {
        place = 0;
        if (g + 1 == groups) ends.push_back(now);
      }
      // Whether it has the next resource already.
      bool mine = false;
      for (std::size_t k = pass[place].host && place > 0 ? place - 1 : 0; k < place; ++k) {
        mine |= pass[place].resource && pass[k].resource == pass[place].resource;
      }
      holds[static_cast<std::size_t>(g)] = mine;
      events.insert({now, g, false});
    }
    return ends;
  }

  // Whether buffers are kept for prompts.
  bool prompts(const Split& split, int stage) const {
    if (!options_.prompts_on_device || stage >= static_cast<int>(split.stages.size())) return false;
    for (const DeviceId device : split.stages[static_cast<std::size_t>(stage)]) {
      const Link* link = machine_.link(*host_, machine_.devices[device.value()].space);
      if (link == nullptr || link->bandwidth.value <= 0) return false;
    }
    return true;
  }

  const Space& space(DeviceId device) const {
    return machine_.spaces[machine_.devices[device.value()].space.value()];
  }
  static std::int64_t cut(const CutBytes& part, int ranks) {
    if (part.units == 0 || ranks == 1) return part.bytes.count();
    const std::int64_t most = part.units < ranks ? 1 : (part.units - 1) / ranks + 1;
    return (part.bytes.count() * most - 1) / part.units + (part.bytes.count() > 0 ? 1 : 0);
  }
  static std::int64_t weights(const ModelLayer& layer, int ranks) {
    std::int64_t sum = 0;
    for (const CutBytes& part : layer.weights) sum += cut(part, ranks);
    return sum;
  }
  std::int64_t state(const ModelLayer& layer) const {
    std::int64_t bytes = 0;
    const std::int64_t page = options_.page.count();
    for (const StateGroup& group : layer.state) {
      std::int64_t kept = options_.context.count();
      if (group.window) kept = std::min(kept, group.window->count());
      const std::int64_t pages = (options_.context.count() + page - 1) / page;
      const std::int64_t behind =
          group.window ? std::max<std::int64_t>(0, options_.context.count() - kept) / page : 0;
      bytes += group.per_token.count() * (pages - behind) * page + group.fixed.count();
    }
    return bytes * options_.parallel;
  }

  void each_placement(Split& split, std::size_t layer, const std::function<void()>& then) {
    if (layer == model_.layers.size()) return then();
    split.layers.resize(layer + 1);
    const int first = layer == 0 ? 0 : split.layers[layer - 1].stage;
    for (int stage = first; stage < static_cast<int>(split.stages.size()); ++stage) {
      for (const LayerMode mode : {LayerMode::resident, LayerMode::streamed, LayerMode::host,
                                   LayerMode::experts_host, LayerMode::experts_streamed}) {
        const ModelLayer& at = model_.layers[layer];
        const bool has_experts = at.experts.bytes > Bytes(0);
        const bool table = at.table.bytes > Bytes(0) || at.aside > Bytes(0);
        if ((mode == LayerMode::experts_host || mode == LayerMode::experts_streamed) &&
            !has_experts)
          continue;
        if (mode == LayerMode::streamed && (table || (weights(at, 1) == 0 && !has_experts)))
          continue;
        if ((mode == LayerMode::host || mode == LayerMode::experts_host) && !cpu_) continue;
        split.layers.resize(layer + 1);
        split.layers[layer] = {mode, stage};
        each_placement(split, layer + 1, then);
      }
    }
    split.layers.resize(layer);
  }

  static double longer(double flops, double bytes, double compute, double bandwidth) {
    return std::max(compute > 0 ? flops / compute : 0.0, bandwidth > 0 ? bytes / bandwidth : 0.0);
  }

  // The time of a layer's dense part or its experts on some devices.
  double dense(const ModelLayer& layer, double compute, double bandwidth, int ranks, std::int64_t n,
               std::int64_t cached, std::int64_t q) const {
    const auto all = static_cast<double>(weights(layer, 1));
    const auto mine = static_cast<double>(weights(layer, ranks));
    const double part = all > 0 ? mine / all : 1.0 / ranks;
    double pairs = 0, read = 0;
    if (!layer.state.empty()) {
      for (std::int64_t t = 1; t <= q; ++t) {
        std::int64_t past = cached + t;
        if (layer.state[0].window) past = std::min(past, layer.state[0].window->count());
        pairs += static_cast<double>(past);
      }
    }
    for (const StateGroup& group : layer.state) {
      std::int64_t past = cached + q;
      if (group.window) past = std::min(past, group.window->count());
      read += static_cast<double>(group.per_token.count() * past + group.fixed.count());
    }
    double share = 1;
    if (layer.state_units > 0) {
      share = std::max(1.0, std::ceil(static_cast<double>(layer.state_units) / ranks)) /
              static_cast<double>(layer.state_units);
    }
    const auto sequences = static_cast<double>(n);
    return longer(layer.flops_per_token * static_cast<double>(n * q) * part, mine, compute,
                  bandwidth) +
           longer(layer.flops_per_pair * pairs * sequences * part, read * sequences * share,
                  compute, bandwidth);
  }
  static double touched(const ModelLayer& layer, std::int64_t tokens) {
    return 1 - std::pow(1 - layer.expert_share, static_cast<double>(tokens));
  }
  double routed(const ModelLayer& layer, double compute, double bandwidth, int ranks,
                std::int64_t tokens) const {
    double share = 1;
    if (layer.experts.units > 0) {
      share = std::max(1.0, std::ceil(static_cast<double>(layer.experts.units) / ranks)) /
              static_cast<double>(layer.experts.units);
    }
    return longer(layer.expert_flops_per_token * static_cast<double>(tokens) * share,
                  static_cast<double>(cut(layer.experts, ranks)) * touched(layer, tokens), compute,
                  bandwidth);
  }

  // Seconds of activations from space to space; negative: there is no way.
  double carry(SpaceId from, SpaceId to, double bytes) const {
    if (from == to) return 0;
    const auto one = [&](SpaceId a, SpaceId b) {
      const Link* link = machine_.link(a, b);
      if (link == nullptr) return -1.0;
      return to_seconds(link->latency) +
             (link->bandwidth.value > 0 ? bytes / link->bandwidth.value : 0);
    };
    if (const double direct = one(from, to); direct >= 0 || !host_) return direct;
    const double up = one(from, *host_), down = one(*host_, to);
    return up < 0 || down < 0 ? -1 : up + down;
  }

  // Where a pass stops, in order; none: there is no way.
  std::optional<std::vector<Stop>> stops_of(const Split& split, std::int64_t n, std::int64_t cached,
                                            std::int64_t q) const {
    const std::int64_t tokens = n * q;
    const double bytes = static_cast<double>(tokens * model_.activation.count());
    const int ranks = split.tensor_parallel;
    std::vector<Stop> stops;
    std::optional<SpaceId> at;
    const auto go = [&](SpaceId to) {
      const double seconds = at ? carry(*at, to, bytes) : 0;
      at = to;
      if (seconds > 0) stops.push_back({.seconds = seconds});
      return seconds >= 0;
    };
    const auto compute = [&](double seconds) -> Stop& {
      return stops.emplace_back(Stop{
          .resource = at->value(), .seconds = seconds, .host = at == host_ && cpu_.has_value()});
    };
    for (std::size_t i = 0; i < split.layers.size(); ++i) {
      const ModelLayer& layer = model_.layers[i];
      const LayerPlace& place = split.layers[i];
      const std::vector<DeviceId> devices =
          place.mode == LayerMode::host ? std::vector<DeviceId>()
                                        : split.stages[static_cast<std::size_t>(place.stage)];
      double flops = 1e300, bandwidth = 1e300, copy_rate = 1e300, copy_latency = 0, ring = 1e300,
             ring_latency = 0;
      for (const DeviceId device : devices) {
        flops = std::min(flops, machine_.devices[device.value()].compute.value);
        bandwidth = std::min(bandwidth, space(device).bandwidth.value);
        const SpaceId here = machine_.devices[device.value()].space;
        const Link* link = host_ ? machine_.link(*host_, here) : nullptr;
        copy_rate = link == nullptr ? 0 : std::min(copy_rate, link->bandwidth.value);
        if (link != nullptr) copy_latency = std::max(copy_latency, to_seconds(link->latency));
        for (const DeviceId other : devices) {
          const SpaceId there = machine_.devices[other.value()].space;
          if (there == here) continue;
          const double with = carry(here, there, 1e9), without = carry(here, there, 0);
          if (with < 0) return std::nullopt;
          ring_latency = std::max(ring_latency, without);
          if (with > without) ring = std::min(ring, 1e9 / (with - without));
        }
      }
      const bool in_host = place.mode == LayerMode::host;
      const SpaceId here =
          devices.empty() ? *host_ : machine_.devices[devices.front().value()].space;
      if (!go(here)) return std::nullopt;
      if (i == 0) compute(to_seconds(model_.overhead));
      const double host_flops = cpu_ ? machine_.devices[cpu_->value()].compute.value : 0;
      const double host_bandwidth = host_ ? machine_.spaces[host_->value()].bandwidth.value : 0;
      double own = dense(layer, in_host ? host_flops : flops, in_host ? host_bandwidth : bandwidth,
                         in_host ? 1 : ranks, n, cached, q);
      if (ranks > 1 && !in_host) {
        const double all = ring < 1e300 ? bytes / ring : 0;
        const double in_ring = (all / ranks + ring_latency) * 2 * (ranks - 1);
        const double doubling = std::ceil(std::log2(ranks)) * (all + ring_latency);
        own += layer.all_reduces * std::min(in_ring, doubling);
      }
      const double part = touched(layer, tokens);
      const double there = routed(layer, host_flops, host_bandwidth, 1, tokens);
      const double theirs = in_host ? there : routed(layer, flops, bandwidth, ranks, tokens);
      const auto expert_bytes = static_cast<double>(cut(layer.experts, ranks));
      const auto read = static_cast<double>(weights(layer, ranks));
      const auto all_expert_bytes = static_cast<double>(layer.experts.bytes.count());
      const auto copy = [&](Stop& stop, double size) {
        stop.copy = size / copy_rate + copy_latency;
        stop.stage = place.stage;
        stop.host_bytes = size * ranks;
      };
      if (copy_rate <= 0 &&
          (place.mode == LayerMode::streamed || place.mode == LayerMode::experts_streamed)) {
        return std::nullopt;
      }
      switch (place.mode) {
        case LayerMode::resident:
          compute(own + theirs);
          break;
        case LayerMode::host:
          compute(own + theirs).host_bytes = static_cast<double>(weights(layer, 1)) +
                                             read_of_state(layer, n, cached + q) +
                                             all_expert_bytes * part;
          break;
        case LayerMode::streamed:
          copy(compute(own + theirs), read + expert_bytes);
          break;
        case LayerMode::experts_host:
          compute(own);
          if (!go(*host_)) return std::nullopt;
          compute(there).host_bytes = all_expert_bytes * part;
          if (!go(here)) return std::nullopt;
          compute(0);
          break;
        case LayerMode::experts_streamed: {
          compute(own);
          Stop& stop = compute(theirs);
          stop.at_once = part < 0.5;
          copy(stop, expert_bytes * (stop.at_once ? part : 1));
          break;
        }
      }
    }
    return stops;
  }
  static double read_of_state(const ModelLayer& layer, std::int64_t n, std::int64_t length) {
    double bytes = 0;
    for (const StateGroup& group : layer.state) {
      const std::int64_t past = group.window ? std::min(length, group.window->count()) : length;
      bytes += static_cast<double>((group.per_token.count() * past + group.fixed.count()) * n);
    }
    return bytes;
  }

  const LayeredModel& model_;
  const Machine& machine_;
  const SplitOptions& options_;
  std::vector<DeviceId> gpus_;
  std::optional<DeviceId> cpu_;
  std::optional<SpaceId> host_;
};

}  // namespace mais::core
