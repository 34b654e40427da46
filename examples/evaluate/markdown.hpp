// Tables in Markdown.
#pragma once

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace evaluate {

inline std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

inline std::string percent(double part, int decimals = 1) {
  return fixed(part * 100, decimals) + " %";
}

// Columns but the first `texts` are numbers, to the right.
inline std::string table(const std::vector<std::string>& head,
                         const std::vector<std::vector<std::string>>& rows, std::size_t texts = 1) {
  const auto line = [](const std::vector<std::string>& cells) {
    std::string text = "|";
    for (const std::string& cell : cells) text.append(" ").append(cell).append(" |");
    return text + "\n";
  };
  std::vector<std::string> rules;
  for (std::size_t i = 0; i < head.size(); ++i) rules.push_back(i < texts ? "---" : "---:");
  std::string text = line(head) + line(rules);
  for (const std::vector<std::string>& row : rows) text += line(row);
  return text;
}

}  // namespace evaluate
