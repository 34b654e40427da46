#include "split_costs.hpp"

#include <algorithm>

namespace mais::core {

namespace {

// The part of `units` that the first of `ranks` has.
double part_of(std::int64_t units, int ranks) {
  if (units <= 0) return 1;
  const std::int64_t most = std::max<std::int64_t>(1, (units + ranks - 1) / ranks);
  return static_cast<double>(most) / static_cast<double>(units);
}

// base^n for whole n >= 0, by squaring: no libm, so that all compilers agree.
double power(double base, std::int64_t n) {
  double result = 1;
  for (; n > 0; n /= 2, base *= base) {
    if (n % 2 == 1) result *= base;
  }
  return result;
}

double touched(const ModelLayer& layer, double tokens) {
  return 1 - power(1 - layer.expert_share, static_cast<std::int64_t>(std::max(1.0, tokens)));
}

WorkTime roofline(double flops, double bytes, double compute, double bandwidth) {
  WorkTime time;
  const double computing = compute > 0 ? flops / compute : 0;
  const double reading = bandwidth > 0 ? bytes / bandwidth : 0;
  (computing > reading ? time.compute : time.memory) = std::max(computing, reading);
  return time;
}

double count(Bytes bytes) {
  return static_cast<double>(bytes.count());
}

Bytes read_weights(const ModelLayer& layer, int ranks) {
  Bytes bytes;
  for (const CutBytes& part : layer.weights) bytes += part.of_rank(ranks);
  return bytes;
}

// Of a sequence's tokens so far, those that a group of state still has.
double seen(const StateGroup& group, double length) {
  return group.window ? std::min(length, static_cast<double>(group.window->count())) : length;
}

// Pairs of one of `q` new tokens after `cached` with a token that it attends to.
double pairs_of(const ModelLayer& layer, double cached, double q) {
  if (layer.state.empty()) return 0;
  double free = q;  // tokens whose past is within the window
  double window = 0;
  if (layer.state.front().window) {
    window = static_cast<double>(layer.state.front().window->count());
    free = std::clamp(window - cached, 0.0, q);
  }
  return free * (cached + (free + 1) * 0.5) + (q - free) * window;
}

Sites::Hop hop_of(const Link* link) {
  if (link == nullptr) return {};
  return {.rate = link->bandwidth.value, .latency = to_seconds(link->latency), .there = true};
}

// Directly, or through the host.
Sites::Hop way(const Machine& machine, SpaceId from, SpaceId to, std::optional<SpaceId> host) {
  if (from == to) return {.rate = 0, .latency = 0, .there = true};
  const Sites::Hop direct = hop_of(machine.link(from, to));
  if (direct.there || !host) return direct;
  const Sites::Hop up = hop_of(machine.link(from, *host)), down = hop_of(machine.link(*host, to));
  if (!up.there || !down.there) return {};
  const auto per_byte = [](double rate) { return rate > 0 ? 1 / rate : 0; };
  const double both = per_byte(up.rate) + per_byte(down.rate);
  return {.rate = both > 0 ? 1 / both : 0, .latency = up.latency + down.latency, .there = true};
}

double least(double a, double b) {  // 0 is unknown
  return a <= 0 ? b : b <= 0 ? a : std::min(a, b);
}

}  // namespace

std::vector<DeviceId> candidates(const Machine& machine) {
  std::vector<DeviceId> found;
  for (const bool gpus : {true, false}) {
    std::vector<SpaceId> taken;
    for (std::size_t i = 0; i < machine.devices.size() && (gpus || found.empty()); ++i) {
      const Device& device = machine.devices[i];
      if (gpus && device.kind != DeviceKind::gpu) continue;
      if (std::find(taken.begin(), taken.end(), device.space) != taken.end()) continue;
      taken.push_back(device.space);
      found.push_back(DeviceId(static_cast<std::uint32_t>(i)));
      if (!gpus) break;  // one processor; its memory is the host's
    }
  }
  return found;
}

std::optional<Sites> sites_of(const Machine& machine, const std::vector<DeviceId>& order, int ranks,
                              bool host_computes) {
  Sites sites;
  const auto space_of = [&](DeviceId device) { return machine.devices[device.value()].space; };
  for (std::size_t i = 0; i < machine.spaces.size(); ++i) {
    const auto id = SpaceId(static_cast<std::uint32_t>(i));
    if (machine.spaces[i].kind != SpaceKind::host) continue;
    if (std::any_of(order.begin(), order.end(), [&](DeviceId d) { return space_of(d) == id; })) {
      continue;
    }
    if (sites.host && machine.spaces[sites.host->value()].capacity >= machine.spaces[i].capacity) {
      continue;
    }
    sites.host = id;
  }
  if (sites.host) {
    const Space& space = machine.spaces[sites.host->value()];
    sites.host_capacity = space.capacity.count();
    sites.host_bandwidth = space.bandwidth.value;
    for (const Device& device : machine.devices) {
      if (!host_computes || device.space != *sites.host || !sites.host_device.empty()) continue;
      if (space.bandwidth.value <= 0) continue;  // how fast is not known
      sites.host_device = device.name.empty() ? "host" : device.name;
      sites.host_compute = device.compute.value;
    }
  }
  for (std::size_t first = 0; first < order.size(); first += static_cast<std::size_t>(ranks)) {
    Group group;
    bool copies = sites.host.has_value();
    for (std::size_t i = first; i < first + static_cast<std::size_t>(ranks); ++i) {
      const Device& device = machine.devices[order[i].value()];
      const Space& space = machine.spaces[device.space.value()];
      const bool begins = group.devices.empty();
      group.devices.push_back(order[i]);
      group.compute = begins ? device.compute.value : least(group.compute, device.compute.value);
      group.bandwidth =
          begins ? space.bandwidth.value : least(group.bandwidth, space.bandwidth.value);
      const std::int64_t capacity = space.capacity.count();
      group.capacity = begins ? capacity : std::min(group.capacity, capacity);
      const Link* copy = sites.host ? machine.link(*sites.host, device.space) : nullptr;
      copies = copies && copy != nullptr && copy->bandwidth.value > 0;
      if (copies) {
        group.copy_rate = least(group.copy_rate, copy->bandwidth.value);
        group.copy_latency = std::max(group.copy_latency, to_seconds(copy->latency));
      }
      for (std::size_t j = first; j < first + static_cast<std::size_t>(ranks); ++j) {
        const Sites::Hop hop = way(machine, device.space, space_of(order[j]), sites.host);
        if (!hop.there) return std::nullopt;
        group.ring_rate = least(group.ring_rate, hop.rate);
        group.ring_latency = std::max(group.ring_latency, hop.latency);
      }
    }
    if (!copies) group.copy_rate = 0;
    sites.groups.push_back(std::move(group));
  }
  const std::size_t executors = sites.groups.size() + 1;
  const auto space_at = [&](std::size_t executor) {
    return executor + 1 < executors
               ? std::optional(space_of(sites.groups[executor].devices.front()))
               : sites.host;
  };
  for (std::size_t from = 0; from < executors; ++from) {
    for (std::size_t to = 0; to < executors; ++to) {
      const auto a = space_at(from), b = space_at(to);
      sites.hops.push_back(a && b ? way(machine, *a, *b, sites.host) : Sites::Hop{});
    }
  }
  return sites;
}

std::int64_t state_of(const ModelLayer& layer, const SplitOptions& options, int ranks) {
  Model alone;
  alone.state = layer.state;
  const Bytes all = alone.state_bytes(options.context, options.page) * options.parallel;
  return CutBytes{all, layer.state_units}.of_rank(ranks).count();
}

double Option::host_seconds() const {
  if (mode == LayerMode::host) return dense.seconds() + experts.seconds();
  return mode == LayerMode::experts_host ? experts.seconds() : 0;
}

double Option::chain() const {
  return dense.seconds() + experts.seconds() + hops + (on_demand ? copy : 0);
}

SplitCosts::SplitCosts(const LayeredModel& model, const Sites& sites, const SplitOptions& options,
                       const Pass& pass)
    : model_(model), sites_(sites), split_options_(options), pass_(pass) {
  tokens_ = static_cast<double>(pass.sequences) * static_cast<double>(pass.tokens);
  overhead_ = to_seconds(model.overhead);
  const Tokens all = Tokens(detail::saturating_multiply(options.context.count(), options.parallel));
  const Tokens step = std::max(Tokens(options.parallel), std::min(options.chunk, all));
  workspace_ = model.workspace.bytes(step, options.parallel, all).count();
  if (model.tied && model.layers.size() > 1) {
    shared_on_device_ = model.layers.front().table.of_rank(sites.ranks()).count();
    shared_in_host_ = model.layers.front().table.bytes.count();
  }
  options_.resize(model.layers.size() * sites.groups.size());
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    for (std::size_t d = 0; d < sites.groups.size(); ++d) {
      price(model.layers[i], static_cast<int>(d), options_[i * sites.groups.size() + d]);
    }
  }
}

