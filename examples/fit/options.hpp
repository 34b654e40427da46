// What the command line asks for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "mais/core/variants.hpp"
#include "mais/files/footprint.hpp"

namespace fit {

struct Options {
  std::vector<std::string> models;  // one, or quantisations of one
  std::string machine;              // a preset, or a file; empty: all presets
  int gpus = 1;                     // as many like the machine's first
  std::optional<mais::Bytes> host;  // memory that is added to the machine
  mais::core::Slo slo{};
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
