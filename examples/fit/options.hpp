// What the command line asks for.
#pragma once

#include <optional>
#include <string>

#include <tl/expected.hpp>

#include "mais/files/footprint.hpp"

namespace fit {

struct Options {
  std::string model;
  std::string machine;  // a preset, or a file; empty: all presets
  std::optional<std::int64_t> context, prompt;
  std::int64_t parallel = 1;
  std::int64_t chunk = 2048;  // prompt tokens computed in one step
  std::string adapter;        // adapter_config.json
  mais::files::FootprintOptions footprint{};
  bool guess = false;
  bool json = false;
  std::string html;
};

struct ExitStatus {
  int code = 0;
};

// The options, or the status to leave with after --help or a fault, which has been told.
tl::expected<Options, ExitStatus> read_options(int argc, char** argv);

}  // namespace fit