WorkTime SplitCosts::dense_time(const ModelLayer& layer, double compute, double bandwidth,
                                int ranks) const {
  const double all = count(read_weights(layer, 1));
  const double mine = count(read_weights(layer, ranks));
  const double part = all > 0 ? mine / all : 1.0 / ranks;
  WorkTime time = roofline(layer.flops_per_token * tokens_ * part, mine, compute, bandwidth);
  const auto n = static_cast<double>(pass_.sequences);
  const auto cached = static_cast<double>(pass_.cached), q = static_cast<double>(pass_.tokens);
  time += roofline(layer.flops_per_pair * pairs_of(layer, cached, q) * n * part,
                   state_read(layer) * part_of(layer.state_units, ranks), compute, bandwidth);
  return time;
}

double SplitCosts::state_read(const ModelLayer& layer) const {
  double bytes = 0;
  for (const StateGroup& group : layer.state) {
    bytes += static_cast<double>(group.per_token.count()) *
                 seen(group, static_cast<double>(pass_.cached + pass_.tokens)) +
             count(group.fixed);
  }
  return bytes * static_cast<double>(pass_.sequences);
}

WorkTime SplitCosts::expert_time(const ModelLayer& layer, double compute, double bandwidth,
                                 int ranks) const {
  return roofline(layer.expert_flops_per_token * tokens_ * part_of(layer.experts.units, ranks),
                  count(layer.experts.of_rank(ranks)) * touched(layer, tokens_), compute,
                  bandwidth);
}

