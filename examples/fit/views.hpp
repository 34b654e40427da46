// A report for people and for programs.
#pragma once

#include <string>
#include <vector>

#include "report.hpp"

namespace fit {

// What the model is, in a few lines.
std::string about_model(const Subject& subject);
// One machine: a bar, the table, limits, times, alternatives. `unicode`: the terminal shows it.
std::string in_detail(const Subject& subject, const Report& report, bool unicode);
// Several machines, a line each.
std::string side_by_side(const std::vector<Report>& reports);
std::string assumptions_of(const Subject& subject);

std::string as_json(const Subject& subject, const std::vector<Report>& reports);
std::string as_page(const Subject& subject, const std::vector<Report>& reports);

}  // namespace fit
