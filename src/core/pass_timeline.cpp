#include "pass_timeline.hpp"

#include <algorithm>

namespace mais::core {

namespace {

constexpr int kWarm = 16, kMeasured = 16;  // rounds

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
        break;
    }
  }
  return std::move(list.parts);
}

double PassTimeline::run(const std::vector<PassPart>& parts, double ready) {
  double now = ready;
  for (const PassPart& part : parts) {
    double begin = now;
    if (part.executor >= 0) {
      begin = std::max(begin, executors_[static_cast<std::size_t>(part.executor)]);
    }
    LinkState* link = part.stage < 0 ? nullptr : &links_[static_cast<std::size_t>(part.stage)];
    if (link != nullptr) {
      double copy = std::max(link->free, link->used[0]);
      if (part.on_demand) copy = std::max(copy, now);
      link->free = copy + part.copy;
      begin = std::max(begin, link->free);
    }
    now = begin + part.work.seconds();
    if (part.executor >= 0) executors_[static_cast<std::size_t>(part.executor)] = now;
    if (link != nullptr) link->used = {link->used[1], now};
  }
  return now;
}

double step_seconds(const SplitCosts& costs, const std::vector<LayerPlace>& places, int groups) {
  double traffic = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Option& option = *costs.find(i, places[i]);
    traffic += option.copied + option.host_read;
  }
  const std::vector<PassPart> parts = parts_of(costs, places);
  PassTimeline timeline(costs.sites());
  std::vector<double> ends(static_cast<std::size_t>(groups), 0);
  double warm = 0;
  for (int round = 0; round < kWarm + kMeasured; ++round) {
    if (round == kWarm) warm = ends.back();
    for (double& end : ends) end = timeline.run(parts, end);
  }
  const double host = costs.sites().host_bandwidth;
  return std::max((ends.back() - warm) / kMeasured, host > 0 ? groups * traffic / host : 0);
}

}  // namespace mais::core
