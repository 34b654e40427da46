#include "mais/core/split.hpp"

#include <algorithm>
#include <string>

#include "pass_timeline.hpp"
#include "split_layout.hpp"
#include "split_search.hpp"

namespace mais::core {

namespace {

constexpr std::size_t kMostLayers = 1024, kMostDevices = 64;
constexpr int kAgain = 4;           // times that gains may improve the split itself
constexpr int kTrials = 1500;       // timelines that exchanges of layers may cost
constexpr std::size_t kTried = 64;  // candidates that are laid out and timed, at most

std::string quantity(std::int64_t bytes) {
  const std::int64_t hundredths = bytes / ((std::int64_t{1} << 30) / 100);
  const std::string cents = std::to_string(hundredths % 100);
  return std::to_string(hundredths / 100) + "." + (cents.size() < 2 ? "0" : "") + cents + " GiB";
}

// A way to use the machine's devices, and the best placement in it.
struct Plan {
  Sites sites{};
  int groups = 1;
  std::vector<LayerPlace> places{};
  double step_s = 0;
  bool complete = true;
};

class Splitter {
 public:
  Splitter(const LayeredModel& model, const Machine& machine, const SplitOptions& options)
      : model_(model), machine_(machine), options_(options) {}

  Result<Split> run() {
    const std::vector<DeviceId> devices = candidates(machine_);
    std::optional<Plan> best = whole(devices);
    if (!best || options_.spread) {
      for (const std::vector<DeviceId>& order : orders(devices)) {
        // Few stages are searched fast, and what they reach prunes the search of more.
        for (int ranks = static_cast<int>(order.size()); ranks > 0; --ranks) {
          if (order.size() % static_cast<std::size_t>(ranks) != 0) continue;
          const auto sites = sites_of(machine_, order, ranks, options_.host_computes);
          if (sites) improve(best, *sites);
        }
      }
    }
    if (!best) return cannot_fit(devices);
    // What solving again with more finds within what there is, is the better placement.
    std::vector<Gain> gains;
    for (int again = 0; again < kAgain && !find_gains(*best, gains); ++again) gains.clear();
    Split split = describe(*best);
    for (Gain& gain : gains) {
      gain.tokens_per_second = std::max(gain.tokens_per_second, split.speed.tokens_per_second);
    }
    split.gains = std::move(gains);
    return split;
  }

 private:
  // On the device where it runs fastest, if one holds it all.
  std::optional<Plan> whole(const std::vector<DeviceId>& devices) const {
    std::optional<Plan> best;
    for (const DeviceId device : devices) {
      const auto sites = sites_of(machine_, {device}, 1, false);
      const SplitCosts costs(model_, *sites, options_, decoding(options_.parallel));
      Candidates found = search_splits(costs, {.width = options_.width, .resident_only = true});
      if (found.best.empty()) continue;
      Plan plan{.sites = *sites, .groups = 1, .places = std::move(found.best[0].places)};
      plan.step_s = step_seconds(costs, plan.places, 1);
      take(best, std::move(plan));
    }
    return best;
  }

  // The machine's own order, and the fastest memory first where that is another.
  std::vector<std::vector<DeviceId>> orders(const std::vector<DeviceId>& devices) const {
    std::vector<std::vector<DeviceId>> all{devices};
    std::vector<DeviceId> sorted = devices;
    std::stable_sort(sorted.begin(), sorted.end(), [&](DeviceId a, DeviceId b) {
      const auto rate = [&](DeviceId device) {
        return machine_.spaces[machine_.devices[device.value()].space.value()].bandwidth.value;
      };
      return rate(a) > rate(b);
    });
    if (sorted != devices) all.push_back(std::move(sorted));
    return all;
  }

  // What differs by rounding is no faster.
  static double faster_than(const Plan& plan) { return plan.step_s * (1 - 1e-9); }
  static void take(std::optional<Plan>& best, std::optional<Plan> plan) {
    if (plan && (!best || plan->step_s < faster_than(*best))) best = std::move(plan);
  }

