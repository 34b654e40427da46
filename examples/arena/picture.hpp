// The arena over time as a self-contained HTML page with one SVG.
#pragma once

#include <string>
#include <vector>

#include "mais/graph/arena.hpp"

struct ArenaPicture {
  std::string title;
  std::vector<std::string> names;  // of the buffers
  mais::graph::ArenaProblem problem;
  mais::graph::ArenaPlan plan;
};

std::string arena_html(const std::vector<ArenaPicture>& pictures, const std::string& summary);
