#include "adapters/load_samples.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "adapters/metric_families.hpp"

namespace mais::adapters {

namespace {

double number(Bytes bytes) {
  return static_cast<double>(bytes.count());
}

// Part of a KV cache that sequences hold, 0 ... 1. Without a cache 0; one that has shrunk to
// nothing is full.
double utilization(Bytes used, Bytes limit, bool has_cache) {
  if (!has_cache) return 0;
  if (limit <= Bytes(0)) return 1;
  return std::clamp(number(used) / number(limit), 0.0, 1.0);
}

// A figure of an instance's load, and where it goes.
struct LoadMetric {
  prometheus::MetricFamily family;
  double (*value)(const core::InstanceLoad& load);
};

std::vector<LoadMetric> load_metrics() {
  using Load = core::InstanceLoad;
  return {
      {gauge_family("mais_requests_waiting", "Requests queued at the engine."),
       [](const Load& load) { return static_cast<double>(load.waiting); }},
      {gauge_family("mais_requests_running", "Requests that have a place on the engine."),
       [](const Load& load) { return static_cast<double>(load.running); }},
      {gauge_family("mais_kv_used_bytes", "KV cache that sequences hold, shared blocks once."),
       [](const Load& load) { return number(load.state_used); }},
      {gauge_family("mais_kv_cached_bytes", "KV cache kept for reuse, which can be had back."),
       [](const Load& load) { return number(load.state_cached); }},
      {gauge_family("mais_kv_limit_bytes", "KV cache there may be now."),
       [](const Load& load) { return number(load.state_limit); }},
      {gauge_family("mais_kv_host_used_bytes", "KV cache in the host tier."),
       [](const Load& load) { return number(load.host_used); }},
      {counter_family("mais_preemptions_total", "Sequences that lost their place."),
       [](const Load& load) { return static_cast<double>(load.preemptions); }},
      {counter_family("mais_recomputed_tokens_total", "Tokens computed more than once."),
       [](const Load& load) { return static_cast<double>(load.recomputed_tokens); }},
      {counter_family("mais_prompt_tokens_total", "Prompt tokens of requests started."),
       [](const Load& load) { return static_cast<double>(load.prompt_tokens); }},
      {counter_family("mais_prefix_hit_tokens_total", "Prompt tokens found in the prefix cache."),
       [](const Load& load) { return static_cast<double>(load.prefix_hits); }},
      {counter_family("mais_swapped_tokens_total",
                      "Tokens of preempted sequences kept in the host tier."),
       [](const Load& load) { return static_cast<double>(load.swapped_tokens); }},
  };
}

}  // namespace

std::vector<KvShape> kv_shapes(Scheduler& scheduler) {
  std::vector<KvShape> shapes;
  for (const core::InstanceView& instance : scheduler.snapshot().instances) {
    shapes.push_back({.block_bytes = instance.page_bytes, .blocks = instance.pages});
  }
  return shapes;
}

void collect_loads(const Config& config, const std::vector<KvShape>& shapes,
                   const LoadSample& sample, std::vector<prometheus::MetricFamily>& out) {
  std::vector<LoadMetric> metrics = load_metrics();
  auto ratio = gauge_family("mais_kv_utilization_ratio", "Used part of the KV cache, 0 to 1.");
  auto blocks = gauge_family("mais_kv_blocks", "Blocks of the KV cache as configured.");
  auto tokens = gauge_family("mais_kv_block_tokens", "Tokens in a block of the KV cache.");
  auto bytes = gauge_family("mais_kv_block_bytes", "Bytes of a block of the KV cache.");
  for (std::size_t i = 0; i < sample.loads.size(); ++i) {
    const core::InstanceLoad& load = sample.loads[i];
    const Instance& instance = config.instances[i];
    const Labels labels = {{"engine", instance.name},
                           {"model", config.models[instance.model.value()].name}};
    for (LoadMetric& metric : metrics) add_value(metric.family, labels, metric.value(load));
    if (shapes[i].blocks == 0) continue;
    add_value(ratio, labels, utilization(load.state_used, load.state_limit, true));
    add_value(blocks, labels, static_cast<double>(shapes[i].blocks));
    add_value(tokens, labels, static_cast<double>(instance.block.count()));
    add_value(bytes, labels, number(shapes[i].block_bytes));
  }
  for (LoadMetric& metric : metrics) out.push_back(std::move(metric.family));
  for (auto* family : {&ratio, &blocks, &tokens, &bytes}) out.push_back(std::move(*family));
}

void collect_accounts(const Config& config, const LoadSample& sample,
                      std::vector<prometheus::MetricFamily>& out) {
  auto used = gauge_family("mais_account_used_bytes", "Bytes charged, with the accounts below.");
  auto revocable =
      gauge_family("mais_account_revocable_bytes", "Part of them that can be reclaimed.");
  auto peak = gauge_family("mais_account_peak_bytes", "The most that was charged at once.");
  auto guarantee = gauge_family("mais_account_guarantee_bytes", "Bytes that nobody else may hold.");
  auto limit = gauge_family("mais_account_limit_bytes", "Bytes it may hold; absent: no limit.");
  std::map<core::AccountId, std::string> paths;
  std::set<std::pair<SpaceId, std::string>> taken;
  for (const core::AccountSnapshot& account : sample.accounts) {
    std::string path = account.name;
    if (const auto parent = account.parent ? paths.find(*account.parent) : paths.end();
        parent != paths.end()) {
      path = parent->second + "/" + path;
    }
    // A tenant may be called what we call an account of ours; series must differ all the same.
    std::string unique = path;
    for (int n = 2; !taken.insert({account.space, unique}).second; ++n) {
      unique = path + "#" + std::to_string(n);
    }
    paths[account.id] = unique;
    const Labels labels = {{"space", config.machine.spaces[account.space.value()].name},
                           {"account", unique}};
    add_value(used, labels, number(account.used));
    add_value(revocable, labels, number(account.revocable));
    add_value(peak, labels, number(account.peak));
    add_value(guarantee, labels, number(account.guarantee));
    if (account.limit) add_value(limit, labels, number(*account.limit));
  }
  for (auto* family : {&used, &revocable, &peak, &guarantee, &limit}) {
    out.push_back(std::move(*family));
  }
}

void collect_gateway(const Config& config, const std::vector<KvShape>& shapes,
                     const LoadSample& sample, const PrometheusOptions& options,
                     std::vector<prometheus::MetricFamily>& out) {
  double waiting = 0, running = 0;
  Bytes used{}, limit{};
  std::int64_t blocks = 0;
  std::set<TokensPerBlock> block_sizes;
  for (std::size_t i = 0; i < sample.loads.size(); ++i) {
    const core::InstanceLoad& load = sample.loads[i];
    const Instance& instance = config.instances[i];
    if (options.gateway_model && instance.model != *options.gateway_model) continue;
    waiting += static_cast<double>(load.waiting);
    running += static_cast<double>(load.running);
    if (shapes[i].blocks == 0) continue;
    blocks += shapes[i].blocks;
    block_sizes.insert(instance.block);
    if (!sample.up[i]) continue;  // nothing fits there
    used += load.state_used;
    limit += load.state_limit;
  }
  const GatewayNames& names = options.gateway;
  const auto gauge = [&](const std::string& name, std::string help, Labels labels, double value) {
    if (name.empty()) return;
    out.push_back(gauge_family(name, std::move(help)));
    add_value(out.back(), std::move(labels), value);
  };
  gauge(names.waiting, "Requests waiting.", {}, waiting);
  gauge(names.running, "Requests running.", {}, running);
  gauge(names.kv_utilization, "Used part of the KV cache, 0 to 1.", {},
        utilization(used, limit, blocks != 0));
  // The gateway takes one size for the whole server: better none than a wrong one.
  if (block_sizes.size() != 1) return;
  gauge(names.cache_info, "Block size and count of the KV cache.",
        {{names.block_size_label, std::to_string(block_sizes.begin()->count())},
         {names.block_count_label, std::to_string(blocks)}},
        1);
}

}  // namespace mais::adapters
