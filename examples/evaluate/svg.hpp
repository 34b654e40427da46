// The little of SVG that plots are drawn with.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace evaluate {

inline constexpr std::array<const char*, 7> kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                        "#e69f00", "#56b4e9", "#5f6b7a"};
inline constexpr const char* kInk = "#16202c";
inline constexpr const char* kSoft = "#5b6878";
inline constexpr const char* kGrid = "#e6eaef";

inline std::string number(double value, int digits = 3) {
  char text[32];
  // Whole numbers in full: 2000, not 2e+03.
  const bool large = std::abs(value) >= std::pow(10, digits);
  std::snprintf(text, sizeof text, large ? "%.*f" : "%.*g", large ? 0 : digits, value);
  return text;
}

inline std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// Tick values from low to high: steps of 1, 2, 2.5 or 5 times a power of ten, about `count` of
// them.
inline std::vector<double> ticks(double low, double high, int count) {
  const double raw = std::max((high - low) / count, 1e-12);
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double m : {5.0, 2.5, 2.0, 1.0}) {
    if (m * power >= raw * (1 - 1e-9)) step = m * power;
  }
  std::vector<double> values;
  for (double t = std::ceil(low / step - 1e-9) * step; t <= high + step * 1e-6; t += step) {
    values.push_back(std::abs(t) < step * 1e-9 ? 0 : t);
  }
  return values;
}

struct Font {
  double size = 12;
  const char* colour = kSoft;
  const char* anchor = "start";
  bool bold = false;
  double turn = 0;    // degrees, about the anchor
  bool halo = false;  // a white edge, to stand out from lines behind it
};

class Svg {
 public:
  Svg(double width, double height, const std::string& title) {
    const std::string w = number(width, 6), h = number(height, 6);
    out_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + w + " " + h +
           "\" width=\"" + w + "\" height=\"" + h +
           "\" role=\"img\" font-family=\"system-ui, 'Segoe UI', Roboto, Helvetica, Arial, "
           "sans-serif\">\n<title>" +
           escaped(title) + "</title>\n";
    rect(0, 0, width, height, "#ffffff");
  }

  void rect(double x, double y, double w, double h, const char* fill, double radius = 0,
            double opacity = 1) {
    out_ += "<rect" + at("x", x) + at("y", y) + at("width", w) + at("height", h) +
            (radius > 0 ? at("rx", radius) : "") + (opacity < 1 ? at("opacity", opacity) : "") +
            " fill=\"" + fill + "\"/>\n";
  }
  void line(double x1, double y1, double x2, double y2, const char* colour, double width = 1,
            const char* dashes = nullptr) {
    out_ += "<line" + at("x1", x1) + at("y1", y1) + at("x2", x2) + at("y2", y2) + " stroke=\"" +
            colour + "\"" + at("stroke-width", width) +
            (dashes ? std::string(" stroke-dasharray=\"") + dashes + "\"" : "") + "/>\n";
  }
  void polyline(const std::vector<std::pair<double, double>>& points, const char* colour) {
    out_ += "<polyline fill=\"none\" stroke-width=\"2\" stroke-linejoin=\"round\" stroke=\"" +
            std::string(colour) + "\" points=\"";
    for (const auto& [x, y] : points) out_ += shortest(x) + "," + shortest(y) + " ";
    out_ += "\"/>\n";
  }
  // Circle, square, triangle, diamond, then again.
  void marker(double x, double y, std::size_t look) {
    const std::string fill =
        std::string(" fill=\"") + kColours[look % kColours.size()] + "\" stroke=\"#ffffff\"/>\n";
    const auto polygon = [&](std::vector<std::pair<double, double>> points) {
      out_ += "<polygon points=\"";
      for (const auto& [dx, dy] : points) out_ += shortest(x + dx) + "," + shortest(y + dy) + " ";
      out_ += "\"" + fill;
    };
    switch (look % 4) {
      case 0:
        out_ += "<circle" + at("cx", x) + at("cy", y) + at("r", 4.5) + fill;
        break;
      case 1:
        polygon({{-4, -4}, {4, -4}, {4, 4}, {-4, 4}});
        break;
      case 2:
        polygon({{0, -5.5}, {5, 4}, {-5, 4}});
        break;
      default:
        polygon({{0, -5.5}, {5.5, 0}, {0, 5.5}, {-5.5, 0}});
        break;
    }
  }
  void text(double x, double y, const std::string& content, const Font& font = {}) {
    out_ += "<text" + at("x", x) + at("y", y) + at("font-size", font.size) + " fill=\"" +
            font.colour + "\" text-anchor=\"" + font.anchor + "\"" +
            (font.halo ? " paint-order=\"stroke\" stroke=\"#ffffff\" stroke-width=\"4\"" : "") +
            (font.bold ? " font-weight=\"600\"" : "") +
            (font.turn != 0 ? " transform=\"rotate(" + shortest(font.turn) + " " + shortest(x) +
                                  " " + shortest(y) + ")\""
                            : "") +
            ">" + escaped(content) + "</text>\n";
  }

  std::string finish() && { return std::move(out_) + "</svg>\n"; }

  // About how wide a text is.
  static double width_of(const std::string& text, double size) {
    return 0.55 * size * static_cast<double>(text.size());
  }

 private:
  static std::string shortest(double value) { return number(std::round(value * 10) / 10, 6); }
  static std::string at(const char* name, double value) {
    return std::string(" ") + name + "=\"" + shortest(value) + "\"";
  }

  std::string out_;
};

}  // namespace evaluate