  Pass decoding(std::int64_t sequences) const {
    return {.sequences = sequences, .tokens = 1, .cached = options_.context.count() - 1};
  }
  Pass decoding(std::int64_t sequences, int groups) const {
    return decoding((sequences + groups - 1) / groups);
  }

  // Takes what is faster on these sites, with one group of sequences or one for each stage.
  void improve(std::optional<Plan>& best, const Sites& sites) const {
    const auto stages = static_cast<std::int64_t>(sites.groups.size());
    const int most = static_cast<int>(std::min(stages, options_.parallel));
    for (int groups = 1; groups <= most; groups += std::max(1, most - 1)) {
      const SplitCosts costs(model_, sites, options_, decoding(options_.parallel, groups));
      SearchOptions search{.groups = groups, .width = options_.width, .want = kTried};
      if (best) search.limit = faster_than(*best);
      Candidates found = search_splits(costs, search);
      if (found.best.empty() && !found.complete) {
        search.width *= 8;
        found = search_splits(costs, search);
      }
      int trials = kTrials;
      for (const Candidate& candidate : found.best) {
        if (best && candidate.seconds >= faster_than(*best))
          break;  // it cannot be faster than that
        Layout layout = lay_out(costs, candidate.places, groups, trials);
        take(best, Plan{.sites = sites,
                        .groups = groups,
                        .places = std::move(layout.places),
                        .step_s = layout.step_s,
                        .complete = found.complete});
      }
    }
  }

  tl::unexpected<Error> cannot_fit(const std::vector<DeviceId>& devices) const {
    std::int64_t needed = 0, there = 0;
    for (std::size_t i = 0; i < model_.layers.size(); ++i) {
      const ModelLayer& layer = model_.layers[i];
      needed +=
          layer.weight_bytes().count() + layer.experts.bytes.count() + state_of(layer, options_, 1);
    }
    const auto sites = sites_of(machine_, devices, 1, options_.host_computes);
    const SplitCosts costs(model_, *sites, options_, decoding(1));
    needed += costs.workspace() - costs.shared_on_device();
    for (const Group& group : sites->groups) there += group.capacity;
    const bool host = sites->host && (!sites->host_device.empty() ||
                                      std::any_of(sites->groups.begin(), sites->groups.end(),
                                                  [](const Group& g) { return g.copy_rate > 0; }));
    if (host) there += sites->host_capacity;
    std::string message =
        model_.name + " needs " + quantity(needed) + " in all (weights, state of " +
        std::to_string(options_.parallel) + " x " + std::to_string(options_.context.count()) +
        " tokens, workspace); " +
        (devices.size() == 1 ? "the device has "
                             : std::to_string(devices.size()) + " devices have ") +
        (host ? "together with the host " : "") + quantity(there);
    if (needed > there) {
      message += ": " + quantity(needed - there) + " are missing";
    } else {
      message += ", but its layers, the workspace of each device and the buffers do not divide so";
      const auto shared =
          sites_of(machine_, devices, static_cast<int>(devices.size()), options_.host_computes);
      if (devices.size() > 1 && shared) {
        const SplitCosts parts(model_, *shared, options_, decoding(1));
        std::int64_t each = parts.workspace() - parts.shared_on_device();
        for (std::size_t i = 0; i < parts.layers(); ++i) {
          each += parts.find(i, {LayerMode::resident, 0})->device_bytes;
        }
        const std::int64_t has = shared->groups[0].capacity;
        if (each > has) {
          message += "; were every layer shared by all, " + quantity(each - has) +
                     " would be missing on each";
        }
      }
    }
    if (!host && sites->host) {
      message +=
          "; the host is not used: it has no link to the devices, and does not compute at "
          "a known rate";
    }
    return tl::unexpected<Error>(
        Error{ErrorCode::over_capacity, std::move(message), needed, there});
  }

