#include "plot.hpp"
#include "svg.hpp"

namespace evaluate {

namespace {

constexpr double kWidth = 960, kPanelHeight = 300, kHead = 92;
constexpr double kLeft = 66, kRight = 18, kTop = 34, kBottom = 54;

struct Scale {
  double low = 0, high = 1;
  bool logarithmic = false;

  double at(double v) const {
    return logarithmic ? std::log(v / low) / std::log(high / low) : (v - low) / (high - low);
  }
  std::vector<double> marks() const {
    if (!logarithmic) return ticks(low, high, 5);
    std::vector<double> values;
    for (double power = std::pow(10, std::floor(std::log10(low))); power <= high; power *= 10) {
      for (const double m : {1.0, 2.0, 5.0}) {
        if (m * power >= low * 0.999 && m * power <= high * 1.001) values.push_back(m * power);
      }
    }
    return values.size() > 1 ? values : ticks(low, high, 4);
  }
};

Scale scale_of_y(const LinePanel& panel) {
  double low = 1e300, high = 0;
  const auto see = [&](double v) {
    if (v > 0) low = std::min(low, v);
    high = std::max(high, v);
  };
  for (const Series& series : panel.series) {
    for (const auto& [x, y] : series.points) see(y);
  }
  for (const Rule& rule : panel.rules) see(rule.y);
  if (high <= 0) return {};
  if (panel.logarithmic) return {.low = low / 1.3, .high = high * 1.3, .logarithmic = true};
  return {.low = 0, .high = high * 1.08};
}

Scale scale_of_x(const LinePanel& panel) {
  if (!panel.categories.empty()) {
    return {.low = -0.4, .high = static_cast<double>(panel.categories.size()) - 0.6};
  }
  double high = 0;
  for (const Series& series : panel.series) {
    for (const auto& [x, y] : series.points) high = std::max(high, x);
  }
  return {.low = 0, .high = high > 0 ? high * 1.02 : 1};
}

void draw(Svg& svg, const LinePanel& panel, double left, double top, double width) {
  const double x0 = left + kLeft, x1 = left + width - kRight;
  const double y0 = top + kPanelHeight - kBottom, y1 = top + kTop;
  const Scale x = scale_of_x(panel), y = scale_of_y(panel);
  const auto px = [&](double v) { return x0 + x.at(v) * (x1 - x0); };
  const auto py = [&](double v) { return y0 + y.at(v) * (y1 - y0); };

  svg.text(x0, top + 18, panel.title, {.size = 14, .colour = kInk, .bold = true});
  for (const double t : y.marks()) {
    svg.line(x0, py(t), x1, py(t), kGrid);
    svg.text(x0 - 8, py(t) + 4, number(t), {.anchor = "end"});
  }
  svg.line(x0, y0, x1, y0, kSoft);
  if (panel.categories.empty()) {
    for (const double t : x.marks()) {
      svg.line(px(t), y0, px(t), y0 + 5, kSoft);
      svg.text(px(t), y0 + 19, number(t), {.anchor = "middle"});
    }
  }
  for (std::size_t i = 0; i < panel.categories.size(); ++i) {
    const double at = px(static_cast<double>(i));
    svg.line(at, y0, at, y0 + 5, kSoft);
    svg.text(at, y0 + 19, panel.categories[i], {.anchor = "middle"});
  }
  svg.text((x0 + x1) / 2, y0 + 40, panel.x_label, {.colour = kInk, .anchor = "middle"});
  svg.text(left + 18, (y0 + y1) / 2, panel.y_label,
           {.colour = kInk, .anchor = "middle", .turn = -90});
  for (const Rule& rule : panel.rules) {
    svg.line(x0, py(rule.y), x1, py(rule.y), kSoft, 1.2, "5 4");
    svg.text(x1, py(rule.y) - 6, rule.text, {.anchor = "end"});
  }
  for (const Series& series : panel.series) {
    std::vector<std::pair<double, double>> points;
    for (const auto& [a, b] : series.points) {
      if (!y.logarithmic || b > 0) points.emplace_back(px(a), py(b));
    }
    svg.polyline(points, kColours[series.look % kColours.size()]);
    for (const auto& [a, b] : points) svg.marker(a, b, series.look);
  }
}

}  // namespace

std::string to_svg(const LinePlot& plot) {
  const std::size_t columns = std::min<std::size_t>(plot.panels.size(), 2);
  const std::size_t rows = columns == 0 ? 0 : (plot.panels.size() + columns - 1) / columns;
  Svg svg(kWidth, kHead + static_cast<double>(rows) * kPanelHeight + 6, plot.title);
  svg.text(20, 30, plot.title, {.size = 18, .colour = kInk, .bold = true});
  svg.text(20, 50, plot.about, {.size = 12.5});
  double x = 20;
  std::vector<std::string> named;
  for (const LinePanel& panel : plot.panels) {
    for (const Series& series : panel.series) {
      if (std::find(named.begin(), named.end(), series.name) != named.end()) continue;
      named.push_back(series.name);
      svg.line(x, 72, x + 26, 72, kColours[series.look % kColours.size()], 2);
      svg.marker(x + 13, 72, series.look);
      svg.text(x + 33, 76, series.name, {.size = 12.5, .colour = kInk});
      x += 58 + Svg::width_of(series.name, 12.5);
    }
  }
  const double width = columns == 0 ? kWidth : kWidth / static_cast<double>(columns);
  for (std::size_t i = 0; i < plot.panels.size(); ++i) {
    draw(svg, plot.panels[i], static_cast<double>(i % columns) * width,
         kHead + static_cast<double>(i / columns) * kPanelHeight, width);
  }
  return std::move(svg).finish();
}

}  // namespace evaluate
