#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "mais/sim/report.hpp"
#include "report_page_template.hpp"
#include "sim/report_figures.hpp"

namespace mais::sim {

namespace {

constexpr std::size_t kCurvePoints = 240;

double significant(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.5g", value);
  return std::strtod(text, nullptr);
}

// A sorted list thinned to a bounded number of points, [value, part of all up to here].
Json curve(const std::vector<double>& sorted, double factor) {
  Json points = Json::array();
  if (sorted.empty()) return points;
  const std::size_t n = sorted.size();
  const std::size_t count = std::min(n, kCurvePoints);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = count == 1 ? 0 : i * (n - 1) / (count - 1);
    points.push_back({significant(sorted[at] * factor),
                      significant(static_cast<double>(at + 1) / static_cast<double>(n))});
  }
  return points;
}

// Thinned for the width of a plot; memory and counts keep their peaks.
Json course(const RunResult& run) {
  Json t = Json::array(), sequences = t, cached = t, host = t, running = t, waiting = t;
  const std::size_t group = run.course.size() / kCurvePoints + 1;
  for (std::size_t i = 0; i < run.course.size(); i += group) {
    LoadSample sample = run.course[i];
    for (std::size_t k = i; k < std::min(i + group, run.course.size()); ++k) {
      const LoadSample& other = run.course[k];
      sample.sequences = std::max(sample.sequences, other.sequences);
      sample.cached = std::min(sample.cached, other.cached);
      sample.host = std::max(sample.host, other.host);
      sample.running = std::max(sample.running, other.running);
      sample.waiting = std::max(sample.waiting, other.waiting);
    }
    t.push_back(significant(to_seconds(sample.time)));
    sequences.push_back(sample.sequences.count());
    cached.push_back(sample.cached.count());
    host.push_back(sample.host.count());
    running.push_back(sample.running);
    waiting.push_back(sample.waiting);
  }
  return {{"t", t},       {"sequences", sequences}, {"cached", cached},
          {"host", host}, {"running", running},     {"waiting", waiting}};
}

Json page_data(const Report& report) {
  Json data;
  data["trace"] = report.trace;
  data["synthetic"] = report.synthetic;
  data["recorded"] = report.recorded;
  data["machine"] = report.machine;
  data["command"] = report.command;
  data["requests"] = report.requests;
  data["left_out"] = report.left_out;
  data["trace_rate"] = significant(report.trace_rate);
  data["tpot_ms"] = report.tpot ? Json(to_seconds(*report.tpot) * 1e3) : Json(nullptr);
  data["host_tier"] = report.host_tier ? Json(report.host_tier->count()) : Json(nullptr);
  data["policies"] = Json::array();
  for (const PolicyReport& policy : report.policies) {
    Json p;
    p["name"] = policy.policy;
    p["figures"] = figures_of(report, policy);
    p["load"] = load_of(policy);
    if (const RunResult* run = policy.run       ? &*policy.run
                               : policy.offline ? &*policy.offline
                                                : nullptr) {
      p["offline"] = run->rate == 0;
      p["pool"] = run->pool.count();
      p["host_pool"] = run->host_pool.count();
      p["course"] = course(*run);
      if (policy.run) {
        p["ttft"] =
            report.recorded ? curve(run->ttft_seconds, 1e3) : curve(run->ttft_over_bound, 1);
        p["tpot"] = curve(run->tpot_seconds, 1e3);
      }
    }
    data["policies"].push_back(std::move(p));
  }
  return data;
}

// Text that stands inside a script element must not be able to close it.
std::string for_script(const Json& json) {
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string safe;
  safe.reserve(text.size());
  for (const char c : text) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

std::string for_html(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '&':
        safe += "&amp;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

void replace(std::string& text, std::string_view mark, const std::string& value) {
  const auto at = text.find(mark);
  if (at != std::string::npos) text.replace(at, mark.size(), value);
}

}  // namespace

std::string to_html(const Report& report) {
  std::string page(kReportPageTemplate);
  // The mark of the data stands behind that of the title, so neither finds itself in the other.
  replace(page, "{{data}}", for_script(page_data(report)));
  replace(page, "{{title}}", for_html(report.trace + " on " + report.machine));
  return page;
}

}  // namespace mais::sim