  // Stages that compute nothing are left out.
  Split describe(const Plan& plan) const {
    Split split;
    split.tensor_parallel = plan.sites.ranks();
    split.groups = plan.groups;
    split.complete = plan.complete;
    split.layers = plan.places;
    const std::vector<char> used = used_stages(plan);
    std::vector<int> number(plan.sites.groups.size(), -1);
    for (std::size_t d = 0; d < number.size(); ++d) number[d] = used[d] != 0 ? 0 : -1;
    for (const LayerPlace& place : plan.places) {
      if (place.mode != LayerMode::resident) split.host = plan.sites.host;
    }
    int stages = 0;
    for (std::size_t d = 0; d < number.size(); ++d) {
      if (number[d] < 0) continue;
      number[d] = stages++;
      split.stages.push_back(plan.sites.groups[d].devices);
    }
    for (LayerPlace& place : split.layers) {
      int stage = number[static_cast<std::size_t>(place.stage)];
      for (int d = place.stage; stage < 0 && d-- > 0;) stage = number[static_cast<std::size_t>(d)];
      place.stage = std::max(0, stage);
    }
    split.spaces = memory_of(split, model_, machine_, options_);
    split.speed = speed_of(plan);
    return split;
  }

  double ttft_of(const Plan& plan, const std::vector<LayerPlace>& places) const {
    PassTimeline timeline(plan.sites);
    const std::int64_t prompt = std::min(options_.prompt, options_.context).count();
    double end = 0;
    for (std::int64_t done = 0; done < prompt; done += options_.chunk.count()) {
      const std::int64_t chunk = std::min(options_.chunk.count(), prompt - done);
      const SplitCosts costs(model_, plan.sites, options_,
                             {.sequences = 1, .tokens = chunk, .cached = done});
      end = timeline.run(parts_of(costs, places), 0);
    }
    return end;
  }

  SplitSpeed speed_of(const Plan& plan) const {
    SplitSpeed speed;
    speed.step_s = plan.step_s;
    speed.tokens_per_second = static_cast<double>(options_.parallel) / plan.step_s;
    const SplitCosts alone(model_, plan.sites, options_, decoding(1));
    speed.token_s = step_seconds(alone, plan.places, 1);
    speed.ttft_s = ttft_of(plan, plan.places);
    std::vector<LayerPlace> copied = plan.places;
    for (std::size_t i = 0; i < copied.size(); ++i) {
      LayerMode& mode = copied[i].mode;
      if (alone.find(i, copied[i])->buffer == 0) continue;
      if (mode == LayerMode::host) mode = LayerMode::streamed;
      if (mode == LayerMode::experts_host) mode = LayerMode::experts_streamed;
    }
    if (options_.prompts_on_device) speed.ttft_s = std::min(speed.ttft_s, ttft_of(plan, copied));
    const std::int64_t prompt = std::min(options_.prompt, options_.context).count();
    speed.prompt_tokens_per_second = static_cast<double>(prompt) / speed.ttft_s;
    const SplitCosts costs(model_, plan.sites, options_, decoding(options_.parallel, plan.groups));
    speed.bound = bound_of(costs, plan.places, plan.groups, plan.step_s, machine_);
    return speed;
  }

  // False: a plan was found that is faster and needs no more than there is; it is taken.
  bool find_gains(Plan& plan, std::vector<Gain>& gains) const {
    if (options_.more <= Bytes(0)) return true;
    bool better = false;
    const auto gain = [&](const Sites& with) {
      std::optional<Plan> best = plan;
      improve(best, with);
      const SplitCosts costs(model_, plan.sites, options_, decoding(1));
      if (best->step_s < plan.step_s && fits(costs, best->places)) {
        best->sites = plan.sites;
        plan = *best;
        better = true;
      }
      return static_cast<double>(options_.parallel) / best->step_s;
    };
    // Stages that are alike gain alike, so one of each kind is tried.
    std::vector<std::pair<const Group*, double>> tried;
    const std::vector<char> used = used_stages(plan);
    const std::vector<Group> groups = plan.sites.groups;
    for (std::size_t d = 0; d < groups.size() && !better; ++d) {
      const Group& group = groups[d];
      if (used[d] == 0) continue;
      auto like = std::find_if(tried.begin(), tried.end(), [&](const auto& other) {
        return other.first->capacity == group.capacity &&
               other.first->bandwidth == group.bandwidth && other.first->compute == group.compute &&
               other.first->copy_rate == group.copy_rate;
      });
      if (like == tried.end()) {
        Sites with = plan.sites;
        with.groups[d].capacity += options_.more.count();
        like = tried.insert(like, {&group, gain(with)});
      }
      Gain entry{.spaces = {}, .more = options_.more, .tokens_per_second = like->second};
      for (const DeviceId device : group.devices) {
        entry.spaces.push_back(machine_.devices[device.value()].space);
      }
      gains.push_back(std::move(entry));
    }
    const bool host = std::any_of(plan.places.begin(), plan.places.end(), [](const auto& place) {
      return place.mode != LayerMode::resident;
    });
    if (host && !better) {
      Sites with = plan.sites;
      with.host_capacity += options_.more.count();
      gains.push_back(
          {.spaces = {*plan.sites.host}, .more = options_.more, .tokens_per_second = gain(with)});
    }
    return !better;
  }

