#include "picture.hpp"

#include <algorithm>
#include <cstdio>
#include <map>

namespace {

using mais::Bytes;
using mais::graph::Buffer;

constexpr double kLeft = 86;
constexpr double kTop = 16;
constexpr double kWidth = 1180;
constexpr double kHeight = 560;
constexpr double kLoadTop = kTop + kHeight + 26;
constexpr double kLoadHeight = 70;

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char text[512];
  std::snprintf(text, sizeof text, pattern, args...);
  return text;
}

std::string bytes_text(double bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  while (bytes >= 1024 && unit < 4) {
    bytes /= 1024;
    ++unit;
  }
  return format(bytes < 10 && unit > 0 ? "%.2f %s" : "%.0f %s", bytes, units[unit]);
}

// Long-lived buffers are blue, short ones orange; neighbours differ in lightness.
std::string colour(const Buffer& buffer, double span, std::size_t index) {
  const double share = static_cast<double>(buffer.upper - buffer.lower) / span;
  const double hue = share > 0.3 ? 212 : share > 0.1 ? 172 : share > 0.03 ? 88 : 34;
  const double light = 60 + static_cast<double>(index * 7 % 5) * 4;
  return format("hsl(%.0f 58%% %.0f%%)", hue, light);
}

std::string picture_svg(const ArenaPicture& picture) {
  const std::vector<Buffer>& buffers = picture.problem.buffers;
  if (buffers.empty()) return "<p>no buffers</p>";
  std::int64_t first = buffers[0].lower;
  std::int64_t last = buffers[0].upper;
  for (const Buffer& buffer : buffers) {
    first = std::min(first, buffer.lower);
    last = std::max(last, buffer.upper);
  }
  const double span = static_cast<double>(last) - static_cast<double>(first);
  const double most = static_cast<double>(std::max<std::int64_t>(
      1, std::max(picture.plan.height, picture.problem.capacity.value_or(Bytes(0))).count()));
  const auto x = [&](std::int64_t t) {
    return kLeft + (static_cast<double>(t) - static_cast<double>(first)) / span * kWidth;
  };
  const auto y = [&](double bytes) { return kTop + kHeight - bytes / most * kHeight; };

  std::string svg = format("<svg viewBox='0 0 %.0f %.0f' role='img' aria-label='arena over time'>",
                           kLeft + kWidth + 24, kLoadTop + kLoadHeight + 44);
  svg += format("<rect class='ground' x='%.1f' y='%.1f' width='%.1f' height='%.1f'/>", kLeft, kTop,
                kWidth, kHeight);
  for (int i = 0; i <= 4; ++i) {
    const double bytes = most * i / 4;
    svg += format("<line class='grid' x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f'/>", kLeft,
                  kLeft + kWidth, y(bytes), y(bytes));
    svg += format("<text class='axis' text-anchor='end' x='%.1f' y='%.1f'>%s</text>", kLeft - 8,
                  y(bytes) + 4, bytes_text(bytes).c_str());
  }
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const Buffer& buffer = buffers[i];
    if (buffer.size == Bytes(0)) continue;
    const double bottom = static_cast<double>(picture.plan.offsets[i].count());
    const double size = static_cast<double>(buffer.size.count());
    const double width = std::max(0.6, x(buffer.upper) - x(buffer.lower));
    const double height = std::max(0.4, size / most * kHeight);
    svg +=
        format("<g><rect class='b' x='%.2f' y='%.2f' width='%.2f' height='%.2f' fill='%s'/>",
               x(buffer.lower), y(bottom + size), width, height, colour(buffer, span, i).c_str());
    if (width > 8.0 * static_cast<double>(picture.names[i].size()) && height > 13) {
      svg += format("<text class='n' x='%.1f' y='%.1f'>", x(buffer.lower) + width / 2,
                    y(bottom + size / 2) + 4) +
             escaped(picture.names[i]) + "</text>";
    }
    svg += "<title>" + escaped(picture.names[i]) + "\n" + bytes_text(size) + " at offset " +
           std::to_string(picture.plan.offsets[i].count()) + "\nsteps " +
           std::to_string(buffer.lower) + " to " + std::to_string(buffer.upper) + "</title></g>";
  }
  const auto mark = [&](double bytes, const char* kind, const std::string& text) {
    svg += format("<line class='%s' x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f'/>", kind, kLeft,
                  kLeft + kWidth, y(bytes), y(bytes));
    svg += format("<text class='mark' x='%.1f' y='%.1f'>", kLeft + kWidth - 6, y(bytes) - 5) +
           text + "</text>";
  };
  if (picture.plan.height > picture.plan.lower_bound) {
    mark(static_cast<double>(picture.plan.lower_bound.count()), "bound", "bound");
  }

  // The load below: what is alive in each step.
  std::map<std::int64_t, std::int64_t> change;
  for (const Buffer& buffer : buffers) {
    change[buffer.lower] += buffer.size.count();
    change[buffer.upper] -= buffer.size.count();
  }
  const auto load_y = [&](double bytes) {
    return kLoadTop + kLoadHeight - bytes / most * kLoadHeight;
  };
  std::string path = format("M%.1f %.1f", kLeft, load_y(0));
  double load = 0;
  for (const auto& [time, delta] : change) {
    path += format("L%.2f %.2f", x(time), load_y(load));
    load += static_cast<double>(delta);
    path += format("L%.2f %.2f", x(time), load_y(load));
  }
  svg += "<path class='load' d='" + path + format("L%.1f %.1fZ'/>", kLeft + kWidth, load_y(0));
  svg += format("<text class='axis' text-anchor='end' x='%.1f' y='%.1f'>alive</text>", kLeft - 8,
                kLoadTop + kLoadHeight / 2 + 4);
  for (int i = 0; i <= 6; ++i) {
    const std::int64_t t = first + static_cast<std::int64_t>(span / 6 * i);
    svg += format("<text class='axis' text-anchor='middle' x='%.1f' y='%.1f'>%lld</text>", x(t),
                  kLoadTop + kLoadHeight + 18, static_cast<long long>(t));
  }
  svg += format("<text class='axis' text-anchor='middle' x='%.1f' y='%.1f'>steps</text>",
                kLeft + kWidth / 2, kLoadTop + kLoadHeight + 36);
  return svg + "</svg>";
}

}  // namespace

