#include "pass_timeline.hpp"

#include <algorithm>

namespace mais::core {

namespace {

constexpr int kWarm = 8, kMeasured = 8;  // rounds

class Parts {
 public:
  explicit Parts(const SplitCosts& costs) : costs_(costs) {}

  void add(PassPart part) {
    PassPart* last = parts.empty() ? nullptr : &parts.back();
    // What follows a copied part stays apart: the buffer is free when that part has ended.
    if (last != nullptr && last->executor == part.executor && part.stage < 0 && last->stage < 0) {
      last->work += part.work;
    } else {
      parts.push_back(part);
    }
  }
  // False: no way.
  bool go(int executor) {
    const double seconds = at < 0 ? 0 : costs_.hop(at, executor);
    if (seconds < 0) return false;
    if (seconds > 0) add({.executor = -1, .work = {.wire = seconds}});
    at = executor;
    return true;
  }
  std::vector<PassPart> parts;
  int at = -1;

 private:
  const SplitCosts& costs_;
};

}  // namespace

std::vector<PassPart> parts_of(const SplitCosts& costs, const std::vector<LayerPlace>& places) {
  Parts list(costs);
  const int host = costs.sites().host_executor();
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Option& option = *costs.find(i, places[i]);
    const int stage = places[i].stage;
    if (!list.go(option.executor)) return {};
    if (i == 0) list.add({.executor = option.executor, .work = {.compute = costs.overhead()}});
    switch (option.mode) {
      case LayerMode::resident:
      case LayerMode::host:
        list.add({.executor = option.executor, .work = option.work()});
        break;
      case LayerMode::streamed:
        list.add({.executor = stage, .work = option.work(), .stage = stage, .copy = option.copy});
        break;
      case LayerMode::experts_streamed:
        list.add({.executor = stage, .work = option.dense});
        list.add({.executor = stage,
                  .work = option.experts,
                  .stage = stage,
                  .copy = option.copy,
                  .on_demand = option.on_demand});
        break;
      case LayerMode::experts_host:
        list.add({.executor = stage, .work = option.dense});
        if (!list.go(host)) return {};
        list.add({.executor = host, .work = option.experts});
        if (!list.go(stage)) return {};
        list.add({.executor = stage});
        break;
    }
  }
  std::vector<char> seen(costs.sites().groups.size() + 1, 0);
  for (std::size_t i = list.parts.size(); i-- > 0;) {
    PassPart& part = list.parts[i];
    if (part.executor < 0) continue;
    part.leaves = !seen[static_cast<std::size_t>(part.executor)];
    seen[static_cast<std::size_t>(part.executor)] = 1;
  }
  return std::move(list.parts);
}

double PassTimeline::begin(const PassPart& part, double ready) const {
  if (part.executor < 0) return ready;
  return std::max(ready, executors_[static_cast<std::size_t>(part.executor)]);
}

double PassTimeline::run_part(const PassPart& part, double ready) {
  double start = begin(part, ready);
  LinkState* link = part.stage < 0 ? nullptr : &links_[static_cast<std::size_t>(part.stage)];
  if (link != nullptr) {
    double copy = std::max(link->free, link->used[0]);
    if (part.on_demand) copy = std::max(copy, ready);
    link->free = copy + part.copy;
    start = std::max(start, link->free);
  }
  const double end = start + part.work.seconds();
  if (part.executor >= 0) executors_[static_cast<std::size_t>(part.executor)] = end;
  if (link != nullptr) link->used = {link->used[1], end};
  return end;
}

double PassTimeline::run(const std::vector<PassPart>& parts, double ready) {
  for (const PassPart& part : parts) ready = run_part(part, ready);
  return ready;
}

std::vector<double> PassTimeline::run_groups(const std::vector<PassPart>& parts, int groups,
                                             int rounds) {
  struct At {
    std::size_t part = 0;
    double ready = 0;
  };
  const int host = static_cast<int>(links_.size());
  std::vector<At> at(static_cast<std::size_t>(groups));
  std::vector<int> holder(executors_.size(), -1);
  std::vector<double> ends;
  while (static_cast<int>(ends.size()) < rounds) {
    // Who can begin first, then who came first.
    int next = -1;
    double earliest = 0;
    for (int g = 0; g < groups; ++g) {
      const At& group = at[static_cast<std::size_t>(g)];
      const PassPart& part = parts[group.part];
      if (part.executor >= 0) {
        const int held = holder[static_cast<std::size_t>(part.executor)];
        if (held >= 0 && held != g) continue;
      }
      const double start = begin(part, group.ready);
      const bool first =
          next < 0 || start < earliest ||
          (start == earliest && group.ready < at[static_cast<std::size_t>(next)].ready);
      if (first) next = g, earliest = start;
    }
    At& group = at[static_cast<std::size_t>(next)];
    const PassPart& part = parts[group.part];
    group.ready = run_part(part, group.ready);
    if (part.executor >= 0 && part.executor != host) {
      holder[static_cast<std::size_t>(part.executor)] = part.leaves ? -1 : next;
    }
    if (++group.part < parts.size()) continue;
    group.part = 0;
    if (next + 1 == groups) ends.push_back(group.ready);
  }
  return ends;
}

double step_seconds(const SplitCosts& costs, const std::vector<LayerPlace>& places, int groups) {
  double traffic = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Option& option = *costs.find(i, places[i]);
    traffic += option.copied + option.host_read;
  }
  const std::vector<PassPart> parts = parts_of(costs, places);
  PassTimeline timeline(costs.sites());
  std::vector<double> ends;
  if (groups == 1) {
    for (int round = 0; round < kWarm + kMeasured; ++round) {
      ends.push_back(timeline.run(parts, ends.empty() ? 0 : ends.back()));
    }
  } else {
    ends = timeline.run_groups(parts, groups, kWarm + kMeasured);
  }
  const double host = costs.sites().host_bandwidth;
  return std::max((ends.back() - ends[kWarm - 1]) / kMeasured,
                  host > 0 ? groups * traffic / host : 0);
}

}  // namespace mais::core
