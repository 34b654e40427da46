// Models as JSON that a person can write.
//
//   { "name": "llama3-8b", "weights": "15 GiB",
//     "state": [ { "name": "attention", "per_token": "128 KiB" } ],
//     "cost": { "flops_per_token": 16.06e9, "attention_flops_per_pair": 524288,
//               "weights_read": "15 GiB", "state_read": "128 KiB", "overhead": "1 ms" } }
//
// The fields are those of mais::Model; units as in mais/files/unit_text.hpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mais/model.hpp"
#include "mais/result.hpp"

namespace mais::files {

// Reads and validates one model. Errors as parse_machine(). O(text). Any thread.
Result<Model> parse_model(std::string_view json, std::string_view origin);

// The same for { "models": [ ... ] }.
Result<std::vector<Model>> parse_models(std::string_view json, std::string_view origin);

// JSON that the function above reads back as the same model or models.
std::string to_json(const Model& model);
std::string to_json(const std::vector<Model>& models);

}  // namespace mais::files
