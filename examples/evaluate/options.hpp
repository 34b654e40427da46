// What the evaluate command was asked to do.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "mais/result.hpp"
#include "settings.hpp"

namespace evaluate {

struct Options {
  SettingsOptions settings;
  std::vector<std::string> only;  // studies; empty: all
  std::string out = "build/evaluation";
  std::size_t workers = 2;
};

// The options, or the status to leave with: help was shown, or what was wrong was said.
struct ExitStatus {
  int code = 0;
};
tl::expected<Options, ExitStatus> read_options(int argc, char** argv,
                                               const std::vector<std::string>& studies);

}  // namespace evaluate
