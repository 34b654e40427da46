#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <utility>

#include <nlohmann/json.hpp>

namespace server_load {

namespace {

using Json = nlohmann::json;

template <class... Values>
std::string format(const char* how, Values... values) {
  char text[512];
  std::snprintf(text, sizeof text, how, values...);
  return text;
}

double percentile(std::vector<double> values, double part) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
}

std::string reasons_of(const Run& run, Outcome outcome) {
  std::map<std::string, int> counts;
  for (const Done& done : run.done) {
    if (done.outcome == outcome) ++counts[done.reason];
  }
  std::string text;
  for (const auto& [reason, count] : counts) {
    text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + reason;
  }
  return text.empty() ? "none" : text;
}

constexpr double kMiB = 1 << 20;

// Reasons come from a server; here they are known words, but a page trusts nobody.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '<') {
      result += "&lt;";
    } else if (c == '&') {
      result += "&amp;";
    } else {
      result += c;
    }
  }
  return result;
}

// Lines of one figure over time, each with a name and a colour.
struct Line {
  std::string name, colour;
  std::vector<std::pair<double, double>> points;
};

std::string plot(const std::vector<Line>& lines, double most, const char* unit) {
  constexpr double kWidth = 860, kHeight = 240, kLeft = 60, kTop = 12, kBottom = 30;
  double last = 1;
  for (const Line& line : lines) {
    for (const auto& [at, value] : line.points) last = std::max(last, at);
  }
  const auto x = [&](double at) { return kLeft + at / last * (kWidth - kLeft - 10); };
  const auto y = [&](double value) {
    return kTop + (1 - value / most) * (kHeight - kTop - kBottom);
  };
  std::string svg = format("<svg viewBox='0 0 %g %g' role='img'>", kWidth, kHeight);
  for (int i = 0; i <= 4; ++i) {
    const double value = most * i / 4;
    svg += format("<line class='grid' x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f'/>", kLeft,
                  kWidth - 10, y(value), y(value));
    svg += format("<text x='%.1f' y='%.1f' text-anchor='end'>%.0f</text>", kLeft - 6, y(value) + 4,
                  value);
    svg += format("<text x='%.1f' y='%.1f' text-anchor='%s'>%.0f s</text>", x(last * i / 4),
                  kHeight - 8, i == 4 ? "end" : "middle", last * i / 4);
  }
  svg += format("<text x='4' y='%.1f'>%s</text>", kTop + 4, unit);
  for (const Line& line : lines) {
    std::string points;
    for (const auto& [at, value] : line.points) points += format("%.1f,%.1f ", x(at), y(value));
    svg += "<polyline fill='none' stroke-width='2' stroke='" + line.colour + "' points='" + points +
           "'/>";
  }
  svg += "</svg><p class='key'>";
  for (const Line& line : lines) {
    svg += "<span style='color:" + line.colour + "'>&#9632;</span> " + escaped(line.name) + " ";
  }
  return svg + "</p>";
}

constexpr const char* kColours[] = {"#d9480f", "#1971c2", "#2f9e44"};

}  // namespace

Figures figures_of(const Run& run, std::span<const Kind> kinds, std::size_t kind) {
  Figures figures;
  std::vector<double> ttfts;
  for (const Done& done : run.done) {
    if (done.kind != kind) continue;
    ++figures.sent;
    figures.finished += done.outcome == Outcome::finished;
    figures.refused += done.outcome == Outcome::refused;
    figures.failed += done.outcome == Outcome::failed;
    figures.in_time += done.in_time(kinds[kind]);
    if (done.outcome == Outcome::finished) ttfts.push_back(done.ttft);
  }
  figures.worst_ttft = percentile(std::move(ttfts), 0.95);
  return figures;
}

Verdict verdict_of(const Run& run, std::span<const Kind> kinds) {
  if (run.failed_steps > 0) return Verdict::lost;
  bool late = false;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const Figures figures = figures_of(run, kinds, i);
    if (figures.failed > 0) return Verdict::lost;
    if (kinds[i].service_class != "realtime") continue;
    late |= figures.sent == 0 || static_cast<double>(figures.in_time) <
                                     kMustBeInTime * static_cast<double>(figures.sent);
  }
  return late ? Verdict::late : Verdict::good;
}

std::string to_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::lost:
      return "an allocation failed, or a request was lost";
    case Verdict::late:
      return "a realtime tenant was not answered within its goals";
    case Verdict::good:
      break;
  }
  return "nothing was lost, and realtime tenants were answered within their goals";
}

std::string to_text(const Run& run, std::span<const Kind> kinds) {
  std::string text = format("%s: %zu requests at %.1f a second for %.0f s\n", run.label.c_str(),
                            run.done.size(), run.rate, run.seconds);
  text += "  tenant     sent  finished  refused  failed  within SLO  TTFT p95\n";
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const Figures f = figures_of(run, kinds, i);
    text += format("  %-9s %5zu %9zu %8zu %7zu %11s %8.2f s\n", kinds[i].tenant.c_str(), f.sent,
                   f.finished, f.refused, f.failed,
                   kinds[i].ttft_ms ? std::to_string(f.in_time).c_str() : "-", f.worst_ttft);
  }
  text += format("  memory: at most %.1f MiB of %.1f; allocation failures: %.0f\n", run.peak / kMiB,
                 run.cap / kMiB, run.failed_steps);
  text += "  refused: " + reasons_of(run, Outcome::refused) + "\n";
  text += "  failed: " + reasons_of(run, Outcome::failed) + "\n";
  return text;
}

