// Plots as SVG files that need no others: light background, colours that the colour-blind tell
// apart (Okabe and Ito, Color Universal Design, 2008), and a marker for each series besides.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace evaluate {

struct Series {
  std::string name;
  std::size_t look = 0;  // colour and marker
  std::vector<std::pair<double, double>> points{};
};

struct Rule {
  double y = 0;
  std::string text;
};

struct LinePanel {
  std::string title;
  std::string x_label, y_label;  // with units
  std::vector<Series> series;
  std::vector<std::string> categories{};  // names of x = 0, 1, ...; none: x is a number from 0 on
  std::vector<Rule> rules{};
  bool logarithmic = false;  // y
};

struct LinePlot {
  std::string title, about;
  std::vector<LinePanel> panels;  // two in a row; series of one name share the legend
};

std::string to_svg(const LinePlot& plot);

// Horizontal bars: rows have names, shared by panels beside each other, each with its own scale.
struct BarPanel {
  std::string title;
  std::vector<std::optional<double>> wide{};  // by row; none: does not apply
  std::vector<std::optional<double>> thin{};  // likewise, drawn below it; may be empty
  std::optional<Rule> rule{};                 // at this value, downwards
};

struct BarPlot {
  std::string title, about;
  std::string label;                 // of every axis, with the unit; short
  std::string wide_name, thin_name;  // empty: no legend
  std::vector<std::string> rows;
  std::vector<std::size_t> looks{};  // by row; empty: all alike, the first stands out
  std::vector<BarPanel> panels;
  std::size_t columns = 4;  // panels in a row
};

std::string to_svg(const BarPlot& plot);

}  // namespace evaluate