std::string arena_html(const std::vector<ArenaPicture>& pictures, const std::string& summary) {
  std::string page =
      "<!doctype html><html lang='en'><meta charset='utf-8'><title>arena</title><style>"
      "body{font:14px/1.5 system-ui,sans-serif;margin:24px;color:#1c2733;background:#fbfcfd}"
      "h1{font-size:19px;margin:0 0 2px}p{margin:0 0 10px;color:#4a5866;white-space:pre-line}"
      "svg{width:100%;max-width:1320px;height:auto;display:block;margin-bottom:20px}"
      ".ground{fill:#eef2f5}.grid{stroke:#d5dde4;stroke-width:1}"
      ".axis{font-size:12px;fill:#5a6875}.b{stroke:#fff;stroke-width:.6}"
      "g:hover .b{stroke:#10202f;stroke-width:2}.n{font-size:11px;fill:#10202f;text-anchor:middle;"
      "pointer-events:none}.bound{stroke:#c2255c;stroke-width:1.5;stroke-dasharray:6 4}"
      ".mark{font-size:12px;fill:#c2255c;text-anchor:end}.load{fill:#9fb3c8}"
      ".key span{display:inline-block;margin-right:18px}.key i{display:inline-block;width:12px;"
      "height:12px;border-radius:2px;margin-right:6px;vertical-align:-1px}</style>";
  for (const ArenaPicture& picture : pictures) {
    page += "<h1>" + escaped(picture.title) + "</h1><p>" + escaped(summary) + "</p>";
    page +=
        "<p class='key'><span><i style='background:hsl(212 58% 64%)'></i>lives over 30 % of the "
        "time</span><span><i style='background:hsl(172 58% 64%)'></i>10 to 30 %</span><span><i "
        "style='background:hsl(88 58% 64%)'></i>3 to 10 %</span><span><i style='background:hsl(34 "
        "58% 64%)'></i>less</span><span>hover over a buffer for its name, size and "
        "steps</span></p>";
    page += picture_svg(picture);
  }
  return page + "</html>\n";
}
