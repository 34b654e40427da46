// The machines that the command line names.
#pragma once

#include <vector>

#include "mais/machine.hpp"
#include "options.hpp"

namespace fit {

// One, or all that are known; with as many GPUs and as much host memory as the options ask for.
mais::Result<std::vector<mais::Machine>> machines_of(const Options& options);

// What was assumed of what the options add; empty: nothing.
std::string assumed_of_machines(const Options& options);

}  // namespace fit
