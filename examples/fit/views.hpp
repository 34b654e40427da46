// A report for people and for programs.
#pragma once

#include <string>
#include <vector>

#include "report.hpp"
#include "splits.hpp"

namespace fit {

// What the model is, in a few lines.
std::string about_model(const Subject& subject);
// One machine: a bar, the table, limits, times, alternatives. `unicode`: the terminal shows it.
std::string in_detail(const Subject& subject, const Report& report, bool unicode);
// Several machines, a line each.
std::string side_by_side(const std::vector<Report>& reports);
// `report`: the one that is shown, or the first.
std::string assumptions_of(const Subject& subject, const Report& report);

// Of a split: a bar for each memory, which layers are where, times, what more memory would buy.
std::string split_in_detail(const Report& report, bool unicode);
// Several quantisations of a model, the best first.
std::string choices_in_detail(const std::vector<Choice>& choices);

// "21.30 GiB", "12 ms", "1.5 s".
std::string size_text(mais::Bytes bytes);
std::string time_text(double seconds);
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

// How bars are drawn: weights, state, workspace, buffers.
struct Look {
  const char* parts[4];
  const char* free;
  const char* beyond;
};
const Look& look_of(bool unicode);

std::string as_json(const Subject& subject, const std::vector<Report>& reports,
                    const std::vector<Choice>& choices);
std::string as_page(const Subject& subject, const std::vector<Report>& reports);

}  // namespace fit