std::string to_json(const Run& run) {
  Json done = Json::array(), samples = Json::array();
  for (const Done& one : run.done) {
    done.push_back({one.kind, one.at, static_cast<int>(one.outcome), one.reason, one.tokens,
                    one.ttft, one.tpot});
  }
  for (const Sample& one : run.samples) samples.push_back({one.at, one.used, one.under_way});
  return Json{{"label", run.label},      {"rate", run.rate},
              {"seconds", run.seconds},  {"cap", run.cap},
              {"peak", run.peak},        {"failed_steps", run.failed_steps},
              {"done", std::move(done)}, {"samples", std::move(samples)}}
      .dump();
}

mais::Result<Run> from_json(const std::string& text, const std::string& name) {
  try {
    const Json read = Json::parse(text);
    Run run{.label = read.at("label"), .rate = read.at("rate"), .seconds = read.at("seconds")};
    run.cap = read.at("cap");
    run.peak = read.at("peak");
    run.failed_steps = read.at("failed_steps");
    for (const Json& one : read.at("done")) {
      run.done.push_back({.kind = one.at(0),
                          .at = one.at(1),
                          .outcome = static_cast<Outcome>(one.at(2).get<int>()),
                          .reason = one.at(3),
                          .tokens = one.at(4),
                          .ttft = one.at(5),
                          .tpot = one.at(6)});
    }
    for (const Json& one : read.at("samples")) {
      run.samples.push_back({.at = one.at(0), .used = one.at(1), .under_way = one.at(2)});
    }
    return run;
  } catch (const Json::exception& error) {
    return mais::fail(mais::ErrorCode::parse_error, name + ": " + error.what());
  }
}

std::string to_html(std::span<const Run> runs, std::span<const Kind> kinds) {
  std::string html =
      "<!doctype html><html lang='en'><meta charset='utf-8'><title>One server, a hard cap, three "
      "times the load</title><style>body{font:15px/1.5 system-ui,sans-serif;max-width:900px;"
      "margin:2em auto;padding:0 1em;color:#222;background:#fff}table{border-collapse:collapse}"
      "td,th{padding:.25em .9em;text-align:right;border-bottom:1px solid #ddd}td:first-child,"
      "th:first-child{text-align:left}svg{width:100%}svg text{font-size:11px;fill:#555}.grid{"
      "stroke:#e5e5e5}.bad{color:#c92a2a;font-weight:600}.good{color:#2b8a3e;font-weight:600}"
      "</style><h1>One server, a hard cap, three times the load</h1>";
  std::vector<Line> memory, under_way;
  double cap = 1, most = 1, last = 0;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Run& run = runs[i];
    Line used{run.label, kColours[i % 3], {}}, calls = used;
    for (const Sample& sample : run.samples) {
      used.points.emplace_back(sample.at, sample.used / kMiB);
      calls.points.emplace_back(sample.at, sample.under_way);
      most = std::max(most, sample.under_way);
      last = std::max(last, sample.at);
    }
    cap = std::max(cap, run.cap / kMiB);
    memory.push_back(std::move(used));
    under_way.push_back(std::move(calls));
  }
  memory.push_back({"the cap", "#868e96", {{0, cap}, {last, cap}}});
  html +=
      "<h2>Memory that the engines hold</h2><p>Pages of the KV cache keep their memory until "
      "another engine needs it, so that a busy server stays near the cap.</p>" +
      plot(memory, 40 * std::ceil(cap * 1.05 / 40), "MiB");
  html += "<h2>Calls under way</h2>" + plot(under_way, most, "calls");
  for (const Run& run : runs) {
    html += "<h2>" + escaped(run.label) + "</h2>" +
            format("<p>%zu requests, %.1f a second for %.0f s. ", run.done.size(), run.rate,
                   run.seconds);
    html += format(
        "Allocation failures: <span class='%s'>%.0f</span>. Memory at most %.1f of "
        "%.1f MiB.</p>",
        run.failed_steps > 0 ? "bad" : "good", run.failed_steps, run.peak / kMiB, run.cap / kMiB);
    html +=
        "<table><tr><th>tenant<th>class<th>sent<th>finished<th>refused<th>failed<th>within "
        "SLO<th>TTFT p95</tr>";
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      const Figures f = figures_of(run, kinds, i);
      html += format("<tr><td>%s<td>%s<td>%zu<td>%zu<td>%zu<td class='%s'>%zu<td>%s<td>%.2f s</tr>",
                     kinds[i].tenant.c_str(), kinds[i].service_class.c_str(), f.sent, f.finished,
                     f.refused, f.failed > 0 ? "bad" : "good", f.failed,
                     kinds[i].ttft_ms ? std::to_string(f.in_time).c_str() : "-", f.worst_ttft);
    }
    html += "</table><p>Refused: " + escaped(reasons_of(run, Outcome::refused)) +
            ". Failed: " + escaped(reasons_of(run, Outcome::failed)) + ".</p>";
  }
  return html + "</html>\n";
}

}  // namespace server_load
