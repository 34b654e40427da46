// How a model runs over several devices and the host, and within bounds on its times.
#pragma once

#include <vector>

#include "mais/core/variants.hpp"
#include "report.hpp"

namespace fit {

// The best split, or why there is none; nothing where the machine has one memory and no bound is
// asked for. Also what else would be within the bounds.
void add_split(const Subject& subject, const mais::Machine& machine, const Options& options,
               Report& report);

// One of the models that were given, judged.
struct Choice {
  std::string name;
  double bits = 0;  // for each parameter
  mais::Bytes weights;
  bool chosen = false;
  std::optional<mais::core::SplitSpeed> speed;  // none: it does not fit
  std::string why_not;                          // empty: it meets all
};

// The best quality first. Errors: the models are not one model's variants, or those of the split.
mais::Result<std::vector<Choice>> choose(const std::vector<Subject>& subjects,
                                         const mais::Machine& machine, const Options& options);

}  // namespace fit
