// What the command line asks for.
#pragma once

#include <optional>
#include <string>

#include <tl/expected.hpp>

#include "mais/probe/probe.hpp"

namespace inspect {

struct Options {
  mais::probing::ProbeOptions probe{};
  bool json = false;
  bool watch = false;
  std::optional<std::string> record{};  // write one
  std::optional<std::string> from{};    // look at one
  double interval = 1;                  // seconds between refreshes
  std::optional<int> times{};           // refreshes; none: until interrupted
};

struct ExitStatus {
  int code = 0;
};

// The options, or the status to leave with after --help or a fault, which has been told.
tl::expected<Options, ExitStatus> read_options(int argc, char** argv);

}  // namespace inspect
