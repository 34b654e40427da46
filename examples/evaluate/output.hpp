// Writes what the studies found: <study>.md, .csv and .json, plots as .svg, and all of it together
// in summary.md.
#pragma once

#include <string>
#include <vector>

#include "study.hpp"

namespace evaluate {

// Makes the folder where there is none. io_error with the path that cannot be written.
mais::Result<void> write_results(const std::vector<const Study*>& studies, const Workbench& bench,
                                 const Settings& settings, const std::string& folder);

}  // namespace evaluate
