// The figures of one policy under their plain names, as every form of report takes them.
#pragma once

#include <nlohmann/json.hpp>

#include "mais/sim/report.hpp"

namespace mais::sim {

using Json = nlohmann::ordered_json;

// Numbers, texts, booleans and nulls only.
Json figures_of(const Report& report, const PolicyReport& policy);

// [{"rate", "requests_per_second", "attainment"}, ...] of the exact points.
Json load_of(const PolicyReport& policy);

}  // namespace mais::sim
