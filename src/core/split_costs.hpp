// What each layer costs in each mode on each stage: bytes and seconds, for one pass.
#pragma once

#include <vector>

#include "mais/core/split.hpp"

namespace mais::core {

// Devices that share every layer, seen as one: the least of each of their figures.
struct Group {
  std::vector<DeviceId> devices;
  double compute = 0, bandwidth = 0;  // 0: unknown, and not counted
  std::int64_t capacity = 0;
  double copy_rate = 0, copy_latency = 0;  // from the host to each device; rate 0: no link
  double ring_rate = 0, ring_latency = 0;  // between its devices; rate 0: not counted
};

// What a model can be split over. Executors are the groups, then the host.
struct Sites {
  std::vector<Group> groups;
  std::optional<SpaceId> host;  // a space beside the groups' own
  std::string host_device;      // empty: it does not compute
  double host_compute = 0, host_bandwidth = 0;
  std::int64_t host_capacity = 0;
  struct Hop {
    double rate = 0, latency = 0;
    bool there = false;
  };
  std::vector<Hop> hops;  // from x (groups + 1) + to

  int ranks() const { return groups.empty() ? 1 : static_cast<int>(groups[0].devices.size()); }
  int host_executor() const { return static_cast<int>(groups.size()); }
  const Hop& hop(int from, int to) const {
    return hops[static_cast<std::size_t>(from) * (groups.size() + 1) +
                static_cast<std::size_t>(to)];
  }
};

// The devices that layers can go to, in the machine's order: GPUs with a space of their own, else
// whatever has one.
std::vector<DeviceId> candidates(const Machine& machine);
// Groups of `ranks` neighbours in `order`; none where devices of a group are not connected.
std::optional<Sites> sites_of(const Machine& machine, const std::vector<DeviceId>& order, int ranks,
                              bool host_computes);

// One forward pass of `sequences` that compute `tokens` each after `cached` others.
struct Pass {
  std::int64_t sequences = 1, tokens = 1, cached = 0;
};

// Seconds by what they are spent on; one of a roofline's two terms is 0.
struct WorkTime {
  double compute = 0, memory = 0, wire = 0;
  double seconds() const { return compute + memory + wire; }
  WorkTime& operator+=(const WorkTime& other) {
    compute += other.compute, memory += other.memory, wire += other.wire;
    return *this;
  }
};

// A layer in a mode on a stage.
struct Option {
  LayerMode mode = LayerMode::resident;
  std::int64_t device_bytes = 0;  // on each device of the stage
  std::int64_t buffer = 0;        // one of two, on each device
  std::int64_t host_bytes = 0;
  WorkTime dense{}, experts{};  // where they are computed
  double copy = 0;              // seconds of the stage's link
  double copied = 0;            // bytes that leave the host's memory
  double host_read = 0;         // bytes that the host reads to compute
  bool on_demand = false;       // copied when the router has spoken
  double hops = 0;              // within the layer
  int executor = 0;             // of its first and last part

  WorkTime work() const { return WorkTime(dense) += experts; }
  // Something of it is on the stage's devices, if only buffers.
  bool on_device() const { return mode != LayerMode::host || buffer > 0; }
  double host_seconds() const;  // that the host computes
  double chain() const;         // from its first part's begin to its last part's end
  double busy() const { return mode == LayerMode::host ? 0 : chain(); }  // of the stage
};

class SplitCosts {
 public:
  SplitCosts(const LayeredModel& model, const Sites& sites, const SplitOptions& options,
             const Pass& pass);

  // The modes that are possible; bytes are the same for every pass.
  const std::vector<Option>& of(std::size_t layer, int stage) const {
    return options_[layer * sites_.groups.size() + static_cast<std::size_t>(stage)];
  }
  // Of that option on each device, were the table there already where the output is its.
  double least_bytes(std::size_t layer, const Option& option) const;
  const Option* find(std::size_t layer, const LayerPlace& place) const;
  double hop(int from, int to) const;  // seconds of the pass's activations; negative: no way
  double overhead() const { return overhead_; }
  std::int64_t workspace() const { return workspace_; }  // of each device that computes
  // Of the output, what is stored in the embedding's table where both are in a device's space.
  std::int64_t shared_on_device() const { return shared_on_device_; }
  std::int64_t shared_in_host() const { return shared_in_host_; }
  std::size_t layers() const { return model_.layers.size(); }
  const Sites& sites() const { return sites_; }

 private:
  double all_reduce(const Group& group, int ranks) const;  // seconds for the pass's activations
  void price(const ModelLayer& layer, int stage, std::vector<Option>& into) const;
  WorkTime dense_time(const ModelLayer& layer, double compute, double bandwidth, int ranks) const;
  double state_read(const ModelLayer& layer) const;  // bytes, of all sequences
  WorkTime expert_time(const ModelLayer& layer, double compute, double bandwidth, int ranks) const;

  const LayeredModel& model_;
  const Sites& sites_;
  const SplitOptions& split_options_;
  Pass pass_;
  double tokens_ = 1;
  double overhead_ = 0;
  std::int64_t workspace_ = 0, shared_on_device_ = 0, shared_in_host_ = 0;
  std::vector<std::vector<Option>> options_;
};

// Bytes of state of `parallel` sequences that one of `ranks` devices keeps beside a layer.
std::int64_t state_of(const ModelLayer& layer, const SplitOptions& options, int ranks);

}  // namespace mais::core
