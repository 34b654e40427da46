// The machine while it runs, in the terminal.
#pragma once

#include "mais/probe/report.hpp"
#include "options.hpp"

namespace inspect {

// Refreshes in place until interrupted, or as often as asked; where standard output is no terminal,
// one block after another. The exit status.
int show_live(const mais::probing::MachineReport& report, const Options& options);

}  // namespace inspect
