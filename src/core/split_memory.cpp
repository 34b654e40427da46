// What each space holds with a placement: counted from the model alone, not from what the search
// added up.
#include <algorithm>

#include "mais/core/split.hpp"

namespace mais::core {

namespace {

// The part of `whole` that a rank has: the first ones one unit more where they do not divide.
Bytes part_of_rank(Bytes whole, std::int64_t units, std::int64_t ranks, std::int64_t rank) {
  if (units <= 0 || ranks <= 1) return whole;
  std::int64_t mine = units / ranks + (rank < units % ranks ? 1 : 0);
  if (units < ranks) mine = 1;
  const auto whole_units = whole.count() / units, rest = whole.count() % units;
  return Bytes(whole_units * mine + (rest * mine + units - 1) / units);
}

class SpaceCount {
 public:
  SpaceCount(const Split& split, const LayeredModel& model, const Machine& machine,
             const SplitOptions& options)
      : split_(split), model_(model), machine_(machine), options_(options) {
    const auto add = [&](SpaceId space) {
      uses_.push_back({.space = space, .capacity = machine.spaces[space.value()].capacity});
      largest_.emplace_back();
      computes_.push_back(false);
    };
    for (const std::vector<DeviceId>& stage : split.stages) {
      for (const DeviceId device : stage) add(machine.devices[device.value()].space);
    }
    if (split.host) add(*split.host);
  }

  std::vector<SpaceUse> run() {
    for (std::size_t i = 0; i < split_.layers.size(); ++i) count(i);
    const Tokens all =
        Tokens(detail::saturating_multiply(options_.context.count(), options_.parallel));
    const Tokens step = std::max(Tokens(options_.parallel), std::min(options_.chunk, all));
    for (std::size_t u = 0; u < uses_.size(); ++u) {
      uses_[u].buffers = largest_[u] * 2;
      if (computes_[u]) {
        uses_[u].workspace = model_.workspace.bytes(step, options_.parallel, all);
      }
    }
    return std::move(uses_);
  }

 private:
  void count(std::size_t i) {
    const ModelLayer& layer = model_.layers[i];
    const LayerPlace& place = split_.layers[i];
    const LayerMode mode = place.mode;
    Model alone;
    alone.state = layer.state;
    const Bytes state = alone.state_bytes(options_.context, options_.page) * options_.parallel;
    const bool all_in_host = mode == LayerMode::host || mode == LayerMode::streamed;
    const bool experts_in_host =
        all_in_host || mode == LayerMode::experts_host || mode == LayerMode::experts_streamed;
    const bool again = model_.tied && i > 0 && i + 1 == model_.layers.size();
    if (experts_in_host) {
      SpaceUse& host = uses_.back();
      host.weights += layer.experts.bytes;
      if (all_in_host) host.weights += layer.weight_bytes();
      if (again && all_in_host && split_.layers[0].mode == LayerMode::host) {
        host.weights -= model_.layers[0].table.bytes;
      }
      if (mode == LayerMode::host) host.state += state;
      if (mode == LayerMode::host || mode == LayerMode::experts_host) computes_.back() = true;
    }
    for (int rank = 0; rank < split_.tensor_parallel; ++rank) count_rank(i, rank);
  }

  // What is on one device.
  void count_rank(std::size_t i, int rank) {
    const ModelLayer& layer = model_.layers[i];
    const LayerPlace& place = split_.layers[i];
    const int ranks = split_.tensor_parallel;
    const auto u = static_cast<std::size_t>(place.stage * ranks + rank);
    const auto part = [&](const CutBytes& of) {
      return part_of_rank(of.bytes, of.units, ranks, rank);
    };
    Bytes read;
    for (const CutBytes& of : layer.weights) read += part(of);
    const Bytes experts = part(layer.experts);
    const bool whole_away = place.mode == LayerMode::host || place.mode == LayerMode::streamed;
    Bytes buffer;  // that what is away can be copied to
    if (whole_away && layer.table.bytes + layer.aside == Bytes(0)) buffer = read + experts;
    if (!whole_away && place.mode != LayerMode::resident) buffer = experts;
    const bool computed_there =
        place.mode == LayerMode::host || place.mode == LayerMode::experts_host;
    if (computed_there && !(options_.prompts_on_device && linked(place.stage))) buffer = Bytes(0);
    if (place.mode == LayerMode::host && buffer == Bytes(0)) return;
    largest_[u] = std::max(largest_[u], buffer);
    computes_[u] = true;
    if (place.mode == LayerMode::host) return;
    Model alone;
    alone.state = layer.state;
    uses_[u].state +=
        part_of_rank(alone.state_bytes(options_.context, options_.page) * options_.parallel,
                     layer.state_units, ranks, rank);
    if (whole_away) return;
    uses_[u].weights += read + part(layer.table) + layer.aside;
    if (place.mode == LayerMode::resident) uses_[u].weights += experts;
    const bool again = model_.tied && i > 0 && i + 1 == model_.layers.size();
    if (again && split_.layers[0].mode != LayerMode::host &&
        split_.layers[0].stage == place.stage) {
      uses_[u].weights -= part(model_.layers[0].table);
    }
  }

  // Whether weights can be copied from the host to every device of a stage.
  bool linked(int stage) const {
    if (!split_.host || static_cast<std::size_t>(stage) >= split_.stages.size()) return false;
    for (const DeviceId device : split_.stages[static_cast<std::size_t>(stage)]) {
      const Link* link = machine_.link(*split_.host, machine_.devices[device.value()].space);
      if (link == nullptr || link->bandwidth.value <= 0) return false;
    }
    return true;
  }

  const Split& split_;
  const LayeredModel& model_;
  const Machine& machine_;
  const SplitOptions& options_;
  std::vector<SpaceUse> uses_;
  std::vector<Bytes> largest_;  // layer that is copied
  std::vector<char> computes_;
};

}  // namespace

std::vector<SpaceUse> memory_of(const Split& split, const LayeredModel& model,
                                const Machine& machine, const SplitOptions& options) {
  return SpaceCount(split, model, machine, options).run();
}

}  // namespace mais::core
