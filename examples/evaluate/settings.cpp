#include "settings.hpp"

#include <filesystem>
#include <utility>

#include "mais/sim/workload.hpp"

namespace evaluate {

namespace {

using namespace mais;
using namespace mais::literals;

constexpr const char* kChat = "/traces/azure_llm_2023_conv.csv";
constexpr const char* kLong = "/traces/mooncake_conversation.jsonl";
constexpr Bytes kHostTier = 1_TiB;

// Without the requests that are longer than the pool.
Result<SettingRef> setting(std::string name, const sim::Trace& trace, std::string_view machine,
                           std::optional<Bytes> host_tier = {}) {
  Result<sim::Scenario> scenario = sim::preset(machine, host_tier);
  if (!scenario) return tl::unexpected<Error>(scenario.error());
  Setting made{.name = std::move(name),
               .scenario = *std::move(scenario),
               .trace = trace,
               .left_out = 0,
               .host_tier = host_tier};
  made.left_out = sim::leave_out_longer_than(made.trace, sim::pool_tokens(made.scenario));
  if (sim::mean_rate(made.trace) <= 0) {
    return fail(ErrorCode::invalid_argument,
                made.name + ": needs at least two requests that fit and arrive at different times");
  }
  return std::make_shared<const Setting>(std::move(made));
}

}  // namespace

std::vector<SettingRef> Settings::compared() const {
  std::vector<SettingRef> all = {chat_l4, chat_a100, long_a100, long_a100_host, long_h200_host};
  if (spread_a100_host) all.push_back(spread_a100_host);
  if (spread_h200_host) all.push_back(spread_h200_host);
  return all;
}

bool has_traces(const std::string& data) {
  return std::filesystem::exists(data + kChat) && std::filesystem::exists(data + kLong);
}

Result<Settings> load_settings(const SettingsOptions& options) {
  const auto trace = [&](const char* file, sim::WorkloadKind kind) -> Result<sim::Trace> {
    if (!options.data) {
      return sim::synthetic_workload(
          {.kind = kind, .requests = options.limit, .seed = options.seed});
    }
    Result<sim::Trace> read = sim::read_trace(*options.data + file);
    if (!read) return read;
    return sim::first_requests(*std::move(read), options.limit);
  };
  const Result<sim::Trace> chat = trace(kChat, sim::WorkloadKind::conversation);
  if (!chat) return tl::unexpected<Error>(chat.error());
  const Result<sim::Trace> documents = trace(kLong, sim::WorkloadKind::long_context);
  if (!documents) return tl::unexpected<Error>(documents.error());

  Settings all;
  all.synthetic = chat->synthetic;
  const std::string a = all.synthetic ? "synthetic chat" : "Azure";
  const std::string m = all.synthetic ? "synthetic documents" : "Mooncake";
  Result<void> failed;
  const auto make = [&](SettingRef& place, const std::string& name, const sim::Trace& of,
                        std::string_view machine, std::optional<Bytes> tier = {}) {
    Result<SettingRef> made = setting(name, of, machine, tier);
    if (made) {
      place = *std::move(made);
    } else if (failed) {
      failed = tl::unexpected<Error>(made.error());
    }
  };
  make(all.chat_l4, a + " on l4", *chat, "l4-llama3-8b");
  make(all.chat_a100, a + " on a100", *chat, "a100-llama3-8b");
  make(all.long_a100, m + " on a100", *documents, "a100-llama3-8b");
  make(all.long_a100_host, m + " on a100, host tier", *documents, "a100-llama3-8b", kHostTier);
  make(all.long_h200, m + " on h200", *documents, "h200-llama3-70b-fp8");
  make(all.long_h200_host, m + " on h200, host tier", *documents, "h200-llama3-70b-fp8", kHostTier);
  if (!all.synthetic) {
    const sim::Trace spread = sim::spread_ticks(*documents);
    make(all.spread_a100_host, m + " spread, a100, host tier", spread, "a100-llama3-8b", kHostTier);
    make(all.spread_h200_host, m + " spread, h200, host tier", spread, "h200-llama3-70b-fp8",
         kHostTier);
  }
  if (!failed) return tl::unexpected<Error>(failed.error());
  return all;
}

SettingRef with_trace(const Setting& setting, sim::Trace trace, const std::string& what) {
  Setting changed = setting;
  changed.name += ", " + what;
  changed.trace = std::move(trace);
  return std::make_shared<const Setting>(std::move(changed));
}

}  // namespace evaluate
