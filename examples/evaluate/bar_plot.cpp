#include "plot.hpp"
#include "svg.hpp"

namespace evaluate {

namespace {

constexpr double kWidth = 960, kMargin = 20;
constexpr double kRow = 26, kWideBar = 12, kThinBar = 6;
constexpr double kPanelTop = 46, kPanelBottom = 50;  // a title of two lines above, the axis below
constexpr double kValueRoom = 44;                    // right of the longest bar, for its number

double largest(const BarPanel& panel) {
  double high = panel.rule ? panel.rule->y : 0;
  for (const auto& values : {panel.wide, panel.thin}) {
    for (const auto& value : values) high = std::max(high, value.value_or(0));
  }
  return high > 0 ? high : 1;
}

// The title above the panel, on two lines where it is too long for one.
void draw_title(Svg& svg, const std::string& title, double left, double top, double width) {
  const Font font{.size = 13, .colour = kInk, .bold = true};
  std::size_t cut = std::string::npos;  // where the longer line is shortest
  if (Svg::width_of(title, font.size) > width) {
    std::size_t longer = title.size();
    for (std::size_t at = title.find(' '); at != std::string::npos; at = title.find(' ', at + 1)) {
      if (std::max(at, title.size() - at - 1) >= longer) continue;
      cut = at;
      longer = std::max(at, title.size() - at - 1);
    }
  }
  if (cut == std::string::npos) {
    svg.text(left, top + kPanelTop - 14, title, font);
    return;
  }
  svg.text(left, top + kPanelTop - 30, title.substr(0, cut), font);
  svg.text(left, top + kPanelTop - 14, title.substr(cut + 1), font);
}

void draw(Svg& svg, const BarPlot& plot, const BarPanel& panel, double left, double top,
          double width) {
  const double high = largest(panel);
  const double room = width - kValueRoom;
  const auto px = [&](double v) { return left + v / high * room; };
  const double bottom = top + kPanelTop + kRow * static_cast<double>(plot.rows.size());
  draw_title(svg, panel.title, left, top, room);
  for (const double t : ticks(0, high, width > 250 ? 5 : 3)) {
    svg.line(px(t), top + kPanelTop, px(t), bottom, kGrid);
    svg.text(px(t), bottom + 15, number(t), {.size = 11, .anchor = "middle"});
  }
  svg.line(left, top + kPanelTop, left, bottom, kSoft);
  svg.text(left, bottom + 34, plot.label, {.size = 11.5, .colour = kInk});
  if (panel.rule) {
    svg.line(px(panel.rule->y), top + kPanelTop - 4, px(panel.rule->y), bottom, kInk, 1.2, "5 4");
  }
  for (std::size_t row = 0; row < plot.rows.size(); ++row) {
    const double y = top + kPanelTop + kRow * static_cast<double>(row);
    const std::size_t look = plot.looks.empty() ? (row == 0 ? 0 : 5) : plot.looks[row];
    const bool two = !panel.thin.empty();
    const double first = two ? y + 3 : y + (kRow - kWideBar) / 2;
    if (!panel.wide[row]) {
      svg.text(left + 5, first + kWideBar - 2, "does not apply", {.size = 10.5});
      continue;
    }
    svg.rect(left, first, std::max(px(*panel.wide[row]) - left, 1.0), kWideBar,
             kColours[look % kColours.size()], 1.5);
    svg.text(px(*panel.wide[row]) + 5, first + kWideBar - 1.5, number(*panel.wide[row]),
             {.size = 11.5, .colour = kInk, .bold = row == 0 && plot.looks.empty(), .halo = true});
    if (two && panel.thin[row]) {
      svg.rect(left, first + kWideBar + 1, std::max(px(*panel.thin[row]) - left, 1.0), kThinBar,
               kColours[look % kColours.size()], 1.5, 0.45);
    }
  }
}

}  // namespace

std::string to_svg(const BarPlot& plot) {
  double names = 0;
  for (const std::string& row : plot.rows) names = std::max(names, Svg::width_of(row, 12.5));
  const std::size_t columns = std::max<std::size_t>(1, std::min(plot.columns, plot.panels.size()));
  const std::size_t rows = (plot.panels.size() + columns - 1) / columns;
  const bool legend = !plot.wide_name.empty();
  const double head = legend ? 92 : 68;
  const double panel_height =
      kPanelTop + kPanelBottom + kRow * static_cast<double>(plot.rows.size());
  Svg svg(kWidth, head + static_cast<double>(rows) * panel_height, plot.title);
  svg.text(kMargin, 30, plot.title, {.size = 18, .colour = kInk, .bold = true});
  svg.text(kMargin, 50, plot.about, {.size = 12.5});
  if (legend) {
    double x = kMargin;
    svg.rect(x, 66, 26, kWideBar, kColours[6], 1.5);
    svg.text(x + 33, 76, plot.wide_name, {.size = 12.5, .colour = kInk});
    if (!plot.thin_name.empty()) {
      x += 58 + Svg::width_of(plot.wide_name, 12.5);
      svg.rect(x, 69, 26, kThinBar, kColours[6], 1.5, 0.45);
      svg.text(x + 33, 76, plot.thin_name, {.size = 12.5, .colour = kInk});
    }
  }
  const double left = kMargin + names + 12;
  const double width = (kWidth - left) / static_cast<double>(columns);
  for (std::size_t i = 0; i < plot.panels.size(); ++i) {
    const double top = head + static_cast<double>(i / columns) * panel_height;
    if (i % columns == 0) {
      for (std::size_t row = 0; row < plot.rows.size(); ++row) {
        svg.text(left - 10, top + kPanelTop + kRow * static_cast<double>(row) + 16, plot.rows[row],
                 {.size = 12.5,
                  .colour = kInk,
                  .anchor = "end",
                  .bold = row == 0 && plot.looks.empty()});
      }
    }
    draw(svg, plot, plot.panels[i], left + static_cast<double>(i % columns) * width, top, width);
  }
  return std::move(svg).finish();
}

}  // namespace evaluate