  // Stages with something on their devices.
  std::vector<char> used_stages(const Plan& plan) const {
    std::vector<char> used(plan.sites.groups.size(), 0);
    const SplitCosts costs(model_, plan.sites, options_, decoding(1));
    for (std::size_t i = 0; i < plan.places.size(); ++i) {
      if (!costs.find(i, plan.places[i])->on_device()) continue;
      used[static_cast<std::size_t>(plan.places[i].stage)] = 1;
    }
    return used;
  }

  const LayeredModel& model_;
  const Machine& machine_;
  const SplitOptions& options_;
};

Result<void> check(const LayeredModel& model, const Machine& machine, const SplitOptions& options) {
  const auto wrong = [](std::string problem) {
    return fail(ErrorCode::invalid_argument, std::move(problem));
  };
  std::vector<Fault> faults = validate(model);
  for (const Fault& fault : validate(machine)) faults.push_back(fault);
  if (!faults.empty()) return wrong(to_string(faults));
  if (options.parallel < 1 || options.context < Tokens(1) || options.prompt < Tokens(1) ||
      options.chunk < Tokens(1) || options.page < TokensPerBlock(1) || options.width < 1) {
    return wrong("parallel, context, prompt, chunk, page and width of a split are 1 or more");
  }
  if (options.prompt > Tokens(std::int64_t{1} << 24) * 1 ||
      options.prompt.count() / options.chunk.count() > 4096) {
    return wrong("a split's prompt is at most 16 Mi tokens and 4096 chunks");
  }
  const std::vector<DeviceId> devices = candidates(machine);
  if (model.layers.size() > kMostLayers || devices.size() > kMostDevices) {
    return wrong("a split has at most " + std::to_string(kMostLayers) + " layers and " +
                 std::to_string(kMostDevices) + " devices; there are " +
                 std::to_string(model.layers.size()) + " and " + std::to_string(devices.size()));
  }
  if (devices.empty()) return wrong("the machine has no device; one that computes is needed");
  for (const DeviceId device : devices) {
    const Space& space = machine.spaces[machine.devices[device.value()].space.value()];
    if (space.bandwidth.value <= 0) {
      return wrong("the bandwidth of " + space.name +
                   " is not known; a split by tokens per second needs it (bytes per second that "
                   "a program reads)");
    }
  }
  return {};
}

}  // namespace

std::string_view to_string(LayerMode mode) noexcept {
  switch (mode) {
    case LayerMode::resident:
      return "resident";
    case LayerMode::streamed:
      return "streamed";
    case LayerMode::host:
      return "host";
    case LayerMode::experts_host:
      return "experts_host";
    case LayerMode::experts_streamed:
      return "experts_streamed";
  }
  return "?";
}

std::string_view to_string(BoundKind kind) noexcept {
  switch (kind) {
    case BoundKind::compute:
      return "compute";
    case BoundKind::memory:
      return "memory";
    case BoundKind::link:
      return "link";
  }
  return "?";
}

bool Split::whole() const noexcept {
  return tensor_parallel == 1 && stages.size() == 1 && !host;
}

Result<Split> split(const LayeredModel& model, const Machine& machine,
                    const SplitOptions& options) {
  if (auto fine = check(model, machine, options); !fine) {
    return tl::unexpected<Error>(fine.error());
  }
  return Splitter(model, machine, options).run();
}

}  // namespace mais::core
