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

class Recount {
 public:
  Recount(const Split& split, const LayeredModel& model, const Machine& machine,
          const SplitOptions& options)
      : split_(split), model_(model), options_(options) {
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
    if (mode == LayerMode::host) return;
    const int ranks = split_.tensor_parallel;
    for (int rank = 0; rank < ranks; ++rank) {
      const auto u = static_cast<std::size_t>(place.stage * ranks + rank);
      const Bytes experts = part_of_rank(layer.experts.bytes, layer.experts.units, ranks, rank);
      Bytes read;
      for (const CutBytes& part : layer.weights) {
        read += part_of_rank(part.bytes, part.units, ranks, rank);
      }
      const auto table = [&](const CutBytes& part) {
        return part_of_rank(part.bytes, part.units, ranks, rank);
      };
      if (!all_in_host) {
        uses_[u].weights += read + table(layer.table) + layer.aside;
        if (!experts_in_host) uses_[u].weights += experts;
        if (again && split_.layers[0].mode != LayerMode::host &&
            split_.layers[0].stage == place.stage) {
          uses_[u].weights -= table(model_.layers[0].table);
        }
      }
      uses_[u].state += part_of_rank(state, layer.state_units, ranks, rank);
      if (mode == LayerMode::streamed) largest_[u] = std::max(largest_[u], read + experts);
      if (mode == LayerMode::experts_streamed) largest_[u] = std::max(largest_[u], experts);
      computes_[u] = true;
    }
  }

  const Split& split_;
  const LayeredModel& model_;
  const SplitOptions& options_;
  std::vector<SpaceUse> uses_;
  std::vector<Bytes> largest_;  // layer that is copied
  std::vector<char> computes_;
};

}  // namespace

std::vector<SpaceUse> memory_of(const Split& split, const LayeredModel& model,
                                const Machine& machine, const SplitOptions& options) {
  return Recount(split, model, machine, options).run();
}

}  // namespace mais::core
