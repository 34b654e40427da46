#include "mais/sim/report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "sim/report_figures.hpp"

namespace mais::sim {

namespace {

// Rounded to so many significant digits, so that a report does not pretend to more.
Json rounded(double value, int digits = 6) {
  if (!std::isfinite(value)) return nullptr;
  char text[64];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return std::strtod(text, nullptr);
}

Json rounded(std::optional<double> value) {
  return value ? rounded(*value) : Json(nullptr);
}

double quantile(const std::vector<double>& sorted, double q) {
  if (sorted.empty()) return std::nan("");
  return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
}

std::string csv_field(const Json& value) {
  if (value.is_null()) return "";
  if (!value.is_string()) return value.dump();
  const std::string text = value.get<std::string>();
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted(1, '"');
  for (const char c : text) quoted.append(c == '"' ? 2 : 1, c);
  quoted.push_back('"');
  return quoted;
}

std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

// How a figure stands in the table: its name in JSON, its head, decimals, a factor, a suffix.
struct Column {
  const char* key;
  const char* head;
  int decimals;
  double factor = 1;
  const char* suffix = "";
};

constexpr Column kReportColumns[] = {
    {"capacity_90", "cap-90 r/s", 3},
    {"capacity_99", "cap-99 r/s", 3},
    {"rate", "rate", 3, 1, "x"},
    {"attainment", "attain", 1, 100, "%"},
    {"preemptions", "preempt", 0},
    {"recomputed_part", "recomp", 2, 100, "%"},
    {"ooms", "OOMs", 0},
    {"kv_mean", "KV mean", 0, 100, "%"},
    {"kv_peak", "KV peak", 0, 100, "%"},
    {"prefix_hit_rate", "hits", 1, 100, "%"},
    {"makespan_ratio", "makespan", 3, 1, "x"},
    {"longest_wait", "longest wait", 1, 1, "x"},
    {"step_us_p50", "step p50", 1, 1, " us"},
    {"step_us_p99", "step p99", 1, 1, " us"},
};

std::string cell(const Json& value, const Column& column) {
  if (value.is_null()) return "-";
  return fixed(value.get<double>() * column.factor, column.decimals) + column.suffix;
}

}  // namespace

Json figures_of(const Report& report, const PolicyReport& policy) {
  // Figures come from the run at a rate; without one, from the offline run.
  const RunResult* online = policy.run ? &*policy.run : nullptr;
  const RunResult* offline = policy.offline ? &*policy.offline : nullptr;
  const RunResult* run = online ? online : offline;
  Json j;
  j["trace"] = report.trace;
  j["synthetic"] = report.synthetic;
  j["machine"] = report.machine;
  j["host_tier_bytes"] = report.host_tier ? Json(report.host_tier->count()) : Json(nullptr);
  j["policy"] = policy.policy;
  j["requests"] = report.requests;
  j["left_out"] = report.left_out;
  j["rate"] = online && !report.recorded ? rounded(online->rate) : Json(nullptr);
  j["requests_per_second"] = online ? rounded(online->requests_per_second) : Json(nullptr);
  j["capacity_90"] = rounded(policy.capacity_90);
  j["capacity_99"] = rounded(policy.capacity_99);
  j["attainment"] = online ? rounded(online->attainment) : Json(nullptr);
  j["makespan_ratio"] = offline ? rounded(offline->makespan_ratio) : Json(nullptr);
  j["makespan_seconds"] = offline ? rounded(to_seconds(offline->makespan)) : Json(nullptr);
  if (run == nullptr) return j;
  j["good"] = online ? Json(online->good) : Json(nullptr);
  j["finished"] = run->finished;
  j["refused"] = run->refused;
  j["unfinished"] = run->unfinished;
  j["preemptions"] = run->preemptions;
  j["max_preemptions"] = run->max_preemptions;
  j["computed_tokens"] = run->computed.count();
  j["recomputed_tokens"] = run->recomputed.count();
  j["recomputed_part"] =
      rounded(run->computed > Tokens(0) ? static_cast<double>(run->recomputed.count()) /
                                              static_cast<double>(run->computed.count())
                                        : 0);
  j["ooms"] = run->ooms;
  j["kv_mean"] = rounded(run->kv_mean);
  j["kv_peak"] = rounded(run->kv_peak);
  j["prefix_hit_rate"] = rounded(run->prefix_hit_rate);
  j["moved_out_tokens"] = run->moved_out.count();
  j["moved_in_tokens"] = run->moved_in.count();
  j["longest_wait"] =
      online && !online->ttft_over_bound.empty() ? rounded(online->longest_wait) : Json(nullptr);
  j["ttft_seconds_p50"] = rounded(quantile(run->ttft_seconds, 0.5));
  j["ttft_seconds_p99"] = rounded(quantile(run->ttft_seconds, 0.99));
  j["tpot_seconds_p50"] = rounded(quantile(run->tpot_seconds, 0.5));
  j["tpot_seconds_p99"] = rounded(quantile(run->tpot_seconds, 0.99));
  j["busy"] = rounded(run->busy);
  j["steps"] = run->steps;
  j["step_us_p50"] = report.recorded ? Json(nullptr) : rounded(run->step_us_p50, 4);
  j["step_us_p99"] = report.recorded ? Json(nullptr) : rounded(run->step_us_p99, 4);
  return j;
}

Json load_of(const PolicyReport& policy) {
  Json points = Json::array();
  for (const LoadPoint& point : policy.load) {
    if (!point.exact) continue;
    points.push_back({{"rate", rounded(point.rate)},
                      {"requests_per_second", rounded(point.requests_per_second)},
                      {"attainment", rounded(point.attainment)}});
  }
  return points;
}

std::string to_json(const Report& report) {
  Json runs = Json::array();
  for (const PolicyReport& policy : report.policies) {
    Json run = figures_of(report, policy);
    if (!policy.load.empty()) run["load"] = load_of(policy);
    runs.push_back(std::move(run));
  }
  return runs.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_csv(const Report& report) {
  std::string text;
  for (const PolicyReport& policy : report.policies) {
    std::string names, values;
    const Json figures = figures_of(report, policy);
    for (const auto& [name, value] : figures.items()) {
      names.append(names.empty() ? "" : ",").append(name);
      values.append(values.empty() ? "" : ",").append(csv_field(value));
    }
    if (text.empty()) text = names + '\n';
    text += values + '\n';
  }
  return text;
}

std::string to_table(const Report& report) {
  std::vector<std::vector<std::string>> columns;
  std::vector<std::string> first = {"policy"};
  std::vector<Json> figures;
  for (const PolicyReport& policy : report.policies) {
    first.push_back(policy.policy);
    figures.push_back(figures_of(report, policy));
  }
  columns.push_back(std::move(first));
  for (const Column& column : kReportColumns) {
    // A figure that no policy has takes no room.
    const auto has = [&](const Json& f) {
      return f.contains(column.key) && !f[column.key].is_null();
    };
    if (std::none_of(figures.begin(), figures.end(), has)) continue;
    std::vector<std::string> cells = {column.head};
    for (const Json& f : figures) cells.push_back(has(f) ? cell(f[column.key], column) : "-");
    columns.push_back(std::move(cells));
  }

  std::string text;
  for (std::size_t row = 0; row <= report.policies.size(); ++row) {
    for (std::size_t c = 0; c < columns.size(); ++c) {
      std::size_t width = 0;
      for (const std::string& other : columns[c]) width = std::max(width, other.size());
      const std::string& content = columns[c][row];
      const std::size_t pad = width - content.size();
      if (c == 0) {
        text.append(content).append(pad, ' ');
      } else {
        text.append(pad + 2, ' ').append(content);
      }
    }
    text += '\n';
  }
  return text;
}

}  // namespace mais::sim