double SplitCosts::all_reduce(const Group& group, int ranks) const {
  const double bytes = tokens_ * static_cast<double>(model_.activation.count());
  const double whole = group.ring_rate > 0 ? bytes / group.ring_rate : 0;
  int doublings = 0;
  for (int reached = 1; reached < ranks; reached *= 2) ++doublings;
  return std::min(2.0 * (ranks - 1) * (whole / ranks + group.ring_latency),
                  doublings * (whole + group.ring_latency));
}

void SplitCosts::price(const ModelLayer& layer, int stage, std::vector<Option>& into) const {
  const Group& group = sites_.groups[static_cast<std::size_t>(stage)];
  const int ranks = sites_.ranks(), host = sites_.host_executor();
  const std::int64_t state = state_of(layer, split_options_, ranks);
  const std::int64_t experts = layer.experts.of_rank(ranks).count();
  const std::int64_t read = read_weights(layer, ranks).count();
  const std::int64_t unread = layer.table.of_rank(ranks).count() + layer.aside.count();
  const std::int64_t all = layer.weight_bytes().count() + layer.experts.bytes.count();

  Option resident{.mode = LayerMode::resident, .executor = stage};
  resident.device_bytes = read + unread + experts + state;
  resident.dense = dense_time(layer, group.compute, group.bandwidth, ranks);
  resident.experts = expert_time(layer, group.compute, group.bandwidth, ranks);
  if (ranks > 1) resident.dense.wire += layer.all_reduces * all_reduce(group, ranks);
  into.push_back(resident);

  if (group.copy_rate > 0 && unread == 0 && read + experts > 0) {
    Option streamed = resident;
    streamed.mode = LayerMode::streamed;
    streamed.device_bytes = state;
    streamed.buffer = read + experts;
    streamed.host_bytes = all;
    streamed.copy = static_cast<double>(streamed.buffer) / group.copy_rate + group.copy_latency;
    streamed.copied = static_cast<double>(streamed.buffer) * ranks;
    into.push_back(streamed);
  }
  if (group.copy_rate > 0 && experts > 0) {
    Option streamed = resident;
    streamed.mode = LayerMode::experts_streamed;
    streamed.device_bytes = read + unread + state;
    streamed.buffer = experts;
    streamed.host_bytes = layer.experts.bytes.count();
    const double part = touched(layer, tokens_);
    streamed.on_demand = part < 0.5;
    const double bytes = static_cast<double>(experts) * (streamed.on_demand ? part : 1);
    streamed.copy = bytes / group.copy_rate + group.copy_latency;
    streamed.copied = bytes * ranks;
    into.push_back(streamed);
  }
  if (sites_.host_device.empty()) return;
  const bool prompts = split_options_.prompts_on_device && group.copy_rate > 0;
  const WorkTime expert_there = expert_time(layer, sites_.host_compute, sites_.host_bandwidth, 1);
  const double up = hop(stage, host), down = hop(host, stage);
  if (up < 0 || down < 0) return;
  const double expert_bytes = count(layer.experts.bytes) * touched(layer, tokens_);
  if (experts > 0) {
    Option beside = resident;
    beside.mode = LayerMode::experts_host;
    beside.device_bytes = read + unread + state;
    beside.host_bytes = layer.experts.bytes.count();
    if (prompts) beside.buffer = experts;
    beside.experts = expert_there;
    beside.host_read = expert_bytes;
    beside.hops = up + down;
    into.push_back(beside);
  }
  Option there{.mode = LayerMode::host, .executor = host};
  there.host_bytes = all + state_of(layer, split_options_, 1);
  if (prompts && unread == 0) there.buffer = read + experts;
  there.dense = dense_time(layer, sites_.host_compute, sites_.host_bandwidth, 1);
  there.experts = expert_there;
  there.host_read = count(read_weights(layer, 1)) + state_read(layer) + expert_bytes;
  into.push_back(there);
}

double SplitCosts::least_bytes(std::size_t layer, const Option& option) const {
  const bool output = layer + 1 == layers() && layers() > 1;
  return static_cast<double>(
      std::max<std::int64_t>(0, option.device_bytes - (output ? shared_on_device_ : 0)));
}

const Option* SplitCosts::find(std::size_t layer, const LayerPlace& place) const {
  for (const Option& option : of(layer, place.stage)) {
    if (option.mode == place.mode) return &option;
  }
  return nullptr;
}

double SplitCosts::hop(int from, int to) const {
  if (from == to) return 0;
  const Sites::Hop& hop = sites_.hop(from, to);
  if (!hop.there) return -1;
  const double bytes = tokens_ * static_cast<double>(model_.activation.count());
  return hop.latency + (hop.rate > 0 ? bytes / hop.rate : 0);
}

}  // namespace mais::core
